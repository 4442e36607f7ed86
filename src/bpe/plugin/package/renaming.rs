//! Files that were written before DSF 1, when the framework's names were those of highmed.org.
//!
//! The names of processes and what they define themselves stay; those of the framework, and the
//! places where models and Tasks name a process, become what DSF has had since. Nothing is guessed:
//! a name that DSF has not taken over is left alone, and told by the checks that follow.

use std::ops::Range;

use roxmltree::{Document, Node};
use serde_json::{Map, Value};

use super::model::MESSAGE_FIELDS;
use crate::r4::Resource;

const OLD: &str = "http://highmed.org/";
const NEW: &str = "http://dsf.dev/";
/// What followed `http://highmed.org/`, and follows `http://dsf.dev/` now.
const SAME: [&str; 13] = [
    "sid/organization-identifier",
    "sid/endpoint-identifier",
    "fhir/CodeSystem/bpmn-message",
    "fhir/CodeSystem/organization-role",
    "fhir/CodeSystem/process-authorization",
    "fhir/CodeSystem/read-access-tag",
    "fhir/ValueSet/bpmn-message",
    "fhir/StructureDefinition/endpoint",
    "fhir/StructureDefinition/extension-process-authorization",
    "fhir/StructureDefinition/extension-process-authorization-organization",
    "fhir/StructureDefinition/organization",
    "fhir/StructureDefinition/questionnaire",
    "fhir/StructureDefinition/research-study",
];
/// Extensions and profiles that have another name now, as above.
const OTHER: [(&str, &str); 2] = [
    (
        "fhir/StructureDefinition/extension-process-authorization-consortium-role",
        "fhir/StructureDefinition/extension-process-authorization-parent-organization-role",
    ),
    (
        "fhir/StructureDefinition/task-base",
        "fhir/StructureDefinition/task",
    ),
];
/// The parts of the first of them.
const PARTS: [(&str, &str); 2] = [
    ("consortium", "parent-organization"),
    ("role", "organization-role"),
];
/// Codes of organization-role.
const ROLES: [(&str, &str); 1] = [("MeDIC", "DIC")];
const OLD_FIELD: &str = "instantiatesUri";
const FIELD: &str = MESSAGE_FIELDS[0];

/// Whether a file speaks of the framework by its old names.
pub(super) fn is_old(text: &str) -> bool {
    let others = OTHER.iter().map(|(old, _)| *old);
    let mut names = SAME.iter().copied().chain(others);
    names.any(|name| text.contains(&format!("{OLD}{name}")))
}

/// A resource with the names of today.
pub(super) fn rename(resource: &mut Resource) {
    let members = std::mem::take(resource.members_mut());
    if let Value::Object(members) = renamed(Value::Object(members)) {
        *resource.members_mut() = members;
    }
}

fn renamed(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(name(&text)),
        Value::Array(items) => items.into_iter().map(renamed).collect(),
        Value::Object(members) => Value::Object(object(members)),
        other => other,
    }
}

fn object(members: Map<String, Value>) -> Map<String, Value> {
    let is_role_extension = text(&members, "url").ends_with("-consortium-role");
    let is_role = text(&members, "system") == format!("{OLD}fhir/CodeSystem/organization-role");
    let is_process = text(&members, "path").ends_with(OLD_FIELD);
    members
        .into_iter()
        .map(|(key, value)| match key.as_str() {
            "extension" if is_role_extension => (key, role_parts(value)),
            "code" if is_role => (key, translated(value, &ROLES)),
            "id" | "path" if is_process => (key, field(value)),
            "fixedUri" if is_process => ("fixedCanonical".to_owned(), renamed(value)),
            OLD_FIELD => (FIELD.to_owned(), renamed(value)),
            _ => (key, renamed(value)),
        })
        .collect()
}

fn text<'a>(members: &'a Map<String, Value>, key: &str) -> &'a str {
    members.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// `Task.instantiatesCanonical` of `Task.instantiatesUri`.
fn field(value: Value) -> Value {
    match value.as_str() {
        Some(text) => Value::from(text.replace(OLD_FIELD, FIELD)),
        None => value,
    }
}

/// The parts of an authorisation by role, each an extension.
fn role_parts(value: Value) -> Value {
    let mut value = renamed(value);
    for part in value.as_array_mut().into_iter().flatten() {
        if let Some(url) = part.get_mut("url") {
            *url = translated(url.take(), &PARTS);
        }
    }
    value
}

