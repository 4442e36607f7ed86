//! What tells the elements of a slice from others.

use serde_json::Value;

use super::{Profile, RuleId, Slice, Strength};
use crate::fhir::validate::finding::shown;

/// A step from an element to what a discriminator looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Name(Box<str>),
    Extension(Box<str>),
    OfType(Box<str>),
}

/// What must be found there.
#[derive(Clone, Debug, PartialEq)]
pub enum Criterion {
    Fixed(Value),
    Pattern(Value),
    /// A code of this value set.
    Bound(String),
    /// The url of extensions that have this profile.
    Extension(String),
    Present,
    Absent,
    Type(Vec<Box<str>>),
    /// Any of these profiles fits.
    Profile(Vec<String>),
    /// The place among the occurrences: from, and up to before.
    Position(usize, Option<usize>),
}

impl Slice {
    /// What its elements have and others have not, for a message.
    #[must_use]
    pub fn told(&self) -> String {
        let told = self.criteria.iter().map(|(steps, criterion)| {
            let steps: Vec<String> = steps.iter().map(Step::told).collect();
            let place = match steps.is_empty() {
                true => "$this".to_owned(),
                false => steps.join("."),
            };
            criterion.told(&place)
        });
        told.collect::<Vec<_>>().join(" and ")
    }
}

impl Step {
    fn told(&self) -> String {
        match self {
            Self::Name(name) => name.to_string(),
            Self::Extension(url) => format!("extension('{url}')"),
            Self::OfType(name) => format!("ofType({name})"),
        }
    }
}

impl Criterion {
    fn told(&self, place: &str) -> String {
        match self {
            Self::Fixed(value) => format!("{place} {}", shown(Some(value))),
            Self::Pattern(value) => format!("{place} with {}", shown(Some(value))),
            Self::Bound(set) => format!("{place} of value set {set}"),
            Self::Extension(canonical) => {
                let url = canonical.split('|').next().unwrap_or_default();
                format!("{place} '{url}'")
            }
            Self::Present => place.to_owned(),
            Self::Absent => format!("no {place}"),
            Self::Type(types) => format!("{place} of type {}", types.join(" or ")),
            Self::Profile(profiles) => format!("{place} of profile {}", profiles.join(" or ")),
            Self::Position(begin, _) => format!("place {} or behind it", begin + 1),
        }
    }
}

/// Fills in the criteria of the slices of a rule.
pub fn decide(profile: &mut Profile, rule: RuleId, discriminators: &[(String, String)]) {
    let Some(slicing) = &profile.rules[rule].slicing else {
        return;
    };
    let rules: Vec<RuleId> = slicing.slices.iter().map(|slice| slice.rule).collect();
    let mut criteria = Vec::new();
    let mut begin = Some(0);
    for slice in rules {
        let mut own = Vec::new();
        let end = begin
            .zip(profile.rules[slice].max)
            .map(|(begin, max)| begin + max as usize);
        for (kind, path) in discriminators {
            if kind == "position" {
                let place = begin.map(|begin| Criterion::Position(begin, end));
                own.extend(place.map(|place| (Vec::new(), place)));
                continue;
            }
            let Some(steps) = steps(path) else {
                continue;
            };
            if let Some(criterion) = criterion(profile, slice, kind, &steps) {
                own.push((steps, criterion));
            }
        }
        begin = end;
        criteria.push(own);
    }
    if let Some(slicing) = &mut profile.rules[rule].slicing {
        slicing.is_undecidable = criteria.iter().any(Vec::is_empty);
        for (slice, criteria) in slicing.slices.iter_mut().zip(criteria) {
            slice.criteria = criteria;
        }
    }
}

/// The steps of a discriminator's path; `None` if it follows references or cannot be read.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = path.trim();
    while !rest.is_empty() {
        let (step, behind) = match call(rest) {
            Some((name, argument, behind)) => {
                let argument = argument.trim_matches(['\'', '"']);
                let step = match name {
                    "extension" => Step::Extension(argument.into()),
                    "ofType" | "as" => Step::OfType(argument.rsplit('.').next()?.into()),
                    _ => return None,
                };
                (Some(step), behind)
            }
            None => {
                let (name, behind) = rest.split_once('.').unwrap_or((rest, ""));
                ((name != "$this").then(|| Step::Name(name.into())), behind)
            }
        };
        steps.extend(step);
        rest = behind.trim_start_matches('.');
    }
    Some(steps)
}

