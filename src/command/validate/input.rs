//! The files to judge.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::Report;
use crate::fhir::validate::Finding;
use crate::r4::outcome::{IssueType, Severity};
use crate::r4::{ParseError, Resource, json, xml};

pub struct Input {
    pub file: String,
    pub text: String,
    pub resource: Resource,
}

/// The resources in files and folders, and reports on those that cannot be read.
pub fn read_all(paths: &[PathBuf]) -> anyhow::Result<(Vec<Input>, Vec<Report>)> {
    let (mut inputs, mut broken) = (Vec::new(), Vec::new());
    for file in files(paths)? {
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let name = file.display().to_string();
        match parse(&text) {
            Ok(resource) => inputs.push(Input {
                file: name,
                text,
                resource,
            }),
            Err(error) => broken.push(unreadable(name, &error)),
        }
    }
    Ok((inputs, broken))
}

fn parse(text: &str) -> Result<Resource, ParseError> {
    if text
        .trim_start_matches('\u{feff}')
        .trim_start()
        .starts_with('<')
    {
        xml::parse(text.as_bytes())
    } else {
        json::parse(text.as_bytes())
    }
}

fn unreadable(file: String, error: &ParseError) -> Report {
    let finding = Finding {
        severity: Severity::Fatal,
        kind: IssueType::Structure,
        path: error.path.clone(),
        rule: "parse".to_owned(),
        text: format!("{}: {}", error.path, error.message),
    };
    let position = (error.line, error.column);
    Report {
        file,
        findings: vec![(finding, Some(position))],
    }
}

/// The files themselves, and those below folders that look like FHIR, in order.
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = found.len();
            walk(path, &mut found)?;
            found[before..].sort();
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let is_fhir = path
            .extension()
            .is_some_and(|end| end == "json" || end == "xml");
        if path.is_dir() {
            walk(&path, found)?;
        } else if is_fhir {
            found.push(path);
        }
    }
    Ok(())
}
