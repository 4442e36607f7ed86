//! What a profile is asked when it is stored: whether anybody will be able to use it.

use serde_json::Value;

use super::Judge;
use super::trail::Trail;
use crate::fhir::validate::Definition;
use crate::fhir::validate::definition::Element;
use crate::fhir::validate::fhirpath::Expression;
use crate::fhir::validate::library::Missing;
use crate::fhir::validate::snapshot::{self, Failure};
use crate::r4::outcome::IssueType;
use crate::r4::{Node as _, Resource};

/// The types whose values have an order.
const ORDERED: [&str; 9] = [
    "date",
    "dateTime",
    "instant",
    "time",
    "decimal",
    "integer",
    "positiveInt",
    "unsignedInt",
    "Quantity",
];

impl<'a> Judge<'a> {
    pub(super) fn structure_definition(
        &mut self,
        value: &Value,
        trail: &Trail<'_>,
    ) -> Result<(), Missing> {
        let read = |whole| Definition::read(&whole).ok();
        let Some(definition) = Resource::from_value(value.clone()).and_then(read) else {
            // What it lacks is said already.
            return Ok(());
        };
        for element in &definition.differential {
            self.expressions(element, trail);
            self.bounds(element, trail);
        }
        if definition.base.is_some() && value.text("derivation").is_none() {
            let text = "StructureDefinition.derivation: it is needed beside baseDefinition: \
                        constraint for a profile";
            self.error(IssueType::Required, trail, "derivation", text.to_owned());
        }
        if !definition.is_constraint || definition.kind == "logical" {
            return Ok(());
        }
        let base = definition.base.as_deref().unwrap_or_default();
        if self.library.definition(base)?.is_none() {
            let text = format!("StructureDefinition.baseDefinition: {base} is not known here yet");
            self.warn(IssueType::NotFound, trail, "profile-unknown", text);
            return Ok(());
        }
        match self.library.snapshot_of(&definition) {
            Ok(tree) => {
                for element in snapshot::elements(&tree) {
                    self.given_types(&element, trail);
                }
            }
            Err(Failure::Missing(missing)) => return Err(missing),
            Err(Failure::Broken(reason)) => {
                let text = format!("StructureDefinition: nobody could use this profile: {reason}");
                self.error(IssueType::Invalid, trail, "profile-broken", text);
            }
        }
        Ok(())
    }

    /// Expressions that could not be judged later are said at once.
    fn expressions(&mut self, element: &Element, trail: &Trail<'_>) {
        for constraint in element.items("constraint") {
            let Some(expression) = constraint.text("expression") else {
                continue;
            };
            if let Err(reason) = Expression::parse(expression) {
                let text = format!(
                    "{}: the expression of constraint {} is not understood, so that no resource \
                     can meet it: {reason}",
                    element.text("path").unwrap_or("?"),
                    constraint.text("key").unwrap_or("?")
                );
                self.warn(IssueType::NotSupported, trail, "expression", text);
            }
        }
    }

    /// Only some types that a differential names have an order.
    fn bounds(&mut self, element: &Element, trail: &Trail<'_>) {
        let types = || {
            let types = element.items("type");
            types.filter_map(|kind| kind.text("code"))
        };
        if types().next().is_none() || types().any(|code| ORDERED.contains(&code)) {
            return;
        }
        let is_bound =
            |name: &&String| ["minValue", "maxValue"].iter().any(|b| name.starts_with(b));
        for name in element.keys().filter(is_bound) {
            let place = element.text("id").unwrap_or("?");
            let text = format!("{place}: {name} bounds values that have no order");
            self.error(IssueType::Value, trail, "fixed-type", text);
        }
    }

    /// Given values are of a type that the element may have.
    fn given_types(&mut self, element: &Element, trail: &Trail<'_>) {
        let types: Vec<&str> = element
            .items("type")
            .filter_map(|kind| kind.text("code"))
            .collect();
        // Addresses and ids of elements are values of FHIRPath.
        if types.is_empty() || types.iter().any(|code| code.contains("/fhirpath/")) {
            return;
        }
        let place = element.text("id").unwrap_or("?");
        for name in element.keys() {
            let given = ["fixed", "pattern"]
                .iter()
                .find_map(|stem| name.strip_prefix(stem));
            if let Some(given) = given
                && !types.iter().any(|code| code.eq_ignore_ascii_case(given))
            {
                let allowed = types.join(", ");
                let text = format!("{place}: {name} is none of the element's types: {allowed}");
                self.error(IssueType::Value, trail, "fixed-type", text);
            }
        }
    }
}
