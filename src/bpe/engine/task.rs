//! User tasks.

use jiff::Timestamp;

use super::agenda::{On, Op};
use super::change::UserTask;
use super::machine::{Done, Machine};
use super::state::{FrameId, WaitId, Waiting};
use super::timer;
use super::trigger::TaskPatch;
use crate::bpe::expression::Expression;
use crate::bpe::model::{UserTask as Definition, Variable};

impl Machine<'_> {
    pub(super) fn create_task(&mut self, frame: FrameId, task: &Definition) -> Done {
        let Some(node) = self.frame(frame).map(|found| found.node) else {
            return Ok(());
        };
        let candidate_users = self.list(frame, task.candidate_users.as_ref())?;
        let candidate_groups = self.list(frame, task.candidate_groups.as_ref())?;
        let priority = self.task_text(frame, task.priority.as_ref())?;
        let row = UserTask {
            id: self.wait_id(frame),
            node,
            activity: self.activity(frame),
            frame,
            created: self.now,
            name: self.task_text(frame, task.name.as_ref())?,
            description: self.task_text(frame, task.description.as_ref())?,
            assignee: self.task_text(frame, task.assignee.as_ref())?,
            candidate_users,
            candidate_groups,
            due: self.task_date(frame, task.due.as_ref())?,
            follow_up: self.task_date(frame, task.follow_up.as_ref())?,
            priority: priority.and_then(|text| text.parse().ok()).unwrap_or(50),
            form_key: self.task_text(frame, task.form_key.as_ref())?,
        };
        let id = row.id;
        self.changes.tasks.put(row.clone(), |row| row.id);
        self.state.tasks.insert(id, row);
        self.wait(frame, Waiting::UserTask);
        for event in ["assignment", "create"] {
            let on = On::Task {
                event: event.to_owned(),
                task: id,
            };
            self.push(Op::Listen { frame, on, at: 0 });
        }
        Ok(())
    }

    /// Names and the like must be text; a number alone is a mistake in the model.
    fn task_text(&mut self, frame: FrameId, text: Option<&Expression>) -> Done<Option<String>> {
        let Some(text) = text else { return Ok(None) };
        let value = text.evaluate(&mut self.seen(frame));
        match self.evaluated(frame, value)? {
            Variable::Null => Ok(None),
            Variable::String(text) => Ok(Some(text)),
            other => {
                let message = format!(
                    "`{}` yields {} instead of text",
                    text.source(),
                    other.type_name()
                );
                Err(self.failure(frame, "task", message))
            }
        }
    }

    fn task_date(&mut self, frame: FrameId, text: Option<&Expression>) -> Done<Option<Timestamp>> {
        let Some(text) = text else { return Ok(None) };
        let value = text.evaluate(&mut self.seen(frame));
        let value = self.evaluated(frame, value)?;
        if value.is_null() {
            return Ok(None);
        }
        timer::date(&value)
            .map(Some)
            .map_err(|message| self.failure(frame, "task", message))
    }

    fn list(&mut self, frame: FrameId, text: Option<&Expression>) -> Done<Vec<String>> {
        let Some(text) = text else {
            return Ok(Vec::new());
        };
        let value = text.evaluate(&mut self.seen(frame));
        Ok(match self.evaluated(frame, value)? {
            Variable::List(items) => items
                .iter()
                .filter_map(Variable::as_str)
                .map(str::to_owned)
                .collect(),
            Variable::String(text) => text
                .split(',')
                .map(|part| part.trim().to_owned())
                .filter(|part| !part.is_empty())
                .collect(),
            _ => Vec::new(),
        })
    }

    pub(super) fn patch_task(&mut self, id: WaitId, patch: TaskPatch) {
        let Some(task) = self.state.tasks.get_mut(&id) else {
            return;
        };
        task.name = patch.name.or(task.name.take());
        task.description = patch.description.or(task.description.take());
        task.assignee = patch.assignee.or(task.assignee.take());
        self.changes.tasks.put(task.clone(), |row| row.id);
    }
}
