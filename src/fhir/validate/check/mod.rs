//! Judges a resource by its profiles.
//!
//! [`judge`](judge()) walks the instance once for each profile that it claims. [`element`] holds
//! what is asked of every element, [`family`] counts children, [`mod@slice`] sorts them into slices;
//! [`value`], [`binding`], [`constraint`], [`mod@reference`] and [`extension`] are the kinds of rules,
//! [`resource`] what only some types of resources are asked.

mod binding;
mod constraint;
mod definition;
mod element;
mod extension;
mod family;
mod questionnaire;
mod reference;
mod resource;
mod slice;
mod trail;
mod value;

use std::sync::Arc;

use serde_json::Value;

use super::fhirpath::Budget;
use super::finding::Finding;
use super::library::{Library, Missing};
use super::profile::{self, Profile};
use super::snapshot::Failure;
use super::spot::{Spot, size};
use crate::r4::outcome::{IssueType, Severity};
use trail::Trail;

/// Profiles within profiles, and resources within resources, at most.
const DEEPEST: usize = 48;
/// Findings beyond this number, errors and others apart, help nobody.
const MOST_FINDINGS: usize = 250;
/// Steps of work for any resource, and for each element or item of it (docs/adr/0033).
const LEAST_STEPS: u64 = 2_000_000;
const STEPS_OF_EACH: u64 = 500;

/// Judges a resource by the profiles it claims and by these; the base type alone if there is none.
pub fn judge(
    library: &Library,
    resource: &Value,
    profiles: &[&str],
) -> Result<Vec<Finding>, Missing> {
    let Some(root) = Spot::resource(resource) else {
        let finding = Finding {
            severity: Severity::Fatal,
            kind: IssueType::Structure,
            path: String::new(),
            rule: "resource-type".to_owned(),
            text: "this is no resource of FHIR R4".to_owned(),
        };
        return Ok(vec![finding]);
    };
    let budget = Budget::of(LEAST_STEPS + STEPS_OF_EACH * size(resource));
    let mut judge = Judge {
        library,
        root,
        resource: root,
        findings: Vec::new(),
        depth: 0,
        budget: &budget,
    };
    judge.resource(root, &Trail::root(root), profiles)?;
    if budget.is_spent() {
        let text = format!(
            "{}: judging it takes more than {} steps; simplify its profiles, or split it",
            root.type_name,
            budget.given()
        );
        judge.findings.truncate(MOST_FINDINGS);
        judge.find(
            Severity::Error,
            IssueType::TooCostly,
            &Trail::root(root),
            "budget",
            text,
        );
    }
    Ok(judge.findings)
}

struct Judge<'a> {
    library: &'a Library,
    /// The outermost resource.
    root: Spot<'a>,
    /// The one that is being judged: the outermost, a contained one, one of a Bundle.
    resource: Spot<'a>,
    findings: Vec<Finding>,
    depth: usize,
    /// What all of the work may take.
    budget: &'a Budget,
}

impl<'a> Judge<'a> {
    fn find(
        &mut self,
        severity: Severity,
        kind: IssueType,
        at: &Trail<'_>,
        rule: &str,
        text: String,
    ) {
        let is_error = matches!(severity, Severity::Error | Severity::Fatal);
        let is_same_kind = |known: &&Finding| known.is_error() == is_error;
        if self.findings.len() >= MOST_FINDINGS
            && self.findings.iter().filter(is_same_kind).count() >= MOST_FINDINGS
        {
            return;
        }
        let finding = Finding {
            severity,
            kind,
            path: at.expression(),
            rule: rule.to_owned(),
            text,
        };
        // Several profiles may say the same.
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn error(&mut self, kind: IssueType, at: &Trail<'_>, rule: &str, text: String) {
        self.find(Severity::Error, kind, at, rule, text);
    }

    fn warn(&mut self, kind: IssueType, at: &Trail<'_>, rule: &str, text: String) {
        self.find(Severity::Warning, kind, at, rule, text);
    }

    /// Judges a whole resource.
    fn resource(
        &mut self,
        spot: Spot<'a>,
        trail: &Trail<'_>,
        more: &[&str],
    ) -> Result<(), Missing> {
        if self.depth >= DEEPEST {
            let text = format!("resources lie more than {DEEPEST} deep in each other");
            self.error(IssueType::TooCostly, trail, "depth", text);
            return Ok(());
        }
        self.depth += 1;
        let outer = std::mem::replace(&mut self.resource, spot);
        let profiles = self.profiles(spot, trail, more)?;
        for profile in &profiles {
            self.element(profile, 0, spot, trail, None)?;
        }
        self.particular(spot, trail)?;
        self.resource = outer;
        self.depth -= 1;
        Ok(())
    }

    /// The profiles that a resource is judged by.
    fn profiles(
        &mut self,
        spot: Spot<'a>,
        trail: &Trail<'_>,
        more: &[&str],
    ) -> Result<Vec<Arc<Profile>>, Missing> {
        let meta = spot
            .value
            .and_then(|value| value.get("meta")?.get("profile")?.as_array());
        let claimed = meta.into_iter().flatten().filter_map(Value::as_str);
        let mut profiles: Vec<Arc<Profile>> = Vec::new();
        for canonical in claimed.chain(more.iter().copied()) {
            let Some(profile) = self.known(canonical, trail)? else {
                continue;
            };
            if profile.type_name != spot.type_name && !is_abstract(&profile.type_name) {
                let text = format!(
                    "{}: profile {canonical} is for {}; claim one for {}",
                    spot.type_name, profile.type_name, spot.type_name
                );
                self.error(IssueType::Structure, trail, "profile-type", text);
            } else if !profiles
                .iter()
                .any(|known| known.canonical == profile.canonical)
            {
                profiles.push(profile);
            }
        }
        if profiles
            .iter()
            .all(|profile| profile.type_name != spot.type_name)
        {
            profiles.extend(profile::of_core(spot.type_name));
        }
        Ok(profiles)
    }

    /// A profile that must be known.
    fn known(
        &mut self,
        canonical: &str,
        trail: &Trail<'_>,
    ) -> Result<Option<Arc<Profile>>, Missing> {
        match self.library.profile(canonical) {
            Ok(Some(profile)) => Ok(Some(profile)),
            Ok(None) => {
                let text = format!(
                    "profile {canonical} is not known here; store its StructureDefinition first, \
                     or do not claim it"
                );
                self.error(IssueType::NotFound, trail, "profile-unknown", text);
                Ok(None)
            }
            Err(Failure::Missing(missing)) => Err(missing),
            Err(Failure::Broken(reason)) => {
                let text = format!("profile {canonical} cannot be used: {reason}");
                self.error(IssueType::Invalid, trail, "profile-broken", text);
                Ok(None)
            }
        }
    }

    /// Runs a check of which only the result counts.
    fn tries(
        &mut self,
        check: impl FnOnce(&mut Self) -> Result<(), Missing>,
    ) -> Result<Vec<Finding>, Missing> {
        let before = std::mem::take(&mut self.findings);
        let outcome = check(self);
        let found = std::mem::replace(&mut self.findings, before);
        outcome.map(|()| found)
    }
}

fn is_abstract(type_name: &str) -> bool {
    matches!(type_name, "Resource" | "DomainResource")
}
