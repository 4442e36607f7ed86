//! Messages and signals find their receivers (`spec/bpmn.md` §3.12 and §3.7.6).

use super::file::Step;
use super::post::received;
use super::value;
use super::world::{Fault, World};
use crate::bpe::engine::{State, SubscriptionKind, Trigger, WaitId};
use crate::bpe::exchange::process_of;
use crate::bpe::model::{Graph, NodeIx, Variable, Variables};
use crate::bpe::runtime::signal_start;
use crate::r4::Resource;
use crate::r4::view::task::Task;

/// A message to correlate.
#[derive(Default)]
struct Message {
    name: String,
    business_key: Option<String>,
    process: Variables,
    scope: Variables,
    start_only: bool,
    variables: Variables,
    local: Variables,
}

/// Somebody who takes a message.
#[derive(Clone, Copy)]
enum Receiver {
    Waiting(usize, WaitId),
    Start(usize, NodeIx),
}

impl World {
    pub(super) fn correlate(&mut self, name: &str, step: &Step) -> Result<(), Fault> {
        let message = Message {
            name: name.to_owned(),
            business_key: step.business_key.clone(),
            process: value::variables(&step.correlation),
            scope: value::variables(&step.local_correlation),
            start_only: step.start_only,
            variables: value::variables(&step.variables),
            local: value::variables(&step.local_variables),
        };
        if step.all {
            let waiting = self.waiting_for(&message);
            let starts = self.starting_with(&message);
            for receiver in waiting.into_iter().chain(starts) {
                self.deliver(receiver, &message)?;
            }
            return Ok(());
        }
        self.correlate_one(&message)
    }

    /// Takes a Task of another organisation, by the rules of spec/bpe.md §3.5.
    pub(super) fn receive(&mut self, task: &Resource) -> Result<(), Fault> {
        let view = Task(task);
        let canonical = task.str("instantiatesCanonical").unwrap_or_default();
        let process = process_of(canonical).ok_or("its process has no proper name")?;
        let name = view.message_name().unwrap_or_default();
        let key = view.correlation_key();
        let message = Message {
            name: name.to_owned(),
            business_key: view.business_key().map(str::to_owned),
            scope: key
                .map(|key| ("correlationKey".to_owned(), Variable::from(key)))
                .into_iter()
                .collect(),
            variables: received(task),
            ..Message::default()
        };
        let is_meant = |graph: &Graph| {
            let tag = graph.version_tag.as_deref().unwrap_or_default();
            graph.key == process.key && tag == process.version
        };
        let waiting = self.waiting_for(&message).into_iter();
        let mut waiting = waiting.filter(|receiver| match receiver {
            Receiver::Waiting(at, _) => is_meant(&self.graph(*at)),
            Receiver::Start(..) => false,
        });
        let receiver = match (waiting.next(), waiting.next()) {
            (Some(one), None) => one,
            (Some(_), Some(_)) => return Err("Unable to correlate Task".to_owned()),
            (None, _) => {
                let definition = self
                    .latest()
                    .find(|at| is_meant(&self.it.definitions[*at].graph))
                    .ok_or("Process not found")?;
                let graph = &self.it.definitions[definition].graph;
                let start = graph.message_start(name);
                let absent = || format!("Process with start message-name '{name}' not found");
                Receiver::Start(definition, start.ok_or_else(absent)?)
            }
        };
        drop(waiting);
        self.atomically(|world| world.deliver(receiver, &message))?;
        self.settle()
    }

    pub(super) fn correlate_in_service(&mut self, name: &str) -> Result<(), Fault> {
        self.correlate_one(&Message {
            name: name.to_owned(),
            ..Message::default()
        })
    }

