//! Validation for plugin code: by FHIR R4 and the definitions of the DSF.

use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use super::Judge;
use crate::fhir::validate::{Library, judge};
use crate::fhir::{initial, profile};
use crate::r4::Resource;

/// The definitions are read when they are needed first.
pub fn judging() -> Option<Arc<Judge>> {
    let library: OnceLock<Result<Library, String>> = OnceLock::new();
    Some(Arc::new(move |resource, profiles| {
        match library.get_or_init(read) {
            Ok(library) => outcome(library, resource, profiles),
            Err(error) => issues(vec![issue("fatal", "exception", "", error)]),
        }
    }))
}

fn read() -> Result<Library, String> {
    let built_in = initial::built_in().map_err(|error| error.to_string())?;
    Ok(Library::of(built_in.iter()))
}

fn outcome(library: &Library, resource: &Resource, profiles: &[String]) -> Value {
    let mut resource = resource.clone();
    profile::ensure(&mut resource);
    let profiles: Vec<&str> = profiles.iter().map(String::as_str).collect();
    match judge(library, &resource.into_value(), &profiles) {
        Ok(found) if found.is_empty() => issues(vec![issue(
            "information",
            "informational",
            "",
            "no problem found",
        )]),
        Ok(found) => issues(
            found
                .iter()
                .map(|one| issue(one.severity.code(), one.kind.code(), &one.path, &one.text))
                .collect(),
        ),
        Err(missing) => {
            let text = format!("definitions are missing: {missing:?}");
            issues(vec![issue("error", "not-found", "", &text)])
        }
    }
}

fn issue(severity: &str, code: &str, path: &str, text: &str) -> Value {
    let mut issue = json!({ "severity": severity, "code": code, "diagnostics": text });
    if !path.is_empty() {
        issue["expression"] = json!([path]);
    }
    issue
}

fn issues(issues: Vec<Value>) -> Value {
    json!({ "resourceType": "OperationOutcome", "issue": issues })
}
