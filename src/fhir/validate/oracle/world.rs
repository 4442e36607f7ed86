//! The material: what is known, and resources to start from.

use serde_json::{Value, json};

use super::sample;
use crate::fhir::validate::tests::{deployed, files, own};
use crate::fhir::validate::{Definition, Library};
use crate::kernel::testing::shared;
use crate::r4::Resource;

/// Conformance resources, and resources that are judged by them.
pub struct World {
    pub library: Library,
    pub definitions: Vec<Value>,
    pub resources: Vec<(String, Value)>,
}

/// DSF itself with the allow lists of the material, and each plugin.
pub fn all() -> Vec<World> {
    let own = own();
    let mut worlds = vec![plain(&own)];
    if super::is_whole() {
        worlds.extend(published());
    }
    let Some(folder) = shared("plugins") else {
        return worlds;
    };
    let mut plugins: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().collect();
    plugins.sort_by_key(std::fs::DirEntry::path);
    for plugin in plugins {
        let name = plugin.file_name().to_string_lossy().into_owned();
        let files = files(&plugin.path());
        let deployed = files.iter().filter_map(|path| deployed(path));
        let resources: Vec<Resource> = deployed.collect();
        let is_older = |resource: &Resource| {
            let base = resource.str("baseDefinition").unwrap_or_default();
            base.contains("highmed.org")
        };
        // The base profiles of the predecessor of DSF are not part of the material.
        if super::is_whole() || !resources.iter().any(is_older) {
            worlds.push(world(&name, &own, &resources));
        }
    }
    worlds
}

/// The conformance resources of DSF 2.1, by themselves.
fn published() -> Option<World> {
    let files = files(&shared("dsf-conformance")?);
    let resources: Vec<Resource> = files.iter().filter_map(|path| deployed(path)).collect();
    Some(world("published", &[], &resources))
}

fn plain(own: &[Resource]) -> World {
    let mut resources = Vec::new();
    for folder in ["bundles", "dsf-test-resources"] {
        let Some(folder) = shared(folder) else {
            continue;
        };
        for resource in files(&folder).iter().filter_map(|path| deployed(path)) {
            let entries = resource
                .list("entry")
                .filter_map(|entry| entry.get("resource"));
            let entries = entries.filter_map(|entry| Resource::from_value(entry.clone()));
            resources.extend(entries.map(|mut entry| {
                crate::fhir::profile::ensure(&mut entry);
                entry
            }));
            resources.push(resource);
        }
    }
    // Of each kind some are enough: the allow lists repeat themselves.
    let mut seen = std::collections::HashMap::<String, usize>::new();
    resources.retain(|resource| {
        let count = seen.entry(resource.type_name().to_owned()).or_default();
        *count += 1;
        let is_definition = resource
            .str("url")
            .is_some_and(|url| url.starts_with("http://dsf.dev"));
        let is_enough = *count > 14 && !super::is_whole();
        !is_enough && !is_definition && resource.members().len() > 2
    });
    world("dsf", own, &resources)
}

fn world(name: &str, own: &[Resource], resources: &[Resource]) -> World {
    let is_definition = |resource: &&Resource| {
        matches!(
            resource.type_name(),
            "StructureDefinition" | "CodeSystem" | "ValueSet" | "Questionnaire"
        )
    };
    let known: Vec<&Resource> = own
        .iter()
        .chain(resources.iter().filter(is_definition))
        .filter(is_definition)
        .collect();
    let library = Library::of(known.iter().copied());
    let mut all: Vec<(String, Value)> = Vec::new();
    for resource in resources {
        let label = format!("{name} {}", resource.type_name());
        let value = resource.clone().into_value();
        if resource.type_name() == "Task" {
            all.push((format!("{label} requested"), requested(&value)));
        }
        if resource.type_name() == "Questionnaire" {
            for status in ["in-progress", "completed"] {
                let label = format!("{name} QuestionnaireResponse {status}");
                all.push((label, sample::of_form(&value, status)));
            }
        }
        all.push((label, value));
    }
    let from = if name == "dsf" { own } else { resources };
    for definition in from
        .iter()
        .filter_map(|resource| Definition::read(resource).ok())
    {
        if definition.kind == "resource" {
            for is_full in [false, true] {
                if let Some(made) = sample::of_profile(&library, &definition, is_full) {
                    let word = if is_full { "full" } else { "least" };
                    all.push((format!("{name} {word} {}", definition.url), made));
                }
            }
        }
    }
    World {
        definitions: known
            .iter()
            .map(|resource| (*resource).clone().into_value())
            .collect(),
        library,
        resources: all,
    }
}

/// A draft as a partner sends it.
fn requested(draft: &Value) -> Value {
    let mut task = draft.clone();
    task["status"] = json!("requested");
    if let Value::Object(members) = &mut task {
        members.remove("identifier");
    }
    task["authoredOn"] = json!("2026-03-04T10:11:12+01:00");
    task["requester"]["identifier"]["value"] = json!("Other_Organization");
    task
}
