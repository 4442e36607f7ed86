//! Whether a code is in a value set.

use std::cell::RefCell;
use std::collections::HashMap;

use super::bound::is_of_external;
use super::value_set::{Filter, Part, ValueSet};
use crate::fhir::validate::fhirpath::Budget;
use crate::fhir::validate::library::{Library, Missing};

/// Value sets nest this deep at most.
const DEEPEST: usize = 64;

/// A code as it stands in a resource. Without system the value set has to tell it.
#[derive(Clone, Copy, Debug)]
pub struct Coded<'a> {
    pub system: Option<&'a str>,
    pub version: Option<&'a str>,
    pub code: &'a str,
}

/// What is known of a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    In,
    Out,
    /// It cannot be told, for this reason.
    Unknown(String),
}

/// Whether the code is in the set, within the budget of the resource that it stands in.
pub fn membership(
    library: &Library,
    set: &ValueSet,
    coded: Coded<'_>,
    budget: &Budget,
) -> Result<Membership, Missing> {
    let question = Question {
        library,
        coded,
        budget,
        asked: RefCell::default(),
    };
    question.in_set(set, 0)
}

struct Question<'a> {
    library: &'a Library,
    coded: Coded<'a>,
    budget: &'a Budget,
    /// Each value set is asked once, however many include it; `None` while it is being asked.
    asked: RefCell<HashMap<String, Option<Membership>>>,
}

impl Question<'_> {
    fn in_set(&self, set: &ValueSet, depth: usize) -> Result<Membership, Missing> {
        if depth > DEEPEST {
            let text = format!(
                "{} includes other value sets more than {DEEPEST} deep",
                set.url
            );
            return Ok(Membership::Unknown(text));
        }
        let mut answer = Membership::Out;
        for part in &set.include {
            match self.in_part(part, depth)? {
                Membership::In => {
                    answer = Membership::In;
                    break;
                }
                Membership::Out => {}
                unknown @ Membership::Unknown(_) => answer = unknown,
            }
        }
        if answer == Membership::In {
            for part in &set.exclude {
                match self.in_part(part, depth)? {
                    Membership::In => return Ok(Membership::Out),
                    Membership::Out => {}
                    unknown @ Membership::Unknown(_) => answer = unknown,
                }
            }
        }
        Ok(answer)
    }

    fn in_named(&self, name: &str, depth: usize) -> Result<Membership, Missing> {
        if let Some(known) = self.asked.borrow().get(name) {
            let circular = || Membership::Unknown(format!("value set {name} includes itself"));
            return Ok(known.clone().unwrap_or_else(circular));
        }
        self.asked.borrow_mut().insert(name.to_owned(), None);
        let found = match self.library.value_set(name)? {
            Some(set) => self.in_set(&set, depth)?,
            None => Membership::Unknown(format!("value set {name} is not known")),
        };
        let kept = Some(found.clone());
        self.asked.borrow_mut().insert(name.to_owned(), kept);
        Ok(found)
    }

    fn in_part(&self, part: &Part, depth: usize) -> Result<Membership, Missing> {
        if !self.budget.spend(1 + part.sets.len() as u64) {
            return Ok(Membership::Unknown("it takes too long".to_owned()));
        }
        if let Some(system) = &part.system
            && !self.is_of(part, system)?
        {
            return Ok(Membership::Out);
        }
        let mut answer = match &part.system {
            None => Membership::In,
            Some(system) => self.in_system(part, system)?,
        };
        for set in &part.sets {
            if answer == Membership::Out {
                break;
            }
            let found = self.in_named(set, depth + 1)?;
            if found != Membership::In {
                answer = found;
            }
        }
        Ok(answer)
    }

    /// Whether system and version of the code are those of the part. DSF takes `url|version` as a
    /// system too (fhir-conformance §2.5 no. 2).
    fn is_of(&self, part: &Part, system: &str) -> Result<bool, Missing> {
        let (own, version) = match self.coded.system {
            None => return Ok(true),
            Some(own) if own == system => (own, self.coded.version),
            Some(own) => match own.split_once('|') {
                Some((url, version)) => (url, Some(version)),
                None => return Ok(false),
            },
        };
        let (Some(version), Some(wanted)) = (version, part.version.as_deref()) else {
            return Ok(own == system);
        };
        // Of a version that nobody knows the HL7 validator says no more than of none.
        let is_other = version != wanted && self.library.code_system(own, Some(version))?.is_some();
        Ok(own == system && !is_other)
    }

    fn in_system(&self, part: &Part, system: &str) -> Result<Membership, Missing> {
        let code = self.coded.code;
        if let Some(codes) = &part.codes {
            if codes.contains(code) {
                return Ok(Membership::In);
            }
            // Codes of systems that ignore case may be listed in another one.
            let listed = self.library.code_system(system, part.version.as_deref())?;
            let ignores_case = listed.is_some_and(|listed| !listed.is_case_sensitive);
            return Ok(if ignores_case && part.has_in_any_case(code) {
                Membership::In
            } else {
                Membership::Out
            });
        }
        let Some(listed) = self.library.code_system(system, part.version.as_deref())? else {
            return Ok(match is_of_external(system, code) {
                Some(true) => Membership::In,
                Some(false) => Membership::Out,
                None => {
                    let version = part.version.as_ref().map(|version| format!("|{version}"));
                    let version = version.unwrap_or_default();
                    Membership::Unknown(format!("code system {system}{version} is not known"))
                }
            });
        };
        if !listed.contains(code) {
            if listed.is_complete {
                return Ok(Membership::Out);
            }
            return Ok(Membership::Unknown(format!(
                "code system {system} is not listed completely"
            )));
        }
        for filter in &part.filters {
            match passes(&listed, filter, code, self.budget) {
                Some(true) => {}
                Some(false) => return Ok(Membership::Out),
                None => {
                    let text = format!("filter {} {} is not known", filter.property, filter.op);
                    return Ok(Membership::Unknown(text));
                }
            }
        }
        Ok(Membership::In)
    }
}

/// Whether a code passes a filter; `None` for filters that are not known.
fn passes(
    system: &super::CodeSystem,
    filter: &Filter,
    code: &str,
    budget: &Budget,
) -> Option<bool> {
    let value = filter.value.as_str();
    let own = || match filter.property.as_str() {
        "code" | "concept" => Some(code),
        property => system.property(code, property),
    };
    Some(match filter.op.as_str() {
        "is-a" => system.is_below(code, value, true),
        "descendent-of" => system.is_below(code, value, false),
        "is-not-a" => !system.is_below(code, value, true),
        "=" if filter.property == "parent" => system.is_below(code, value, false),
        "=" => own() == Some(value),
        "in" => own().is_some_and(|own| value.split(',').any(|one| one.trim() == own)),
        "not-in" => !own().is_some_and(|own| value.split(',').any(|one| one.trim() == own)),
        "exists" => own().is_some() == (value == "true"),
        "regex" => {
            let pattern = filter.pattern()?;
            let is_match =
                |own| budget.spend(pattern.cost(own) as u64 + 1) && pattern.regex.is_match(own);
            own().is_some_and(is_match)
        }
        _ => return None,
    })
}
