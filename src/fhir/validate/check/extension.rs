//! Extensions: those with a known definition must follow it and stand where it allows.

use super::Judge;
use super::trail::Trail;
use super::value::is_absolute;
use crate::fhir::validate::fhirpath::{Expression, Surroundings, selects};
use crate::fhir::validate::library::Missing;
use crate::fhir::validate::profile::{Criterion, Profile, TypeRule};
use crate::fhir::validate::snapshot::Failure;
use crate::fhir::validate::spot::Spot;
use crate::r4::outcome::IssueType;

impl<'a> Judge<'a> {
    pub(super) fn extension(
        &mut self,
        kind: Option<&TypeRule>,
        spot: Spot<'a>,
        trail: &Trail<'_>,
        by: Option<&str>,
    ) -> Result<(), Missing> {
        let Some(url) = spot.value.and_then(|value| value.get("url")?.as_str()) else {
            return Ok(());
        };
        let parent = trail.parent();
        let is_nested = parent.is_some_and(|parent| parent.spot.type_name == "Extension");
        if !is_absolute(url) {
            return match parent.filter(|_| is_nested) {
                Some(parent) => self.part(url, parent, trail),
                None => {
                    let text = format!(
                        "{}: the url '{url}' of an extension must be absolute, such as \
                         http://example.org/{url}",
                        trail.expression()
                    );
                    self.error(IssueType::Extension, trail, "extension-url", text);
                    Ok(())
                }
            };
        }
        if let Some((plain, _)) = url.split_once('|')
            && self.library.definition(plain)?.is_some()
        {
            let text = format!(
                "{}: the url of an extension has no version: {plain}",
                trail.expression()
            );
            self.error(IssueType::Extension, trail, "extension-url", text);
        }
        let profile = match self.library.profile(url) {
            Ok(Some(profile)) => profile,
            // Unknown extensions are allowed.
            Ok(None) => return Ok(()),
            Err(Failure::Missing(missing)) => return Err(missing),
            Err(Failure::Broken(reason)) => {
                let text = format!(
                    "{}: extension {url} cannot be judged: {reason}",
                    trail.expression()
                );
                self.error(IssueType::Extension, trail, "profile-broken", text);
                return Ok(());
            }
        };
        if profile.type_name != "Extension" {
            let text = format!(
                "{}: {url} is no extension but a profile of {}",
                trail.expression(),
                profile.type_name
            );
            self.error(IssueType::Extension, trail, "extension-url", text);
            return Ok(());
        }
        self.context(&profile, trail);
        let is_done = by == Some(url)
            || kind.is_some_and(|kind| {
                kind.profiles
                    .iter()
                    .any(|own| own.split('|').next() == Some(url))
            });
        if is_done {
            Ok(())
        } else {
            self.nested(&profile, spot, trail)
        }
    }

    /// A part of a known extension must be one that it defines.
    fn part(&mut self, url: &str, parent: &Trail<'_>, trail: &Trail<'_>) -> Result<(), Missing> {
        let whole = parent
            .spot
            .value
            .and_then(|value| value.get("url")?.as_str());
        let profile = match whole.map(|whole| self.library.profile(whole)) {
            Some(Ok(Some(profile))) => profile,
            Some(Err(Failure::Missing(missing))) => return Err(missing),
            // What is not known may have any parts; what is broken is said elsewhere.
            _ => return Ok(()),
        };
        let known = parts(&profile);
        if !known.contains(&url) {
            let text = format!(
                "{}: extension {} has no part '{url}', only {}",
                trail.expression(),
                profile.url,
                known.join(", ")
            );
            self.error(IssueType::Extension, trail, "extension-url", text);
        }
        Ok(())
    }

    /// Whether an extension may stand here.
    fn context(&mut self, profile: &Profile, trail: &Trail<'_>) {
        let Some(parent) = trail.parent() else {
            return;
        };
        if profile.context.is_empty() {
            return;
        }
        if profile
            .context
            .iter()
            .any(|(kind, expression)| self.stands(kind, expression, parent))
        {
            return;
        }
        let allowed: Vec<&str> = profile
            .context
            .iter()
            .map(|(_, expression)| expression.as_str())
            .collect();
        let text = format!(
            "{}: extension {} may not stand here, only at {}",
            trail.expression(),
            profile.url,
            allowed.join(", ")
        );
        self.error(IssueType::Extension, trail, "extension-context", text);
    }

    fn stands(&self, kind: &str, expression: &str, parent: &Trail<'_>) -> bool {
        match kind {
            "element" => {
                let spot = parent.spot;
                let block = spot.block();
                let is_base = block.is_some_and(|block| block.base == expression);
                let general = match expression {
                    "Element" => !parent.is_resource(),
                    "Resource" => parent.is_resource(),
                    "DomainResource" => parent.is_resource(),
                    _ => false,
                };
                let path = parent.defined();
                let plain = expression.strip_suffix("[x]").unwrap_or(expression);
                general
                    || is_base
                    || spot.type_name == expression
                    || path == expression
                    || path.strip_suffix("[x]") == Some(plain)
                    || is_path_of_type(parent, expression)
            }
            "extension" => {
                let url = parent
                    .spot
                    .value
                    .and_then(|value| value.get("url")?.as_str());
                url == Some(expression)
            }
            "fhirpath" => match Expression::parse(expression) {
                Ok(parsed) => {
                    let surroundings = Surroundings {
                        budget: self.budget,
                        resource: self.resource,
                        root: self.root,
                    };
                    // What cannot be decided is allowed.
                    selects(&parsed, self.resource, surroundings, parent.spot.value).unwrap_or(true)
                }
                Err(_) => true,
            },
            _ => true,
        }
    }
}

/// The urls of the slices of an extension's extensions.
fn parts(profile: &Profile) -> Vec<&str> {
    let family = profile.rules[0].family.map(|id| &profile.families[id]);
    let rule = family.and_then(|family| Some(family.rules[family.place("extension")?.rule]));
    let slicing = rule.and_then(|rule| profile.rules[rule].slicing.as_ref());
    let slices = slicing.into_iter().flat_map(|slicing| &slicing.slices);
    let criteria = slices.flat_map(|slice| &slice.criteria);
    let urls = criteria.filter_map(|(_, criterion)| match criterion {
        Criterion::Fixed(url) => url.as_str(),
        _ => None,
    });
    urls.collect()
}

/// Whether an expression such as `Identifier.system` is an element of a data type around.
fn is_path_of_type(parent: &Trail<'_>, expression: &str) -> bool {
    let Some((type_name, rest)) = expression.split_once('.') else {
        return false;
    };
    let mut names = rest.rsplit('.');
    let mut at = Some(parent);
    let reached = names.all(|name| {
        let here = at.filter(|trail| trail.name() == name);
        at = here.and_then(Trail::parent);
        here.is_some()
    });
    reached && at.is_some_and(|trail| trail.spot.type_name == type_name)
}
