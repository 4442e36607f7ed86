//! Tasks, call activities and multi-instance loops.

use roxmltree::Node as Element;

use super::definitions::Definitions;
use super::reader::{self, Reader, extension_attribute};
use super::{event, extension};
use crate::bpe::expression::Expression;
use crate::bpe::model::{
    Binding, Call, Code, Kind, MultiInstance, Service, ServiceKind, Task, UserTask,
};

pub(super) fn service(kind: ServiceKind, element: Element, reader: &mut Reader) -> Kind {
    let service = extension::service(element, reader).unwrap_or_else(|| {
        let message = "has no implementation; set camunda:class, camunda:delegateExpression or \
                       camunda:expression";
        reader.error(element, message);
        Service {
            code: Code::Class(String::new()),
            fields: Vec::new(),
        }
    });
    if matches!(service.code, Code::External(_)) {
        reader.error(
            element,
            "external tasks are not supported; register code with camunda:class",
        );
    }
    Kind::Task(Task::Service(kind, service))
}

pub(super) fn receive(element: Element, definitions: &Definitions, reader: &mut Reader) -> Kind {
    if element.attribute("instantiate") == Some("true") {
        reader.error(
            element,
            "instantiate is not supported; use a message start event",
        );
    }
    let name = element
        .attribute("messageRef")
        .and_then(|id| event::message_name(element, id, definitions, reader));
    Kind::Task(Task::Receive(name))
}

pub(super) fn user(element: Element, reader: &mut Reader) -> Kind {
    let description = reader::child(element, "documentation").map(reader::text);
    let performer = |kind| {
        let role = reader::child(element, kind)?;
        let resource = reader::child(role, "resourceAssignmentExpression")?;
        reader::child(resource, "formalExpression").map(reader::text)
    };
    let (human, owners) = (performer("humanPerformer"), performer("potentialOwner"));
    let (users, groups) = candidates(owners.as_deref().unwrap_or_default());
    let mut attribute = |name: &str, more: Option<String>| {
        let text = extension_attribute(element, name)
            .map(str::to_owned)
            .into_iter()
            .chain(more);
        let text: Vec<_> = text.collect();
        (!text.is_empty()).then(|| reader.expression(element, &text.join(",")))
    };
    let task = UserTask {
        assignee: attribute("assignee", human),
        candidate_users: attribute("candidateUsers", users),
        candidate_groups: attribute("candidateGroups", groups),
        due: attribute("dueDate", None),
        follow_up: attribute("followUpDate", None),
        priority: attribute("priority", None),
        form_key: attribute("formKey", None),
        name: element
            .attribute("name")
            .map(|name| reader.expression(element, name)),
        description: description.map(|text| reader.expression(element, &text)),
    };
    Kind::Task(Task::User(Box::new(task)))
}

/// `user(a), group(b), c`: what has no kind is a group.
fn candidates(list: &str) -> (Option<String>, Option<String>) {
    let (mut users, mut groups) = (Vec::new(), Vec::new());
    for entry in list
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
    {
        let inside = |kind: &str| entry.strip_prefix(kind)?.strip_suffix(')');
        match (inside("user("), inside("group(")) {
            (Some(user), _) => users.push(user.to_owned()),
            (None, Some(group)) => groups.push(group.to_owned()),
            (None, None) => groups.push(entry.to_owned()),
        }
    }
    let join = |list: Vec<String>| (!list.is_empty()).then(|| list.join(","));
    (join(users), join(groups))
}

pub(super) fn call(element: Element, reader: &mut Reader) -> Kind {
    let called = element.attribute("calledElement").unwrap_or_default();
    if called.is_empty() {
        reader.error(
            element,
            "needs calledElement, the id of the process to call",
        );
    }
    let mut of = |name: &str| {
        reader.extension(element, name).unwrap_or_else(|| {
            reader.error(
                element,
                format!("camunda:calledElementBinding needs camunda:{name}"),
            );
            Expression::literal("")
        })
    };
    let binding = match extension_attribute(element, "calledElementBinding") {
        None | Some("latest") => Binding::Latest,
        Some("deployment") => Binding::Deployment,
        Some("version") => Binding::Version(of("calledElementVersion")),
        Some("versionTag") => Binding::VersionTag(of("calledElementVersionTag")),
        Some(other) => {
            let message = format!(
                "calledElementBinding '{other}' is unknown; use latest, deployment, version or \
                 versionTag"
            );
            reader.error(element, message);
            Binding::Latest
        }
    };
    Kind::CallActivity(Box::new(Call {
        element: reader.expression(element, called),
        binding,
        inputs: extension::payload(element, "in", reader),
        outputs: extension::payload(element, "out", reader),
    }))
}

pub(super) fn multi_instance(element: Element, reader: &mut Reader) -> Option<MultiInstance> {
    if let Some(standard) = reader::child(element, "standardLoopCharacteristics") {
        reader.error(
            standard,
            "standard loops are not supported; use a multi-instance or a flow",
        );
    }
    let characteristics = reader::child(element, "multiInstanceLoopCharacteristics")?;
    reader.only(
        characteristics,
        &[
            "collection",
            "elementVariable",
            "asyncBefore",
            "asyncAfter",
            "async",
            "exclusive",
        ],
    );
    let mut compiled = |name: &'static str| {
        let child = reader::child(characteristics, name)?;
        Some(reader.expression(child, &reader::text(child)))
    };
    let cardinality = compiled("loopCardinality");
    let completion = compiled("completionCondition");
    let reference = compiled("loopDataInputRef");
    let collection = reader
        .extension(characteristics, "collection")
        .or(reference);
    let item = reader::child(characteristics, "inputDataItem");
    let element_variable = extension_attribute(characteristics, "elementVariable")
        .or_else(|| item.and_then(|item| item.attribute("name")))
        .map(str::to_owned);
    if collection.is_none() && (cardinality.is_none() || element_variable.is_some()) {
        let message = match element_variable {
            Some(_) => "has an element variable but no collection; set camunda:collection",
            None => "needs a loopCardinality or a camunda:collection",
        };
        reader.error(characteristics, message);
    }
    let (async_before, async_after) = extension::continuations(characteristics);
    Some(MultiInstance {
        sequential: characteristics.attribute("isSequential") == Some("true"),
        cardinality,
        collection,
        element: element_variable,
        completion,
        async_before,
        async_after,
        retry: extension::retry(characteristics, reader),
    })
}
