//! Occurrences of an element, sorted into slices.

use serde_json::Value;

use super::Judge;
use super::trail::Trail;
use crate::fhir::validate::library::Missing;
use crate::fhir::validate::profile::{Criterion, Profile, Rule, RuleId, Slice, Step};
use crate::fhir::validate::snapshot::Failure;
use crate::fhir::validate::spot::{Spot, size};
use crate::fhir::validate::terminology::{Coded, Membership, membership};
use crate::r4::outcome::IssueType;
use crate::r4::table::Element;

/// Messages describe fewer slices than this.
const MOST_TOLD: usize = 8;

/// The occurrences of an element with their places in its list.
type Items<'i, 'a> = (&'static Element, &'i [(usize, Spot<'a>)]);

impl<'a> Judge<'a> {
    /// Judges all occurrences of an element by its rule, or by those of its slices.
    pub(super) fn occurrences(
        &mut self,
        profile: &Profile,
        id: RuleId,
        (element, items): Items<'_, 'a>,
        trail: &Trail<'_>,
    ) -> Result<(), Missing> {
        let rule = &profile.rules[id];
        let Some(slicing) = &rule.slicing else {
            for (index, spot) in items {
                let at = trail.child(element, *index, *spot);
                self.element(profile, id, *spot, &at, None)?;
            }
            return Ok(());
        };
        let mut sorted: Vec<Vec<(usize, Spot<'a>)>> = vec![Vec::new(); slicing.slices.len()];
        let mut latest = 0;
        for (place, (index, spot)) in items.iter().enumerate() {
            let at = trail.child(element, *index, *spot);
            match self.slice_of(profile, &slicing.slices, (place, *spot), &at)? {
                Some(slice) => {
                    if slicing.is_ordered && slice < latest {
                        let text = format!(
                            "{}: slice {} stands behind slice {}, which must follow it",
                            rule.path, slicing.slices[slice].name, slicing.slices[latest].name
                        );
                        self.error(IssueType::Structure, &at, "slice-order", text);
                    }
                    latest = latest.max(slice);
                    sorted[slice].push((*index, *spot));
                }
                None => {
                    if slicing.is_closed && !slicing.is_undecidable {
                        let text = format!(
                            "{}: it fits no slice, and others are not allowed; {}",
                            rule.path,
                            allowed(&slicing.slices)
                        );
                        self.error(IssueType::Structure, &at, "slice-closed", text);
                    }
                    self.element(profile, id, *spot, &at, None)?;
                }
            }
        }
        for (slice, items) in slicing.slices.iter().zip(&sorted) {
            if !slicing.is_undecidable {
                self.number(&profile.rules[slice.rule], Some(slice), items.len(), trail);
            }
            self.occurrences(profile, slice.rule, (element, items), trail)?;
        }
        Ok(())
    }

    /// Slices of an element that does not occur at all.
    pub(super) fn absent_slices(&mut self, profile: &Profile, rule: &Rule, trail: &Trail<'_>) {
        let Some(slicing) = rule
            .slicing
            .as_ref()
            .filter(|slicing| !slicing.is_undecidable)
        else {
            return;
        };
        // Where the element itself is missing, that is said already.
        if rule.min > 0 {
            return;
        }
        for slice in &slicing.slices {
            self.number(&profile.rules[slice.rule], Some(slice), 0, trail);
        }
    }

    /// The slice that an element is of, which has this place among the occurrences.
    fn slice_of(
        &mut self,
        profile: &Profile,
        slices: &[Slice],
        occurrence: (usize, Spot<'a>),
        at: &Trail<'_>,
    ) -> Result<Option<usize>, Missing> {
        let mut found = None;
        for (index, slice) in slices.iter().enumerate() {
            if !self.budget.spend(1) {
                return Ok(None);
            }
            if slice.criteria.is_empty() || !self.fits(slice, occurrence, at)? {
                continue;
            }
            match found {
                None => found = Some(index),
                Some(first) => {
                    let path = &profile.rules[slice.rule].path;
                    let text = format!(
                        "{path}: it fits the slices {} and {}; only one may be meant",
                        slices[first].name, slice.name
                    );
                    self.error(IssueType::Structure, at, "slice-ambiguous", text);
                    break;
                }
            }
        }
        Ok(found)
    }

    fn fits(
        &mut self,
        slice: &Slice,
        (place, spot): (usize, Spot<'a>),
        at: &Trail<'_>,
    ) -> Result<bool, Missing> {
        for (steps, criterion) in &slice.criteria {
            if let Criterion::Position(begin, end) = criterion {
                if place < *begin || end.is_some_and(|end| place >= end) {
                    return Ok(false);
                }
                continue;
            }
            let found = follow(spot, steps);
            self.budget.spend(found.len() as u64);
            if !self.meets(criterion, &found, at)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn meets(
        &mut self,
        criterion: &Criterion,
        found: &[Spot<'a>],
        at: &Trail<'_>,
    ) -> Result<bool, Missing> {
        Ok(match criterion {
            Criterion::Fixed(fixed) => found.iter().any(|spot| spot.value == Some(fixed)),
            Criterion::Pattern(pattern) => found.iter().any(|spot| {
                spot.value
                    .is_some_and(|value| self.contains(value, pattern))
            }),
            Criterion::Extension(canonical) => {
                for spot in found {
                    if self.is_url_of(spot.value, canonical)? {
                        return Ok(true);
                    }
                }
                false
            }
            // Nothing that is in the element.
            Criterion::Position(..) => true,
            Criterion::Present => !found.is_empty(),
            Criterion::Absent => found.is_empty(),
            Criterion::Type(types) => found
                .iter()
                .any(|spot| types.iter().any(|one| **one == *spot.type_name)),
            Criterion::Bound(canonical) => return self.any_bound(canonical, found),
            Criterion::Profile(profiles) => {
                for spot in found {
                    for canonical in profiles {
                        let Some(profile) = self.known(canonical, at)? else {
                            continue;
                        };
                        let findings = self.tries(|judge| judge.nested(&profile, *spot, at))?;
                        if !findings
                            .iter()
                            .any(crate::fhir::validate::Finding::is_error)
                        {
                            return Ok(true);
                        }
                    }
                }
                false
            }
        })
    }

    /// Whether this is the url of the extensions that have a profile: mostly that of the profile,
    /// unless it fixes another.
    fn is_url_of(&self, value: Option<&Value>, canonical: &str) -> Result<bool, Missing> {
        let value = value.and_then(Value::as_str);
        let url = canonical.split('|').next().unwrap_or_default();
        if value == Some(url) {
            return Ok(true);
        }
        let profile = match self.library.profile(canonical) {
            Ok(Some(profile)) => profile,
            Ok(None) | Err(Failure::Broken(_)) => return Ok(false),
            Err(Failure::Missing(missing)) => return Err(missing),
        };
        let family = profile.rules.first().and_then(|root| root.family);
        let fixed = family.and_then(|family| {
            let family = &profile.families[family];
            let rule = family.rules[family.place("url")?.rule];
            profile.rules[rule].fixed.as_ref()?.as_str()
        });
        Ok(value.is_some() && value == fixed)
    }

    /// Whether a value has everything that a pattern has.
    pub(super) fn contains(&self, value: &Value, pattern: &Value) -> bool {
        let work = size(value).saturating_mul(size(pattern));
        self.budget.spend(work / 8) && contains(value, pattern)
    }

    fn any_bound(&self, canonical: &str, found: &[Spot<'a>]) -> Result<bool, Missing> {
        let Some(set) = self.library.value_set(canonical)? else {
            return Ok(false);
        };
        for spot in found {
            for coded in codings(*spot) {
                if membership(self.library, &set, coded, self.budget)? == Membership::In {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// Some slices with what tells their elements, for a message.
fn allowed(slices: &[Slice]) -> String {
    let mut told: Vec<String> = slices
        .iter()
        .take(MOST_TOLD)
        .map(|slice| format!("{} has {}", slice.name, slice.told()))
        .collect();
    if slices.len() > MOST_TOLD {
        told.push(format!("and {} more", slices.len() - MOST_TOLD));
    }
    told.join("; ")
}

/// What is at the end of a discriminator's steps.
fn follow<'a>(spot: Spot<'a>, steps: &[Step]) -> Vec<Spot<'a>> {
    let mut at = vec![spot];
    for step in steps {
        let mut next = Vec::with_capacity(1);
        match step {
            Step::Name(name) => at.iter().for_each(|spot| spot.named(name, &mut next)),
            Step::OfType(name) => next.extend(at.iter().filter(|spot| spot.type_name == &**name)),
            Step::Extension(url) => {
                at.iter()
                    .for_each(|spot| spot.named("extension", &mut next));
                next.retain(|spot| {
                    spot.value.and_then(|value| value.get("url")?.as_str()) == Some(url)
                });
            }
        }
        at = next;
    }
    at
}

fn contains(value: &Value, pattern: &Value) -> bool {
    match (value, pattern) {
        (Value::Object(value), Value::Object(pattern)) => pattern
            .iter()
            .all(|(name, part)| value.get(name).is_some_and(|value| contains(value, part))),
        (Value::Array(values), Value::Array(pattern)) => pattern
            .iter()
            .all(|part| values.iter().any(|value| contains(value, part))),
        _ => value == pattern,
    }
}

/// The codes of an element, whatever its type.
pub(super) fn codings(spot: Spot<'_>) -> Vec<Coded<'_>> {
    match spot.value {
        Some(Value::String(code)) => vec![Coded {
            system: None,
            version: None,
            code,
        }],
        Some(value) => match value.get("coding").and_then(Value::as_array) {
            Some(list) => list.iter().filter_map(coded).collect(),
            None => coded(value).into_iter().collect(),
        },
        None => Vec::new(),
    }
}

fn coded(value: &Value) -> Option<Coded<'_>> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    Some(Coded {
        system: text("system"),
        version: text("version"),
        code: text("code")?,
    })
}
