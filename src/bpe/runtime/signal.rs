//! Signals reach other instances as durable entries of the outbox, one for each receiver: all of
//! them or none, however often a node dies meanwhile (`spec/bpmn.md` S-SIG-2, C12).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::graphs::Definition;
use super::segment::Consumed;
use super::{Advance, Begin, Error, Runtime};
use crate::bpe::engine::{Start, constant};
use crate::bpe::model::{Event, Graph, NodeIx, Variables};
use crate::store::bpe::outbox;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signal {
    name: String,
    variables: Variables,
    #[serde(default)]
    business_key: Option<String>,
}

/// A start event, as an entry of the outbox names it.
#[derive(Serialize, Deserialize)]
struct Place {
    definition: Uuid,
    activity: String,
}

impl Runtime {
    /// Handles a due entry of the outbox that is a signal, or a part of one.
    pub async fn deliver_signal(&self, entry: &outbox::Entry) -> Result<Advance, Error> {
        let Ok(signal) = serde_json::from_str::<Signal>(&entry.document) else {
            return Ok(Advance::Stale);
        };
        match entry.kind.as_str() {
            "signal" => {
                let starts = self.signal_starts(&signal.name).await?;
                self.store
                    .read(async |conn| {
                        outbox::spread_signal(conn, entry, &signal.name, &starts).await
                    })
                    .await?;
                self.bells.outbox.notify_one();
                Ok(Advance::Done)
            }
            "signal-start" => self.start_by_signal(entry, signal).await,
            _ => self.hear(entry, signal.variables).await,
        }
    }

    async fn signal_starts(&self, name: &str) -> Result<Vec<outbox::Start>, Error> {
        let newest = self.newest_of_all().await?;
        let active = newest.iter().filter(|definition| !definition.suspended);
        let places = active.filter_map(|definition| {
            let node = signal_start(&definition.graph, name)?;
            let place = Place {
                definition: definition.id,
                activity: definition.graph.node(node).id.clone(),
            };
            let call = serde_json::to_string(&place).ok()?;
            Some(outbox::Start { call })
        });
        Ok(places.collect())
    }

    /// The new instance has the id of the entry: no crash can make two of it.
    async fn start_by_signal(
        &self,
        entry: &outbox::Entry,
        signal: Signal,
    ) -> Result<Advance, Error> {
        let place = entry.call.as_deref().map(serde_json::from_str::<Place>);
        let Some(Ok(place)) = place else {
            return Ok(Advance::Stale);
        };
        let definition = self.graphs.by_id(&self.store, place.definition).await?;
        let at = definition.graph.find(&place.activity);
        let begin = Begin {
            instance: entry.id,
            definition,
            start: Start {
                at,
                business_key: signal.business_key,
                variables: signal.variables,
                called: false,
            },
            strict_errors: false,
        };
        let consumed = Consumed {
            sent: Some((entry.id, entry.lease_epoch)),
            ..Consumed::default()
        };
        self.begin_by(begin, consumed).await
    }

    /// The newest model of every process.
    pub async fn newest_of_all(&self) -> Result<Vec<Definition>, Error> {
        self.graphs.newest_of_all(&self.store).await
    }
}

/// The start event of a process that a signal reaches.
pub fn signal_start(graph: &Graph, name: &str) -> Option<NodeIx> {
    let mut starts = graph.starts(Graph::ROOT);
    starts
        .find(|(_, event)| match event {
            Event::Signal(signal) => constant(&signal.name).is_ok_and(|found| found == name),
            _ => false,
        })
        .map(|(ix, _)| ix)
}
