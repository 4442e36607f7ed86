//! The FHIR resources of a package: read and checked before anything reaches the server.

use std::collections::HashMap;

use serde_json::Value;

use super::adapt::adapt;
use super::files::Files;
use super::manifest::{Manifest, ProcessEntry};
use super::message::Made;
use super::placeholder::{Substitutes, Syntax, replace};
use super::problem::Problems;
use super::{cross, message, naming};
use crate::r4::{Node, Resource, ResourceType, dsf, json, xml};

/// In the order in which they are put on the server: what others need comes first.
pub(crate) const DEPLOYED_TYPES: [ResourceType; 9] = [
    ResourceType::NamingSystem,
    ResourceType::CodeSystem,
    ResourceType::ValueSet,
    ResourceType::StructureDefinition,
    ResourceType::Library,
    ResourceType::Measure,
    ResourceType::Questionnaire,
    ResourceType::ActivityDefinition,
    ResourceType::Task,
];

/// A resource, ready to be put on the server.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    pub file: String,
    pub kind: ResourceType,
    /// The search that finds it on the server, without the type (spec/bpe.md §5.7).
    pub condition: String,
    pub resource: Resource,
    /// What the file says, for the places of findings; empty if there is no file.
    pub text: String,
}

impl Prepared {
    /// Its place in the order in which resources are put on a server.
    #[must_use]
    pub fn rank(&self) -> usize {
        let place = DEPLOYED_TYPES.iter().position(|kind| *kind == self.kind);
        place.unwrap_or_default()
    }

    /// Its status is that of its processes; a draft Task stays a draft.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.kind != ResourceType::Task
    }
}

/// Reads each file once, for however many processes name it.
pub(super) struct Reader<'a> {
    pub files: &'a Files,
    pub manifest: &'a Manifest,
    pub substitutes: &'a Substitutes<'a>,
    pub known: HashMap<String, Option<usize>>,
    pub prepared: Vec<Prepared>,
}

impl Reader<'_> {
    /// The places in `prepared` of the resources of a process.
    pub(super) fn process(&mut self, entry: &ProcessEntry, problems: &mut Problems) -> Vec<usize> {
        let mut places = Vec::new();
        for file in &entry.resources {
            let place = match self.known.get(file) {
                Some(place) => *place,
                None => self.read(file, problems),
            };
            self.known.insert(file.clone(), place);
            places.extend(place);
        }
        let own: Vec<Made> = message::made(entry, self.manifest, self.substitutes.organization)
            .into_iter()
            .filter(|made| {
                let mut files = places.iter().map(|at: &usize| &self.prepared[*at].resource);
                !files.any(|resource| message::is_same(&made.resource, resource))
            })
            .collect();
        for made in own {
            places.extend(self.take(made, problems));
        }
        let resources: Vec<&Prepared> = places.iter().map(|place| &self.prepared[*place]).collect();
        cross::check(entry, &resources, self.manifest, problems);
        places
    }

    /// Checks what was made as if it were a file.
    fn take(&mut self, made: Made, problems: &mut Problems) -> Option<usize> {
        let resource = Resource::from_value(made.resource)?;
        let prepared = self.checked(&made.name, resource, String::new());
        self.keep(&made.name, prepared, problems)
    }

    fn read(&mut self, file: &str, problems: &mut Problems) -> Option<usize> {
        let prepared = self.prepare(file);
        self.keep(file, prepared, problems)
    }

    fn keep(
        &mut self,
        file: &str,
        prepared: Result<(Prepared, Vec<String>), Vec<String>>,
        problems: &mut Problems,
    ) -> Option<usize> {
        match prepared {
            Ok((prepared, changes)) => {
                for change in changes {
                    problems.warning(file, "", change);
                }
                self.prepared.push(prepared);
                Some(self.prepared.len() - 1)
            }
            Err(messages) => {
                for message in messages {
                    problems.error(file, "", message);
                }
                None
            }
        }
    }

    /// The resource, and what had to be mended in it.
    fn prepare(&self, file: &str) -> Result<(Prepared, Vec<String>), Vec<String>> {
        let one = |message: String| vec![message];
        let text = self.files.text(file).map_err(one)?;
        let text = replace(
            &text,
            Syntax::of_resource(file),
            self.manifest,
            self.substitutes,
        )?;
        let resource = parse(file, &text).map_err(one)?;
        self.checked(file, resource, text)
    }

    fn checked(
        &self,
        file: &str,
        mut resource: Resource,
        text: String,
    ) -> Result<(Prepared, Vec<String>), Vec<String>> {
        let one = |message: String| vec![message];
        let kind = resource
            .resource_type()
            .filter(|kind| DEPLOYED_TYPES.contains(kind))
            .ok_or_else(|| one(not_deployed(&resource)))?;
        let changes = adapt(&mut resource, kind, self.manifest.api);
        let mut messages = Vec::new();
        check(kind, &resource, self.manifest, &mut messages);
        if kind == ResourceType::Task {
            super::draft::check(&resource, self.substitutes.organization, &mut messages);
        }
        match condition(kind, &resource) {
            Some(condition) if messages.is_empty() => {
                let prepared = Prepared {
                    file: file.to_owned(),
                    kind,
                    condition,
                    resource,
                    text,
                };
                Ok((prepared, changes))
            }
            _ => Err(messages),
        }
    }
}

