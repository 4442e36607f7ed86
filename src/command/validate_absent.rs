//! `dsf validate` of a program that was built without the FHIR role.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::r4::Resource;

/// Judges a resource by given profiles and those it claims: an OperationOutcome.
pub type Judge = dyn Fn(&Resource, &[String]) -> serde_json::Value + Send + Sync;

/// Plugin code is told that this program cannot validate.
pub fn judging() -> Option<std::sync::Arc<Judge>> {
    None
}

#[derive(Debug, Args)]
pub struct Validate {
    /// This program was built without the FHIR role and cannot validate.
    #[arg(hide = true)]
    files: Vec<PathBuf>,
}

pub fn run(_: &Validate) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this program was built without the FHIR role; use one with --features fhir")
}
