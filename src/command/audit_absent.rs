//! `dsf audit` of a program that was built without the FHIR role.

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Audit {
    /// This program was built without the FHIR role and has no audit trail.
    #[command(hide = true)]
    None,
}

pub fn run(_: &Audit) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this program was built without the FHIR role; use one with --features fhir")
}
