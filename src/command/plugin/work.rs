//! What the commands do with packages.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::conformity;
pub use super::deploy::deploy;
pub use super::new::new;
pub use super::test::test;
use crate::bpe::plugin::folder::load_all;
use crate::bpe::plugin::package::{
    Files, Package, Problem, Refused, Site, Substitutes, content, load,
};
use crate::cli::Configuration;
use crate::command::table::Table;
use crate::config::Needs;

/// Stands for the own organisation, which only a running FHIR server knows.
const ORGANIZATION: &str = "test";

fn site() -> Site<'static> {
    site_of(ORGANIZATION)
}

/// What a package is read for by this organisation.
pub(super) fn site_of(organization: &str) -> Site<'_> {
    Site {
        substitutes: Substitutes::of_process(organization),
        base_url: "https://localhost/fhir",
    }
}

pub(super) fn files(path: &Path) -> anyhow::Result<Files> {
    if path.is_dir() {
        return Ok(Files::folder(path));
    }
    Files::archive(path)
        .map_err(anyhow::Error::msg)
        .with_context(|| format!("{} is not a package", path.display()))
}

pub fn check(packages: &[PathBuf], json: bool) -> anyhow::Result<ExitCode> {
    let mut sound = true;
    if json {
        let mut told = Vec::new();
        for path in packages {
            let (outcome, warnings) = examined(path)?;
            let errors = outcome.as_ref().err().map(|refused| &refused.problems);
            sound &= errors.is_none();
            let problems = warnings.iter().chain(errors.into_iter().flatten());
            told.extend(problems.map(|problem| as_json(path, problem)));
        }
        println!("{:#}", serde_json::Value::Array(told));
        return Ok(exit_code(sound));
    }
    for path in packages {
        match checked(path)? {
            Some((_, package)) => println!("{}: {}", path.display(), summary(&package)),
            None => sound = false,
        }
    }
    Ok(exit_code(sound))
}

/// Reads a package and judges its resources. What is wrong or odd is printed; nothing is left of a
/// package that is refused.
pub(super) fn checked(path: &Path) -> anyhow::Result<Option<(Files, Package)>> {
    let (outcome, warnings) = examined(path)?;
    for warning in &warnings {
        println!("warning: {warning}");
    }
    Ok(outcome.map_err(|refused| report(path, &refused)).ok())
}

/// A package that may be used, or why it may not; and what is odd in it.
type Examined = (Result<(Files, Package), Refused>, Vec<Problem>);

fn examined(path: &Path) -> anyhow::Result<Examined> {
    let files = files(path)?;
    let package = match load(&files, &site()) {
        Ok(package) => package,
        Err(refused) => return Ok((Err(refused), Vec::new())),
    };
    let found = conformity::judged(&package);
    let odd = found.iter().filter(|one| one.warning);
    let warnings = package.warnings.iter().chain(odd).cloned().collect();
    let outcome = package.judged(found).map(|package| (files, package));
    Ok((outcome, warnings))
}

fn as_json(path: &Path, problem: &Problem) -> serde_json::Value {
    serde_json::json!({
        "package": path.display().to_string(),
        "file": problem.file,
        "place": problem.place,
        "severity": if problem.warning { "warning" } else { "error" },
        "text": problem.message,
    })
}

fn report(path: &Path, refused: &Refused) {
    for problem in &refused.problems {
        println!("error: {problem}");
    }
    println!("{}: is refused", path.display());
}

fn summary(package: &Package) -> String {
    let manifest = &package.manifest;
    format!(
        "{} {} may be used: processes {}",
        manifest.name,
        manifest.version.as_str(),
        processes(package)
    )
}

fn processes(package: &Package) -> String {
    let ids = package
        .processes
        .iter()
        .map(|process| process.id.to_string());
    ids.collect::<Vec<_>>().join(", ")
}

fn exit_code(sound: bool) -> ExitCode {
    if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

pub fn list(configuration: &Configuration, json: bool) -> anyhow::Result<ExitCode> {
    let config = configuration.sources().load(Needs::NOTHING)?;
    let folder = config.bpe.plugin_dir.as_ref();
    let path = folder.map(|folder| folder.0.as_path());
    let found = load_all(path, &site(), &conformity::judged)?;
    let mut table = Table::new(&["package", "name", "version", "processes", "state"]);
    for package in &found.packages {
        let state = if package.draft { "draft" } else { "active" };
        table.row([
            package.origin.clone(),
            package.manifest.name.clone(),
            package.manifest.version.as_str().to_owned(),
            processes(package),
            state.to_owned(),
        ]);
    }
    for refused in &found.refused {
        let state = format!("refused, {} problems", refused.problems.len());
        let unknown = String::new;
        table.row([
            refused.origin.clone(),
            unknown(),
            unknown(),
            unknown(),
            state,
        ]);
    }
    table.print(json)?;
    Ok(exit_code(found.refused.is_empty()))
}

pub fn pack(folder: &Path, to: Option<&Path>) -> anyhow::Result<ExitCode> {
    let Some((files, package)) = checked(folder)? else {
        return Ok(ExitCode::FAILURE);
    };
    let usual = || {
        let manifest = &package.manifest;
        let version = manifest.version.as_str();
        PathBuf::from(format!("{}-{version}.dsf", manifest.name))
    };
    let target = to.map_or_else(usual, Path::to_owned);
    if package.manifest.draft {
        println!("warning: plugin.toml says draft = true; take it out for a release");
    }
    File::create(&target)
        .and_then(|file| write_archive(&files, &package, folder, file))
        .with_context(|| format!("cannot write {}", target.display()))?;
    println!("{}", target.display());
    Ok(ExitCode::SUCCESS)
}

/// Writes the files of a package into one archive.
pub(super) fn write_archive(
    files: &Files,
    package: &Package,
    folder: &Path,
    file: File,
) -> std::io::Result<()> {
    let mut archive = ZipWriter::new(file);
    for path in content(package, folder)? {
        let bytes = files.bytes(&path).map_err(std::io::Error::other)?;
        archive.start_file(&path, SimpleFileOptions::default())?;
        archive.write_all(&bytes)?;
    }
    archive.finish()?;
    Ok(())
}