/// `name(argument)` at the start, and what is behind it.
fn call(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once('(')?;
    if name.contains('.') {
        return None;
    }
    let (argument, behind) = rest.split_once(')')?;
    Some((name, argument, behind))
}

fn criterion(profile: &Profile, slice: RuleId, kind: &str, steps: &[Step]) -> Option<Criterion> {
    let mut at = slice;
    for (index, step) in steps.iter().enumerate() {
        let rule = &profile.rules[at];
        let given = rule.fixed.as_ref().or(rule.pattern.as_ref());
        if let Some(value) = given.and_then(|given| within(given, &steps[index..])) {
            return Some(Criterion::Pattern(value.clone()));
        }
        let name = match step {
            Step::Name(name) => name,
            // A type narrows what is there already.
            Step::OfType(_) => continue,
            Step::Extension(_) => return extension(profile, at, step),
        };
        if let Some(url) = url_of_profile(profile, at, name) {
            return Some(url);
        }
        let family = &profile.families[rule.family?];
        let place = family.place(name).or_else(|| {
            let (_, place) = family
                .names
                .iter()
                .find(|(known, _)| known.starts_with(&**name))?;
            Some(*place)
        })?;
        at = family.rules[place.rule];
    }
    let rule = &profile.rules[at];
    let types = || rule.types.iter().map(|kind| kind.code.clone()).collect();
    match kind {
        "value" | "pattern" => match (&rule.fixed, &rule.pattern, &rule.binding) {
            (Some(fixed), _, _) => Some(Criterion::Fixed(fixed.clone())),
            (_, Some(pattern), _) => Some(Criterion::Pattern(pattern.clone())),
            (_, _, Some(binding)) if binding.strength == Strength::Required => {
                Some(Criterion::Bound(binding.value_set.clone()))
            }
            _ => (rule.max == Some(0)).then_some(Criterion::Absent),
        },
        "exists" if rule.max == Some(0) => Some(Criterion::Absent),
        "exists" => (rule.min > 0).then_some(Criterion::Present),
        "type" => Some(Criterion::Type(types())),
        "profile" => {
            let profiles: Vec<String> = rule
                .types
                .iter()
                .flat_map(|kind| kind.profiles.iter().cloned())
                .collect();
            (!profiles.is_empty()).then_some(Criterion::Profile(profiles))
        }
        _ => None,
    }
}

/// The part of a given value that the steps lead to.
fn within<'a>(value: &'a Value, steps: &[Step]) -> Option<&'a Value> {
    steps.iter().try_fold(value, |value, step| {
        let Step::Name(name) = step else {
            return None;
        };
        match value {
            Value::Array(items) => items.first()?.get(&**name),
            value => value.get(&**name),
        }
    })
}

/// An extension slice gives its url by its profile.
fn url_of_profile(profile: &Profile, rule: RuleId, name: &str) -> Option<Criterion> {
    let rule = &profile.rules[rule];
    let [only] = rule.types.as_slice() else {
        return None;
    };
    let [canonical] = only.profiles.as_slice() else {
        return None;
    };
    let is_url = name == "url" && &*only.code == "Extension";
    is_url.then(|| Criterion::Extension(canonical.clone()))
}

/// An extension that a slice must have, or must not have.
fn extension(profile: &Profile, at: RuleId, step: &Step) -> Option<Criterion> {
    let Step::Extension(url) = step else {
        return None;
    };
    let family = &profile.families[profile.rules[at].family?];
    let place = family.place("extension")?;
    let slicing = profile.rules[family.rules[place.rule]].slicing.as_ref()?;
    let slice = slicing.slices.iter().find(|slice| {
        let types = &profile.rules[slice.rule].types;
        types
            .iter()
            .flat_map(|kind| &kind.profiles)
            .any(|own| own.split('|').next() == Some(url))
    })?;
    let rule = &profile.rules[slice.rule];
    if rule.max == Some(0) {
        return Some(Criterion::Absent);
    }
    (rule.min > 0).then_some(Criterion::Present)
}
