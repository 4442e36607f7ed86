//! Multi-instances: a body around its instances (`spec/bpmn.md` §3.10).

use super::agenda::Op;
use super::change::JobKind;
use super::enter::continuations;
use super::machine::{Done, Machine};
use super::page::{PageId, separable};
use super::state::{Counters, Frame, FrameId, Phase, Role};
use crate::bpe::expression::{Condition, Expression, Scope};
use crate::bpe::model::{Graph, MultiInstance, NodeIx, Variable};

/// More instances than any process needs; keeps a wrong number from eating the memory.
const LARGEST: u32 = 100_000;

impl<'g> Machine<'g> {
    fn multi(&self, body: FrameId) -> Option<&'g MultiInstance> {
        self.node(body).multi.as_ref()
    }

    pub(super) fn loop_begins(&mut self, body: FrameId) -> Done {
        let Some(multi) = self.multi(body) else {
            return Ok(());
        };
        let items = match &multi.collection {
            Some(collection) if multi.cardinality.is_none() || multi.element.is_some() => {
                self.collection(body, collection)?
            }
            _ => Vec::new(),
        };
        let total = match &multi.cardinality {
            Some(cardinality) => self.cardinality(body, cardinality)?,
            None => u32::try_from(items.len()).unwrap_or(u32::MAX),
        };
        if total == 0 {
            self.count(body, total, 0, 0);
            self.push(Op::Complete(body));
            return Ok(());
        }
        self.count(body, total, if multi.sequential { 1 } else { total }, 0);
        let counters = Counters {
            total,
            completed: 0,
            items: if multi.sequential {
                items.clone()
            } else {
                Vec::new()
            },
        };
        // What stands on a page stays there with all that is in it.
        let paged = !multi.sequential
            && total >= self.state.crowd
            && body.page() == PageId::FIRST
            && separable(self.graph, self.node_ix(body));
        self.change_frame(body, |found| {
            found.counters = Some(counters);
            found.paged = paged;
        });
        let at_once = if multi.sequential { 1 } else { total };
        let mut instances = Vec::new();
        for (at, number) in (0..at_once).enumerate() {
            instances.push(self.instance(body, multi, number, items.get(at).cloned()));
        }
        for instance in instances.into_iter().rev() {
            self.push(Op::Enter(instance));
        }
        Ok(())
    }

    fn collection(&mut self, body: FrameId, collection: &Expression) -> Done<Vec<Variable>> {
        let value = if collection.is_literal() {
            let found = self.seen(body).variable(collection.source());
            found.ok_or_else(|| {
                let message = format!("there is no collection '{}'", collection.source());
                self.failure(body, "multi-instance", message)
            })?
        } else {
            let value = collection.evaluate(&mut self.seen(body));
            self.evaluated(body, value)?
        };
        match value {
            Variable::List(items) => Ok(items),
            Variable::Targets(targets) => {
                Ok(targets.entries.into_iter().map(Variable::Target).collect())
            }
            Variable::Json(serde_json::Value::Array(items)) => {
                Ok(items.into_iter().map(Variable::Json).collect())
            }
            other => {
                let message = format!(
                    "`{}` yields {} instead of a collection",
                    collection.source(),
                    other.type_name()
                );
                Err(self.failure(body, "multi-instance", message))
            }
        }
    }

    fn cardinality(&mut self, body: FrameId, cardinality: &Expression) -> Done<u32> {
        let text = cardinality.text(&mut self.seen(body));
        let text = self.evaluated(body, text)?;
        text.trim()
            .parse()
            .ok()
            .filter(|count| *count <= LARGEST)
            .ok_or_else(|| {
                let message = format!("'{text}' is not a number of instances");
                self.failure(body, "multi-instance", message)
            })
    }

    fn instance(
        &mut self,
        body: FrameId,
        multi: &MultiInstance,
        number: u32,
        item: Option<Variable>,
    ) -> FrameId {
        let node = self.node_ix(body);
        let mut frame = Frame::moving(body, node);
        frame.role = Role::Inner;
        frame
            .loop_variables
            .insert("loopCounter".to_owned(), integer(number));
        if let (Some(name), Some(item)) = (&multi.element, item) {
            frame.loop_variables.insert(name.clone(), item);
        }
        let paged = self.frame(body).is_some_and(|found| found.paged);
        let page = if paged {
            self.state.new_page()
        } else {
            body.page()
        };
        self.add_on(page, frame)
    }

    fn node_ix(&self, frame: FrameId) -> NodeIx {
        self.frame(frame).map_or(Graph::ROOT, |found| found.node)
    }

    fn count(&mut self, body: FrameId, total: u32, active: u32, completed: u32) {
        self.change_frame(body, |found| {
            for (name, value) in [
                ("nrOfInstances", total),
                ("nrOfActiveInstances", active),
                ("nrOfCompletedInstances", completed),
            ] {
                found.variables.insert(name.to_owned(), integer(value));
            }
        });
    }

    /// One instance has done its work; if it ends asynchronously, a job says when it counts.
    pub(super) fn loop_instance_done(&mut self, frame: FrameId) -> Done {
        if let Some(when) = continuations(self.node(frame), Role::Inner).1 {
            self.change_frame(frame, |found| found.phase = Phase::AsyncAfter);
            self.create_job(frame, JobKind::AsyncAfter, when.exclusive);
            return Ok(());
        }
        self.loop_counts(frame)
    }

    /// One instance more is finished.
    pub(super) fn loop_counts(&mut self, frame: FrameId) -> Done {
        let Some(body) = self.state.parent(frame) else {
            return Ok(());
        };
        let Some(multi) = self.multi(body) else {
            return Ok(());
        };
        let Some(mut counters) = self.frame(body).and_then(|found| found.counters.clone()) else {
            return Ok(());
        };
        counters.completed += 1;
        let (total, completed) = (counters.total, counters.completed);
        let active = if multi.sequential {
            1
        } else {
            total.saturating_sub(completed)
        };
        self.count(body, total, active, completed);
        let item = counters.items.get(completed as usize).cloned();
        self.change_frame(body, |found| found.counters = Some(counters));
        let enough = match &multi.completion {
            Some(condition) => {
                let holds = Condition(condition.clone()).holds(&mut self.seen(frame));
                self.evaluated(frame, holds)?
            }
            None => false,
        };
        self.remove(frame);
        if enough || completed >= total {
            self.push(Op::Complete(body));
            for rest in self.children(body).into_iter().rev() {
                self.push(Op::Cancel(rest));
            }
        } else if multi.sequential {
            let next = self.instance(body, multi, completed, item);
            self.push(Op::Enter(next));
        }
        self.push(Op::Conditions(None));
        Ok(())
    }
}

fn integer(value: u32) -> Variable {
    Variable::Integer(i32::try_from(value).unwrap_or(i32::MAX))
}
