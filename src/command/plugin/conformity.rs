//! Whether the resources of a package are what their profiles say.

use crate::bpe::plugin::package::{Package, Problem};
use crate::fhir::validate::{Finding, Library, judge};
use crate::fhir::{initial, profile};
use crate::r4::Resource;

/// What is wrong with the resources of a package, by file.
#[must_use]
pub fn judged(package: &Package) -> Vec<Problem> {
    let built_in = match initial::built_in() {
        Ok(built_in) => built_in,
        Err(error) => return vec![problem("", format!("cannot be judged: {error}"))],
    };
    let own = package.resources.iter().map(|one| &one.resource);
    let library = Library::of(built_in.iter().chain(own));
    let mut problems = Vec::new();
    for one in &package.resources {
        problems.extend(of_resource(&library, &one.file, one.resource.clone()));
    }
    problems
}

fn of_resource(library: &Library, file: &str, mut resource: Resource) -> Vec<Problem> {
    profile::ensure(&mut resource);
    match judge(library, &resource.into_value(), &[]) {
        Ok(findings) => findings
            .into_iter()
            .filter(Finding::is_error)
            .map(|finding| problem(file, format!("{} [{}]", finding.text, finding.rule)))
            .collect(),
        // What other packages bring is known to the server only.
        Err(missing) => {
            tracing::debug!(file, ?missing, "is judged by the own FHIR server");
            Vec::new()
        }
    }
}

fn problem(file: &str, message: String) -> Problem {
    Problem {
        file: file.to_owned(),
        place: String::new(),
        message,
        warning: false,
    }
}
