//! Resources as older process plugins have them, brought to what DSF 2 asks for (spec/bpe.md §5.5).
//!
//! Files stay as they are; what is put on the server is mended. A package that says `api = 1` was
//! written for DSF 1, where all of this was right, one that says `api = 0` before that; for others
//! each change is a warning.

use serde_json::{Value, json};

use super::manifest::Api;
use super::renaming::rename;
use super::resource::is_versioned_dsf;
use crate::r4::{Node, Resource, ResourceType, dsf};

const PROFILES: &str = "http://dsf.dev/fhir/StructureDefinition/";
const OLD_BASE: &str = "http://dsf.dev/fhir/StructureDefinition/task-base";
const BASE: &str = "http://dsf.dev/fhir/StructureDefinition/task";

/// Mends a resource; what a package of the present should have written itself.
pub(super) fn adapt(resource: &mut Resource, kind: ResourceType, api: Api) -> Vec<String> {
    let mut changes = Vec::new();
    if api == Api::Zero {
        rename(resource);
    }
    if let Some(name) = profile_name(kind) {
        claim(resource, name, &mut changes);
    }
    if api != Api::Two {
        match kind {
            ResourceType::StructureDefinition => {
                rebase(resource);
                unbind(resource);
            }
            ResourceType::Questionnaire => complete_items(resource),
            _ => {}
        }
        changes.clear();
    }
    changes
}

/// The profile that DSF 2 has for a type that plugins bring.
fn profile_name(kind: ResourceType) -> Option<&'static str> {
    Some(match kind {
        ResourceType::ActivityDefinition => "activity-definition",
        ResourceType::CodeSystem => "code-system",
        ResourceType::Library => "library",
        ResourceType::Measure => "measure",
        ResourceType::NamingSystem => "naming-system",
        ResourceType::Questionnaire => "questionnaire",
        ResourceType::StructureDefinition => "structure-definition",
        ResourceType::ValueSet => "value-set",
        _ => return None,
    })
}

/// Claims the profile of the type, without version.
fn claim(resource: &mut Resource, name: &str, changes: &mut Vec<String>) {
    let wanted = format!("{PROFILES}{name}");
    let versioned = format!("{wanted}|");
    if resource.profiles().any(|one| one == wanted) {
        return;
    }
    let kept: Vec<String> = resource
        .profiles()
        .filter(|one| !one.starts_with(&versioned))
        .map(str::to_owned)
        .collect();
    changes.push(if kept.len() < resource.profiles().count() {
        format!("meta.profile: {wanted} is taken without its version; leave the version out")
    } else {
        format!("meta.profile: {wanted} is added; write it into the file")
    });
    let all: Vec<String> = std::iter::once(wanted).chain(kept).collect();
    let meta = resource
        .members_mut()
        .entry("meta")
        .or_insert_with(|| json!({}));
    if let Value::Object(meta) = meta {
        meta.insert("profile".to_owned(), json!(all));
    }
}

fn rebase(resource: &mut Resource) {
    let base = resource.str("baseDefinition").unwrap_or_default();
    if base.split('|').next() == Some(OLD_BASE) {
        let members = resource.members_mut();
        members.insert("baseDefinition".to_owned(), Value::from(BASE));
    }
}

/// Value sets of the DSF are bound without version.
fn unbind(resource: &mut Resource) {
    for view in ["differential", "snapshot"] {
        let elements = resource
            .members_mut()
            .get_mut(view)
            .and_then(|view| view.get_mut("element")?.as_array_mut());
        for element in elements.into_iter().flatten() {
            let bound = element
                .get_mut("binding")
                .and_then(|binding| binding.get_mut("valueSet"));
            if let Some(Value::String(canonical)) = bound
                && is_versioned_dsf(canonical)
                && let Some((url, _)) = canonical.clone().split_once('|')
            {
                url.clone_into(canonical);
            }
        }
    }
}

/// What must be answered was not said in DSF 1: the two items of the host must, others need not.
fn complete_items(resource: &mut Resource) {
    let items = resource.members_mut().get_mut("item");
    for item in items.and_then(Value::as_array_mut).into_iter().flatten() {
        let id = item.text("linkId").unwrap_or_default();
        let is_host = id == dsf::item::BUSINESS_KEY || id == dsf::item::USER_TASK_ID;
        let is_shown_only = item.text("type") == Some("display");
        if let Value::Object(item) = item
            && !is_shown_only
            && (is_host || !item.contains_key("required"))
        {
            item.insert("required".to_owned(), Value::Bool(is_host));
        }
    }
}
