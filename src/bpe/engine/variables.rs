//! Reading and writing variables with scope rules (`spec/bpmn.md` §3.13).

use super::agenda::On;
use super::change::EventKind;
use super::machine::Machine;
use super::state::{FrameId, How, Role, State, Written};
use super::trigger::Setting;
use crate::bpe::expression::{EvaluationError, Scope};
use crate::bpe::model::{Gateway, Kind, Mapping, MappingValue, Node, Task, Variable, Variables};

/// The instance as an expression sees it from a frame.
pub(super) struct Seen<'m, 'g> {
    pub machine: &'m mut Machine<'g>,
    pub frame: FrameId,
    pub on: Option<&'m On>,
}

impl Scope for Seen<'_, '_> {
    fn variable(&self, name: &str) -> Option<Variable> {
        let found = self.machine.state.variable(self.frame, name)?;
        self.machine.is_there(found);
        Some(found.clone())
    }

    fn local_variable(&self, name: &str) -> Option<Variable> {
        let frame = self.machine.local_frame(self.frame);
        let found = self.machine.state.local(frame).swap_remove(name)?;
        self.machine.is_there(&found);
        Some(found)
    }

    fn variables(&self) -> Variables {
        let visible = self.machine.state.visible(self.frame);
        self.machine.all_there(&visible);
        visible
    }

    fn set(&mut self, name: &str, value: Option<Variable>, local: bool) {
        let setting = Setting {
            name: name.to_owned(),
            value,
            local,
        };
        self.machine.apply(self.frame, &setting);
    }

    fn execution(&self, property: &str) -> Option<Variable> {
        let node = self.machine.node(self.frame);
        let state = &self.machine.state;
        Some(match property {
            "id" | "activityInstanceId" => self.frame.0.to_string().into(),
            "processInstanceId" => state.instance.0.to_string().into(),
            "businessKey" | "processBusinessKey" => {
                state.business_key.clone().map(Variable::String).into()
            }
            "currentActivityId" => node.id.clone().into(),
            "currentActivityName" => node.name.clone().map(Variable::String).into(),
            "processDefinitionId" => self.machine.graph.key.clone().into(),
            "variables" => Variable::Map(self.variables()),
            _ => return None,
        })
    }

    fn task(&self, property: &str) -> Option<Variable> {
        let Some(On::Task { event, task }) = self.on else {
            return None;
        };
        let task = self.machine.state.tasks.get(task)?;
        let text = |value: &Option<String>| Variable::from(value.clone().map(Variable::String));
        Some(match property {
            "id" => task.id.0.to_string().into(),
            "name" => text(&task.name),
            "description" => text(&task.description),
            "assignee" => text(&task.assignee),
            "eventName" => event.clone().into(),
            "taskDefinitionKey" => task.activity.clone().into(),
            _ => return None,
        })
    }
}

/// Variables without an instance around them.
pub(super) struct Given(pub Variables);

impl Scope for Given {
    fn variable(&self, name: &str) -> Option<Variable> {
        self.0.get(name).cloned()
    }

    fn local_variable(&self, name: &str) -> Option<Variable> {
        self.variable(name)
    }

    fn variables(&self) -> Variables {
        self.0.clone()
    }

    fn set(&mut self, name: &str, value: Option<Variable>, _local: bool) {
        match value {
            Some(value) => self.0.insert(name.to_owned(), value),
            None => self.0.shift_remove(name),
        };
    }

    fn execution(&self, _property: &str) -> Option<Variable> {
        None
    }

    fn task(&self, _property: &str) -> Option<Variable> {
        None
    }
}

