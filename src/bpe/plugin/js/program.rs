//! The source text of a plugin, and what it says about itself.

use serde::Deserialize;
use serde_json::Value;

use super::sandbox::{Deadline, Fresh};
use super::{Error, Limits};

/// The modules of a plugin.
#[derive(Clone, Debug)]
pub struct Program {
    /// Path of the module that exports `activities`.
    pub entry: String,
    /// All modules with their paths, the entry among them.
    pub modules: Vec<(String, String)>,
    /// What `api` tells about the plugin, as the prelude expects it.
    pub plugin: Value,
}

/// An entry of `activities`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    pub key: String,
    /// `function`, `object` or whatever else it is.
    pub kind: String,
    /// Those functions of an object that the host calls.
    pub members: Vec<String>,
    pub business_key_strategy: Option<String>,
}

impl Shape {
    #[must_use]
    pub fn is_function(&self) -> bool {
        self.kind == "function"
    }

    #[must_use]
    pub fn has(&self, member: &str) -> bool {
        self.members.iter().any(|name| name == member)
    }
}

/// Loads the module once, with nothing outside in reach, and reads its `activities`.
///
/// # Errors
/// What is wrong with the module, with file and line where the engine knows them.
pub fn shapes(program: &Program, limits: &Limits) -> Result<Vec<Shape>, Error> {
    let deadline = Deadline::default();
    let fresh = Fresh::new(limits, &deadline)?;
    deadline.set(limits.time);
    let text = fresh.with(|sandbox| {
        let ready = sandbox.prepare(program, None)?;
        sandbox.shapes(&ready)
    })?;
    serde_json::from_str(&text).map_err(|error| Error::Engine(error.to_string()))
}