fn translated(value: Value, table: &[(&str, &str)]) -> Value {
    let found = table.iter().find(|(old, _)| value == *old);
    found.map_or(value, |(_, new)| Value::from(*new))
}

/// A name as it is today: that of the framework, and that of a process in a version, which was
/// `url/version` and is `url|version`.
fn name(text: &str) -> String {
    let (url, version) = match text.split_once('|') {
        Some((url, version)) => (url, Some(version)),
        None => (text, None),
    };
    if let Some(rest) = url.strip_prefix(OLD) {
        if SAME.contains(&rest) {
            // Its versions were those of another framework.
            return format!("{NEW}{rest}");
        }
        if let Some((_, new)) = OTHER.iter().find(|(old, _)| *old == rest) {
            return format!("{NEW}{new}");
        }
    }
    if version.is_none()
        && let Some((process, version)) = url.rsplit_once('/')
        && process.contains("/bpe/Process/")
        && version.starts_with(|first: char| first.is_ascii_digit())
    {
        return format!("{process}|{version}");
    }
    text.to_owned()
}

/// A model whose messages are told by fields instead of parameters. What is no XML is left to
/// whoever reads it next.
pub(super) fn model(source: &str) -> String {
    let Ok(document) = Document::parse(source) else {
        return source.to_owned();
    };
    let mut edits = Vec::new();
    for parameters in document
        .descendants()
        .filter(|node| is(*node, "inputOutput"))
    {
        edits.extend(message_edits(source, parameters));
    }
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut text = source.to_owned();
    for (range, new) in edits {
        text.replace_range(range, &new);
    }
    text
}

type Edit = (Range<usize>, String);

fn is(node: Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().name() == name
}

/// What makes fields of the parameters of a message; nothing when these are none.
fn message_edits(source: &str, parameters: Node<'_, '_>) -> Vec<Edit> {
    let children: Vec<_> = parameters.children().filter(Node::is_element).collect();
    let of_message: Vec<_> = children
        .iter()
        .filter_map(|child| Some((*child, field_of(source, *child)?)))
        .collect();
    let Some(element) = parameters
        .ancestors()
        .nth(2)
        .filter(|_| !of_message.is_empty())
    else {
        return Vec::new();
    };
    let fields: String = of_message.iter().map(|(_, field)| field.as_str()).collect();
    let mut edits = Vec::new();
    if of_message.len() == children.len() {
        edits.push((parameters.range(), String::new()));
    } else {
        let gone = of_message
            .iter()
            .map(|(child, _)| (child.range(), String::new()));
        edits.extend(gone);
    }
    let definition = element
        .children()
        .find(|child| is(*child, "messageEventDefinition"));
    match definition {
        Some(definition) => edits.push(into_definition(source, definition, &fields)),
        None => {
            let at = parameters.range().start;
            edits.push((at..at, fields));
        }
    }
    edits
}

/// `<camunda:field …>` of `<camunda:inputParameter …>`; nothing for a parameter that is something else.
fn field_of(source: &str, parameter: Node<'_, '_>) -> Option<String> {
    let name = match parameter.attribute("name")? {
        OLD_FIELD => FIELD,
        name => MESSAGE_FIELDS.iter().find(|field| **field == name)?,
    };
    let text = parameter.text().unwrap_or_default().trim();
    let value = self::name(text).replace('&', "&amp;").replace('<', "&lt;");
    let prefix = prefix(source, parameter);
    Some(format!(
        "<{prefix}field name=\"{name}\"><{prefix}string>{value}</{prefix}string></{prefix}field>"
    ))
}

fn into_definition(source: &str, definition: Node<'_, '_>, fields: &str) -> Edit {
    let range = definition.range();
    let prefix = prefix(source, definition);
    let extensions = format!("<{prefix}extensionElements>{fields}</{prefix}extensionElements>");
    let text = &source[range.clone()];
    match text.strip_suffix("/>") {
        Some(open) => {
            let whole = format!("{open}>{extensions}</{prefix}messageEventDefinition>");
            (range, whole)
        }
        None => {
            let at = range.start + text.find('>').map_or(0, |end| end + 1);
            (at..at, extensions)
        }
    }
}

