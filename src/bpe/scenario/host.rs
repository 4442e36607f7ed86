//! What the engine asks for, done by the tables of the scenario.

use toml::Value;

use super::file::Service;
use super::value;
use super::world::{Fault, World};
use crate::bpe::engine::{
    Answer, Ask, Call, CallKind, Child, ChildStart, Outcome, Request, Setting, Start, State,
    TaskPatch, Trigger,
};
use crate::bpe::model::{Code, Event, Graph, Kind, Task, Variable};

impl World {
    pub(super) fn serve(&mut self, at: usize, request: &Request) -> Result<Answer, Fault> {
        let nothing = Ok(Answer::done(Vec::new()));
        match &request.ask {
            Ask::Call(call) => self.call(at, request, call),
            Ask::Start(child) => {
                self.start_child(at, request, child)?;
                nothing
            }
            Ask::Cancel => {
                let children = self.it.instances.iter();
                let found = children.enumerate().find(|(_, instance)| {
                    instance.caller == Some((at, request.frame)) && instance.state.is_some()
                });
                if let Some((child, _)) = found {
                    let reason = "the call activity was cancelled".to_owned();
                    self.drive(child, Trigger::Cancel { reason })?;
                }
                nothing
            }
            Ask::Signal {
                name,
                variables,
                business_key,
            } => {
                self.broadcast(name, variables, business_key.as_deref())?;
                nothing
            }
            Ask::Escalate { code, variables } => {
                let (code, variables) = (code.clone(), variables.clone());
                self.tell_caller(at, Child::Escalated { code, variables })?;
                nothing
            }
            Ask::Error {
                code,
                message,
                variables,
            } => {
                let (code, message) = (code.clone(), message.clone());
                let variables = variables.clone();
                self.tell_caller(
                    at,
                    Child::Threw {
                        code,
                        message,
                        variables,
                    },
                )?;
                nothing
            }
        }
    }

    fn tell_caller(&mut self, at: usize, child: Child) -> Result<(), Fault> {
        match self.it.instances[at].caller {
            Some((caller, frame)) => self.drive(caller, Trigger::Child { frame, child }),
            None => Ok(()),
        }
    }

    fn start_child(
        &mut self,
        at: usize,
        request: &Request,
        child: &ChildStart,
    ) -> Result<(), Fault> {
        let own = self.it.instances[at].definition;
        let deployment = self.it.definitions[own].deployment;
        let all = &self.it.definitions;
        let mut fitting = (0..all.len()).rev().filter(|&it| {
            let found = &all[it];
            found.graph.key == child.key
                && child.version.is_none_or(|version| version == found.version)
                && (child.version_tag.is_none() || child.version_tag == found.graph.version_tag)
                && (!child.same_deployment || found.deployment == deployment)
        });
        let definition = fitting
            .next()
            .ok_or_else(|| format!("{}: no process '{}' to call", request.activity, child.key))?;
        let start = Start {
            at: None,
            business_key: child.business_key.clone(),
            variables: child.variables.clone(),
            called: true,
        };
        self.start(definition, start, Some((at, request.frame)))
            .map(|_| ())
    }

    /// The table that speaks for a piece of code.
    fn service(&self, request: &Request, call: &Call) -> Option<(String, Service)> {
        let implementation = !matches!(
            call.kind,
            CallKind::ExecutionListener { .. } | CallKind::TaskListener { .. }
        );
        let own = format!("#{}", request.activity);
        let keys = [implementation.then_some(own), Some(call.class.clone())];
        keys.into_iter().flatten().find_map(|key| {
            self.services
                .get(&key)
                .map(|service| (key, service.clone()))
        })
    }

    fn call(&mut self, at: usize, request: &Request, call: &Call) -> Result<Answer, Fault> {
        let Some((key, service)) = self.service(request, call) else {
            return Ok(Answer::done(Vec::new()));
        };
        let count = self.calls.entry(key).or_default();
        *count += 1;
        let count = *count;
        let Some(state) = &self.it.instances[at].state else {
            return Err("the instance has ended".to_owned());
        };
        let mut act = Act {
            state,
            request,
            call,
            settings: Vec::new(),
        };
        act.write(&service)?;
        let settings = act.settings;
        if let Some(name) = &service.message {
            self.correlate_in_service(name)?;
        }
        let task = service.task.as_ref().map(|task| TaskPatch {
            name: task.name.clone(),
            description: task.description.clone(),
            assignee: task.assignee.clone(),
        });
        let outcome = outcome(&service, count);
        Ok(Answer {
            settings,
            task,
            delete: service.delete_instance.clone(),
            outcome,
        })
    }

    /// Every key of a service table must occur in a model.
    pub(super) fn check_services(&self) -> Result<(), Fault> {
        for key in self.services.keys() {
            let graphs = self.it.definitions.iter().map(|it| &it.graph);
            let known = graphs.into_iter().any(|graph| match key.strip_prefix('#') {
                Some(activity) => graph.find(activity).is_some(),
                None => uses(graph, key),
            });
            if !known {
                return Err(format!("service '{key}' occurs in none of the models"));
            }
        }
        Ok(())
    }
}

