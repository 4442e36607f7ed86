//! What a profile is asked when it is stored: whether anybody will be able to use it.

use serde_json::Value;

use super::Judge;
use super::trail::Trail;
use crate::fhir::validate::Definition;
use crate::fhir::validate::core;
use crate::fhir::validate::definition::Element;
use crate::fhir::validate::fhirpath::Expression;
use crate::fhir::validate::library::Missing;
use crate::fhir::validate::snapshot::{Failure, Note};
use crate::fhir::validate::spot::Spot;
use crate::fhir::validate::terminology::{Coded, Membership, membership};
use crate::r4::outcome::{IssueType, Severity};
use crate::r4::table::{Content, table};
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
        for (index, element) in definition.differential.iter().enumerate() {
            self.expressions(element, (index, trail));
            self.bounds(&definition, element, (index, trail));
            if definition.is_constraint {
                self.meaning(element, (index, trail));
            }
        }
        self.contexts(&definition, trail);
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
                for note in &tree.notes {
                    self.given_types(note, trail);
                    self.narrower(note, trail)?;
                }
            }
            Err(Failure::Missing(missing)) => return Err(missing),
            Err(Failure::Broken(reason)) => {
                let text = format!("StructureDefinition: nobody could use this profile: {reason}");
                match self.culprit(&definition) {
                    Some(index) => {
                        self.say(IssueType::Invalid, (index, trail), "profile-broken", text)
                    }
                    None => self.error(IssueType::Invalid, trail, "profile-broken", text),
                }
            }
        }
        Ok(())
    }

    /// The element of the differential that breaks it, unless its base is broken already.
    fn culprit(&self, definition: &Definition) -> Option<usize> {
        let breaks = |count: usize| {
            let mut part = definition.clone();
            part.differential.truncate(count);
            self.library.snapshot_of(&part).is_err()
        };
        let (mut sound, mut broken) = (0, definition.differential.len());
        while broken > sound + 1 {
            let middle = usize::midpoint(sound, broken);
            if breaks(middle) {
                broken = middle;
            } else {
                sound = middle;
            }
        }
        (sound > 0 || !breaks(0)).then_some(sound)
    }

    /// An error at an element of the differential.
    fn say(&mut self, kind: IssueType, place: (usize, &Trail<'_>), rule: &str, text: String) {
        self.tell((Severity::Error, kind), place, rule, text);
    }

    fn tell(
        &mut self,
        (severity, kind): (Severity, IssueType),
        (index, trail): (usize, &Trail<'_>),
        rule: &str,
        text: String,
    ) {
        let found = child(trail.spot, "differential", 0).and_then(|(element, spot)| {
            let (inner, below) = child(spot, "element", index)?;
            Some((element, spot, inner, below))
        });
        match found {
            Some((element, spot, inner, below)) => {
                let differential = trail.child(element, 0, spot);
                let at = differential.child(inner, index, below);
                self.find(severity, kind, &at, rule, text);
            }
            None => self.find(severity, kind, trail, rule, text),
        }
    }

    /// Where an extension may stand is an element of R4.
    fn contexts(&mut self, definition: &Definition, trail: &Trail<'_>) {
        let of_elements = definition
            .context
            .iter()
            .filter(|(kind, _)| kind == "element");
        for (_, expression) in of_elements.filter(|(_, expression)| !is_element(expression)) {
            let text = format!(
                "StructureDefinition.context: '{expression}' is no element of R4, such as Task.output"
            );
            self.error(IssueType::Invalid, trail, "context", text);
        }
    }

    /// A value set that is required instead of another has no code that the other has not.
    fn narrower(&mut self, note: &Note, trail: &Trail<'_>) -> Result<(), Missing> {
        let Some((base, own)) = &note.bound else {
            return Ok(());
        };
        let (Some(wide), Some(narrow)) =
            (self.library.value_set(base)?, self.library.value_set(own)?)
        else {
            return Ok(());
        };
        for part in narrow.include.iter().filter(|part| part.filters.is_empty()) {
            let Some(system) = part.system.as_deref().filter(|_| part.sets.is_empty()) else {
                continue;
            };
            let version = part.version.as_deref();
            let listed = match &part.codes {
                Some(_) => None,
                None => self.library.code_system(system, version)?,
            };
            let enumerated = part.codes.iter().flatten().map(|code| &**code);
            let listed = listed
                .as_ref()
                .into_iter()
                .flat_map(|listed| listed.codes());
            for code in enumerated.chain(listed) {
                let coded = Coded {
                    system: Some(system),
                    version,
                    code,
                };
                if membership(self.library, &wide, coded, self.budget)? == Membership::Out {
                    let text = format!(
                        "{}: value set {own} has '{system}#{code}', which the value set {base} \
                         that the base requires has not",
                        note.path
                    );
                    self.say(IssueType::Value, (note.index, trail), "binding-wider", text);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Expressions that could not be judged later are said at once.
    fn expressions(&mut self, element: &Element, place: (usize, &Trail<'_>)) {
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
                let kind = (Severity::Warning, IssueType::NotSupported);
                self.tell(kind, place, "expression", text);
            }
        }
    }

    /// What a missing element means is said by types, and by extensions.
    fn meaning(&mut self, element: &Element, place: (usize, &Trail<'_>)) {
        let path = element.text("path").unwrap_or_default();
        let is_extension = path == "Extension" || path.ends_with(".extension");
        if element.contains_key("meaningWhenMissing") && !is_extension {
            let text = format!("{path}: a profile has no meaningWhenMissing; leave it out");
            self.say(IssueType::Value, place, "meaning-when-missing", text);
        }
    }

    /// Only some types that a differential names have an order.
    fn bounds(
        &mut self,
        definition: &Definition,
        element: &Element,
        (index, trail): (usize, &Trail<'_>),
    ) {
        let is_root = element.text("path") == Some(&definition.type_name);
        let root = is_root.then_some(definition.type_name.as_str());
        let types = || {
            let types = element.items("type");
            types.filter_map(|kind| kind.text("code")).chain(root)
        };
        if types().next().is_none() || types().any(|code| ORDERED.contains(&code)) {
            return;
        }
        let is_bound =
            |name: &&String| ["minValue", "maxValue"].iter().any(|b| name.starts_with(b));
        for name in element.keys().filter(is_bound) {
            let place = element.text("path").unwrap_or("?");
            let text = format!("{place}: {name} bounds values that have no order");
            self.say(IssueType::Value, (index, trail), "fixed-type", text);
        }
    }

    /// Given values are of a type that the element may have.
    fn given_types(&mut self, note: &Note, trail: &Trail<'_>) {
        let types = &note.types;
        // Addresses and ids of elements are values of FHIRPath.
        if types.is_empty() || types.iter().any(|code| code.contains("/fhirpath/")) {
            return;
        }
        let place = match note.is_sliced {
            true => format!("{}, which is sliced", note.path),
            false => note.path.clone(),
        };
        for name in &note.given {
            let given = ["fixed", "pattern"]
                .iter()
                .find_map(|stem| name.strip_prefix(stem));
            if let Some(given) = given
                && !types.iter().any(|code| code.eq_ignore_ascii_case(given))
            {
                let allowed = types.join(", ");
                let text = format!("{place}: {name} is none of the element's types: {allowed}");
                self.say(IssueType::Value, (note.index, trail), "fixed-type", text);
            }
        }
    }
}

/// A child, and what the tables say of it.
fn child<'a>(
    spot: Spot<'a>,
    name: &str,
    index: usize,
) -> Option<(&'static crate::r4::table::Element, Spot<'a>)> {
    let element = spot.block()?.element(name)?;
    let mut found = Vec::new();
    spot.named(name, &mut found);
    Some((element, *found.get(index)?))
}

/// Whether a path leads to an element of R4; addresses of others lead anywhere.
fn is_element(path: &str) -> bool {
    let mut names = path.split('.');
    let first = names.next().unwrap_or_default();
    if path.contains("://") || (core::definition(first).is_some() && first == path) {
        return true;
    }
    let Some(mut block) = table().find(first).map(|id| table().block(id)) else {
        return false;
    };
    names.all(|name| {
        let is_it = |one: &&crate::r4::table::Element| {
            one.defined_name == name || one.defined_name.strip_suffix("[x]") == Some(name)
        };
        let Some(element) = block.elements().iter().find(is_it) else {
            return false;
        };
        if let Content::Block(id) = element.content {
            block = table().block(id);
        } else if let Some(id) = table().find("Element") {
            block = table().block(id);
        }
        true
    })
}
