//! What is odd in a package as a whole, although it can be used: names that lead nowhere, messages
//! that nobody may send, files that nobody lists (spec/bpe.md §13.4).

use std::collections::BTreeSet;

use serde_json::Value;

use super::files::Files;
use super::manifest::Manifest;
use super::model::{MESSAGE_FIELDS, Model};
use super::problem::Problems;
use super::resource::Prepared;
use crate::bpe::expression::Expression;
use crate::bpe::model::{Code, Event, Field, Kind, Node, Service, ServiceKind, Task};
use crate::r4::{Node as _, Resource, ResourceType};

const AUTHORIZATION: &str =
    "http://dsf.dev/fhir/StructureDefinition/extension-process-authorization";
const READ_ACCESS: &str = "http://dsf.dev/fhir/CodeSystem/read-access-tag";

/// A package with all its parts read.
pub(super) struct Parts<'a> {
    pub files: &'a Files,
    pub manifest: &'a Manifest,
    pub models: &'a [Model],
    pub resources: &'a [Prepared],
    /// By process: the places of its resources.
    pub of_process: &'a [Vec<usize>],
}

pub(super) fn lint(parts: &Parts<'_>, problems: &mut Problems) {
    for (model, places) in parts.models.iter().zip(parts.of_process) {
        let own: Vec<&Prepared> = places.iter().map(|at| &parts.resources[*at]).collect();
        authorizations(model, &own, problems);
        for (_, node) in model.graph.iter() {
            let element = format!("{} '{}'", node.kind.element(), node.id);
            sending(parts, (model, node, &element), problems);
            form(parts, (model, node, &element), problems);
        }
    }
    for one in parts.resources {
        if one.kind != ResourceType::Task && !has_read_access(&one.resource) {
            problems.warning(
                &one.file,
                "meta.tag",
                "has no read-access-tag: nobody but the own organisation can read it",
            );
        }
    }
    leftovers(parts, problems);
}

/// Messages that the model receives, and messages that the ActivityDefinition permits.
fn authorizations(model: &Model, own: &[&Prepared], problems: &mut Problems) {
    let Some(definition) = own
        .iter()
        .find(|one| one.kind == ResourceType::ActivityDefinition)
    else {
        return;
    };
    let permitted: BTreeSet<&str> = authorized(&definition.resource)
        .map(|(name, _)| name)
        .collect();
    let received: BTreeSet<&str> = model
        .graph
        .iter()
        .filter_map(|(_, node)| received(node))
        .collect();
    let mut missing = |file: &str, message: String| {
        problems.warning(file, "process-authorization", message);
    };
    for name in received
        .difference(&permitted)
        .filter(|name| !name.contains("${"))
    {
        missing(
            &definition.file,
            format!(
                "message '{name}' of {} is not listed: no server takes it",
                model.file
            ),
        );
    }
    if received.iter().all(|name| !name.contains("${")) {
        for name in permitted.difference(&received) {
            missing(
                &definition.file,
                format!("message '{name}' is received nowhere in {}", model.file),
            );
        }
    }
}

/// Name and profile of each message of an ActivityDefinition.
fn authorized(definition: &Resource) -> impl Iterator<Item = (&str, &str)> {
    definition
        .list("extension")
        .filter(|one| one.text("url") == Some(AUTHORIZATION))
        .filter_map(|one| {
            let part = |url: &str| {
                one.items("extension")
                    .find(|part| part.text("url") == Some(url))
            };
            let name = part("message-name")?.text("valueString")?;
            let profile = part("task-profile")?.text("valueCanonical")?;
            Some((name, profile))
        })
}

fn received(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Start { event, .. } | Kind::Catch(event) | Kind::Boundary { event, .. } => {
            match event {
                Event::Message { name, .. } => name.as_ref().map(Expression::source),
                _ => None,
            }
        }
        Kind::Task(Task::Receive(name)) => name.as_ref().map(Expression::source),
        _ => None,
    }
}

fn sent(node: &Node) -> Option<&Service> {
    match &node.kind {
        Kind::Task(Task::Service(ServiceKind::Send, service)) => Some(service),
        Kind::Throw(Event::Message { service, .. }) | Kind::End(Event::Message { service, .. }) => {
            service.as_ref()
        }
        _ => None,
    }
    .filter(|service| matches!(service.code, Code::Class(_)))
}

/// A message is one that its receiver's process permits, if that process is in the package.
fn sending(
    parts: &Parts<'_>,
    (model, node, element): (&Model, &Node, &str),
    problems: &mut Problems,
) {
    let Some(service) = sent(node) else { return };
    let text = |name: &str| constant(&service.fields, name);
    let [canonical, profile, message] = MESSAGE_FIELDS.map(text);
    for field in &service.fields {
        if !MESSAGE_FIELDS.contains(&field.name.as_str()) {
            let told = format!(
                "field {} means nothing to the host; code gets it",
                field.name
            );
            problems.warning(&model.file, element, told);
        }
    }
    let Some(canonical) = canonical else { return };
    let receiver = parts.resources.iter().find(|one| {
        one.kind == ResourceType::ActivityDefinition && is_named(&one.resource, canonical)
    });
    let Some(receiver) = receiver else { return };
    let (Some(profile), Some(message)) = (profile, message) else {
        return;
    };
    if !authorized(&receiver.resource).any(|one| one == (message, profile)) {
        let told = format!(
            "{canonical} takes no message '{message}' with profile {profile}: see {}",
            receiver.file
        );
        problems.warning(&model.file, element, told);
    }
}

fn constant<'a>(fields: &'a [Field], name: &str) -> Option<&'a str> {
    let field = fields.iter().find(|field| field.name == name)?;
    Some(field.value.source()).filter(|text| !text.contains("${"))
}

fn is_named(resource: &Resource, canonical: &str) -> bool {
    canonical.split_once('|').is_some_and(|(url, version)| {
        resource.str("url") == Some(url) && resource.str("version") == Some(version)
    })
}

/// A user task needs its Questionnaire.
fn form(parts: &Parts<'_>, (model, node, element): (&Model, &Node, &str), problems: &mut Problems) {
    let Kind::Task(Task::User(task)) = &node.kind else {
        return;
    };
    let Some(key) = &task.form_key else {
        let told = "has no camunda:formKey: it waits for ever, because nobody is asked anything";
        problems.warning(&model.file, element, told);
        return;
    };
    let canonical = key.source().trim_start_matches("external:");
    let known = parts
        .resources
        .iter()
        .any(|one| one.kind == ResourceType::Questionnaire && is_named(&one.resource, canonical));
    if !known && !canonical.contains("${") {
        let told = format!("no Questionnaire of the package is {canonical}");
        problems.warning(&model.file, element, told);
    }
}

fn has_read_access(resource: &Resource) -> bool {
    resource
        .tags()
        .any(|tag| tag.get("system").and_then(Value::as_str) == Some(READ_ACCESS))
}

/// Models and resources that no process lists.
fn leftovers(parts: &Parts<'_>, problems: &mut Problems) {
    let listed: BTreeSet<&str> = parts
        .manifest
        .processes
        .iter()
        .flat_map(|entry| entry.resources.iter().chain([&entry.model]))
        .map(String::as_str)
        .collect();
    for path in parts.files.below(&["bpe", "fhir"]) {
        if !listed.contains(path.as_str()) {
            problems.warning(&path, "", "no process of plugin.toml lists it");
        }
    }
}