impl<'g> Machine<'g> {
    /// The instance as seen from a frame.
    pub(super) fn seen<'m>(&'m mut self, frame: FrameId) -> Seen<'m, 'g> {
        Seen {
            machine: self,
            frame,
            on: None,
        }
    }

    /// The frame whose variables are local here: a node without a scope of its own has none.
    pub(super) fn local_frame(&self, frame: FrameId) -> FrameId {
        let Some(found) = self.frame(frame) else {
            return State::ROOT;
        };
        let own = found.role != Role::Node || !found.variables.is_empty();
        if own || owns_scope(self.graph.node(found.node)) {
            frame
        } else {
            found.parent
        }
    }

    pub(super) fn apply(&mut self, frame: FrameId, setting: &Setting) {
        if setting.local && self.state.tasks_of(frame).next().is_some() {
            return self.write_to_task(frame, setting);
        }
        let target = if setting.local {
            self.local_frame(frame)
        } else {
            self.owner(frame, &setting.name).unwrap_or(State::ROOT)
        };
        self.write(target, &setting.name, setting.value.clone());
    }

    pub(super) fn apply_all(&mut self, frame: FrameId, variables: Variables, local: bool) {
        for (name, value) in variables {
            self.apply(
                frame,
                &Setting {
                    name,
                    value: Some(value),
                    local,
                },
            );
        }
    }

    /// Variables of a task lie below its activity, whose conditions do not see them.
    fn write_to_task(&mut self, frame: FrameId, setting: &Setting) {
        let Setting { name, value, .. } = setting;
        self.change_frame(frame, |found| match value {
            Some(value) => {
                found.task_variables.insert(name.clone(), value.clone());
            }
            None => {
                found.task_variables.shift_remove(name);
            }
        });
    }

    /// The nearest frame that has the variable.
    fn owner(&self, frame: FrameId, name: &str) -> Option<FrameId> {
        let mut at = frame;
        loop {
            let found = self.frame(at)?;
            if found.own_variable(name).is_some() {
                return Some(at);
            }
            at = self.state.parent(at)?;
        }
    }

    /// Writes or removes a variable of exactly this frame.
    pub(super) fn write(&mut self, frame: FrameId, name: &str, value: Option<Variable>) {
        let Some(found) = self.state.frames.get_mut(&frame) else {
            return;
        };
        if found.task_variables.contains_key(name) {
            let setting = Setting {
                name: name.to_owned(),
                value,
                local: true,
            };
            return self.write_to_task(frame, &setting);
        }
        let beside = found.loop_variables.contains_key(name);
        let variables = if beside {
            &mut found.loop_variables
        } else {
            &mut found.variables
        };
        let existed = variables.contains_key(name);
        let how = match &value {
            Some(value) => {
                variables.insert(name.to_owned(), value.clone());
                if existed { How::Update } else { How::Create }
            }
            None if existed => {
                variables.shift_remove(name);
                How::Delete
            }
            None => return,
        };
        let name = name.to_owned();
        self.state.written.push(Written {
            scope: frame,
            name: name.clone(),
            how,
        });
        let parent = self.state.parent(frame).unwrap_or(State::ROOT);
        let kind = EventKind::Variable { name, value };
        let activity = self.activity(frame);
        let event = super::change::Event {
            at: self.now,
            kind,
            frame,
            parent,
            activity,
        };
        self.changes.history.push(event);
    }

    /// Input parameters: every value is evaluated before any of them is there.
    pub(super) fn map_inputs(
        &mut self,
        frame: FrameId,
        mappings: &[Mapping],
    ) -> super::machine::Done {
        let found = mappings
            .iter()
            .map(|mapping| Ok((mapping.name.as_str(), self.map(frame, &mapping.value)?)))
            .collect::<Result<Vec<_>, EvaluationError>>();
        for (name, value) in self.evaluated(frame, found)? {
            self.write_own(frame, name, value);
        }
        Ok(())
    }

    /// Output parameters: evaluated inside, written outside.
    pub(super) fn map_outputs(
        &mut self,
        frame: FrameId,
        mappings: &[Mapping],
    ) -> super::machine::Done {
        let outside = self.state.parent(frame).unwrap_or(State::ROOT);
        for mapping in mappings {
            let value = self.map(frame, &mapping.value);
            let value = self.evaluated(frame, value)?;
            let (name, local) = (mapping.name.clone(), false);
            self.apply(
                outside,
                &Setting {
                    name,
                    value: Some(value),
                    local,
                },
            );
        }
        Ok(())
    }

    /// Writes beside nothing: input parameters hide even the loop variables of that name.
    fn write_own(&mut self, frame: FrameId, name: &str, value: Variable) {
        self.change_frame(frame, |found| {
            found.variables.entry(name.to_owned()).or_default();
            found.loop_variables.shift_remove(name);
        });
        self.write(frame, name, Some(value));
    }

    fn map(&mut self, frame: FrameId, value: &MappingValue) -> Result<Variable, EvaluationError> {
        Ok(match value {
            MappingValue::Expression(expression) => expression.evaluate(&mut self.seen(frame))?,
            MappingValue::List(items) => {
                let items = items.iter().map(|item| self.map(frame, item));
                Variable::List(items.collect::<Result<_, _>>()?)
            }
            MappingValue::Map(entries) => {
                let mut map = Variables::new();
                for (key, value) in entries {
                    map.insert(key.clone(), self.map(frame, value)?);
                }
                Variable::Map(map)
            }
        })
    }
}

/// Whether entering the node makes a scope of its own.
fn owns_scope(node: &Node) -> bool {
    let waits = matches!(
        node.kind,
        Kind::Process
            | Kind::SubProcess { .. }
            | Kind::EventSubProcess
            | Kind::CallActivity(_)
            | Kind::Catch(_)
            | Kind::Gateway(Gateway::EventBased)
            | Kind::Task(Task::User(_) | Task::Receive(_))
    );
    let parameters = !node.inputs.is_empty() || !node.outputs.is_empty();
    waits || parameters || node.multi.is_some() || !node.boundary.is_empty()
}
