//! Compiled models, by definition; compiled once per process of ours, since they never change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use super::Error;
use crate::bpe::model::{Graph, Inject, Place};
use crate::bpe::parse;
use crate::bpe::plugin::ProcessId;
use crate::store::Store;
use crate::store::bpe::definition;

/// Class of the listener that answers the Tasks of a scope at its end events.
pub const ANSWER_TASKS: &str = "dsf:answer-tasks";

/// A deployed process, ready to run.
#[derive(Clone, Debug)]
pub struct Definition {
    pub id: Uuid,
    pub process: ProcessId,
    pub suspended: bool,
    /// What was deployed together has the same number.
    pub deployment: i64,
    /// Counts the models of the key.
    pub version: i32,
    pub graph: Arc<Graph>,
}

/// The models in use. A model is a few kilobytes; a node runs tens of them.
#[derive(Debug, Default)]
pub struct Graphs(Mutex<HashMap<Uuid, Definition>>);

impl Graphs {
    /// The model of a running instance. Whether it is suspended may be out of date here: it does
    /// not matter to what runs.
    pub(super) async fn by_id(&self, store: &Store, id: Uuid) -> Result<Definition, Error> {
        if let Some(known) = self.known(id) {
            return Ok(known);
        }
        let row = store
            .read(async |conn| definition::by_id(conn, id).await)
            .await?;
        self.compiled(row.ok_or(Error::UnknownDefinition(id))?)
    }

    pub(super) async fn newest(
        &self,
        store: &Store,
        process: &ProcessId,
    ) -> Result<Option<Definition>, Error> {
        let row = store
            .read(async |conn| definition::newest(conn, &process.key, &process.version).await)
            .await?;
        row.map(|row| self.compiled(row)).transpose()
    }

    /// The process that a call activity means.
    pub(super) async fn called(
        &self,
        store: &Store,
        key: &str,
        wanted: definition::Wanted<'_>,
    ) -> Result<Option<Definition>, Error> {
        let row = store
            .read(async |conn| definition::called(conn, key, wanted).await)
            .await?;
        row.map(|row| self.compiled(row)).transpose()
    }

    pub(super) async fn newest_of_all(&self, store: &Store) -> Result<Vec<Definition>, Error> {
        let rows = store
            .read(async |conn| definition::newest_of_all(conn).await)
            .await?;
        rows.into_iter().map(|row| self.compiled(row)).collect()
    }

    fn known(&self, id: Uuid) -> Option<Definition> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&id).cloned()
    }

    fn compiled(&self, row: definition::Definition) -> Result<Definition, Error> {
        if let Some(known) = self.known(row.id) {
            return Ok(Definition {
                suspended: row.suspended,
                deployment: row.deployment,
                ..known
            });
        }
        let definition = Definition {
            id: row.id,
            graph: Arc::new(compile(&row)?),
            process: ProcessId {
                key: row.key,
                version: row.version_tag,
            },
            suspended: row.suspended,
            deployment: row.deployment,
            version: row.version,
        };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(row.id, definition.clone());
        Ok(definition)
    }
}

fn compile(row: &definition::Definition) -> Result<Graph, Error> {
    let mut graph = parsed(&row.source, &row.key).map_err(|problem| Error::Unreadable {
        id: row.id,
        problem,
    })?;
    graph.inject(&Inject {
        place: Place::End,
        event: "end",
        class: ANSWER_TASKS,
        first: true,
    });
    Ok(graph)
}

/// One process of a BPMN file.
pub(super) fn parsed(source: &str, key: &str) -> Result<Graph, String> {
    let parsed = parse::parse(source).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        lines.join("; ")
    })?;
    parsed
        .graphs
        .into_iter()
        .find(|graph| graph.key == key)
        .ok_or_else(|| format!("holds no process {key}"))
}