/// `camunda:` of `<camunda:inputParameter`.
fn prefix<'a>(source: &'a str, node: Node<'_, '_>) -> &'a str {
    let tag = &source[node.range().start + 1..];
    let end = tag.find(|one: char| !one.is_alphanumeric() && !"_-.:".contains(one));
    let tag = &tag[..end.unwrap_or_default()];
    tag.rfind(':').map_or("", |colon| &tag[..=colon])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::r4::xml;

    #[test]
    fn names_of_the_framework_become_those_of_today_and_others_stay() {
        let mut resource = xml::parse(
            br#"<StructureDefinition xmlns="http://hl7.org/fhir">
              <meta><tag><system value="http://highmed.org/fhir/CodeSystem/read-access-tag"/><code value="ALL"/></tag></meta>
              <extension url="http://highmed.org/fhir/StructureDefinition/extension-process-authorization-consortium-role">
                <extension url="consortium"><valueIdentifier><system value="http://highmed.org/sid/organization-identifier"/><value value="highmed.org"/></valueIdentifier></extension>
                <extension url="role"><valueCoding><system value="http://highmed.org/fhir/CodeSystem/organization-role"/><code value="MeDIC"/></valueCoding></extension>
              </extension>
              <url value="http://highmed.org/fhir/StructureDefinition/task-ping"/>
              <baseDefinition value="http://highmed.org/fhir/StructureDefinition/task-base"/>
              <differential><element id="Task.instantiatesUri"><path value="Task.instantiatesUri"/>
                <fixedUri value="http://highmed.org/bpe/Process/pong/0.7"/></element></differential>
            </StructureDefinition>"#,
        )
        .unwrap();
        rename(&mut resource);
        let text = Value::Object(resource.members().clone()).to_string();
        for part in [
            r#""system":"http://dsf.dev/fhir/CodeSystem/read-access-tag""#,
            "extension-process-authorization-parent-organization-role",
            r#""url":"parent-organization""#,
            r#""url":"organization-role""#,
            r#""code":"DIC""#,
            r#""value":"highmed.org""#,
            r#""url":"http://highmed.org/fhir/StructureDefinition/task-ping""#,
            r#""baseDefinition":"http://dsf.dev/fhir/StructureDefinition/task""#,
            r#""path":"Task.instantiatesCanonical""#,
            r#""fixedCanonical":"http://highmed.org/bpe/Process/pong|0.7""#,
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }

    #[test]
    fn parameters_of_messages_become_fields_and_others_stay() {
        let before = r#"<b:definitions xmlns:b="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn"><b:process id="p">
            <b:sendTask id="s"><b:extensionElements><camunda:inputOutput>
              <camunda:inputParameter name="instantiatesUri">http://highmed.org/bpe/Process/pong/0.7</camunda:inputParameter>
              <camunda:inputParameter name="messageName">ping</camunda:inputParameter>
              <camunda:inputParameter name="more">1</camunda:inputParameter>
            </camunda:inputOutput></b:extensionElements></b:sendTask>
            <b:endEvent id="e"><b:extensionElements><camunda:inputOutput>
              <camunda:inputParameter name="profile">http://highmed.org/fhir/StructureDefinition/task-a|0.7</camunda:inputParameter>
            </camunda:inputOutput></b:extensionElements><b:messageEventDefinition camunda:class="C"/></b:endEvent>
            </b:process></b:definitions>"#;
        let after = model(before);
        for part in [
            r#"<camunda:field name="instantiatesCanonical"><camunda:string>http://highmed.org/bpe/Process/pong|0.7</camunda:string></camunda:field>"#,
            r#"<camunda:field name="messageName"><camunda:string>ping</camunda:string></camunda:field><camunda:inputOutput>"#,
            r#"<camunda:inputParameter name="more">1</camunda:inputParameter>"#,
            r#"<b:messageEventDefinition camunda:class="C"><b:extensionElements><camunda:field name="profile"><camunda:string>http://highmed.org/fhir/StructureDefinition/task-a|0.7</camunda:string></camunda:field></b:extensionElements></b:messageEventDefinition>"#,
        ] {
            assert!(after.contains(part), "{part} is missing in {after}");
        }
        assert!(!after.contains("instantiatesUri"));
        Document::parse(&after).unwrap();
    }
}
