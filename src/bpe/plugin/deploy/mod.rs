//! Brings processes into force: their resources to the own FHIR server, their models to the engine.
//!
//! [`plan`] and [`bundle`] are pure; [`deploy`] carries them out. A package of which the server
//! refuses a resource is left as it was, and the others are deployed.

mod bundle;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::local_fhir::{LocalFhir, Request, Unreachable};
use super::package::{Found, Package, Prepared, Problem, Process, Refused};
use crate::bpe::plugin::ProcessId;
use crate::bpe::runtime::{self, DeployError};
use crate::kernel::Clock;
use crate::r4::{ResourceType, json};
use crate::store::bpe::definition::{self, Model};
use crate::store::bpe::deployment::{self, DeployedResource};
use crate::store::{self, AsyncPgConnection, Store};

pub use bundle::Refusal;
pub use plan::{Known, Place, State, Step, Wanted};

/// Processes that administrators have taken out of service, as `key|version`.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Start nothing new; what runs goes on.
    pub retired: Vec<String>,
    /// As if there were no plugin for them.
    pub excluded: Vec<String>,
}

/// What a deployment is to do.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    pub found: &'a Found,
    pub settings: &'a Settings,
    pub kept: Kept,
}

/// What becomes of that which was put on the server before and has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is looked for, and put there again where it is missing.
    Checked,
    /// It was looked for not long ago, and somebody waits for what has changed.
    Trusted,
}

/// What came of a deployment.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub processes: Vec<(ProcessId, State)>,
    /// Packages left as they were because the server refused a resource.
    pub refused: Vec<Refused>,
    /// Files that differ from what the server got under the same version. They stay here: a
    /// released version is never changed.
    pub changed: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error("the own FHIR server refuses the deployment of processes: {0}")]
    Refused(String),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Process(#[from] DeployError),
}

/// A process on its way.
struct Candidate<'a> {
    id: &'a ProcessId,
    package: &'a Package,
    process: &'a Process,
    state: State,
}

impl Candidate<'_> {
    fn resources(&self) -> impl Iterator<Item = &Prepared> {
        self.process
            .resources
            .iter()
            .map(|place| &self.package.resources[*place])
    }
}

/// Deploys all packages. The caller repeats it while the server is [`Error::Unreachable`].
///
/// # Errors
/// When the server gives no usable answer, or the database fails.
pub async fn deploy(local: &dyn LocalFhir, store: &Store, wish: Wish<'_>) -> Result<Report, Error> {
    let found = wish.found;
    let candidates = candidates(found, wish.settings);
    let known: Known = store.read(async |conn| known(conn).await).await?;
    let wanted = wanted(&candidates, &known, found);
    let mut steps = plan::plan(&wanted, &known);
    let mut kept = kept(&steps, &known);
    if wish.kept == Kept::Trusted {
        steps.retain(|step| !matches!(step, Step::Check(..)));
    }
    if let Some(checks) = bundle::checks(&steps) {
        let answer = post(local, checks, "return=representation").await?;
        bundle::resolve_checks(&mut steps, answer.as_ref());
    }
    let refusals = match bundle::changes(&steps) {
        Some(changes) => {
            let answer = post(local, changes, "return=minimal").await?;
            bundle::refusals(&steps, answer.as_ref())
        }
        None => Vec::new(),
    };
    // What was missing is there now as it is in the package.
    for step in &steps {
        kept.remove(&step.place());
    }
    conclude(store, &candidates, &wanted, Outcome { refusals, kept }).await
}

/// What the server made of a deployment.
struct Outcome {
    refusals: Vec<Refusal>,
    /// Digests of what was not touched.
    kept: BTreeMap<Place, Vec<u8>>,
}

