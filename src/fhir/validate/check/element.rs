//! What is asked of every element.

use std::sync::Arc;

use serde_json::Value;

use super::Judge;
use super::trail::Trail;
use super::value::is_absolute;
use crate::fhir::validate::finding::Finding;
use crate::fhir::validate::library::Missing;
use crate::fhir::validate::profile::{self, Constraint, Profile, RuleId, TypeRule};
use crate::fhir::validate::spot::Spot;
use crate::r4::outcome::IssueType;
use crate::r4::table::{Content, Primitive};

impl<'a> Judge<'a> {
    /// Judges an element by a rule. `by` is the profile that led here as type of another element.
    pub(super) fn element(
        &mut self,
        profile: &Profile,
        id: RuleId,
        spot: Spot<'a>,
        trail: &Trail<'_>,
        by: Option<&str>,
    ) -> Result<(), Missing> {
        if !self.budget.spend(8) {
            return Ok(());
        }
        let rule = &profile.rules[id];
        self.given(rule, spot, trail);
        if let Some(binding) = &rule.binding {
            self.bound(binding, spot, trail)?;
        }
        for constraint in &rule.constraints {
            self.constraint(constraint, spot, trail);
        }
        match spot.content {
            Content::Primitive(primitive) => self.primitive(primitive, spot, trail),
            Content::Xhtml => Ok(()),
            Content::Resource => {
                let text = format!("{}: this is no resource of FHIR R4", trail.expression());
                self.error(IssueType::Structure, trail, "resource-type", text);
                Ok(())
            }
            Content::Block(_) if id != 0 && trail.is_resource() => {
                let profiles = rule.types.iter().flat_map(|kind| &kind.profiles);
                let profiles: Vec<&str> = profiles.map(String::as_str).collect();
                self.resource(spot, trail, &profiles)
            }
            Content::Block(_) => self.complex(profile, id, spot, trail, by),
        }
    }

    fn complex(
        &mut self,
        profile: &Profile,
        id: RuleId,
        spot: Spot<'a>,
        trail: &Trail<'_>,
        by: Option<&str>,
    ) -> Result<(), Missing> {
        let rule = &profile.rules[id];
        let named = rule.types.iter().find(|kind| &*kind.code == spot.type_name);
        let own = named.filter(|kind| !kind.profiles.is_empty());
        if let Some(kind) = own {
            self.typed(kind, spot, trail)?;
        }
        if id != 0 {
            self.native(named, spot, trail, by)?;
        }
        let looked_up;
        let core = match named {
            _ if id == 0 || own.is_some() => None,
            Some(kind) => kind.core(),
            // Elements that only their resource has are no types of their own.
            None if spot.type_name.contains('.') => None,
            None => {
                looked_up = profile::of_core(spot.type_name);
                looked_up.as_deref()
            }
        };
        if let Some(core) = core {
            self.of_type_root(core, &rule.constraints, spot, trail);
        }
        if let Some(family) = rule.family {
            return self.family(profile, &profile.families[family], spot, trail);
        }
        match core.and_then(|core| Some((core, core.rules[0].family?))) {
            Some((core, family)) => self.family(core, &core.families[family], spot, trail),
            None => Ok(()),
        }
    }

    /// The constraints that a data type puts on all its elements, unless the rule repeats them.
    fn of_type_root(
        &mut self,
        core: &Profile,
        said: &[Constraint],
        spot: Spot<'a>,
        trail: &Trail<'_>,
    ) {
        for constraint in &core.rules[0].constraints {
            if !said.iter().any(|one| one.key == constraint.key) {
                self.constraint(constraint, spot, trail);
            }
        }
    }

