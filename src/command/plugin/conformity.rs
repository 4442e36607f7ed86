//! Whether the resources of a package are what their profiles say.

use crate::fhir::validate::{Finding, Library, judge};
use crate::fhir::{initial, profile};
use crate::r4::Resource;

/// What is wrong, by file.
pub fn problems<'a>(
    resources: impl Iterator<Item = (&'a str, &'a Resource)> + Clone,
) -> anyhow::Result<Vec<String>> {
    let built_in = initial::built_in()?;
    let own = resources.clone().map(|(_, resource)| resource);
    let library = Library::of(built_in.iter().chain(own));
    let mut problems = Vec::new();
    for (file, resource) in resources {
        let mut resource = resource.clone();
        profile::ensure(&mut resource);
        // A library of resources that are all there lacks none.
        let findings = judge(&library, &resource.into_value(), &[])
            .map_err(|missing| anyhow::anyhow!("definitions are missing: {missing:?}"))?;
        let errors = findings.into_iter().filter(Finding::is_error);
        problems
            .extend(errors.map(|finding| format!("{file}: {} [{}]", finding.text, finding.rule)));
    }
    Ok(problems)
}
