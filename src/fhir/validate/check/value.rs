//! Values that are given, bounded, or held to a form.

use std::cmp::Ordering;

use serde_json::Value;

use super::Judge;
use super::trail::Trail;
use crate::fhir::validate::fhirpath::order_of;
use crate::fhir::validate::finding::shown;
use crate::fhir::validate::profile::Rule;
use crate::fhir::validate::spot::Spot;
use crate::r4::outcome::IssueType;
use crate::r4::table::Primitive;

/// Longest string of R4, in characters.
const LONGEST: usize = 1 << 20;

impl<'a> Judge<'a> {
    /// Fixed and pattern values, least and most, length.
    pub(super) fn given(&mut self, rule: &Rule, spot: Spot<'a>, trail: &Trail<'_>) {
        let path = &rule.path;
        if let Some(fixed) = &rule.fixed
            && spot.value != Some(fixed)
        {
            let text = format!(
                "{path}: the value must be {}, but is {}",
                shown(Some(fixed)),
                shown(spot.value)
            );
            self.error(IssueType::Value, trail, "fixed", text);
        }
        if let Some(pattern) = &rule.pattern
            && !spot
                .value
                .is_some_and(|value| self.contains(value, pattern))
        {
            let text = format!(
                "{path}: the value must contain {}, but is {}",
                shown(Some(pattern)),
                shown(spot.value)
            );
            self.error(IssueType::Value, trail, "pattern", text);
        }
        for (bound, wrong, word) in [
            (&rule.least, Ordering::Less, "at least"),
            (&rule.most, Ordering::Greater, "at most"),
        ] {
            if let Some(bound) = bound
                && order_of(spot, bound) == Some(wrong)
            {
                let text = format!(
                    "{path}: the value must be {word} {}, but is {}",
                    shown(Some(bound)),
                    shown(spot.value)
                );
                self.error(IssueType::Value, trail, "range", text);
            }
        }
        if let (Some(max), Some(text)) = (rule.max_length, spot.text())
            && text.len() > max
            && text.chars().count() > max
        {
            let text = format!(
                "{path}: {} characters, but at most {max} are allowed",
                text.chars().count()
            );
            self.error(IssueType::TooLong, trail, "max-length", text);
        }
    }

    /// An address that must be absolute, and is not.
    pub(super) fn relative(&mut self, text: &str, trail: &Trail<'_>) {
        let text = format!(
            "{}: '{}' must be absolute, such as http://example.org/x",
            trail.expression(),
            shown(Some(&Value::String(text.to_owned()))).trim_matches('\'')
        );
        self.error(IssueType::Value, trail, "absolute", text);
    }

    /// What the form of a primitive does not say.
    pub(super) fn text(&mut self, primitive: Primitive, text: &str, trail: &Trail<'_>) {
        match primitive {
            Primitive::String if text.len() > LONGEST && text.chars().count() > LONGEST => {
                let text = format!(
                    "{}: a string of more than {LONGEST} characters",
                    trail.expression()
                );
                self.error(IssueType::TooLong, trail, "max-length", text);
            }
            Primitive::Canonical if text.starts_with('#') => {
                let is_there = text
                    .get(1..)
                    .and_then(|id| self.contained_type(id))
                    .is_some();
                if !is_there {
                    let text = format!("{}: there is no contained {text}", trail.expression());
                    self.error(IssueType::NotFound, trail, "contained", text);
                }
            }
            Primitive::Canonical if !is_absolute(text) => {
                self.relative(text, trail);
            }
            Primitive::Uri if is_own_address(trail) && !is_absolute(text) => {
                self.relative(text, trail);
            }
            Primitive::Uri | Primitive::Url | Primitive::Uuid | Primitive::Canonical => {
                if let Some(id) = text.strip_prefix("urn:uuid:")
                    && !is_uuid(id)
                {
                    let text = format!(
                        "{}: '{text}' is no lower-case UUID, such as \
                         urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7",
                        trail.expression()
                    );
                    self.error(IssueType::Value, trail, "uuid", text);
                }
            }
            _ => {}
        }
    }
}

/// Whether this is the canonical address of the resource that it stands in.
fn is_own_address(trail: &Trail<'_>) -> bool {
    let resource = trail.parent().filter(|parent| parent.is_resource());
    let block = resource.and_then(|parent| parent.spot.block());
    trail.name() == "url"
        && block.is_some_and(|block| {
            let version = block.element("version");
            version.is_some_and(|version| !version.is_list)
        })
}

/// Whether an address has a scheme, in lower case, and something behind it.
pub(super) fn is_absolute(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        let is_part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b);
        scheme.starts_with(|first: char| first.is_ascii_lowercase())
            && scheme.bytes().all(is_part)
            && !rest.is_empty()
            && !rest.contains(' ')
    })
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && !text.bytes().any(|b| b.is_ascii_uppercase())
        && uuid::Uuid::try_parse(text).is_ok()
}