    /// A data type with profiles: one of them must fit.
    fn typed(&mut self, kind: &TypeRule, spot: Spot<'a>, trail: &Trail<'_>) -> Result<(), Missing> {
        let mut known: Vec<Arc<Profile>> = Vec::new();
        for canonical in &kind.profiles {
            // Extensions are judged by the profile of their url in any case.
            known.extend(self.known(canonical, trail)?);
        }
        if known.len() <= 1 {
            for profile in &known {
                self.nested(profile, spot, trail)?;
            }
            return Ok(());
        }
        let mut nearest: Option<Vec<_>> = None;
        for profile in &known {
            let found = self.tries(|judge| judge.nested(profile, spot, trail))?;
            let errors: Vec<_> = found.into_iter().filter(Finding::is_error).collect();
            if errors.is_empty() {
                return Ok(());
            }
            if nearest
                .as_ref()
                .is_none_or(|best| errors.len() < best.len())
            {
                nearest = Some(errors);
            }
        }
        let names: Vec<&str> = kind
            .profiles
            .iter()
            .map(|url| url.rsplit('/').next().unwrap_or(url))
            .collect();
        let first = nearest
            .and_then(|errors| errors.into_iter().next())
            .map(|error| error.text);
        let text = format!(
            "{}: it fits none of the allowed profiles {}; nearest miss: {}",
            trail.expression(),
            names.join(", "),
            first.unwrap_or_default()
        );
        self.error(IssueType::Structure, trail, "type-profile", text);
        Ok(())
    }

    /// Judges an element by another profile as a whole.
    pub(super) fn nested(
        &mut self,
        profile: &Profile,
        spot: Spot<'a>,
        trail: &Trail<'_>,
    ) -> Result<(), Missing> {
        if self.depth >= super::DEEPEST {
            let text = format!(
                "profiles lie more than {} deep in each other",
                super::DEEPEST
            );
            self.error(IssueType::TooCostly, trail, "depth", text);
            return Ok(());
        }
        self.depth += 1;
        let done = self.element(profile, 0, spot, trail, Some(&profile.url));
        self.depth -= 1;
        done
    }

    /// What some data types are asked by hand.
    fn native(
        &mut self,
        kind: Option<&TypeRule>,
        spot: Spot<'a>,
        trail: &Trail<'_>,
        by: Option<&str>,
    ) -> Result<(), Missing> {
        match spot.type_name {
            "Attachment" => {
                self.attachment(spot, trail);
                Ok(())
            }
            "Coding" => self.coding(spot, trail),
            "Extension" => self.extension(kind, spot, trail, by),
            "Identifier" => {
                let system = spot.value.and_then(|value| value.get("system")?.as_str());
                if let Some(system) = system.filter(|system| !is_absolute(system)) {
                    self.relative(system, trail);
                }
                Ok(())
            }
            "Reference" => self.reference(kind, spot, trail),
            _ => Ok(()),
        }
    }

    /// The size of an attachment is that of its data.
    fn attachment(&mut self, spot: Spot<'a>, trail: &Trail<'_>) {
        let member = |name: &str| spot.value.and_then(|value| value.get(name));
        let data = member("data").and_then(Value::as_str);
        let size = member("size").and_then(Value::as_u64);
        let (Some(data), Some(size)) = (data, size) else {
            return;
        };
        let digits = data
            .bytes()
            .filter(|b| !b.is_ascii_whitespace() && *b != b'=')
            .count();
        let actual = digits * 3 / 4;
        if u64::try_from(actual) != Ok(size) {
            let text = format!(
                "{}: size is {size}, but the data has {actual} bytes",
                trail.expression()
            );
            self.error(IssueType::Value, trail, "attachment-size", text);
        }
    }

    /// The form of primitives is held by the parsers; this is what remains.
    fn primitive(
        &mut self,
        primitive: Primitive,
        spot: Spot<'a>,
        trail: &Trail<'_>,
    ) -> Result<(), Missing> {
        if let Some(text) = spot.text() {
            self.text(primitive, text, trail);
        }
        if spot.extra.is_some()
            && let Some(core) = profile::of_core("Element")
            && let Some(family) = core.rules[0].family
        {
            return self.family(&core, &core.families[family], spot, trail);
        }
        Ok(())
    }
}
