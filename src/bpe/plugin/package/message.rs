//! The resources that every process needs, made from `[[process.message]]` of the manifest: the
//! ActivityDefinition, the profile of each message, and drafts of those that people send by hand.
//!
//! Whoever needs more than a message's name in a Task writes these files himself; what is listed
//! under `resources` takes the place of what would be made.

use serde_json::{Value, json};

use super::manifest::{Manifest, MessageEntry, ProcessEntry};
use crate::r4::{Resource, dsf};

const PROFILES: &str = "http://dsf.dev/fhir/StructureDefinition/";

/// A resource that no file holds, under the name by which problems speak of it.
pub(super) struct Made {
    pub name: String,
    pub resource: Value,
}

/// All resources of a process's messages; nothing when it declares none.
pub(super) fn made(entry: &ProcessEntry, manifest: &Manifest, organization: &str) -> Vec<Made> {
    let Some(url) = entry.url.as_deref().filter(|_| !entry.messages.is_empty()) else {
        return Vec::new();
    };
    let by = By {
        url,
        entry,
        manifest,
        organization,
    };
    let of = |what: &str, resource: Value| Made {
        name: format!("plugin.toml#{}/{what}", entry.id),
        resource,
    };
    let mut made = vec![of("ActivityDefinition", by.activity_definition())];
    for message in &entry.messages {
        let name = &message.name;
        made.push(of(
            &format!("StructureDefinition/{name}"),
            by.profile(message),
        ));
        if message.draft {
            made.push(of(&format!("Task/{name}"), by.draft(message)));
        }
    }
    made
}

/// What resources are made by.
struct By<'a> {
    url: &'a str,
    entry: &'a ProcessEntry,
    manifest: &'a Manifest,
    organization: &'a str,
}

impl By<'_> {
    fn version(&self) -> &str {
        self.manifest.version.resource_version()
    }

    /// `http://example.org` of `http://example.org/bpe/Process/hello`.
    fn domain(&self) -> &str {
        self.url.split("/bpe/Process/").next().unwrap_or(self.url)
    }

    fn process_name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or(self.url)
    }

    fn canonical(&self) -> String {
        format!("{}|{}", self.url, self.version())
    }

    fn profile_url(&self, message: &MessageEntry) -> String {
        format!(
            "{}/fhir/StructureDefinition/task-{}",
            self.domain(),
            kebab(&message.name)
        )
    }

    fn publisher(&self) -> &str {
        self.manifest
            .publisher
            .as_deref()
            .unwrap_or(&self.manifest.name)
    }

    fn activity_definition(&self) -> Value {
        let authorizations: Vec<Value> = self
            .entry
            .messages
            .iter()
            .map(|message| self.authorization(message))
            .collect();
        json!({
            "resourceType": "ActivityDefinition",
            "meta": meta(&format!("{PROFILES}activity-definition")),
            "extension": authorizations,
            "url": self.url,
            "version": self.version(),
            "name": pascal(self.process_name()),
            "title": self.manifest.title.as_deref().unwrap_or(&self.manifest.name),
            "status": "unknown",
            "experimental": false,
            "date": self.manifest.release_date,
            "publisher": self.publisher(),
            "kind": "Task",
        })
    }

    fn authorization(&self, message: &MessageEntry) -> Value {
        let coding = |url: &str, code: &str| {
            json!({ "url": url, "valueCoding": {
                "system": format!("{}/process-authorization", "http://dsf.dev/fhir/CodeSystem"),
                "code": code,
            } })
        };
        let profile = format!("{}|{}", self.profile_url(message), self.version());
        let mut parts = vec![
            json!({ "url": "message-name", "valueString": message.name }),
            json!({ "url": "task-profile", "valueCanonical": profile }),
        ];
        parts.extend(message.from.iter().map(|code| coding("requester", code)));
        parts.push(coding("recipient", "LOCAL_ALL"));
        json!({ "url": format!("{PROFILES}extension-process-authorization"), "extension": parts })
    }

    fn profile(&self, message: &MessageEntry) -> Value {
        json!({
            "resourceType": "StructureDefinition",
            "meta": meta(&format!("{PROFILES}structure-definition")),
            "url": self.profile_url(message),
            "version": self.version(),
            "name": format!("Task{}", pascal(&message.name)),
            "status": "unknown",
            "experimental": false,
            "date": self.manifest.release_date,
            "publisher": self.publisher(),
            "fhirVersion": "4.0.1",
            "kind": "resource",
            "abstract": false,
            "type": "Task",
            "baseDefinition": format!("{PROFILES}task"),
            "derivation": "constraint",
            "differential": { "element": [
                {
                    "id": "Task.instantiatesCanonical",
                    "path": "Task.instantiatesCanonical",
                    "fixedCanonical": self.canonical(),
                },
                {
                    "id": "Task.input:message-name",
                    "path": "Task.input",
                    "sliceName": "message-name",
                },
                {
                    "id": "Task.input:message-name.value[x]",
                    "path": "Task.input.value[x]",
                    "fixedString": message.name,
                },
            ] },
        })
    }

    fn draft(&self, message: &MessageEntry) -> Value {
        let own = json!({
            "type": "Organization",
            "identifier": { "system": dsf::sid::ORGANIZATION, "value": self.organization },
        });
        let name = kebab(&message.name);
        json!({
            "resourceType": "Task",
            "meta": { "profile": [format!("{}|{}", self.profile_url(message), self.version())] },
            "identifier": [{
                "system": dsf::sid::TASK,
                "value": format!("{}/{}/{name}", self.url, self.version()),
            }],
            "instantiatesCanonical": self.canonical(),
            "status": "draft",
            "intent": "order",
            "authoredOn": self.manifest.release_date,
            "requester": own,
            "restriction": { "recipient": [own] },
            "input": [{
                "type": { "coding": [{
                    "system": dsf::system::BPMN_MESSAGE,
                    "code": dsf::message::NAME,
                }] },
                "valueString": message.name,
            }],
        })
    }
}

fn meta(profile: &str) -> Value {
    json!({
        "profile": [profile],
        "tag": [{ "system": "http://dsf.dev/fhir/CodeSystem/read-access-tag", "code": "ALL" }],
    })
}

/// Whether a file of the package says what would be made.
pub(super) fn is_same(made: &Value, resource: &Resource) -> bool {
    let same = |name: &str| made.get(name) == resource.get(name);
    made["resourceType"] == resource.type_name()
        && match made["resourceType"].as_str() {
            Some("Task") => same("identifier"),
            _ => same("url"),
        }
}

/// `hello-world` of `helloWorld`.
fn kebab(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() && !text.ends_with('-') {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// `HelloWorld` of `helloWorld` and `hello-world`.
fn pascal(name: &str) -> String {
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric());
    words
        .map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|letter| letter.to_ascii_uppercase());
            first.into_iter().chain(letters).collect::<String>()
        })
        .collect()
}
