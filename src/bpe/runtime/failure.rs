//! What an exception of plugin code means, where the plugin does not say (spec/bpe.md §6.4, §7.4).

use super::member::Member;
use crate::bpe::engine::{self, CallKind, Setting};
use crate::bpe::model::{Event, Kind, Target, Targets, Variable};
use crate::bpe::plugin::Activity;

/// What follows from a failure.
pub(super) struct Verdict {
    pub settings: Vec<Setting>,
    /// The instance is deleted, for this reason.
    pub delete: Option<String>,
}

impl Verdict {
    fn delete(reason: &str) -> Self {
        Self {
            settings: Vec::new(),
            delete: Some(reason.to_owned()),
        }
    }

    fn go_on(settings: Vec<Setting>) -> Self {
        Self {
            settings,
            delete: None,
        }
    }
}

/// DSF's default error handlers: the Tasks fail with the reason; most elements end the instance.
pub(super) fn judge(
    member: &mut Member,
    activity: &Activity,
    kind: &str,
    message: &str,
) -> Verdict {
    tracing::warn!(
        process = %activity.process, instance = %activity.instance, activity = activity.node,
        business_key = activity.business_key, kind, "plugin code failed: {message}"
    );
    match activity.kind {
        CallKind::Send | CallKind::Throw => send(member, activity, message),
        _ => {
            let text = step_text(activity, message);
            member.tasks.fail_all(&text);
            Verdict::delete(message)
        }
    }
}

/// The text of spec/bpe.md §3.5 for a step that failed.
pub(super) fn step_text(activity: &Activity, message: &str) -> String {
    format!(
        "Process {}:{} has fatal error in step {}:{}, reason: {message}",
        activity.process, activity.definition, activity.node, activity.frame.0
    )
}

/// A message that could not be sent. One of several receivers is left out and the others go on;
/// a message end event ends as it would have anyway.
fn send(member: &mut Member, activity: &Activity, message: &str) -> Verdict {
    let text = send_text(activity, message);
    if activity.kind == CallKind::Send
        && let Some(settings) = without_target(activity)
    {
        member.tasks.fail_all(&text);
        return Verdict::go_on(settings);
    }
    member.tasks.fail_all(&text);
    if ends_here(member, &activity.node) {
        return Verdict::go_on(Vec::new());
    }
    Verdict::delete(message)
}

fn ends_here(member: &Member, node: &str) -> bool {
    let graph = &member.definition.graph;
    graph
        .find(node)
        .is_some_and(|ix| matches!(graph.node(ix).kind, Kind::End(Event::Message { .. })))
}

/// `targets` without the receiver that failed; nothing when there is no such list.
fn without_target(activity: &Activity) -> Option<Vec<Setting>> {
    let Some(Variable::Targets(targets)) = activity.visible.get("targets") else {
        return None;
    };
    let Some(Variable::Target(failed)) = activity.visible.get("target") else {
        return None;
    };
    if targets.entries.is_empty() {
        return None;
    }
    let left = targets
        .entries
        .iter()
        .filter(|target| !same_endpoint(target, failed))
        .cloned();
    Some(vec![Setting {
        name: "targets".to_owned(),
        value: Some(Variable::Targets(Targets {
            entries: left.collect(),
        })),
        local: false,
    }])
}

fn same_endpoint(one: &Target, other: &Target) -> bool {
    one.endpoint_identifier == other.endpoint_identifier
}

/// The text of spec/bpe.md §3.5 for messages that were not sent.
fn send_text(activity: &Activity, message: &str) -> String {
    let field = |name: &str| {
        activity
            .fields
            .get(name)
            .and_then(Variable::as_str)
            .unwrap_or("unknown")
            .to_owned()
    };
    let target = match activity.visible.get("target") {
        Some(Variable::Target(target)) => target.clone(),
        _ => Target::default(),
    };
    let correlation = target.correlation_key.as_ref();
    let correlation = correlation
        .map(|key| format!(", correlationKey: {key}"))
        .unwrap_or_default();
    format!(
        "Task {} send failed [recipient: {}, endpoint: {}, businessKey: {}{correlation}, \
         message: {}, error: {message}]",
        field("instantiatesCanonical"),
        target.organization_identifier,
        target.endpoint_identifier,
        activity.business_key,
        field("messageName"),
    )
}

/// A bug of ours.
pub(super) fn panicked() -> engine::Failure {
    engine::Failure {
        activity: String::new(),
        kind: "InternalError".to_owned(),
        message: "the process engine failed at this step; its log says more".to_owned(),
    }
}
