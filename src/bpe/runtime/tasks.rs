//! The Tasks that an instance holds, and their answers (spec/bpe.md §3.6).
//!
//! A Task belongs to the scope that received it, the one that started the instance to the whole
//! instance. Reaching an end event completes the Tasks of its scope; the last one of the process
//! completes the start Task, which is answered with the end of the instance.

use std::time::Duration;

use uuid::Uuid;

use crate::bpe::engine::FrameId;
use crate::bpe::plugin::Tasks;
use crate::r4::view::task::{self, Status, Task};
use crate::r4::{Resource, json};
use crate::store::bpe::flush::{OutboxRow, TaskRow};
use crate::store::bpe::inbox;

/// How long an output is tried to be shown before the end of its Task, which carries it anyway.
const UPDATE: Duration = Duration::from_secs(60 * 60);

/// The Tasks of one instance during a segment.
#[derive(Debug, Default)]
pub(super) struct Held(Vec<HeldTask>);

#[derive(Debug)]
struct HeldTask {
    id: Uuid,
    task: Resource,
    scope: Option<i64>,
    starts: bool,
    changed: bool,
    answered: bool,
}

impl Held {
    /// As the database has them. A row that does not parse was not written by us; it is left
    /// alone, and the reconciler fails it when the instance is over.
    pub(super) fn load(rows: Vec<inbox::Held>) -> Self {
        Self(parsed(rows).collect())
    }

    /// Adds those that were not read at first; what is here is newer.
    pub(super) fn join(&mut self, rows: Vec<inbox::Held>) {
        let here: Vec<Uuid> = self.0.iter().map(|held| held.id).collect();
        let others = parsed(rows).filter(|held| !here.contains(&held.id));
        let mut all: Vec<HeldTask> = others.collect();
        all.append(&mut self.0);
        self.0 = all;
    }

    /// As they are once everything is stored.
    pub(super) fn stored(self) -> Self {
        let open = self.0.into_iter().filter(|held| !held.answered);
        let unchanged = open.map(|held| HeldTask {
            changed: false,
            ..held
        });
        Self(unchanged.collect())
    }

    /// Takes in the Task that the segment begins with.
    pub(super) fn receive(&mut self, id: Uuid, task: Resource, scope: Option<i64>) {
        let starts = scope.is_none();
        self.0.push(HeldTask {
            id,
            task,
            scope,
            starts,
            changed: false,
            answered: false,
        });
    }

    pub(super) fn seen_from(&self, scope: Option<FrameId>) -> Tasks {
        let scope = scope.and_then(|frame| i64::try_from(frame.0).ok());
        let open = || self.0.iter().filter(|held| !held.answered);
        Tasks {
            start: open()
                .find(|held| held.starts)
                .map(|held| held.task.clone()),
            current: open()
                .filter(|held| held.starts || (held.scope.is_some() && held.scope == scope))
                .map(|held| held.task.clone())
                .collect(),
            all: open().map(|held| held.task.clone()).collect(),
        }
    }

    /// Puts changed copies back; a Task that the instance does not hold is not touched.
    pub(super) fn update(&mut self, tasks: Vec<Resource>) {
        for task in tasks {
            let held = self.0.iter_mut().find(|held| held.task.id() == task.id());
            if let Some(held) = held {
                held.task = task;
                held.changed = true;
            }
        }
    }

    pub(super) fn complete_scope(&mut self, scope: Option<FrameId>) {
        let scope = scope.and_then(|frame| i64::try_from(frame.0).ok());
        self.end(|held| held.scope.is_some() && held.scope == scope, complete);
    }

    /// The Task that started the instance: whoever still looks at it finds it completed.
    pub(super) fn complete_start(&mut self) {
        let open = self.0.iter_mut().find(|held| held.is_open_start());
        if let Some(held) = open {
            complete(&mut held.task);
            held.changed = true;
        }
    }

    pub(super) fn complete_all(&mut self) {
        self.end(|_| true, complete);
    }

    pub(super) fn fail_all(&mut self, reason: &str) {
        self.end(|_| true, |task| failed_with(task, reason));
    }

    fn end(&mut self, which: impl Fn(&HeldTask) -> bool, how: impl Fn(&mut Resource)) {
        for held in self
            .0
            .iter_mut()
            .filter(|held| !held.answered && which(held))
        {
            // Code may have decided already.
            if Task(&held.task).status() == Some(Status::InProgress) {
                how(&mut held.task);
            }
            held.answered = true;
        }
    }

    /// Adds an output to the Task that started the instance, for people to see while it runs.
    pub(super) fn add_output(&mut self, output: serde_json::Value) -> Option<OutboxRow> {
        let start = self
            .0
            .iter_mut()
            .find(|held| held.starts && !held.answered)?;
        task::add_output(&mut start.task, output);
        start.changed = true;
        self.show()
    }

    /// Lets people see the Task that started the instance as it is now. Its end is shown by its answer.
    pub(super) fn show(&self) -> Option<OutboxRow> {
        let start = self.0.iter().find(|held| held.is_open_start())?;
        Some(OutboxRow {
            id: Uuid::now_v7(),
            kind: "update",
            frame: None,
            task: Some(start.id),
            document: super::member::text(&start.task),
            address: None,
            call: None,
            patience_seconds: UPDATE.as_secs_f64(),
        })
    }

    /// What the server must be told.
    pub(super) fn answers(&self, patience: Duration) -> impl Iterator<Item = OutboxRow> {
        self.0
            .iter()
            .filter(|held| held.answered)
            .map(move |held| OutboxRow {
                id: Uuid::now_v7(),
                kind: "answer",
                frame: None,
                task: Some(held.id),
                document: super::member::text(&held.task),
                address: None,
                call: None,
                patience_seconds: patience.as_secs_f64(),
            })
    }

    /// The rows that the segment changes.
    pub(super) fn rows(&self) -> Vec<TaskRow> {
        self.0
            .iter()
            .filter(|held| held.changed || held.answered)
            .map(|held| TaskRow {
                task: held.id,
                document: super::member::text(&held.task),
                answered: held.answered,
            })
            .collect()
    }
}

impl HeldTask {
    /// It started the instance, and nobody has decided how it ends.
    fn is_open_start(&self) -> bool {
        self.starts && !self.answered && Task(&self.task).status() == Some(Status::InProgress)
    }
}

fn parsed(rows: Vec<inbox::Held>) -> impl Iterator<Item = HeldTask> {
    rows.into_iter().filter_map(|row| {
        let task = json::parse(row.document.as_bytes()).ok()?;
        let (id, scope, starts) = (row.task, row.scope, row.starts);
        Some(HeldTask {
            id,
            task,
            scope,
            starts,
            changed: false,
            answered: false,
        })
    })
}

fn complete(task: &mut Resource) {
    task::set_status(task, Status::Completed);
}

/// The Task as its sender should find it when it could not be handled.
pub fn failed_with(task: &mut Resource, reason: &str) {
    task::set_status(task, Status::Failed);
    task::add_error(task, reason);
}
