//! The source text of a plugin, and what it says about itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::sandbox::{Deadline, Fresh, Origin};
use super::source_map::SourceMap;
use crate::bpe::plugin::runner::{Error, Limits, Offer};

/// The modules of a plugin.
#[derive(Clone, Debug)]
pub struct Program {
    /// Path of the module that exports `activities`.
    pub entry: String,
    /// All modules with their paths, the entry among them.
    pub modules: Vec<(String, String)>,
    /// Where the lines of generated modules come from, by path.
    pub maps: Arc<BTreeMap<String, SourceMap>>,
    /// What `api` tells about the plugin, as the prelude expects it.
    pub plugin: Value,
}

/// Loads the module once, with nothing outside in reach, and reads what it exports.
///
/// # Errors
/// What is wrong with the module, with file and line where the engine knows them.
pub fn offer(program: &Program, limits: &Limits) -> Result<Offer, Error> {
    let deadline = Deadline::default();
    let fresh = Fresh::new(limits, &deadline)?;
    deadline.begin(limits);
    let text = fresh.with(|sandbox| {
        let ready = sandbox.prepare(program, &Origin::Source, None)?;
        sandbox.offer(&ready)
    })?;
    serde_json::from_str(&text).map_err(|error| Error::Engine(error.to_string()))
}
