//! What code would do, acted out from the tables of the scenario.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use toml::Value;

use super::file::{Handled, Service};
use super::value;
use super::world::Fault;
use crate::bpe::engine::{CallKind, Outcome, Setting, TaskPatch};
use crate::bpe::model::{Variable, Variables};

/// All services of a scenario.
#[derive(Debug, Default)]
pub(super) struct Stubs {
    services: BTreeMap<String, Service>,
    /// Calls count even if they are rolled back.
    calls: Mutex<BTreeMap<String, u32>>,
}

/// The place where code is called.
pub(super) struct Seen {
    pub activity: String,
    pub kind: CallKind,
    pub class: String,
    pub fields: Variables,
    pub flow: Option<String>,
    pub canceled: bool,
    pub visible: Variables,
    pub business_key: Option<String>,
}

/// What the code did.
pub(super) struct Acted {
    pub settings: Vec<Setting>,
    pub task: Option<TaskPatch>,
    /// A message that the code correlates before it goes on.
    pub message: Option<String>,
    pub delete: Option<String>,
    pub outcome: Outcome,
}

impl Stubs {
    pub(super) fn new(services: BTreeMap<String, Service>) -> Self {
        Self {
            services,
            calls: Mutex::default(),
        }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &String> {
        self.services.keys()
    }

    /// The table that speaks for a piece of code, if there is one.
    pub(super) fn of(&self, seen: &Seen) -> Option<&Service> {
        self.service(seen).map(|(_, service)| service)
    }

    fn service(&self, seen: &Seen) -> Option<(String, &Service)> {
        let implementation = !matches!(
            seen.kind,
            CallKind::ExecutionListener { .. } | CallKind::TaskListener { .. }
        );
        let own = format!("#{}", seen.activity);
        let keys = [implementation.then_some(own), Some(seen.class.clone())];
        keys.into_iter()
            .flatten()
            .find_map(|key| self.services.get(&key).map(|service| (key, service)))
    }

    /// Acts; a key without a table does nothing.
    pub(super) fn act(&self, seen: &Seen) -> Result<Acted, Fault> {
        let Some((key, service)) = self.service(seen) else {
            return Ok(Acted {
                settings: Vec::new(),
                task: None,
                message: None,
                delete: None,
                outcome: Outcome::Done,
            });
        };
        let count = {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            let count = calls.entry(key).or_default();
            *count += 1;
            *count
        };
        let mut act = Act {
            seen,
            settings: Vec::new(),
        };
        act.write(service)?;
        let task = service.task.as_ref().map(|task| TaskPatch {
            name: task.name.clone(),
            description: task.description.clone(),
            assignee: task.assignee.clone(),
        });
        Ok(Acted {
            settings: act.settings,
            task,
            message: service.message.clone(),
            delete: service.delete_instance.clone(),
            outcome: outcome(service, count),
        })
    }
}

impl Handled {
    /// What handling an exception sets.
    pub(super) fn settings(&self) -> Vec<Setting> {
        let of = |table: &toml::value::Table, local: bool| {
            let all = value::variables(table).into_iter();
            all.map(|(name, value)| Setting {
                name,
                value: Some(value),
                local,
            })
            .collect::<Vec<_>>()
        };
        [of(&self.set, false), of(&self.set_local, true)].concat()
    }
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
    seen: &'a Seen,
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
            None => self.seen.visible.get(name).cloned(),
        }
    }

    /// A variable, or what is in it: `receivedTask.requester`.
    fn read_path(&self, path: &str) -> Option<Variable> {
        if let Some(whole) = self.read(path) {
            return Some(whole);
        }
        let mut names = path.split('.');
        let first = self.read(names.next()?)?;
        names.try_fold(first, |value, name| match value {
            Variable::Map(entries) => entries.get(name).cloned(),
            Variable::Json(json) => json.get(name).cloned().map(Variable::Json),
            _ => None,
        })
    }

    fn resolve(&self, value: &Value) -> Variable {
        if let Value::String(text) = value {
            if let Some(name) = text.strip_prefix("$field.") {
                return self.seen.fields.get(name).cloned().unwrap_or_default();
            }
            if let Some(name) = text.strip_prefix("$var.") {
                return self.read_path(name).unwrap_or_default();
            }
        }
        match value {
            // What tables and lists hold may be a name as well.
            Value::Table(table) => Variable::Map(
                table
                    .iter()
                    .map(|(name, value)| (name.clone(), self.resolve(value)))
                    .collect(),
            ),
            other => value::variable(other),
        }
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
                        "field" => self.seen.fields.get(variable).cloned(),
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
            "activity" => self.seen.activity.clone(),
            "event" => match &self.seen.kind {
                CallKind::ExecutionListener { event } | CallKind::TaskListener { event, .. } => {
                    event.clone()
                }
                _ => "execute".to_owned(),
            },
            "flow" => self.seen.flow.clone().unwrap_or_default(),
            "loop" => self
                .read("loopCounter")
                .map(|it| plain(&it))
                .unwrap_or_default(),
            "businessKey" => self
                .seen
                .business_key
                .clone()
                .unwrap_or_else(|| "null".to_owned()),
            "canceled" => self.seen.canceled.to_string(),
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
