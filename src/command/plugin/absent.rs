//! Answers in a program that was built without the BPE role.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;

use crate::cli::Configuration;

const ABSENT: &str = "this program was built without the BPE role, which reads plugins";

pub fn check(_: &[PathBuf], _: bool) -> anyhow::Result<ExitCode> {
    bail!(ABSENT)
}

pub fn new(_: &Path, _: &str, _: Option<&Path>) -> anyhow::Result<ExitCode> {
    bail!(ABSENT)
}

pub fn test(_: &Path, _: Option<&str>, _: bool, _: bool) -> anyhow::Result<ExitCode> {
    bail!(ABSENT)
}

pub fn deploy(_: &Path, _: Option<&Path>, _: bool, _: &Configuration) -> anyhow::Result<ExitCode> {
    bail!(ABSENT)
}

pub fn list(_: &Configuration, _: bool) -> anyhow::Result<ExitCode> {
    bail!(ABSENT)
}

pub fn pack(_: &Path, _: Option<&Path>) -> anyhow::Result<ExitCode> {
    bail!(ABSENT)
}