    /// Exactly one receiver: a waiting execution, or else a start event.
    fn correlate_one(&mut self, message: &Message) -> Result<(), Fault> {
        let name = &message.name;
        for receivers in [self.waiting_for(message), self.starting_with(message)] {
            match receivers[..] {
                [] => {}
                [one] => return self.deliver(one, message),
                _ => {
                    return Err(format!(
                        "{} receivers match message '{name}'",
                        receivers.len()
                    ));
                }
            }
        }
        if name.is_empty() {
            return Err("nobody waits for any message (the name is null)".to_owned());
        }
        Err(format!("nobody waits for message '{name}'"))
    }

    fn waiting_for(&self, message: &Message) -> Vec<Receiver> {
        let mut found = Vec::new();
        if message.start_only {
            return found;
        }
        let active = self.running().filter(|(at, _)| self.is_active(*at));
        for (at, state) in active {
            let key = message.business_key.is_none() || message.business_key == state.business_key;
            let has =
                |name: &String, value: &Variable| state.variable(State::ROOT, name) == Some(value);
            if !key || !message.process.iter().all(|(name, value)| has(name, value)) {
                continue;
            }
            for row in state.subscriptions() {
                let named = message.name.is_empty() || row.name == message.name;
                let fits = message.scope.iter().all(|(name, value)| {
                    state.correlation_variable(row.frame, name) == Some(value)
                });
                if row.kind == SubscriptionKind::Message && named && fits {
                    found.push(Receiver::Waiting(at, row.id));
                }
            }
        }
        found
    }

    /// Start events are no match when variables were asked for: nobody has them yet.
    fn starting_with(&self, message: &Message) -> Vec<Receiver> {
        if message.name.is_empty() || !(message.process.is_empty() && message.scope.is_empty()) {
            return Vec::new();
        }
        let latest = self
            .latest()
            .filter(|&at| !self.it.definitions[at].suspended);
        latest
            .filter_map(|at| {
                let node = self.it.definitions[at].graph.message_start(&message.name)?;
                Some(Receiver::Start(at, node))
            })
            .collect()
    }

    fn deliver(&mut self, receiver: Receiver, message: &Message) -> Result<(), Fault> {
        let variables = message.variables.clone();
        match receiver {
            Receiver::Waiting(at, subscription) => {
                let open = self.it.instances[at]
                    .state
                    .as_ref()
                    .is_some_and(|state| state.subscriptions().any(|row| row.id == subscription));
                if !open {
                    return Ok(());
                }
                let local = message.local.clone();
                self.drive(
                    at,
                    Trigger::Message {
                        subscription,
                        variables,
                        local,
                    },
                )
            }
            Receiver::Start(definition, node) => {
                let key = message.business_key.clone();
                self.begin(definition, Some(node), key, variables)
                    .map(|_| ())
            }
        }
    }

    /// Tells everybody who waits for a signal, in the order of subscription.
    pub(super) fn broadcast(
        &mut self,
        name: &str,
        variables: &Variables,
        business_key: Option<&str>,
    ) -> Result<(), Fault> {
        let mut receivers = Vec::new();
        for (at, state) in self.running().filter(|(at, _)| self.is_active(*at)) {
            for row in state.subscriptions() {
                if row.kind == SubscriptionKind::Signal && row.name == name {
                    let sequence = self.it.sequence.get(&(at, row.id)).copied();
                    receivers.push((sequence, at, row.id));
                }
            }
        }
        receivers.sort_unstable();
        for (_, at, subscription) in receivers {
            let open = self.it.instances[at]
                .state
                .as_ref()
                .is_some_and(|state| state.subscriptions().any(|row| row.id == subscription));
            if open {
                let variables = variables.clone();
                self.drive(
                    at,
                    Trigger::Signal {
                        subscription,
                        variables,
                    },
                )?;
            }
        }
        let latest: Vec<_> = self.latest().collect();
        for definition in latest {
            let found = &self.it.definitions[definition];
            let start = signal_start(&found.graph, name).filter(|_| !found.suspended);
            if let Some(start) = start {
                let key = business_key.map(str::to_owned);
                self.begin(definition, Some(start), key, variables.clone())?;
            }
        }
        Ok(())
    }
}