/// What is on the server and, if it is still there, stays as it is.
fn kept(steps: &[Step<'_>], known: &Known) -> BTreeMap<Place, Vec<u8>> {
    let checks = steps.iter().filter_map(|step| match step {
        Step::Check(..) => {
            let place = step.place();
            let digest = known.digests.get(&place)?.clone();
            Some((place, digest))
        }
        _ => None,
    });
    checks.collect()
}

fn place(prepared: &Prepared) -> Place {
    (prepared.kind, prepared.condition.clone())
}

fn digest(prepared: &Prepared) -> Vec<u8> {
    Sha256::digest(json::write(&prepared.resource, false)).to_vec()
}

async fn post(
    local: &dyn LocalFhir,
    bundle: serde_json::Value,
    prefer: &str,
) -> Result<Option<serde_json::Value>, Error> {
    let response = local.request(Request::bundle(bundle, prefer)).await?;
    if !response.is_success() {
        return Err(Error::Refused(response.explanation()));
    }
    Ok(response.body)
}

fn candidates<'a>(found: &'a Found, settings: &Settings) -> Vec<Candidate<'a>> {
    let of_package = |package: &'a Package| {
        package.processes.iter().map(move |process| {
            let name = process.id.to_string();
            let state = if settings.excluded.contains(&name) {
                State::Excluded
            } else if settings.retired.contains(&name) {
                State::Retired
            } else if package.draft {
                State::Draft
            } else {
                State::Active
            };
            Candidate {
                id: &process.id,
                package,
                process,
                state,
            }
        })
    };
    let mut packages: Vec<&Package> = found.packages.iter().collect();
    // What is deployed last is the newest version: the one that timers and signals start.
    packages.sort_by_cached_key(|package| package.manifest.version.numbers());
    packages.into_iter().flat_map(of_package).collect()
}

