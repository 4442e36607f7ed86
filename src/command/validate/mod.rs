//! `dsf validate`: resources in files, judged as a FHIR role would judge them.

mod input;
mod judge;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::fhir::validate::{Finding, Library, judge, position};
use crate::fhir::{initial, profile};
use crate::r4::Resource;
use input::Input;

pub use judge::judging;

/// Judges a resource by given profiles and those it claims: an OperationOutcome.
pub type Judge = dyn Fn(&Resource, &[String]) -> serde_json::Value + Send + Sync;

#[derive(Debug, Args)]
pub struct Validate {
    /// FHIR resources in JSON or XML; of folders all files within.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Judge by this profile too; may be repeated.
    #[arg(long, value_name = "CANONICAL")]
    profile: Vec<String>,
    /// Files or folders with profiles, code systems and value sets, which are not judged.
    #[arg(long = "with", value_name = "PATH")]
    with: Vec<PathBuf>,
    /// Print JSON for programs.
    #[arg(long)]
    json: bool,
}

/// What was found in one file.
struct Report {
    file: String,
    findings: Vec<(Finding, Option<(u32, u32)>)>,
}

pub fn run(arguments: &Validate) -> anyhow::Result<ExitCode> {
    let (inputs, mut reports) = input::read_all(&arguments.files)?;
    let (given, broken) = input::read_all(&arguments.with)?;
    reports.extend(broken);
    let built_in = initial::built_in()?;
    let definitions: Vec<&Resource> = built_in
        .iter()
        .chain(given.iter().map(|input| &input.resource))
        .chain(inputs.iter().map(|input| &input.resource))
        .collect();
    let library = Library::of(definitions);
    let profiles: Vec<&str> = arguments.profile.iter().map(String::as_str).collect();
    for input in inputs {
        reports.push(report(&library, input, &profiles)?);
    }
    if arguments.json {
        print_json(&reports);
    } else {
        print_text(&reports);
    }
    let is_sound = |report: &Report| {
        !report
            .findings
            .iter()
            .any(|(finding, _)| finding.is_error())
    };
    Ok(if reports.iter().all(is_sound) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn report(library: &Library, input: Input, profiles: &[&str]) -> anyhow::Result<Report> {
    let mut resource = input.resource;
    profile::ensure(&mut resource);
    let value = resource.into_value();
    // A library of resources that are all there lacks none.
    let findings = judge(library, &value, profiles)
        .map_err(|missing| anyhow::anyhow!("definitions are missing: {missing:?}"))?;
    let place = |finding: Finding| {
        let position = position(&input.text, &finding.path);
        (finding, position)
    };
    Ok(Report {
        file: input.file,
        findings: findings.into_iter().map(place).collect(),
    })
}

fn print_text(reports: &[Report]) {
    for report in reports {
        for (finding, position) in &report.findings {
            let (line, column) = position.unwrap_or((1, 1));
            let (file, severity) = (&report.file, finding.severity);
            println!(
                "{file}:{line}:{column}: {severity}: {} [{}]",
                finding.text, finding.rule
            );
        }
        let errors = report
            .findings
            .iter()
            .filter(|(finding, _)| finding.is_error())
            .count();
        let verdict = match errors {
            0 => "valid".to_owned(),
            1 => "1 error".to_owned(),
            errors => format!("{errors} errors"),
        };
        println!("{}: {verdict}", report.file);
    }
}

fn print_json(reports: &[Report]) {
    let findings = reports.iter().flat_map(|report| {
        report.findings.iter().map(|(finding, position)| {
            json!({
                "file": report.file,
                "line": position.map(|(line, _)| line),
                "column": position.map(|(_, column)| column),
                "severity": finding.severity.code(),
                "code": finding.kind.code(),
                "expression": finding.path,
                "rule": finding.rule,
                "text": finding.text,
            })
        })
    });
    let findings: Vec<_> = findings.collect();
    println!("{:#}", serde_json::Value::Array(findings));
}
