//! The [`Host`] of the runtime: finds the plugin of an activity and runs its code.
//!
//! Messages are built here and sent by the runtime. What the code changes comes back as data; the
//! only effects that happen during a call are those on the own FHIR server.

mod call;
#[cfg(test)]
mod conformance;
mod message;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::activity::{
    Activity, Delivery, FormCode, FormMoment, Host, Performance, Performed, ProcessId,
};
use super::package::{DEFAULT_LISTENERS, FORM_MEMBERS, OnFailure, Package};
use super::runner::{Limits, Runner, Shape};
use super::service::{Caller, Capabilities, Services, Session};
use crate::bpe::engine::CallKind;
use crate::kernel::Clock;
use crate::r4::Resource;

use call::{Call, Returned, failed, returned};
use message::{Draft, KeyStrategy, Sender, Wanted, parameters};

/// The plugins of a node, ready to run.
pub struct Plugins {
    processes: HashMap<ProcessId, Process>,
    services: Arc<Services>,
    /// Identifier of the own organisation.
    organization: String,
    clock: Clock,
}

struct Process {
    code: Option<Arc<Code>>,
    on_failure: OnFailure,
}

struct Code {
    runner: Arc<dyn Runner>,
    shapes: HashMap<String, Shape>,
    listens: bool,
    capabilities: Arc<Capabilities>,
}

impl Plugins {
    #[must_use]
    pub fn new(
        packages: &[Package],
        services: Arc<Services>,
        organization: &str,
        clock: Clock,
        limits: Limits,
    ) -> Self {
        let mut processes = HashMap::new();
        for package in packages {
            let code = package.code.as_ref().map(|code| {
                let capabilities = package.manifest.capabilities.clone();
                let proxy = services.proxy(&capabilities);
                Arc::new(Code {
                    runner: code.program.runner(limits, &proxy),
                    shapes: code.shapes.clone(),
                    listens: code.listens,
                    capabilities: Arc::new(capabilities),
                })
            });
            for process in &package.processes {
                let ready = Process {
                    code: code.clone(),
                    on_failure: process.on_failure,
                };
                processes.insert(process.id.clone(), ready);
            }
        }
        Self {
            processes,
            services,
            organization: organization.to_owned(),
            clock,
        }
    }
}

impl Plugins {
    /// Whether the code of the process is here.
    #[must_use]
    pub fn brings(&self, process: &ProcessId) -> bool {
        self.processes.contains_key(process)
    }

