//! References: what they say of their target must agree (fhir-conformance §2.11). Targets
//! elsewhere are not followed.

use serde_json::Value;

use super::Judge;
use super::trail::Trail;
use crate::fhir::validate::core::STRUCTURE;
use crate::fhir::validate::library::Missing;
use crate::fhir::validate::profile::TypeRule;
use crate::fhir::validate::spot::Spot;
use crate::r4::outcome::IssueType;
use crate::r4::table::is_resource_type;

impl<'a> Judge<'a> {
    pub(super) fn reference(
        &mut self,
        kind: Option<&TypeRule>,
        spot: Spot<'a>,
        trail: &Trail<'_>,
    ) -> Result<(), Missing> {
        let text = |name: &str| spot.value.and_then(|value| value.get(name)?.as_str());
        let (declared, literal) = (text("type"), text("reference"));
        let Some(literal) = literal else {
            return Ok(());
        };
        if literal.contains(char::is_whitespace) {
            let text = format!(
                "{}: '{literal}' is no reference; write it without blanks, such as Organization/1",
                trail.expression()
            );
            self.error(IssueType::Invalid, trail, "reference-form", text);
            return Ok(());
        }
        let found = match literal.strip_prefix('#') {
            Some(id) => self.contained_type(id),
            None => type_of(literal),
        };
        let Some(found) = found else {
            // Only the reference itself says what it leads to.
            return match declared {
                Some(declared) => self.target(kind, declared, trail),
                None => Ok(()),
            };
        };
        let is_local = literal.starts_with('#');
        if let Some(declared) = declared
            && declared != found
        {
            let text = format!(
                "{}: type is {declared}, but the reference {literal} is to a {found}",
                trail.expression()
            );
            self.error(IssueType::Structure, trail, "reference-type", text);
        }
        if declared.is_none() && !is_local {
            return Ok(());
        }
        self.target(kind, found, trail)
    }

    /// Whether this type may be referred to.
    fn target(
        &mut self,
        kind: Option<&TypeRule>,
        found: &str,
        trail: &Trail<'_>,
    ) -> Result<(), Missing> {
        let Some(allowed) = self.allowed(kind)? else {
            return Ok(());
        };
        if !allowed.iter().any(|one| one == found) {
            let text = format!(
                "{}: a reference to {found} is not allowed, only to {}",
                trail.expression(),
                allowed.join(", ")
            );
            self.error(IssueType::Structure, trail, "reference-target", text);
        }
        Ok(())
    }

    /// The types that may be referred to; `None` when any may, or when it is not known.
    fn allowed(&self, kind: Option<&TypeRule>) -> Result<Option<Vec<String>>, Missing> {
        let Some(kind) = kind.filter(|kind| !kind.targets.is_empty()) else {
            return Ok(None);
        };
        let mut types = Vec::new();
        for target in &kind.targets {
            let url = target.split('|').next().unwrap_or(target);
            match url.strip_prefix(STRUCTURE) {
                Some("Resource") => return Ok(None),
                Some(name) if is_resource_type(name) => types.push(name.to_owned()),
                _ => match self.library.definition(target)? {
                    Some(definition) => types.push(definition.type_name.clone()),
                    None => return Ok(None),
                },
            }
        }
        types.sort_unstable();
        types.dedup();
        Ok(Some(types))
    }

    pub(super) fn contained_type(&self, id: &str) -> Option<&'a str> {
        let contained = self.root.value?.get("contained")?.as_array()?;
        self.budget.spend(contained.len() as u64);
        let one = contained
            .iter()
            .find(|one| one.get("id").and_then(Value::as_str) == Some(id))?;
        one.get("resourceType")?.as_str()
    }
}

/// The type in `Type/id`, perhaps behind a base and before a version.
fn type_of(literal: &str) -> Option<&str> {
    let path = match literal.split_once("/_history/") {
        Some((path, _)) => path,
        None => literal,
    };
    let mut steps = path.rsplit('/');
    let (_, name) = (steps.next()?, steps.next()?);
    is_resource_type(name).then_some(name)
}
