//! `dsf validate` of a program that was built without the FHIR role.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

#[derive(Debug, Args)]
pub struct Validate {
    /// This program was built without the FHIR role and cannot validate.
    #[arg(hide = true)]
    files: Vec<PathBuf>,
}

pub fn run(_: &Validate) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this program was built without the FHIR role; use one with --features fhir")
}