fn not_deployed(resource: &Resource) -> String {
    let types: Vec<&str> = DEPLOYED_TYPES.iter().map(|kind| kind.name()).collect();
    format!(
        "is of type {}; a process may bring {}",
        resource.type_name(),
        types.join(", ")
    )
}

pub(super) fn parse(file: &str, text: &str) -> Result<Resource, String> {
    match file.rsplit_once('.').map(|(_, extension)| extension) {
        Some("json") => json::parse(text.as_bytes()).map_err(|error| error.to_string()),
        Some("xml") => xml::parse(text.as_bytes()).map_err(|error| error.to_string()),
        _ => Err("must be a .json or .xml file".to_owned()),
    }
}

/// The search that finds the resource; nothing when it lacks what that needs.
fn condition(kind: ResourceType, resource: &Resource) -> Option<String> {
    match kind {
        ResourceType::NamingSystem => Some(format!("name={}", resource.str("name")?)),
        ResourceType::Task => {
            let identifier = super::draft::identifier(resource)?;
            Some(format!(
                "identifier={}|{identifier}&status=draft",
                dsf::sid::TASK
            ))
        }
        _ => Some(format!(
            "url={}&version={}",
            resource.str("url")?,
            resource.str("version")?
        )),
    }
}

fn check(kind: ResourceType, resource: &Resource, manifest: &Manifest, messages: &mut Vec<String>) {
    match kind {
        ResourceType::Task => return,
        ResourceType::NamingSystem => {
            if resource.str("name").is_none() {
                messages.push("name is missing".to_owned());
            }
            return;
        }
        _ => {}
    }
    if resource.str("url").is_none() {
        messages.push("url is missing".to_owned());
    }
    let version = manifest.version.resource_version();
    let found = resource.str("version").unwrap_or("absent");
    if found != version {
        messages.push(format!(
            "version is {found}, must be #{{version}}, here {version}"
        ));
    }
    match kind {
        ResourceType::StructureDefinition => structure_definition(resource, messages),
        ResourceType::Questionnaire => questionnaire(resource, messages),
        _ => {}
    }
}

fn structure_definition(resource: &Resource, messages: &mut Vec<String>) {
    const OLD_BASE: &str = "http://dsf.dev/fhir/StructureDefinition/task-base";
    let base = resource.str("baseDefinition").unwrap_or_default();
    if base == OLD_BASE || base == "http://dsf.dev/fhir/StructureDefinition/task-base|1.0.0" {
        let now = "http://dsf.dev/fhir/StructureDefinition/task";
        messages.push(format!(
            "baseDefinition: task-base is of DSF 1; use {now}, or say api = 1 in plugin.toml"
        ));
    }
    for view in ["differential", "snapshot"] {
        let elements = resource
            .get(view)
            .into_iter()
            .flat_map(|view| view.items("element"));
        for element in elements {
            let bound = element
                .member("binding")
                .and_then(|one| one.text("valueSet"));
            if bound.is_some_and(is_versioned_dsf) {
                messages.push(format!(
                    "{view}: {} is bound to a value set of the DSF with version; leave it out",
                    element.text("id").unwrap_or("an element")
                ));
            }
        }
    }
}

pub(super) fn is_versioned_dsf(canonical: &str) -> bool {
    let ours = canonical.starts_with("http://dsf.dev/fhir/");
    ours && (canonical.ends_with("|1.0.0") || canonical.ends_with("|2.0.0"))
}

fn questionnaire(resource: &Resource, messages: &mut Vec<String>) {
    for item in resource.list("item") {
        let id = item.text("linkId").unwrap_or_default();
        let required = item.get("required").and_then(Value::as_bool);
        let is_host = id == dsf::item::BUSINESS_KEY || id == dsf::item::USER_TASK_ID;
        // FHIR itself forbids it on texts that are only shown.
        if item.text("type") == Some("display") {
            continue;
        }
        if required.is_none() {
            messages.push(format!("item {id}: required must be set"));
        } else if is_host && required != Some(true) {
            messages.push(format!("item {id}: required must be true"));
        }
    }
}

/// The process id that an ActivityDefinition belongs to.
pub(super) fn process_of(definition: &Prepared) -> Option<String> {
    naming::process_id(definition.resource.str("url")?)
}
