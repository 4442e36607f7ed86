//! `dsf process` of a program that was built without the BPE role.

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Process {
    /// This program was built without the BPE role and cannot try processes.
    #[command(hide = true)]
    None,
}

pub fn run(_process: &Process) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this program was built without the BPE role; use one with --features bpe")
}
