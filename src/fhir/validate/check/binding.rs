//! Codes, and the value sets that bind them (fhir-conformance §2.5).

use serde_json::Value;

use super::Judge;
use super::slice::codings;
use super::trail::Trail;
use super::value::is_absolute;
use crate::fhir::validate::finding::Finding;
use crate::fhir::validate::library::Missing;
use crate::fhir::validate::profile::{Binding, Strength};
use crate::fhir::validate::spot::Spot;
use crate::fhir::validate::terminology::{Coded, Membership, membership};
use crate::r4::outcome::IssueType;

impl<'a> Judge<'a> {
    pub(super) fn bound(
        &mut self,
        binding: &Binding,
        spot: Spot<'a>,
        trail: &Trail<'_>,
    ) -> Result<(), Missing> {
        if binding.strength == Strength::Weak || spot.value.is_none() {
            return Ok(());
        }
        let is_required = binding.strength == Strength::Required;
        let name = &binding.value_set;
        let Some(set) = self.library.value_set(name)? else {
            if is_required {
                let text = format!(
                    "{}: value set {name} is not known, its codes are not checked",
                    trail.expression()
                );
                self.warn(IssueType::NotFound, trail, "value-set-unknown", text);
            }
            return Ok(());
        };
        let all = codings(spot);
        if all.is_empty() && is_required {
            let text = format!(
                "{}: no code is given, but one of value set {name} is required",
                trail.expression()
            );
            self.error(IssueType::CodeInvalid, trail, "binding", text);
        }
        // With several codings all must be in the set, as the HL7 validator asks of DSF.
        for one in all {
            match membership(self.library, &set, one, self.budget)? {
                Membership::In => {}
                Membership::Out => self.outside(is_required, one, binding, trail),
                Membership::Unknown(reason) if is_required && reason.starts_with("code system") => {
                    let text = format!(
                        "{}: the code {} cannot be checked against value set {name}: {reason}",
                        trail.expression(),
                        written(one)
                    );
                    self.error(IssueType::CodeInvalid, trail, "binding", text);
                }
                Membership::Unknown(reason) if is_required => {
                    let text = format!(
                        "{}: the code {} was not checked against value set {name}: {reason}",
                        trail.expression(),
                        written(one)
                    );
                    self.warn(IssueType::CodeInvalid, trail, "binding", text);
                }
                Membership::Unknown(_) => {}
            }
        }
        Ok(())
    }

    fn outside(&mut self, is_required: bool, one: Coded<'_>, binding: &Binding, trail: &Trail<'_>) {
        let (place, code, name) = (trail.expression(), written(one), &binding.value_set);
        if is_required {
            // Media types are a list of the store; all other codes of R4 itself are its grammar.
            let is_of_r4 = one.system.is_none()
                && name.starts_with("http://hl7.org/fhir/ValueSet/")
                && name.ends_with("|4.0.1")
                && !name.contains("/mimetypes|");
            let rule = if is_of_r4 { Finding::CODE } else { "binding" };
            let among = self.examples(name);
            let text =
                format!("{place}: the code {code} is not in the required value set {name}{among}");
            self.error(IssueType::CodeInvalid, trail, rule, text);
        } else {
            let text = format!(
                "{place}: the code {code} is not in value set {name}, which should be used if it \
                 has a fitting code"
            );
            self.warn(IssueType::CodeInvalid, trail, "binding", text);
        }
    }

    /// Some codes that would have been right.
    fn examples(&self, canonical: &str) -> String {
        let Ok(Some(set)) = self.library.value_set(canonical) else {
            return String::new();
        };
        let [part] = set.include.as_slice() else {
            return String::new();
        };
        let codes: Vec<String> = match (&part.codes, &part.system) {
            // Of many nobody would find the right one here.
            (Some(codes), _) if codes.len() < 60 => {
                let mut codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
                codes.sort_unstable();
                codes
            }
            (None, Some(system)) if part.filters.is_empty() => {
                match self.library.code_system(system, part.version.as_deref()) {
                    Ok(Some(system)) => system.examples().map(str::to_owned).collect(),
                    _ => Vec::new(),
                }
            }
            _ => Vec::new(),
        };
        among(codes)
    }

    /// A code of a system whose codes are all known must be one of them, whatever binds it.
    pub(super) fn coding(&mut self, spot: Spot<'a>, trail: &Trail<'_>) -> Result<(), Missing> {
        let text = |name: &str| spot.value.and_then(|value| value.get(name)?.as_str());
        let Some(system) = text("system") else {
            return Ok(());
        };
        // The HL7 validator asks different things of a Coding alone and of one among several.
        let is_one_of_many = trail
            .parent()
            .is_some_and(|parent| parent.spot.type_name == "CodeableConcept");
        if !is_one_of_many && !is_absolute(system) {
            self.relative(system, trail);
        }
        let Some(known) = self.library.code_system(system, text("version"))? else {
            return Ok(());
        };
        let code = text("code");
        let is_known = code.map_or(!is_one_of_many, |code| known.contains(code));
        if known.is_complete && !is_known {
            let place = trail.expression();
            let text = match code {
                Some(code) => {
                    let among = among(known.examples().map(str::to_owned).collect());
                    format!("{place}: Unknown code '{system}#{code}'{among}")
                }
                None => format!("{place}: there is no code, but one of {system} is needed"),
            };
            self.error(IssueType::CodeInvalid, trail, "code-unknown", text);
        }
        Ok(())
    }
}

/// Some of these codes in brackets, behind a message.
fn among(mut codes: Vec<String>) -> String {
    if codes.is_empty() {
        return String::new();
    }
    if codes.len() >= 12 {
        codes.truncate(11);
        codes.push("…".to_owned());
    }
    format!(" ({})", codes.join(", "))
}

/// `'system#code'`, as the HL7 validator writes it.
fn written(one: Coded<'_>) -> String {
    match one.system {
        Some(system) => format!("'{system}#{}'", one.code),
        None => Value::String(one.code.to_owned())
            .to_string()
            .replace('"', "'"),
    }
}
