//! Constraints of elements.

use std::collections::HashSet;

use serde_json::Value;

use super::Judge;
use super::trail::Trail;
use crate::fhir::validate::fhirpath::{Fault, Surroundings, holds, is_before};
use crate::fhir::validate::narrative;
use crate::fhir::validate::profile::{Constraint, Native, Test};
use crate::fhir::validate::spot::Spot;
use crate::r4::outcome::{IssueType, Severity};

impl<'a> Judge<'a> {
    pub(super) fn constraint(
        &mut self,
        constraint: &Constraint,
        spot: Spot<'a>,
        trail: &Trail<'_>,
    ) {
        let members = spot.value.and_then(Value::as_object);
        if let (Some(child), Some(members)) = (constraint.only_with, members)
            && !members.contains_key(child)
        {
            return;
        }
        let outcome = match &constraint.test {
            Test::Native(native) => self.natively(*native, spot),
            Test::Expression(expression) => {
                let surroundings = Surroundings {
                    budget: self.budget,
                    resource: self.resource,
                    root: self.root,
                };
                match holds(expression, spot, surroundings) {
                    Ok(true) => return,
                    Ok(false) => Err(String::new()),
                    Err(Fault::Failed(reason)) => Err(format!(" ({reason})")),
                    Err(Fault::Undecided(reason)) => {
                        let text = format!(
                            "{}: constraint {} was not decided: {reason}",
                            trail.expression(),
                            constraint.key
                        );
                        self.warn(IssueType::Invariant, trail, &constraint.key, text);
                        return;
                    }
                }
            }
            Test::Unparsable(reason) => Err(format!(
                " (its expression is not understood: {reason}; correct it in the profile)"
            )),
        };
        if let Err(more) = outcome {
            let severity = if constraint.is_error {
                Severity::Error
            } else {
                Severity::Warning
            };
            let text = format!(
                "{}: constraint {} is broken: {}{more}",
                trail.expression(),
                constraint.key,
                constraint.human
            );
            self.find(severity, IssueType::Invariant, trail, &constraint.key, text);
        }
    }

    fn natively(&self, native: Native, spot: Spot<'a>) -> Result<(), String> {
        let members = spot.value.and_then(Value::as_object);
        let has = |name: &str| members.is_some_and(|members| members.contains_key(name));
        let text = |name: &str| members.and_then(|members| members.get(name)?.as_str());
        let good = match native {
            Native::HasContent => match members {
                Some(members) => members.keys().any(|name| name != "id"),
                None => {
                    spot.value.is_some()
                        || spot
                            .extra
                            .is_some_and(|extra| extra.get("extension").is_some())
                }
            },
            Native::ExtensionOrValue => {
                let has_value = members.is_some_and(|members| {
                    members
                        .keys()
                        .any(|name| name.trim_start_matches('_').starts_with("value"))
                });
                has("extension") != has_value
            }
            Native::ContainedIsUsed => return contained_is_used(spot),
            Native::LocalReference => match text("reference").and_then(|r| r.strip_prefix('#')) {
                None | Some("") => true,
                Some(id) => self.has_contained(id),
            },
            Native::Period => match (text("start"), text("end")) {
                (Some(start), Some(end)) => !is_before(end, start),
                _ => true,
            },
            Native::Narrative => match text("div").or(spot.text()).and_then(narrative::problem) {
                Some(problem) => return Err(format!(" ({problem})")),
                None => true,
            },
        };
        if good { Ok(()) } else { Err(String::new()) }
    }

    fn has_contained(&self, id: &str) -> bool {
        [self.root, self.resource].iter().any(|resource| {
            let contained = resource
                .value
                .and_then(|value| value.get("contained")?.as_array());
            contained.is_some_and(|list| {
                self.budget.spend(list.len() as u64);
                list.iter()
                    .any(|one| one.get("id").and_then(Value::as_str) == Some(id))
            })
        })
    }
}

/// dom-3: each contained resource is referred to, or refers to what contains it.
fn contained_is_used(spot: Spot<'_>) -> Result<(), String> {
    let Some(contained) = spot
        .value
        .and_then(|value| value.get("contained")?.as_array())
    else {
        return Ok(());
    };
    let mut local = HashSet::new();
    if let Some(value) = spot.value {
        collect_local(value, &mut local);
    }
    for one in contained {
        let mut own = HashSet::new();
        collect_local(one, &mut own);
        let id = one.get("id").and_then(Value::as_str).unwrap_or_default();
        if !local.contains(id) && !own.contains("") {
            return Err(format!(" ('{id}' is not referred to)"));
        }
    }
    Ok(())
}

/// Everything behind a `#` that starts a string.
fn collect_local<'a>(value: &'a Value, found: &mut HashSet<&'a str>) {
    match value {
        Value::String(text) => found.extend(text.strip_prefix('#')),
        Value::Array(items) => items.iter().for_each(|item| collect_local(item, found)),
        Value::Object(members) => members.values().for_each(|item| collect_local(item, found)),
        _ => {}
    }
}
