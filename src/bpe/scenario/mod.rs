//! Scenarios: executable expectations for processes (`spec/scenario.md`), played on a virtual clock
//! without network and without waiting: on the pure engine or, given a database, on the runtime.

mod correlate;
#[cfg(test)]
mod differential;
mod expect;
mod file;
mod ground;
mod host;
mod job;
mod organization;
mod perform;
mod post;
pub mod source;
mod stub;
mod value;
mod world;

use std::path::{Path, PathBuf};

use file::Scenario;
use organization::Network;
use world::World;

pub use ground::Floor;
pub use post::{Mail, Member, Place, Postmaster, Refusal};

/// What became of one scenario.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Report {
    pub file: PathBuf,
    pub name: String,
    pub passed: bool,
    /// Number of the step that failed, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// Entered, completed and cancelled nodes so far, in order.
    #[serde(skip)]
    pub path: Vec<String>,
}

/// An expectation that does not hold.
#[derive(Clone, Debug)]
struct Mismatch {
    expected: String,
    found: String,
}

impl Mismatch {
    fn new(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            expected: expected.into(),
            found: found.into(),
        }
    }
}

/// What a scenario may need beside its file.
#[derive(Clone, Copy, Default)]
pub struct Stage<'a> {
    /// A database to play on.
    pub floor: Option<&'a Floor>,
    /// Makes mailboxes for scenarios of several organisations.
    pub postmaster: Option<&'a dyn Postmaster>,
}

/// Plays a scenario file.
#[must_use]
pub fn run(file: &Path, stage: Stage<'_>) -> Report {
    let mut report = Report {
        file: file.to_owned(),
        name: String::new(),
        passed: false,
        step: None,
        expected: None,
        found: None,
        path: Vec::new(),
    };
    if let Err(mismatch) = play(file, stage, &mut report) {
        report.expected = Some(mismatch.expected);
        report.found = Some(mismatch.found);
    } else {
        report.passed = true;
    }
    report
}

fn play(file: &Path, stage: Stage<'_>, report: &mut Report) -> Result<(), Mismatch> {
    let readable = |error: String| Mismatch::new("a scenario file", error);
    let text = std::fs::read_to_string(file).map_err(|error| readable(error.to_string()))?;
    let scenario: Scenario = toml::from_str(&text).map_err(|error| readable(error.to_string()))?;
    report.name.clone_from(&scenario.name);
    let folder = file.parent().unwrap_or(Path::new("."));
    if !scenario.organizations.is_empty() {
        return play_network(&scenario, folder, stage, report);
    }
    let mut world = World::new(&scenario, folder.to_owned(), stage.floor).map_err(readable)?;
    let deployed = world.deploy(&scenario.models);
    if let Some(text) = &scenario.deploy_error {
        return match deployed {
            Err(error) if error.contains(text.as_str()) => Ok(()),
            Err(error) => Err(Mismatch::new(
                format!("deployment fails with '{text}'"),
                error,
            )),
            Ok(()) => Err(Mismatch::new(
                format!("deployment fails with '{text}'"),
                "it succeeded",
            )),
        };
    }
    deployed.map_err(|error| Mismatch::new("the models deploy", error))?;
    world.check_services().map_err(readable)?;
    for (number, step) in (1..).zip(&scenario.steps) {
        report.step = Some(number);
        let done = world.step(step);
        let held = expect::check(&world, step, done);
        report.path = world.path.clone();
        held?;
    }
    report.step = None;
    Ok(())
}

fn play_network(
    scenario: &Scenario,
    folder: &Path,
    stage: Stage<'_>,
    report: &mut Report,
) -> Result<(), Mismatch> {
    let Some(postmaster) = stage.postmaster else {
        return Err(Mismatch::new(
            "mailboxes for several organisations",
            "none here; play it with dsf plugin test",
        ));
    };
    let network = Network::new(scenario, folder, postmaster);
    let mut network = network.map_err(|error| Mismatch::new("a network", error))?;
    for (number, step) in (1..).zip(&scenario.steps) {
        report.step = Some(number);
        network.play(step, report)?;
    }
    report.step = None;
    Ok(())
}

#[cfg(test)]
mod tests;
