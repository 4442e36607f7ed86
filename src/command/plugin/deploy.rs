//! `dsf plugin deploy`: a checked package goes to the folder in which a node looks for plugins.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::work::{checked, write_archive};
use crate::bpe::plugin::package::candidates;
use crate::cli::Configuration;
use crate::config::Needs;

pub fn deploy(
    package: &Path,
    to: Option<&Path>,
    link: bool,
    configuration: &Configuration,
) -> anyhow::Result<ExitCode> {
    let Some((files, checked)) = checked(package)? else {
        return Ok(ExitCode::FAILURE);
    };
    let folder = match to {
        Some(folder) => folder.to_owned(),
        None => plugin_folder(configuration)?,
    };
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let manifest = &checked.manifest;
    let name = if link {
        manifest.name.clone()
    } else {
        format!("{}-{}.dsf", manifest.name, manifest.version.as_str())
    };
    let target = folder.join(&name);
    let old = old_versions(&folder, &manifest.name, manifest.version.resource_version())?;
    // Made beside and moved into place: a node never sees half of it.
    let new = folder.join(format!(".{name}.new"));
    let _ = fs::remove_file(&new);
    if link {
        let Ok(source) = package.canonicalize() else {
            bail!("{} cannot be reached", package.display());
        };
        if !source.is_dir() {
            bail!(
                "--link needs the folder of a package, {} is a file",
                package.display()
            );
        }
        symlink(source, &new)
    } else if package.is_dir() {
        File::create(&new).and_then(|file| write_archive(&files, &checked, package, file))
    } else {
        fs::copy(package, &new).map(drop)
    }
    .with_context(|| format!("cannot write {}", new.display()))?;
    for path in old.iter().filter(|path| **path != target) {
        remove(path).with_context(|| format!("cannot remove {}", path.display()))?;
        println!("removed {}", path.display());
    }
    if target.is_dir() && !target.is_symlink() {
        bail!("{} is a folder; remove it first", target.display());
    }
    fs::rename(&new, &target).with_context(|| format!("cannot write {}", target.display()))?;
    println!("{}", target.display());
    Ok(ExitCode::SUCCESS)
}

fn plugin_folder(configuration: &Configuration) -> anyhow::Result<PathBuf> {
    let config = configuration.sources().load(Needs::NOTHING)?;
    config
        .bpe
        .plugin_dir
        .map(|folder| folder.0)
        .context("the configuration has no bpe.plugin-dir; set it, or say --to FOLDER")
}

/// What a release with the same resource version takes the place of: the archives of the name, and
/// what was linked under it. Another resource version stays beside it, for what still runs.
fn old_versions(folder: &Path, name: &str, resource_version: &str) -> anyhow::Result<Vec<PathBuf>> {
    let is_old = |path: &PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let archive = file
            .strip_suffix(".dsf")
            .and_then(|stem| stem.strip_prefix(name)?.strip_prefix('-'))
            .is_some_and(|version| version.starts_with(&format!("{resource_version}.")));
        archive || (path.is_symlink() && file == name)
    };
    let listed = candidates(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    Ok(listed.into_iter().filter(is_old).collect())
}

fn remove(path: &Path) -> std::io::Result<()> {
    fs::remove_file(path)
}
