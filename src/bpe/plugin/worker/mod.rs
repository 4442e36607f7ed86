//! Runs plugin code in a process beside this one, in whatever language: JSON-RPC on its standard
//! input and output (docs/plugin-worker.md).
//!
//! A process serves one call at a time and many after each other. One that does not answer in its
//! time, answers rubbish or ends is gone with its call and no other; the next call gets a new one.
//! Processes that cannot be started are tried again after a pause that grows.

mod folder;
mod pool;
mod process;
#[cfg(test)]
mod tests;

use serde_json::Value;

use super::runner::{Error, Limits, Offer};
use folder::Folder;
use process::Process;

pub use pool::Pool;

/// What a worker is started with.
#[derive(Clone, Debug)]
pub struct Program {
    /// The file that has the activities.
    pub entry: String,
    /// Program and arguments; without it what is usual for the kind of entry.
    pub command: Vec<String>,
    /// All files of the package that the code needs, the entry among them.
    pub files: Vec<(String, Vec<u8>)>,
    /// What `api` tells about the plugin.
    pub plugin: Value,
}

impl Program {
    /// Program and arguments.
    ///
    /// # Errors
    /// When nothing is known of the kind of the entry.
    pub fn command(&self) -> Result<Vec<String>, Error> {
        if !self.command.is_empty() {
            return Ok(self.command.clone());
        }
        if self.entry.ends_with(".py") {
            return Ok(["python3", "-u", "-m", "dsf"].map(str::to_owned).into());
        }
        Err(Error::Start(format!(
            "{} is not Python; plugin.toml must say [runtime] command",
            self.entry
        )))
    }
}

/// Starts the worker once and asks what it has for the host.
///
/// # Errors
/// Why it does not start, in its own words where it said some.
pub fn offer(program: &Program, limits: &Limits) -> Result<Offer, Error> {
    let folder = Folder::of(program)?;
    let mut process = Process::start(program, &folder, limits)?;
    process.offer(limits)
}
