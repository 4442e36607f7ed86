//! Process plugins as they come: found, read, checked (docs/plugins.md §2, spec/bpe.md §5).
//!
//! A package is used as a whole or not at all, and one that is refused says everything that is
//! wrong with it. No package can harm another.

mod adapt;
mod code;
mod content;
mod cross;
mod draft;
mod files;
mod lint;
mod manifest;
mod message;
mod model;
mod naming;
mod placeholder;
mod problem;
mod renaming;
mod resource;
mod scaffold;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::bpe::model::Graph;
use crate::bpe::plugin::ProcessId;

pub use code::{Code, Program};
pub use content::content;
pub use files::{Files, candidates};
pub use manifest::{Api, Manifest, MessageEntry, OnFailure, ProcessEntry, Version};
pub(crate) use model::{DEFAULT_LISTENERS, FORM_MEMBERS, MESSAGE_FIELDS};
pub use placeholder::Substitutes;
pub use problem::{Problem, Refused};
pub(crate) use resource::DEPLOYED_TYPES;
pub use resource::Prepared;
pub use scaffold::{Named, Scaffold, scaffold};

use placeholder::{Syntax, replace};
use problem::Problems;

/// A package that may be used.
#[derive(Clone, Debug)]
pub struct Package {
    pub origin: String,
    pub manifest: Manifest,
    /// Its resources are put on the server again at every start.
    pub draft: bool,
    pub processes: Vec<Process>,
    /// The resources of all its processes.
    pub resources: Vec<Prepared>,
    pub code: Option<Code>,
    pub warnings: Vec<Problem>,
}

impl Package {
    /// The package with what is odd in its resources, unless something is wrong with them.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn judged(mut self, found: Vec<Problem>) -> Result<Self, Refused> {
        let (odd, problems): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.warning);
        self.warnings.extend(odd);
        if problems.is_empty() {
            return Ok(self);
        }
        Err(Refused {
            origin: self.origin,
            problems,
        })
    }
}

/// A process of a package.
#[derive(Clone, Debug)]
pub struct Process {
    pub id: ProcessId,
    pub on_failure: OnFailure,
    /// The BPMN file, placeholders replaced.
    pub source: String,
    pub graph: Graph,
    /// Places in [`Package::resources`].
    pub resources: Vec<usize>,
}

/// Where packages are read for.
pub struct Site<'a> {
    pub substitutes: Substitutes<'a>,
    /// Base address of the own FHIR server.
    pub base_url: &'a str,
}

/// All packages of a node.
#[derive(Debug, Default)]
pub struct Found {
    pub packages: Vec<Package>,
    pub refused: Vec<Refused>,
    /// A package is refused of which nothing is in force: which processes it has is unknown.
    pub incomplete: bool,
}

/// Reads one package.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(files: &Files, site: &Site<'_>) -> Result<Package, Refused> {
    let mut problems = Problems::default();
    let package = read(files, site, &mut problems);
    let failed = problems.errors() > 0;
    let found = problems.into_inner();
    match package {
        Some(package) if !failed => Ok(Package {
            warnings: found,
            ..package
        }),
        _ => Err(Refused {
            origin: files.origin.clone(),
            problems: found
                .into_iter()
                .filter(|problem| !problem.warning)
                .collect(),
        }),
    }
}

fn read(files: &Files, site: &Site<'_>, problems: &mut Problems) -> Option<Package> {
    let text = match files.text(manifest::FILE) {
        Ok(text) => text,
        Err(message) => {
            problems.error(manifest::FILE, "", message);
            return None;
        }
    };
    let manifest = manifest::read(&text, problems)?;
    let mut models = Vec::new();
    for entry in &manifest.processes {
        models.extend(model(files, entry, &manifest, site, problems));
    }
    let mut reader = resource::Reader {
        files,
        manifest: &manifest,
        substitutes: &site.substitutes,
        known: HashMap::new(),
        prepared: Vec::new(),
    };
    let resources: Vec<_> = manifest
        .processes
        .iter()
        .map(|entry| reader.process(entry, problems))
        .collect();
    let prepared = reader.prepared;
    // Without all models it is not known what the code is for.
    if models.len() < manifest.processes.len() {
        return None;
    }
    let code = code::read(files, &manifest, &models, site, problems);
    let parts = lint::Parts {
        files,
        manifest: &manifest,
        models: &models,
        resources: &prepared,
        of_process: &resources,
    };
    lint::lint(&parts, problems);
    let processes = manifest.processes.iter().zip(models).zip(resources);
    let version = manifest.version.resource_version();
    let processes = processes
        .map(|((entry, model), resources)| Process {
            id: ProcessId {
                key: entry.id.clone(),
                version: version.to_owned(),
            },
            on_failure: entry.on_failure,
            source: model.source,
            graph: model.graph,
            resources,
        })
        .collect();
    Some(Package {
        origin: files.origin.clone(),
        draft: manifest.draft || naming::is_draft(&files.origin),
        processes,
        resources: prepared,
        code,
        warnings: Vec::new(),
        manifest,
    })
}

fn model(
    files: &Files,
    entry: &ProcessEntry,
    manifest: &Manifest,
    site: &Site<'_>,
    problems: &mut Problems,
) -> Option<model::Model> {
    let text = files.text(&entry.model).map_err(|message| vec![message]);
    let text = text.and_then(|text| replace(&text, Syntax::Model, manifest, &site.substitutes));
    match text {
        Ok(text) if manifest.api == Api::Zero => {
            model::read(entry, renaming::model(&text), manifest, problems)
        }
        Ok(text) => model::read(entry, text, manifest, problems),
        Err(messages) => {
            for message in messages {
                problems.error(&entry.model, "", message);
            }
            None
        }
    }
}

impl Found {
    /// Why a package cannot be used beside the others: it brings a process that one of them brings.
    #[must_use]
    pub fn refusal(&self, package: &Package) -> Option<Refused> {
        let problems: Vec<Problem> = package
            .processes
            .iter()
            .filter_map(|process| {
                let other = self
                    .packages
                    .iter()
                    .find(|other| other.processes.iter().any(|one| one.id == process.id))?;
                Some(Problem {
                    file: manifest::FILE.to_owned(),
                    place: "process".to_owned(),
                    message: format!(
                        "{} is a process of {} already; remove one of the two, or raise the first \
                         or second number of the version",
                        process.id, other.origin
                    ),
                    warning: false,
                })
            })
            .collect();
        (!problems.is_empty()).then(|| Refused {
            origin: package.origin.clone(),
            problems,
        })
    }
}