/// Whether some implementation or listener of a model has this key.
fn uses(graph: &Graph, key: &str) -> bool {
    let is = |code: &Code| matches!(code, Code::Class(it) | Code::Delegate(it) if it == key);
    let flows = graph.flows.iter().flat_map(|flow| &flow.listeners);
    let listeners = graph.nodes.iter().flat_map(|node| &node.listeners);
    flows
        .chain(listeners)
        .any(|listener| is(&listener.service.code))
        || graph.nodes.iter().any(|node| match &node.kind {
            Kind::Task(Task::Service(_, service)) => is(&service.code),
            Kind::Throw(Event::Message {
                service: Some(service),
                ..
            })
            | Kind::End(Event::Message {
                service: Some(service),
                ..
            }) => is(&service.code),
            _ => false,
        })
}

fn outcome(service: &Service, count: u32) -> Outcome {
    if let Some(code) = &service.escalation {
        return Outcome::Escalation { code: code.clone() };
    }
    if let Some(code) = &service.error
        && service.error_times.is_none_or(|times| count <= times)
    {
        let message = service.error_message.clone();
        return Outcome::BpmnError {
            code: code.clone(),
            message,
        };
    }
    if let Some(message) = &service.fail
        && service.fail_times.is_none_or(|times| count <= times)
    {
        let kind = service
            .fail_kind
            .clone()
            .unwrap_or_else(|| "failure".to_owned());
        return Outcome::Failed {
            kind,
            message: message.clone(),
        };
    }
    if service.wait {
        Outcome::Wait
    } else {
        Outcome::Done
    }
}

/// One call: what it sees, and what it has written so far.
struct Act<'a> {
    state: &'a State,
    request: &'a Request,
    call: &'a Call,
    settings: Vec<Setting>,
}

impl Act<'_> {
    fn write(&mut self, service: &Service) -> Result<(), Fault> {
        for (table, local) in [(&service.set, false), (&service.set_local, true)] {
            for (name, value) in table {
                let value = self.resolve(value);
                self.put(name, Some(value), local);
            }
        }
        for name in &service.remove {
            self.put(name, None, false);
        }
        for (name, amount) in &service.add {
            let amount = amount
                .as_integer()
                .ok_or_else(|| format!("add.{name} is no integer"))?;
            let now = match self.read(name) {
                Some(Variable::Integer(value)) => i64::from(value),
                Some(Variable::Long(value)) => value,
                _ => 0,
            };
            self.put(name, Some(Variable::Long(now + amount)), false);
        }
        for (name, text) in &service.append {
            let before = self
                .read(name)
                .map(|value| plain(&value))
                .unwrap_or_default();
            let text = before + &self.expand(text);
            self.put(name, Some(Variable::String(text)), false);
        }
        Ok(())
    }

    fn put(&mut self, name: &str, value: Option<Variable>, local: bool) {
        self.settings.push(Setting {
            name: name.to_owned(),
            value,
            local,
        });
    }

    /// A variable as it is after what has been written so far.
    fn read(&self, name: &str) -> Option<Variable> {
        match self
            .settings
            .iter()
            .rev()
            .find(|setting| setting.name == name)
        {
            Some(setting) => setting.value.clone(),
            None => self.state.variable(self.request.frame, name).cloned(),
        }
    }

    fn resolve(&self, value: &Value) -> Variable {
        if let Value::String(text) = value {
            if let Some(name) = text.strip_prefix("$field.") {
                return self.call.fields.get(name).cloned().unwrap_or_default();
            }
            if let Some(name) = text.strip_prefix("$var.") {
                return self.read(name).unwrap_or_default();
            }
        }
        value::variable(value)
    }

    fn expand(&self, text: &str) -> String {
        let mut done = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            done.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let word = |text: &str| {
                let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
                end.unwrap_or(text.len())
            };
            let end = word(rest);
            let name = &rest[..end];
            rest = &rest[end..];
            match name {
                "field" | "var" if rest.starts_with('.') => {
                    let end = 1 + word(&rest[1..]);
                    let variable = &rest[1..end];
                    let found = match name {
                        "field" => self.call.fields.get(variable).cloned(),
                        _ => self.read(variable),
                    };
                    rest = &rest[end..];
                    done.push_str(&found.map_or_else(|| "null".to_owned(), |it| plain(&it)));
                }
                _ => done.push_str(&self.word(name)),
            }
        }
        done + rest
    }

    fn word(&self, name: &str) -> String {
        match name {
            "activity" => self.request.activity.clone(),
            "event" => match &self.call.kind {
                CallKind::ExecutionListener { event } | CallKind::TaskListener { event, .. } => {
                    event.clone()
                }
                _ => "execute".to_owned(),
            },
            "flow" => self.call.flow.clone().unwrap_or_default(),
            "loop" => self
                .read("loopCounter")
                .map(|it| plain(&it))
                .unwrap_or_default(),
            "businessKey" => self
                .state
                .business_key
                .clone()
                .unwrap_or_else(|| "null".to_owned()),
            "canceled" => self.call.canceled.to_string(),
            other => format!("${other}"),
        }
    }
}

/// A value as text.
fn plain(value: &Variable) -> String {
    match value.to_json() {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}
