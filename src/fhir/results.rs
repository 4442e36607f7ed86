//! The result of a search as a Bundle, for REST and for entries of Bundles alike.

use bytes::Bytes;

use crate::fhir::service::{Found, Service, Stored};
use crate::r4::Resource;
use crate::r4::bundle::{Builder, Mode, Written};
use crate::r4::datetime::format_instant;
use crate::r4::outcome::{Issue, IssueType, Outcome, Severity};

/// A searchset (fhir-api §5.8).
#[must_use]
pub fn searchset(service: &Service, found: Found) -> Resource {
    let mut bundle = frame(service, &found);
    let warning = found.warning();
    for (stored, mode) in modes(found.matches, found.includes) {
        let url = full_url(service, &stored);
        bundle.found(Some(&url), service.document(stored), mode);
    }
    warn(service, &mut bundle, warning);
    bundle.build()
}

/// The same as compact JSON, of what has been written before; `None` if there are Binaries.
#[must_use]
pub fn searchset_json(service: &Service, found: &Found) -> Option<Vec<u8>> {
    let entries = modes(&found.matches, &found.includes);
    let written: Vec<(String, Bytes, Mode)> = entries
        .map(|(stored, mode)| Some((full_url(service, stored), stored.json()?, mode)))
        .collect::<Option<_>>()?;
    let mut bundle = frame(service, found);
    warn(service, &mut bundle, found.warning());
    let entries = written.iter().map(|(url, json, mode)| Written {
        full_url: url.clone(),
        resource: json,
        mode: *mode,
    });
    Some(bundle.write(entries))
}

fn modes<S>(
    matches: impl IntoIterator<Item = S>,
    includes: impl IntoIterator<Item = S>,
) -> impl Iterator<Item = (S, Mode)> {
    let matches = matches.into_iter().map(|stored| (stored, Mode::Match));
    matches.chain(includes.into_iter().map(|stored| (stored, Mode::Include)))
}

fn full_url(service: &Service, stored: &Stored) -> String {
    format!("{}/{}", service.settings().base_url, stored.path())
}

/// All but the entries.
fn frame(service: &Service, found: &Found) -> Builder {
    let mut bundle = Builder::new("searchset")
        .timestamp(format_instant(service.now()))
        .total(u64::try_from(found.total).unwrap_or_default());
    for (relation, url) in found.query.links(&service.settings().base_url, found.total) {
        bundle.link(relation, &url);
    }
    bundle
}

fn warn(service: &Service, bundle: &mut Builder, warning: Option<String>) {
    if let Some(text) = warning {
        let url = format!("{}/", service.settings().base_url);
        bundle.found(Some(&url), warned(text).to_resource(), Mode::Outcome);
    }
}

/// What was left out under lenient handling.
#[must_use]
pub fn warned(text: String) -> Outcome {
    Issue::new(Severity::Warning, IssueType::Processing, text).into()
}
