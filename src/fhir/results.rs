//! The result of a search as a Bundle, for REST and for entries of Bundles alike.

use std::sync::Arc;

use crate::fhir::fault::Fault;
use crate::fhir::service::{Found, Service};
use crate::r4::Resource;
use crate::r4::bundle::{Builder, Mode};
use crate::r4::datetime::format_instant;
use crate::r4::outcome::{Issue, IssueType, Outcome, Severity};

/// A searchset (fhir-api §5.8).
pub async fn searchset(service: &Arc<Service>, found: Found) -> Result<Resource, Fault> {
    let base = &service.settings().base_url;
    let mut bundle = Builder::new("searchset")
        .timestamp(format_instant(service.now()))
        .total(u64::try_from(found.total).unwrap_or_default());
    for (relation, url) in found.query.links(base, found.total) {
        bundle.link(relation, &url);
    }
    let warning = found.warning();
    let matches = found
        .matches
        .into_iter()
        .map(|stored| (stored, Mode::Match));
    let includes = found
        .includes
        .into_iter()
        .map(|stored| (stored, Mode::Include));
    for (stored, mode) in matches.chain(includes) {
        let url = format!("{base}/{}", stored.path());
        bundle.found(Some(&url), service.document(stored), mode);
    }
    if let Some(text) = warning {
        let url = format!("{base}/");
        bundle.found(Some(&url), warned(text).to_resource(), Mode::Outcome);
    }
    Ok(bundle.build())
}

/// What was left out under lenient handling.
#[must_use]
pub fn warned(text: String) -> Outcome {
    Issue::new(Severity::Warning, IssueType::Processing, text).into()
}
