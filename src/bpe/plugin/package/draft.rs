//! Draft Tasks: templates of which the web interface makes forms (spec/bpe.md §5.5).

use crate::r4::{Resource, dsf, view};

/// The value of the only task-identifier.
pub(super) fn identifier(task: &Resource) -> Option<&str> {
    let mut identifiers = view::task::Task(task).task_identifiers();
    identifiers.next().filter(|_| identifiers.next().is_none())
}

/// The process url and version that the Task is for.
pub(super) fn process(task: &Resource) -> Option<(&str, &str)> {
    task.str("instantiatesCanonical")?.split_once('|')
}

pub(super) fn check(task: &Resource, organization: &str, messages: &mut Vec<String>) {
    let mut expect = |holds: bool, message: &str| {
        if !holds {
            messages.push(message.to_owned());
        }
    };
    let view = view::task::Task(task);
    expect(task.profiles().next().is_some(), "meta.profile is missing");
    expect(task.str("status") == Some("draft"), "status must be draft");
    expect(
        process(task).is_some(),
        "instantiatesCanonical must be the url of the process, | and #{version}",
    );
    let fits = |prefix: String| {
        identifier(task)
            .and_then(|value| value.strip_prefix(&prefix))
            .is_some_and(|name| !name.is_empty() && !name.contains('|'))
    };
    expect(
        process(task).is_none_or(|(url, version)| fits(format!("{url}/{version}/"))),
        "identifier: one of http://dsf.dev/sid/task-identifier is needed, of the form \
         <process url>/#{version}/<name>",
    );
    let is_own = |identifier: Option<crate::r4::Identifier>| {
        identifier
            .is_some_and(|one| one.system == dsf::sid::ORGANIZATION && one.value == organization)
    };
    expect(
        is_own(view.requester_identifier()),
        "requester must be #{organization}",
    );
    expect(
        is_own(view.recipient_identifier()),
        "restriction.recipient must be #{organization} and nobody else",
    );
    expect(
        message_names(task) == 1,
        "exactly one input message-name is needed",
    );
    expect(
        task.list("output").next().is_none(),
        "a draft has no output",
    );
}

fn message_names(task: &Resource) -> usize {
    use crate::r4::Node;
    let is_name = |input: &&serde_json::Value| {
        input
            .member("type")
            .into_iter()
            .flat_map(|kind| kind.items("coding"))
            .any(|coding| {
                coding.text("system") == Some(dsf::system::BPMN_MESSAGE)
                    && coding.text("code") == Some(dsf::message::NAME)
            })
    };
    task.list("input").filter(is_name).count()
}
