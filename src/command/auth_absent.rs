//! `dsf auth` of a program that was built without the FHIR role.

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Auth {
    /// This program was built without the FHIR role, which decides who may what.
    #[command(hide = true)]
    None,
}

pub fn run(_: &Auth) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this program was built without the FHIR role; use one with --features fhir")
}
