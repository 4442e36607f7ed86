//! The actions of steps.

use toml::Value;
use toml::value::Table;

use super::file::{Instruction as Written, Step};
use super::value;
use super::world::{Fault, World};
use crate::bpe::engine::{
    FrameId, Instruction, Outcome, Setting, State, Trigger, Waiting, start_condition,
};
use crate::bpe::model::{Event, Graph};

impl World {
    /// One action, and everything that becomes due by it.
    pub(super) fn step(&mut self, step: &Step) -> Result<(), Fault> {
        self.atomically(|world| world.act(step))?;
        self.settle()
    }

    fn act(&mut self, step: &Step) -> Result<(), Fault> {
        if let Some(key) = &step.start {
            self.start_process(key, step)
        } else if let Some(activity) = &step.complete {
            let (at, task) = self.task(activity, step)?;
            let variables = value::variables(&step.variables);
            let local = value::variables(&step.local_variables);
            self.drive(
                at,
                Trigger::Complete {
                    task,
                    variables,
                    local,
                },
            )
        } else if let Some(activity) = &step.throw {
            self.throw(activity, step)
        } else if let Some(activity) = &step.trigger {
            let (at, frame) = self.waiting_at(activity, step, Some(Waiting::Continue))?;
            let settings = settings(&step.variables, false);
            self.drive(
                at,
                Trigger::Continue {
                    frame,
                    settings,
                    outcome: Outcome::Done,
                },
            )
        } else if let Some(name) = &step.message {
            self.correlate(name, step)
        } else if let Some(name) = &step.signal {
            self.broadcast(name, &value::variables(&step.variables), None)
        } else if step.set.is_some() || step.remove.is_some() {
            self.set(step)
        } else if step.evaluate == Some(true) {
            self.evaluate(step)
        } else if let Some(by) = &step.advance {
            self.advance(by)
        } else if let Some(activity) = &step.job {
            self.run_job_of(activity, step.nth.unwrap_or(1))
        } else if let Some(activity) = &step.retry {
            self.retry(activity)
        } else if let Some(instructions) = &step.modify {
            self.modify(instructions, step)
        } else if let Some(models) = &step.deploy {
            self.deploy(models)
        } else if step.cancel == Some(true) {
            let reason = step
                .reason
                .clone()
                .unwrap_or_else(|| "cancelled".to_owned());
            let at = self.target(step).ok_or("no instance runs")?;
            self.drive(at, Trigger::Cancel { reason })
        } else if let Some(what) = &step.suspend {
            self.suspend(what, step, true)
        } else if let Some(what) = &step.resume {
            self.suspend(what, step, false)
        } else if step.check.is_some() {
            Ok(())
        } else {
            Err("the step has no action".to_owned())
        }
    }

    /// The instance that a step concerns.
    pub(super) fn target(&self, step: &Step) -> Option<usize> {
        let all = &self.it.instances;
        let Some(of) = &step.of else {
            let top = self
                .running()
                .map(|(at, _)| at)
                .find(|&at| all[at].caller.is_none());
            let last = (0..all.len()).rev().find(|&at| all[at].caller.is_none());
            return top.or(last);
        };
        let is_it = |at: usize| {
            let key = all[at]
                .state
                .as_ref()
                .and_then(|state| state.business_key.as_ref());
            key.or(all[at].business_key.as_ref()) == Some(of)
        };
        let is_process = |at: usize| self.graph(at).key == *of;
        let running = || self.running().map(|(at, _)| at);
        running()
            .find(|&at| is_it(at))
            .or_else(|| running().find(|&at| is_process(at)))
            .or_else(|| (0..all.len()).rev().find(|&at| is_it(at) || is_process(at)))
    }

    fn start_process(&mut self, key: &str, step: &Step) -> Result<(), Fault> {
        let definition = self.latest_of(key)?;
        let at = match &step.before {
            None => None,
            Some(id) => {
                let graph = &self.it.definitions[definition].graph;
                Some(
                    graph
                        .find(id)
                        .ok_or_else(|| format!("there is no activity '{id}'"))?,
                )
            }
        };
        let variables = value::variables(&step.variables);
        self.begin(definition, at, step.business_key.clone(), variables)
            .map(|_| ())
    }

    /// The waiting frame at an activity, the oldest first.
    fn waiting_at(
        &self,
        activity: &str,
        step: &Step,
        only: Option<Waiting>,
    ) -> Result<(usize, FrameId), Fault> {
        let all = self.all_waiting(activity).into_iter();
        let of = step.of.as_ref().and_then(|_| self.target(step));
        let mut found = all
            .filter(|(_, _, waits)| only.is_none_or(|only| only == *waits))
            .filter(|(at, _, _)| of.is_none_or(|of| of == *at));
        match found.nth(step.nth.unwrap_or(1).saturating_sub(1)) {
            Some((at, frame, _)) => Ok((at, frame)),
            None => Err(format!("nothing waits at '{activity}'")),
        }
    }

    /// Everything that waits for something outside at an activity.
    pub(super) fn all_waiting(&self, activity: &str) -> Vec<(usize, FrameId, Waiting)> {
        let mut found = Vec::new();
        for (at, state) in self.running() {
            let graph = self.graph(at);
            let here = state
                .waiting()
                .filter(|(_, node, _)| graph.node(*node).id == activity);
            found.extend(here.map(|(frame, _, waits)| (at, frame, waits)));
        }
        found
    }

