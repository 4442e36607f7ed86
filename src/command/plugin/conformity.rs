//! Whether the resources of a package are what their profiles say.

use crate::bpe::plugin::package::{Package, Prepared, Problem};
use crate::fhir::validate::{Library, judge, position};
use crate::fhir::{initial, profile};

/// What is wrong or odd in the resources of a package, by file.
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
        problems.extend(of_resource(&library, one));
    }
    problems
}

fn of_resource(library: &Library, one: &Prepared) -> Vec<Problem> {
    let (file, mut resource) = (&one.file, one.resource.clone());
    profile::ensure(&mut resource);
    match judge(library, &resource.into_value(), &[]) {
        Ok(findings) => {
            let told = findings.into_iter().map(|finding| Problem {
                place: place(&one.text, &finding.path),
                warning: !finding.is_error(),
                ..problem(file, format!("{} [{}]", finding.text, finding.rule))
            });
            told.collect()
        }
        // What other packages bring is known to the server only.
        Err(missing) => {
            tracing::debug!(file, ?missing, "is judged by the own FHIR server");
            Vec::new()
        }
    }
}

/// Line and column of an element in its file.
fn place(text: &str, path: &str) -> String {
    let position = position(text, path).filter(|_| !text.is_empty());
    position.map_or_else(String::new, |(line, column)| format!("{line}:{column}"))
}

fn problem(file: &str, message: String) -> Problem {
    Problem {
        file: file.to_owned(),
        place: String::new(),
        message,
        warning: false,
    }
}
