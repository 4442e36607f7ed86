//! What only some types of resources are asked, beyond their profiles.

use serde_json::Value;

use super::Judge;
use super::trail::Trail;
use super::value::is_absolute;
use crate::fhir::validate::library::Missing;
use crate::fhir::validate::spot::Spot;
use crate::r4::Node as _;
use crate::r4::outcome::IssueType;

/// Deepest hierarchy of concepts that is counted.
const DEEPEST: usize = 64;

impl<'a> Judge<'a> {
    pub(super) fn particular(&mut self, spot: Spot<'a>, trail: &Trail<'_>) -> Result<(), Missing> {
        let Some(value) = spot.value else {
            return Ok(());
        };
        match spot.type_name {
            "Bundle" => self.bundle(value, trail),
            "CodeSystem" => self.code_system(value, trail),
            "QuestionnaireResponse" => return self.questionnaire_response(spot, value, trail),
            "StructureDefinition" => return self.structure_definition(value, trail),
            "ValueSet" => return self.value_set(value, trail),
            _ => {}
        }
        Ok(())
    }

    /// The address of an entry ends in the id of its resource.
    fn bundle(&mut self, bundle: &Value, trail: &Trail<'_>) {
        for (index, entry) in bundle.items("entry").enumerate() {
            let id = entry
                .member("resource")
                .and_then(|resource| resource.text("id"));
            let (Some(url), Some(id)) = (entry.text("fullUrl"), id) else {
                continue;
            };
            if url.starts_with("http") && url.rsplit('/').next() != Some(id) {
                let text = format!(
                    "Bundle.entry[{index}]: fullUrl {url} does not end in the id '{id}' of its resource"
                );
                self.error(IssueType::Invalid, trail, "bundle-full-url", text);
            }
        }
    }

    fn code_system(&mut self, system: &Value, trail: &Trail<'_>) {
        if system.member("supplements").is_some() && system.text("content") != Some("supplement") {
            let text = "CodeSystem.content: it must be supplement, because there is supplements";
            self.error(
                IssueType::Invalid,
                trail,
                "code-system-supplement",
                text.to_owned(),
            );
        }
        let is_complete = system.text("content") == Some("complete");
        let count = system.member("count").and_then(Value::as_u64);
        let actual = concepts(system, 0);
        if let Some(count) = count.filter(|count| is_complete && *count != actual) {
            let text = format!("CodeSystem.count: {count}, but there are {actual} concepts");
            self.error(IssueType::Invalid, trail, "code-system-count", text);
        }
    }

    /// The version of a system stands in its own element.
    fn versioned(&mut self, system: &str, version: Option<&str>, trail: &Trail<'_>) {
        let own = system.split_once('|').map(|(_, own)| own);
        if let Some(own) = own.filter(|own| !own.is_empty() && version != Some(own)) {
            let text = format!(
                "ValueSet.compose.include: the version of {system} belongs into version: '{own}'"
            );
            self.error(IssueType::Value, trail, "value-set-system", text);
        }
    }

    /// Enumerated codes should be codes of their system.
    fn value_set(&mut self, set: &Value, trail: &Trail<'_>) -> Result<(), Missing> {
        for include in set
            .member("compose")
            .into_iter()
            .flat_map(|compose| compose.items("include"))
        {
            let Some(system) = include.text("system") else {
                continue;
            };
            if !is_absolute(system) {
                self.relative(system, trail);
            }
            self.versioned(system, include.text("version"), trail);
            if include.items("concept").next().is_none() {
                continue;
            }
            let Some(listed) = self.library.code_system(system, include.text("version"))? else {
                continue;
            };
            for code in include
                .items("concept")
                .filter_map(|concept| concept.text("code"))
            {
                if listed.is_complete && !listed.contains(code) {
                    let text = format!("ValueSet.compose.include: '{code}' is no code of {system}");
                    self.warn(IssueType::CodeInvalid, trail, "value-set-code", text);
                }
            }
        }
        Ok(())
    }
}

fn concepts(at: &Value, depth: usize) -> u64 {
    if depth > DEEPEST {
        return 0;
    }
    at.items("concept")
        .map(|concept| 1 + concepts(concept, depth + 1))
        .sum()
}