    fn task(
        &self,
        activity: &str,
        step: &Step,
    ) -> Result<(usize, crate::bpe::engine::WaitId), Fault> {
        let (at, frame) = self.waiting_at(activity, step, Some(Waiting::UserTask))?;
        let state = self.it.instances[at].state.as_ref();
        state
            .and_then(|state| state.tasks().find(|task| task.frame == frame))
            .map(|task| (at, task.id))
            .ok_or_else(|| format!("'{activity}' has no user task"))
    }

    fn throw(&mut self, activity: &str, step: &Step) -> Result<(), Fault> {
        let (at, task) = self.task(activity, step)?;
        let outcome = match (&step.error, &step.escalation) {
            (Some(code), _) => {
                let message = step.error_message.clone();
                Outcome::BpmnError {
                    code: code.clone(),
                    message,
                }
            }
            (None, Some(code)) => Outcome::Escalation { code: code.clone() },
            (None, None) => return Err("throw needs an error or an escalation".to_owned()),
        };
        let variables = value::variables(&step.variables);
        self.drive(
            at,
            Trigger::Throw {
                task,
                outcome,
                variables,
            },
        )
    }

    fn set(&mut self, step: &Step) -> Result<(), Fault> {
        let (at, frame) = match &step.at {
            Some(activity) => {
                let (at, frame) = self.waiting_at(activity, step, None)?;
                (at, Some(frame))
            }
            None => (self.target(step).ok_or("no instance runs")?, None),
        };
        let mut all = step.set.as_ref().map(|set| settings(set, frame.is_some()));
        for name in step.remove.iter().flatten() {
            let setting = Setting {
                name: name.clone(),
                value: None,
                local: false,
            };
            all.get_or_insert_default().push(setting);
        }
        self.drive(
            at,
            Trigger::Set {
                frame,
                settings: all.unwrap_or_default(),
            },
        )
    }

    /// Starts one instance for every conditional start event that is true.
    fn evaluate(&mut self, step: &Step) -> Result<(), Fault> {
        let variables = value::variables(&step.variables);
        let latest: Vec<_> = self.latest().collect();
        for definition in latest {
            let graph = self.it.definitions[definition].graph.clone();
            for (node, event) in graph.starts(Graph::ROOT) {
                let Event::Conditional(conditional) = event else {
                    continue;
                };
                let holds = start_condition(conditional, variables.clone());
                if holds.map_err(|error| error.to_string())? {
                    let key = step.business_key.clone();
                    self.begin(definition, Some(node), key, variables.clone())?;
                }
            }
        }
        Ok(())
    }

    fn modify(&mut self, instructions: &[Written], step: &Step) -> Result<(), Fault> {
        let at = self.target(step).ok_or("no instance runs")?;
        let mut found = Vec::new();
        for instruction in instructions {
            found.push(self.instruction(at, instruction)?);
        }
        let variables = value::variables(&step.variables);
        self.drive(
            at,
            Trigger::Modify {
                instructions: found,
                variables,
            },
        )
    }

    fn instruction(&self, at: usize, written: &Written) -> Result<Instruction, Fault> {
        let graph = self.graph(at);
        let node = |id: &String| graph.find(id).ok_or_else(|| format!("no activity '{id}'"));
        if let Some(id) = &written.cancel {
            let (node, nth) = (node(id)?, written.nth.unwrap_or(1));
            let state = self.it.instances[at].state.as_ref();
            let mut here = state
                .into_iter()
                .flat_map(State::active)
                .filter(|(_, found)| *found == node);
            let frame = here
                .nth(nth.saturating_sub(1))
                .ok_or_else(|| format!("'{id}' is not active"))?;
            return Ok(Instruction::Cancel(frame.0));
        }
        let flow = |id: &String| graph.find_flow(id).ok_or_else(|| format!("no flow '{id}'"));
        match written {
            Written {
                cancel_all: Some(id),
                ..
            } => Ok(Instruction::CancelAll(node(id)?)),
            Written {
                before: Some(id), ..
            } => Ok(Instruction::Before(node(id)?)),
            Written {
                after: Some(id), ..
            } => Ok(Instruction::After(node(id)?)),
            Written { flow: Some(id), .. } => Ok(Instruction::Flow(flow(id)?)),
            _ => Err("a modification needs an instruction".to_owned()),
        }
    }

    fn suspend(&mut self, what: &Value, step: &Step, suspended: bool) -> Result<(), Fault> {
        if let Some(key) = what.as_str() {
            let definition = self.latest_of(key)?;
            let found = &mut self.it.definitions[definition];
            found.suspended = suspended;
            return match &self.ground {
                Some(ground) => {
                    ground.suspend(&found.graph.key, &found.version_tag, suspended)?;
                    self.look()
                }
                None => Ok(()),
            };
        }
        let by_key = step.business_key.as_ref().and_then(|key| {
            self.running()
                .find(|(_, state)| state.business_key.as_ref() == Some(key))
        });
        let at = match by_key {
            Some((at, _)) => at,
            None => self.target(step).ok_or("no instance runs")?,
        };
        self.drive(at, Trigger::Suspend(suspended))
    }
}

fn settings(table: &Table, local: bool) -> Vec<Setting> {
    value::variables(table)
        .into_iter()
        .map(|(name, value)| Setting {
            name,
            value: Some(value),
            local,
        })
        .collect()
}
