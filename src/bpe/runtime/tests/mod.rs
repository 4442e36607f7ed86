//! The runtime on a real PostgreSQL, with code acted out.

mod calls;
mod control;
mod crash;
mod kill;
mod simulation;
mod stretch;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::*;
use crate::bpe::engine::{Start, State};
use crate::bpe::model::{Variable, Variables};
use crate::bpe::plugin::package::OnFailure;
use crate::bpe::plugin::{Activity, Delivery, Performance, Performed};
use crate::store::bpe::definition::{self, Model};
use crate::store::{Schema, testing};

/// Code that does what the test says and remembers where it was called.
pub(super) struct Code {
    pub called: Mutex<Vec<String>>,
    act: Box<dyn Fn(&Activity) -> Performed + Send + Sync>,
}

impl Code {
    pub fn new(act: impl Fn(&Activity) -> Performed + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            called: Mutex::default(),
            act: Box::new(act),
        })
    }

    pub fn called(&self) -> Vec<String> {
        self.called.lock().unwrap().clone()
    }
}

pub(in crate::bpe) fn performance(outcome: Performed) -> Performance {
    Performance {
        outcome,
        ..Performance::nothing()
    }
}

#[async_trait]
impl Host for Code {
    async fn perform(&self, activity: Activity) -> Performance {
        self.called.lock().unwrap().push(activity.node.clone());
        performance((self.act)(&activity))
    }

    fn on_failure(&self, _: &ProcessId) -> OnFailure {
        OnFailure::Incident
    }

    async fn delivered(&self, _: Activity, _: Delivery) -> Performance {
        performance(Performed::Done)
    }
}

pub(in crate::bpe) async fn store() -> Store {
    let settings = testing::fresh_database().await;
    Store::open(&settings, Schema::Bpe).await.unwrap()
}

pub(super) fn node(store: &Store, host: Arc<dyn Host>) -> Runtime {
    let clock = Clock::manual(Timestamp::UNIX_EPOCH);
    let settings = Settings {
        most_calls: 500,
        ..Settings::default()
    };
    Runtime::new(store.clone(), host, clock, Shutdown::new(), settings)
}

/// A file with one process `key`.
pub(in crate::bpe) fn file(key: &str, content: &str) -> String {
    format!(
        r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"
        xmlns:camunda="http://camunda.org/schema/1.0/bpmn">
        <process id="{key}" isExecutable="true">{content}</process></definitions>"#
    )
}

pub(in crate::bpe) async fn deployed(store: &Store, key: &str, source: &str) -> Uuid {
    let clock = Clock::manual(Timestamp::UNIX_EPOCH);
    store
        .write(async |conn| {
            let deployment = definition::next_deployment(conn).await?;
            let digest = Sha256::digest(source);
            let model = Model {
                key,
                version_tag: "1.0",
                plugin: "test",
                source,
                sha256: &digest,
            };
            deploy(conn, model, deployment, &clock).await
        })
        .await
        .unwrap()
}

pub(in crate::bpe) async fn begin(
    runtime: &Runtime,
    definition: Uuid,
    variables: Variables,
) -> Uuid {
    let instance = Uuid::now_v7();
    let definition = runtime.definition_by_id(definition).await.unwrap();
    let start = Start {
        variables,
        ..Start::default()
    };
    let begin = Begin {
        instance,
        definition,
        start,
        strict_errors: false,
    };
    let advance = runtime.begin(begin).await.unwrap();
    assert!(matches!(advance, Advance::Done), "{advance:?}");
    instance
}

/// Runs every due job until there is none; the clock of the tests stands before all others.
pub(super) async fn run_jobs(runtime: &Runtime) {
    loop {
        let take = async |conn: &mut _| crate::store::bpe::job::take(conn, 10, 60.0).await;
        let due = runtime.store.read(take).await.unwrap();
        if due.is_empty() {
            return;
        }
        for job in due {
            runtime.run_taken(&job).await.unwrap();
        }
    }
}

pub(in crate::bpe) async fn state(store: &Store, instance: Uuid) -> Option<State> {
    whole_state(store, instance).await.unwrap()
}

pub(super) fn variable(state: &State, name: &str) -> Option<Variable> {
    state.variable(State::ROOT, name).cloned()
}
