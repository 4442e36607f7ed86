//! What the commands do with packages.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::conformity;
use crate::bpe::plugin::package::{
    Files, Package, Refused, Site, Substitutes, content, load, load_all,
};
use crate::cli::Configuration;
use crate::command::table::Table;
use crate::config::Needs;

/// Stands for the own organisation, which only a running FHIR server knows.
const ORGANIZATION: &str = "test";

fn site() -> Site<'static> {
    let environment = &|name: &str| std::env::var(name).ok();
    Site {
        substitutes: Substitutes {
            organization: ORGANIZATION,
            environment,
        },
        base_url: "https://localhost/fhir",
    }
}

fn files(path: &Path) -> anyhow::Result<Files> {
    if path.is_dir() {
        return Ok(Files::folder(path));
    }
    Files::archive(path)
        .map_err(anyhow::Error::msg)
        .with_context(|| format!("{} is not a package", path.display()))
}

pub fn check(packages: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let mut sound = true;
    for path in packages {
        match load(&files(path)?, &site()) {
            Ok(package) => {
                for warning in &package.warnings {
                    println!("warning: {warning}");
                }
                let resources = package.resources.iter();
                let named = resources.map(|one| (one.file.as_str(), &one.resource));
                let problems = conformity::problems(named)?;
                if !problems.is_empty() {
                    sound = false;
                    for problem in problems {
                        println!("error: {problem}");
                    }
                    println!("{}: is refused", path.display());
                    continue;
                }
                println!("{}: {}", path.display(), summary(&package));
            }
            Err(refused) => {
                sound = false;
                report(path, &refused);
            }
        }
    }
    Ok(exit_code(sound))
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
    let config = configuration.sources().load(Needs {
        fhir: false,
        bpe: false,
    })?;
    let folder = config.bpe.plugin_dir.as_ref();
    let found = load_all(folder.map(|folder| folder.0.as_path()), &site())?;
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
    let files = Files::folder(folder);
    let package = match load(&files, &site()) {
        Ok(package) => package,
        Err(refused) => {
            report(folder, &refused);
            return Ok(ExitCode::FAILURE);
        }
    };
    let usual = || {
        let manifest = &package.manifest;
        PathBuf::from(format!(
            "{}-{}.dsf",
            manifest.name,
            manifest.version.as_str()
        ))
    };
    let target = to.map_or_else(usual, Path::to_owned);
    write(&files, &package, folder, &target)
        .with_context(|| format!("cannot write {}", target.display()))?;
    println!("{}", target.display());
    Ok(ExitCode::SUCCESS)
}

fn write(files: &Files, package: &Package, folder: &Path, target: &Path) -> anyhow::Result<()> {
    let mut archive = ZipWriter::new(File::create(target)?);
    for path in content(package, folder)? {
        let bytes = files.bytes(&path).map_err(anyhow::Error::msg)?;
        archive.start_file(&path, SimpleFileOptions::default())?;
        archive.write_all(&bytes)?;
    }
    archive.finish()?;
    Ok(())
}