    /// Tells the code of a package, found by one of its processes, which of them are in force, by
    /// their keys (spec/bpe.md §5.7).
    ///
    /// # Errors
    /// What the code has thrown, or why it has no answer.
    pub async fn deployed(&self, one: &ProcessId, keys: &[String]) -> Result<(), String> {
        let code = self.processes.get(one).and_then(|one| one.code.as_deref());
        let Some(code) = code.filter(|code| code.listens) else {
            return Ok(());
        };
        let caller = Caller {
            process: one.to_string(),
            activity: call::LISTENER.to_owned(),
            business_key: String::new(),
        };
        let outside = code.outside(&self.services, caller);
        let answer = code.runner.call(call::deployment(keys), outside).await;
        call::thrown(code.runner.as_ref(), answer).map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Host for Plugins {
    fn on_failure(&self, process: &ProcessId) -> OnFailure {
        self.processes
            .get(process)
            .map_or(OnFailure::FailTask, |process| process.on_failure)
    }

    async fn perform(&self, activity: Activity) -> Performance {
        let Some(process) = self.processes.get(&activity.process) else {
            return no_plugin(&activity);
        };
        match activity.kind {
            CallKind::Send | CallKind::Throw => self.send(process, &activity).await,
            _ => self.execute(process, &activity).await,
        }
    }

    async fn delivered(&self, activity: Activity, delivery: Delivery) -> Performance {
        let entry = self
            .processes
            .get(&activity.process)
            .and_then(|process| process.entry(&activity.class));
        let message = Draft::of(&activity).ok().map(|draft| draft.for_code());
        let (member, exception) = match &delivery {
            Delivery::Accepted => ("afterSend", None),
            Delivery::Failed { status, message } => (
                "handleException",
                Some(json!({ "message": message, "status": status })),
            ),
        };
        match (entry, delivery) {
            (Some((code, shape)), _) if shape.has(member) && message.is_some() => {
                let call = Call {
                    message,
                    exception,
                    ..Call::of(&activity, member)
                };
                self.run(code, &call).await.performance
            }
            (_, Delivery::Accepted) => Performance::nothing(),
            (_, Delivery::Failed { message, .. }) => failed("MessageNotDelivered", &message),
        }
    }

    fn form_code(&self, process: &ProcessId, class: &str) -> Option<FormCode> {
        if DEFAULT_LISTENERS.contains(&class) {
            return Some(FormCode::default());
        }
        let (_, shape) = self.processes.get(process)?.entry(class)?;
        let [earlier @ .., after] = FORM_MEMBERS.map(|member| shape.has(member));
        let before = earlier.contains(&true);
        (before || after).then_some(FormCode { before, after })
    }

    async fn form(
        &self,
        activity: Activity,
        moment: FormMoment,
        form: Resource,
    ) -> (Performance, Resource) {
        let entry = self
            .processes
            .get(&activity.process)
            .and_then(|process| process.entry(&activity.class));
        let Some((code, _)) = entry else {
            return (Performance::nothing(), form);
        };
        let [.., before, after] = FORM_MEMBERS;
        let (member, questionnaire) = match moment {
            FormMoment::Before(questionnaire) => (before, Some(questionnaire)),
            FormMoment::After => (after, None),
        };
        let form_of = |resource: &Resource| Value::Object(resource.members().clone());
        let call = Call {
            form: Some(form_of(&form)),
            questionnaire: questionnaire.as_deref().map(form_of),
            ..Call::of(&activity, member)
        };
        let returned = self.run(code, &call).await;
        let changed = returned.value.get("form").cloned();
        let form = changed.and_then(Resource::from_value).unwrap_or(form);
        (returned.performance, form)
    }
}

impl Plugins {
    async fn execute(&self, process: &Process, activity: &Activity) -> Performance {
        let listens = matches!(activity.kind, CallKind::TaskListener { .. });
        if listens && DEFAULT_LISTENERS.contains(&activity.class.as_str()) {
            return Performance::nothing();
        }
        let Some((code, shape)) = process.entry(&activity.class) else {
            return failed("NoSuchActivity", &format!("no code for {}", activity.class));
        };
        if listens && !shape.is_function() && !shape.has("notify") {
            return Performance::nothing();
        }
        let member = match activity.kind {
            _ if shape.is_function() => "call",
            CallKind::ExecutionListener { .. } | CallKind::TaskListener { .. } => "notify",
            _ => "execute",
        };
        self.run(code, &Call::of(activity, member))
            .await
            .performance
    }

    /// A message that the code of its activity sends itself, or not.
    async fn override_sending(
        &self,
        code: &Code,
        activity: &Activity,
        strategy: KeyStrategy,
    ) -> Performance {
        let message = match Draft::values(activity) {
            Ok(message) => message,
            Err(message) => return failed("IncompleteMessage", &message),
        };
        let call = Call {
            message: Some(message),
            ..Call::of(activity, "execute")
        };
        let returned = self.run(code, &call).await;
        let wanted = returned
            .value
            .get("send")
            .filter(|wanted| !wanted.is_null());
        let Some(wanted) = wanted.filter(|_| returned.performance.outcome == Performed::Done)
        else {
            return returned.performance;
        };
        let sent = serde_json::from_value::<Wanted>(wanted.clone());
        let sent = sent.map_err(|error| error.to_string()).and_then(|wanted| {
            let draft = Draft::untargeted(activity)?.changed(&wanted)?;
            let inputs = parameters(wanted.additional_input_parameters)?;
            let chosen = wanted.business_key_strategy.as_deref();
            Ok((
                draft,
                chosen.map_or(strategy, |name| KeyStrategy::named(Some(name))),
                inputs,
            ))
        });
        match sent {
            Ok((draft, strategy, inputs)) => {
                self.finish(activity, draft, strategy, returned.performance, inputs)
            }
            Err(message) => failed("TypeError", &message),
        }
    }

    async fn send(&self, process: &Process, activity: &Activity) -> Performance {
        let entry = process.entry(&activity.class);
        if let Some((code, shape)) = entry.filter(|(_, shape)| shape.has("execute")) {
            let strategy = KeyStrategy::named(shape.business_key_strategy.as_deref());
            return self.override_sending(code, activity, strategy).await;
        }
        let draft = match Draft::of(activity) {
            Ok(draft) => draft,
            Err(message) => return failed("IncompleteMessage", &message),
        };
        let Some((code, shape)) = entry else {
            return self.finish(
                activity,
                draft,
                KeyStrategy::Same,
                Performance::nothing(),
                Vec::new(),
            );
        };
        let strategy = KeyStrategy::named(shape.business_key_strategy.as_deref());
        if !shape.has("additionalInputParameters") {
            return self.finish(
                activity,
                draft,
                strategy,
                Performance::nothing(),
                Vec::new(),
            );
        }
        let call = Call {
            message: Some(draft.for_code()),
            ..Call::of(activity, "additionalInputParameters")
        };
        let returned = self.run(code, &call).await;
        // Either there is nothing to send for, or the code has dealt with that.
        if returned.performance.outcome != Performed::Done || returned.is_handled() {
            return returned.performance;
        }
        match parameters(returned.value) {
            Ok(inputs) => self.finish(activity, draft, strategy, returned.performance, inputs),
            Err(message) => failed("TypeError", &message),
        }
    }

    fn finish(
        &self,
        activity: &Activity,
        draft: Draft,
        strategy: KeyStrategy,
        mut performance: Performance,
        inputs: Vec<Value>,
    ) -> Performance {
        let sender = Sender {
            organization: &self.organization,
            now: self.clock.now(),
        };
        let (message, setting) = draft.finish(activity, strategy, inputs, &sender);
        performance.settings.extend(setting);
        performance.outcome = Performed::Send(Box::new(message));
        performance
    }

    async fn run(&self, code: &Code, call: &Call<'_>) -> Returned {
        let activity = call.activity;
        let caller = Caller {
            process: activity.process.to_string(),
            activity: activity.node.clone(),
            business_key: activity.business_key.clone(),
        };
        let runner = code.runner.as_ref();
        let outside = code.outside(&self.services, caller);
        let answer = runner.call(call.input(), outside).await;
        returned(activity, runner, answer)
    }
}

impl Code {
    /// What one call can reach.
    fn outside(&self, services: &Arc<Services>, caller: Caller) -> Arc<Session> {
        let capabilities = Arc::clone(&self.capabilities);
        Arc::new(Session::new(Arc::clone(services), capabilities, caller))
    }
}

impl Process {
    fn entry(&self, class: &str) -> Option<(&Code, &Shape)> {
        let code = self.code.as_deref()?;
        Some((code, code.shapes.get(class)?))
    }
}

fn no_plugin(activity: &Activity) -> Performance {
    failed(
        "PluginMissing",
        &format!("no plugin brings the process {}", activity.process),
    )
}
