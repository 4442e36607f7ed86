//! `dsf plugin test`: all scenarios of a package.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::mailboxes::Mailboxes;
use crate::bpe::scenario::Stage;
use crate::command::process::{Output, play};

pub fn test(
    package: &Path,
    only: Option<&str>,
    json: bool,
    trace: bool,
) -> anyhow::Result<ExitCode> {
    let files = scenarios(package, only)?;
    let mailboxes = Mailboxes::new(package)?;
    let stage = Stage {
        postmaster: Some(&mailboxes),
        ..Stage::default()
    };
    Ok(if play(&files, Output { json, trace }, stage)? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The scenario files of a package, in order.
fn scenarios(package: &Path, only: Option<&str>) -> anyhow::Result<Vec<PathBuf>> {
    if !package.join("plugin.toml").is_file() {
        bail!(
            "{} is not the folder of a plugin: it has no plugin.toml",
            package.display()
        );
    }
    let folder = package.join("tests");
    let mut files = Vec::new();
    for entry in folder
        .read_dir()
        .with_context(|| format!("cannot list {}", folder.display()))?
    {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".toml") && only.is_none_or(|text| name.contains(text)) {
            files.push(path);
        }
    }
    if files.is_empty() {
        bail!("no scenario (*.toml) of {} is asked for", folder.display());
    }
    files.sort();
    Ok(files)
}
