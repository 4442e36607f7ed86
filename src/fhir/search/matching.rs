//! The conditions of a search on one resource in memory, for Subscriptions (§5.10).

use serde_json::Value;
use uuid::Uuid;

use crate::r4::{Resource, ResourceType};
use crate::store::fhir::search::{
    Compare, Condition, Edge, Field, IndexTerms, Moment, Target, Test,
};

use super::date;
use super::terms::terms;

/// A resource that conditions are tried on.
#[derive(Clone, Debug)]
pub struct Candidate {
    id: Option<Uuid>,
    last_updated: Option<i64>,
    terms: IndexTerms,
    targets: Vec<(Uuid, Vec<String>)>,
}

impl Candidate {
    /// A resource as it is stored.
    #[must_use]
    pub fn new(resource: &Resource) -> Self {
        Self {
            id: resource.id().and_then(|id| id.parse().ok()),
            last_updated: resource.last_updated().and_then(date::last_updated),
            terms: terms(resource),
            targets: Vec::new(),
        }
    }

    /// The terms that it is found by.
    pub fn tokens(&self) -> impl Iterator<Item = &String> {
        self.terms.tokens.iter()
    }

    /// The resources whose tokens must be known before `condition` can be tried.
    #[must_use]
    pub fn wanted(&self, condition: &Condition) -> Vec<Uuid> {
        match condition {
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter().flat_map(|part| self.wanted(part)).collect()
            }
            Condition::Target(target) => self.referred(target).map(|(_, id)| id).collect(),
            _ => Vec::new(),
        }
    }

    /// Tells the tokens of current resources that this one refers to.
    #[must_use]
    pub fn with_targets(mut self, targets: Vec<(Uuid, Vec<String>)>) -> Self {
        self.targets = targets;
        self
    }

    #[must_use]
    pub fn meets(&self, condition: &Condition) -> bool {
        match condition {
            Condition::All(parts) => parts.iter().all(|part| self.meets(part)),
            Condition::Any(parts) => parts.iter().any(|part| self.meets(part)),
            Condition::Token(tokens) => tokens
                .iter()
                .any(|token| self.terms.tokens.binary_search(token).is_ok()),
            Condition::Words(tokens) => tokens
                .iter()
                .all(|token| self.terms.tokens.binary_search(token).is_ok()),
            Condition::Prefix(parameter, text) => self
                .values(parameter)
                .next()
                .and_then(Value::as_str)
                .is_some_and(|value| value.starts_with(text)),
            Condition::Value(parameter, test) => self
                .values(parameter)
                .filter_map(Value::as_str)
                .any(|value| passes(test, value)),
            Condition::Moment(moment) => self.moment(moment),
            Condition::Id(id) => self.id == Some(*id),
            Condition::Target(target) => self.target(target),
            Condition::Nothing => false,
        }
    }

    fn values(&self, parameter: &str) -> impl Iterator<Item = &Value> {
        self.terms
            .values
            .get(parameter)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    }

    fn moment(&self, moment: &Moment) -> bool {
        let value = match moment.field {
            Field::LastUpdated => self.last_updated,
            Field::Date(parameter) => {
                let edge = if moment.edge == Edge::First { 0 } else { 1 };
                self.values(parameter).nth(edge).and_then(Value::as_i64)
            }
        };
        value.is_some_and(|value| match moment.compare {
            Compare::Less => value < moment.at,
            Compare::LessOrEqual => value <= moment.at,
            Compare::Greater => value > moment.at,
            Compare::GreaterOrEqual => value >= moment.at,
        })
    }

    /// The references by a parameter, as the tokens tell them.
    fn referred<'a>(
        &'a self,
        target: &'a Target,
    ) -> impl Iterator<Item = (ResourceType, Uuid)> + 'a {
        self.terms
            .tokens
            .iter()
            .filter_map(|token| token.strip_prefix(target.prefix.as_str())?.split_once('/'))
            .filter_map(|(name, id)| {
                let kind = ResourceType::from_name(name).filter(|k| target.kinds.contains(k))?;
                Some((kind, id.parse().ok()?))
            })
    }

    fn target(&self, target: &Target) -> bool {
        self.referred(target).any(|(_, id)| {
            self.targets.iter().any(|(known, tokens)| {
                *known == id && tokens.iter().any(|token| target.tokens.contains(token))
            })
        })
    }
}

fn passes(test: &Test, value: &str) -> bool {
    match test {
        Test::Equals(text) => value == text,
        Test::StartsWith(text) => value.starts_with(text),
        Test::Contains(text) => value.contains(text),
        Test::Code(text) => value.split_once('|').map_or(value, |(_, code)| code) == text,
        Test::Not(inner) => !passes(inner, value),
    }
}
