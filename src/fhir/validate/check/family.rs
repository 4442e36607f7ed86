//! The children of an element: which there are, and how many.

use serde_json::{Map, Value};

use super::Judge;
use super::trail::Trail;
use crate::fhir::validate::library::Missing;
use crate::fhir::validate::profile::{Family, Profile, Rule, Slice};
use crate::fhir::validate::spot::{Spot, beside, push};
use crate::r4::outcome::IssueType;
use crate::r4::table::{Content, Element};

impl<'a> Judge<'a> {
    pub(super) fn family(
        &mut self,
        profile: &Profile,
        family: &Family,
        spot: Spot<'a>,
        trail: &Trail<'_>,
    ) -> Result<(), Missing> {
        let members = match spot.content {
            Content::Primitive(_) => spot.extra,
            _ => spot.value,
        };
        let Some(members) = members.and_then(Value::as_object) else {
            return Ok(());
        };
        let Some(block) = spot.block() else {
            return Ok(());
        };
        let mut counts = vec![0_usize; family.rules.len()];
        for (name, value) in members {
            let Some((element, value, extra)) = child(block.element(name), members, name, value)
                .or_else(|| companion(block, members, name, value))
            else {
                continue;
            };
            let Some(place) = family.place(&element.name) else {
                continue;
            };
            let mut spots = Vec::with_capacity(1);
            push(element, value, extra, &mut spots);
            counts[place.rule] += spots.len();
            let rule = family.rules[place.rule];
            if place.is_allowed {
                let items: Vec<(usize, Spot<'a>)> = spots.into_iter().enumerate().collect();
                self.occurrences(profile, rule, (element, &items), trail)?;
            } else {
                self.wrong_type(&profile.rules[rule], element, spots.first().copied(), trail);
            }
        }
        for (index, count) in counts.into_iter().enumerate() {
            let id = family.rules[index];
            let rule = &profile.rules[id];
            self.number(rule, None, count, trail);
            if count == 0 {
                self.absent_slices(profile, rule, trail);
            }
        }
        Ok(())
    }

    /// Whether there are as many as there may be, of a slice or of all.
    pub(super) fn number(
        &mut self,
        rule: &Rule,
        slice: Option<&Slice>,
        count: usize,
        trail: &Trail<'_>,
    ) {
        let path = &rule.path;
        let of_it = || match slice.map(Slice::told) {
            Some(told) if !told.is_empty() => format!("; one of it has {told}"),
            _ => String::new(),
        };
        if count < rule.min as usize {
            let text = format!(
                "{path}: minimum required = {}, but only found {count}{}",
                rule.min,
                of_it()
            );
            self.error(IssueType::Required, trail, "cardinality-min", text);
        }
        if let Some(max) = rule.max.filter(|max| count > *max as usize) {
            let text = format!(
                "{path}: maximum allowed = {max}, but found {count}{}",
                of_it()
            );
            self.error(IssueType::Structure, trail, "cardinality-max", text);
        }
    }

    fn wrong_type(
        &mut self,
        rule: &Rule,
        element: &'a Element,
        spot: Option<Spot<'a>>,
        trail: &Trail<'_>,
    ) {
        let allowed: Vec<&str> = rule.types.iter().map(|kind| &*kind.code).collect();
        let text = format!(
            "{}: the type {} is not allowed, only {}",
            rule.path,
            element.type_name,
            allowed.join(", ")
        );
        let at = spot.map_or(*trail, |spot| trail.child(element, 0, spot));
        self.error(IssueType::Structure, &at, "type", text);
    }
}

type Child<'a> = (&'static Element, Option<&'a Value>, Option<&'a Value>);

fn child<'a>(
    element: Option<&'static Element>,
    members: &'a Map<String, Value>,
    name: &str,
    value: &'a Value,
) -> Option<Child<'a>> {
    let element = element?;
    Some((element, Some(value), beside(members, element, name)))
}

/// A primitive that has nothing but what stands beside a value.
fn companion<'a>(
    block: &'static crate::r4::table::Block,
    members: &'a Map<String, Value>,
    name: &str,
    value: &'a Value,
) -> Option<Child<'a>> {
    let plain = name.strip_prefix('_')?;
    if members.contains_key(plain) {
        return None;
    }
    Some((block.element(plain)?, None, Some(value)))
}
