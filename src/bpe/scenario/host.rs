//! What the engine asks for, done by the tables of the scenario.

use super::post::{Post, Sending};
use super::stub::{Acted, Seen};
use super::world::{Fault, World};
use crate::bpe::engine::{
    Answer, Ask, Call, CallKind, Child, ChildStart, Outcome, Request, Start, Trigger,
};
use crate::bpe::model::{Code, Event, Graph, Kind, Task};

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

    fn call(&mut self, at: usize, request: &Request, call: &Call) -> Result<Answer, Fault> {
        let Some(state) = &self.it.instances[at].state else {
            return Err("the instance has ended".to_owned());
        };
        let seen = Seen {
            activity: request.activity.clone(),
            kind: call.kind.clone(),
            class: call.class.clone(),
            fields: call.fields.clone(),
            flow: call.flow.clone(),
            canceled: call.canceled,
            visible: state.visible(request.frame),
            business_key: state.business_key.clone(),
        };
        let mut acted = self.stubs.act(&seen)?;
        if let Some(post) = self.post.clone()
            && matches!(call.kind, CallKind::Send | CallKind::Throw)
            && acted.outcome == Outcome::Done
        {
            self.send(&post, call, &seen, &mut acted);
        }
        if let Some(name) = &acted.message {
            self.correlate_in_service(name)?;
        }
        Ok(Answer {
            settings: acted.settings,
            task: acted.task,
            delete: acted.delete,
            outcome: acted.outcome,
        })
    }

    /// Sends the message of an element to another organisation.
    fn send(&self, post: &Post, call: &Call, seen: &Seen, acted: &mut Acted) {
        let mut visible = seen.visible.clone();
        for setting in &acted.settings {
            visible.insert(
                setting.name.clone(),
                setting.value.clone().unwrap_or_default(),
            );
        }
        let service = self.stubs.of(seen);
        let sent = post.send(&Sending {
            activity: &seen.activity,
            call,
            visible,
            business_key: seen.business_key.as_deref().unwrap_or_default(),
            service,
        });
        let Err(refusal) = sent else { return };
        match service.and_then(|service| service.refused.as_ref()) {
            Some(handled) => acted.settings.extend(handled.settings()),
            None => {
                acted.outcome = Outcome::Failed {
                    kind: "MessageNotDelivered".to_owned(),
                    message: format!("{}: {} {}", seen.activity, refusal.status, refusal.message),
                };
            }
        }
    }

    /// Every key of a service table must occur in a model.
    pub(super) fn check_services(&self) -> Result<(), Fault> {
        for key in self.stubs.keys() {
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
