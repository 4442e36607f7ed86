//! The profile a resource claims if it claims none of its type's own (fhir-api §4.10).

use serde_json::Value;

use crate::r4::{Resource, ResourceType};

const BASE: &str = "http://dsf.dev/fhir/StructureDefinition/";

/// The default profile of a type; a Task names its own.
#[must_use]
pub fn default_profile(kind: ResourceType) -> Option<String> {
    (kind != ResourceType::Task).then(|| format!("{BASE}{}", kebab_case(kind.name())))
}

/// Profiles that serve in place of the default one.
#[must_use]
pub fn secondary_profiles(kind: ResourceType) -> &'static [&'static str] {
    match kind {
        ResourceType::Organization => {
            &["http://dsf.dev/fhir/StructureDefinition/organization-parent"]
        }
        _ => &[],
    }
}

/// Puts the default profile first, unless the resource claims it or a secondary one.
pub fn ensure(resource: &mut Resource) {
    let Some(kind) = resource.resource_type() else { return };
    let Some(default) = default_profile(kind) else { return };
    let claims = |profile: &str| profile == default || secondary_profiles(kind).contains(&profile);
    if resource.profiles().any(claims) {
        return;
    }
    let meta = resource.members_mut().entry("meta").or_insert_with(|| Value::Object(Default::default()));
    let Value::Object(meta) = meta else { return };
    let mut profiles = vec![Value::String(default)];
    if let Some(Value::Array(claimed)) = meta.get("profile") {
        for profile in claimed {
            if !profiles.contains(profile) {
                profiles.push(profile.clone());
            }
        }
    }
    meta.insert("profile".to_owned(), Value::Array(profiles));
}

fn kebab_case(name: &str) -> String {
    let mut kebab = String::new();
    for (index, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && index > 0 {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}