/// The candidates, and as excluded what no plugin brings any more. While a plugin cannot be read
/// its processes are not gone but broken, and which they are is unknown: then nothing is removed.
fn wanted<'a>(candidates: &'a [Candidate<'a>], known: &Known, found: &Found) -> Vec<Wanted<'a>> {
    let mut wanted: Vec<Wanted<'a>> = candidates
        .iter()
        .map(|candidate| Wanted {
            process: candidate.id.to_string(),
            state: candidate.state,
            resources: candidate.resources().collect(),
        })
        .collect();
    if !found.incomplete {
        for process in known.states.keys() {
            if !wanted.iter().any(|one| one.process == *process) {
                wanted.push(Wanted {
                    process: process.clone(),
                    state: State::Excluded,
                    resources: Vec::new(),
                });
            }
        }
    }
    wanted
}

async fn known(conn: &mut AsyncPgConnection) -> Result<Known, Error> {
    let mut known = Known::default();
    for row in deployment::processes(conn).await? {
        if let Some(state) = State::from_name(&row.state) {
            known.states.insert(row.process, state);
        }
    }
    for row in deployment::resources(conn).await? {
        if let Some(kind) = ResourceType::from_name(&row.resource_type) {
            let place = (kind, row.condition);
            known.digests.insert(place.clone(), row.digest);
            known.resources.entry(place).or_default().push(row.process);
        }
    }
    Ok(known)
}

/// Writes down what is in force now.
async fn conclude(
    store: &Store,
    candidates: &[Candidate<'_>],
    wanted: &[Wanted<'_>],
    outcome: Outcome,
) -> Result<Report, Error> {
    let Outcome { refusals, kept } = outcome;
    let refused = refused(candidates, &refusals);
    let is_brought = |refusal: &&Refusal| {
        let mut all = candidates.iter().flat_map(Candidate::resources);
        all.any(|one| refusal.place == place(one))
    };
    for refusal in refusals.iter().filter(|refusal| !is_brought(refusal)) {
        tracing::warn!("a resource of a removed process stays: {}", refusal.message);
    }
    let is_whole = |candidate: &&Candidate<'_>| {
        let origin = &candidate.package.origin;
        !refused.iter().any(|package| package.origin == *origin)
    };
    let whole: Vec<&Candidate<'_>> = candidates.iter().filter(is_whole).collect();
    let models: Vec<Deployed> = whole
        .iter()
        .map(|candidate| Deployed::of(candidate, &kept))
        .collect();
    let excluded: Vec<String> = wanted
        .iter()
        .filter(|process| process.state == State::Excluded)
        .map(|process| process.process.clone())
        .collect();
    // What failed is left as it is, in force if it was.
    let loaded: Vec<String> = candidates
        .iter()
        .filter(|candidate| candidate.state != State::Excluded)
        .map(|candidate| candidate.id.to_string())
        .collect();
    store
        .write(async |conn| write(conn, &models, &excluded, &loaded).await)
        .await?;
    Ok(Report {
        processes: whole
            .iter()
            .map(|one| (one.id.clone(), one.state))
            .collect(),
        changed: changed(&whole, &kept),
        refused,
    })
}

/// The packages that the server did not take, with what it said of which file.
fn refused(candidates: &[Candidate<'_>], refusals: &[Refusal]) -> Vec<Refused> {
    let mut refused: BTreeMap<&str, BTreeMap<&str, &Refusal>> = BTreeMap::new();
    for candidate in candidates.iter().filter(|one| one.state != State::Excluded) {
        for one in candidate.resources() {
            if let Some(refusal) = refusals.iter().find(|refusal| refusal.place == place(one)) {
                let files = refused.entry(&candidate.package.origin).or_default();
                files.insert(&one.file, refusal);
            }
        }
    }
    let problem = |(file, refusal): (&str, &Refusal)| Problem {
        file: file.to_owned(),
        place: "the own FHIR server refuses it".to_owned(),
        message: refusal.message.clone(),
        warning: false,
    };
    refused
        .into_iter()
        .map(|(origin, files)| Refused {
            origin: origin.to_owned(),
            problems: files.into_iter().map(problem).collect(),
        })
        .collect()
}

/// Files that are not what was kept on the server.
fn changed(whole: &[&Candidate<'_>], kept: &BTreeMap<Place, Vec<u8>>) -> Vec<String> {
    let differs = |one: &&Prepared| {
        kept.get(&place(one))
            .is_some_and(|kept| *kept != digest(one))
    };
    let files = whole.iter().flat_map(|candidate| {
        candidate
            .resources()
            .filter(differs)
            .map(|one| format!("{}/{}", candidate.package.origin, one.file))
    });
    files.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The rows of a process.
struct Deployed {
    id: ProcessId,
    plugin: String,
    source: String,
    sha256: Vec<u8>,
    state: State,
    resources: Vec<DeployedResource>,
}

impl Deployed {
    fn of(candidate: &Candidate<'_>, kept: &BTreeMap<Place, Vec<u8>>) -> Self {
        let row = |one: &Prepared| DeployedResource {
            process: candidate.id.to_string(),
            resource_type: one.kind.name().to_owned(),
            condition: one.condition.clone(),
            digest: kept
                .get(&place(one))
                .cloned()
                .unwrap_or_else(|| digest(one)),
        };
        let manifest = &candidate.package.manifest;
        Self {
            id: candidate.id.clone(),
            plugin: format!("{} {}", manifest.name, manifest.version.as_str()),
            source: candidate.process.source.clone(),
            sha256: Sha256::digest(&candidate.process.source).to_vec(),
            state: candidate.state,
            resources: candidate.resources().map(row).collect(),
        }
    }
}

async fn write(
    conn: &mut AsyncPgConnection,
    models: &[Deployed],
    excluded: &[String],
    loaded: &[String],
) -> Result<(), DeployError> {
    // Start timers count from now.
    let clock = Clock::system();
    let deployment = definition::next_deployment(conn).await?;
    deployment::forget_resources(conn, excluded).await?;
    for process in excluded {
        deployment::note_process(conn, process, State::Excluded.name()).await?;
    }
    for model in models.iter().filter(|model| model.state != State::Excluded) {
        let process = model.id.to_string();
        if model.state == State::Draft {
            deployment::forget_resources(conn, std::slice::from_ref(&process)).await?;
        }
        deployment::note_resources(conn, &model.resources).await?;
        deployment::note_process(conn, &process, model.state.name()).await?;
        runtime::deploy(
            conn,
            Model {
                key: &model.id.key,
                version_tag: &model.id.version,
                plugin: &model.plugin,
                source: &model.source,
                sha256: &model.sha256,
            },
            deployment,
            &clock,
        )
        .await?;
        let retired = model.state == State::Retired;
        definition::suspend(conn, &model.id.key, &model.id.version, retired).await?;
    }
    definition::suspend_others(conn, loaded).await?;
    Ok(())
}
