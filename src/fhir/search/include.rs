//! `_include` and `_revinclude`: which there are and what they reach (§5.6).

use serde_json::Value;

use crate::r4::{Resource, ResourceType};

use super::registry::{self, Kind, Parameter};
use super::term::whole;
use super::terms::elements;

/// Resources that are added to a page: those a parameter refers to, or those that refer by it.
#[derive(Clone, Copy, Debug)]
pub struct Include {
    /// The type that has the reference.
    pub source: ResourceType,
    pub parameter: &'static Parameter,
    /// The type that is referred to.
    pub target: ResourceType,
}

/// Types whose references to others are followed backwards, and by which parameter (§5.6).
const REVERSE: &[(ResourceType, &str, ResourceType)] = &[
    (
        ResourceType::Endpoint,
        "organization",
        ResourceType::Organization,
    ),
    (
        ResourceType::Organization,
        "endpoint",
        ResourceType::Endpoint,
    ),
    (
        ResourceType::OrganizationAffiliation,
        "participating-organization",
        ResourceType::Organization,
    ),
    (
        ResourceType::OrganizationAffiliation,
        "primary-organization",
        ResourceType::Organization,
    ),
    (
        ResourceType::ResearchStudy,
        "enrollment",
        ResourceType::Group,
    ),
];

fn targets(parameter: &Parameter) -> Vec<ResourceType> {
    match parameter.kind {
        Kind::Reference(targets) => targets.to_vec(),
        Kind::Canonical { target, .. } => vec![target],
        _ => Vec::new(),
    }
}

/// The includes of a type.
#[must_use]
pub fn includes(kind: ResourceType) -> Vec<Include> {
    registry::parameters(kind)
        .iter()
        .flat_map(|parameter| {
            let with = move |target| Include {
                source: kind,
                parameter,
                target,
            };
            targets(parameter).into_iter().map(with)
        })
        .collect()
}

/// The reverse includes of a type.
#[must_use]
pub fn reverse_includes(kind: ResourceType) -> Vec<Include> {
    REVERSE
        .iter()
        .filter(|(_, _, target)| *target == kind)
        .filter_map(|(source, name, target)| {
            let parameter = registry::find(*source, name)?;
            Some(Include {
                source: *source,
                parameter,
                target: *target,
            })
        })
        .collect()
}

impl Include {
    /// `Source:parameter:Target`.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}:{}:{}", self.source, self.parameter.name, self.target)
    }

    /// Whether a client means this one; the target may be left out where there is only one.
    pub(super) fn is_called(&self, text: &str) -> bool {
        let long = self.text();
        let only = targets(self.parameter).len() == 1;
        let short = only
            .then(|| long.rsplit_once(':').map(|(short, _)| short))
            .flatten();
        text == long || short == Some(text)
    }

    /// What a match refers to: ids of targets, or canonicals.
    pub(super) fn references(&self, resource: &Resource) -> Vec<Reference> {
        let canonical = matches!(self.parameter.kind, Kind::Canonical { .. });
        elements(resource, self.parameter)
            .into_iter()
            .filter_map(|(_, element)| {
                if canonical {
                    return Some(Reference::Canonical(element.as_str()?.to_owned()));
                }
                let text = element.get("reference").and_then(Value::as_str)?;
                let mut parts = text.split('/');
                let kind = parts.next().filter(|name| *name == self.target.name());
                let id = kind.and_then(|_| parts.next())?;
                Some(Reference::Id(id.parse().ok()?))
            })
            .collect()
    }

    /// The tokens that sources of a reverse include have for these targets.
    pub(super) fn tokens(&self, ids: impl Iterator<Item = uuid::Uuid>) -> Vec<String> {
        ids.map(|id| {
            whole(
                self.source,
                self.parameter.name,
                &format!("{}/{id}", self.target),
            )
        })
        .collect()
    }
}

/// What an element refers to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reference {
    Id(uuid::Uuid),
    Canonical(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_may_be_left_out_only_where_there_is_one() {
        let called = |kind, text: &str| includes(kind).iter().any(|i| i.is_called(text));
        assert!(called(ResourceType::Endpoint, "Endpoint:organization"));
        assert!(called(
            ResourceType::Endpoint,
            "Endpoint:organization:Organization"
        ));
        assert!(called(ResourceType::Task, "Task:requester:Organization"));
        assert!(!called(ResourceType::Task, "Task:requester"));
        assert!(!called(ResourceType::Organization, "Organization:partof"));
        let reverse = reverse_includes(ResourceType::Organization);
        assert_eq!(reverse.len(), 3);
        assert!(reverse.iter().any(|i| i.is_called("Endpoint:organization")));
    }
}
