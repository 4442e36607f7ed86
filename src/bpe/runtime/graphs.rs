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

    fn known(&self, id: Uuid) -> Option<Definition> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&id).cloned()
    }

    fn compiled(&self, row: definition::Definition) -> Result<Definition, Error> {
        if let Some(known) = self.known(row.id) {
            let suspended = row.suspended;
            return Ok(Definition { suspended, ..known });
        }
        let definition = Definition {
            id: row.id,
            graph: Arc::new(compile(&row)?),
            process: ProcessId {
                key: row.key,
                version: row.version_tag,
            },
            suspended: row.suspended,
        };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(row.id, definition.clone());
        Ok(definition)
    }
}

fn compile(row: &definition::Definition) -> Result<Graph, Error> {
    let unreadable = |problem: String| Error::Unreadable {
        id: row.id,
        problem,
    };
    let parsed = parse::parse(&row.source).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        unreadable(lines.join("; "))
    })?;
    let mut graph = parsed
        .graphs
        .into_iter()
        .find(|graph| graph.key == row.key)
        .ok_or_else(|| unreadable(format!("holds no process {}", row.key)))?;
    graph.inject(&Inject {
        place: Place::End,
        event: "end",
        class: ANSWER_TASKS,
        first: true,
    });
    Ok(graph)
}
