//! One parameter with its value as a condition.

use crate::r4::{ResourceType, logical_id};
use crate::store::fhir::search::{Condition, Field, Target, Test};

use super::date::Comparison;
use super::fault::Fault;
use super::gram;
use super::registry::{self, Codes, Kind, Parameter, Piped};
use super::term::{folded, whole};
use super::token::Token;

/// A parameter that was understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Understood {
    pub condition: Condition,
    /// The value as the links repeat it.
    pub text: String,
}

/// What became of a name and its value.
pub(super) enum Reading {
    Understood(Understood),
    /// Left out without a word, as Java does.
    Ignored,
    Faulty(Fault),
}

/// Reads `name[:modifier]=value`.
pub(super) fn read(kind: ResourceType, full_name: &str, value: &str) -> Reading {
    let (name, modifier) = full_name
        .split_once(':')
        .map_or((full_name, None), |(n, m)| (n, Some(m)));
    let Some(parameter) = registry::find(kind, name)
        .filter(|found| modifier.is_none_or(|m| found.kind.modifiers().contains(&m)))
    else {
        return Reading::Faulty(Fault::unsupported(full_name));
    };
    let subject = Subject {
        kind,
        parameter,
        modifier,
        full_name,
        value,
    };
    match subject.condition() {
        // No stored text holds a NUL.
        Ok(Some(_)) if value.contains('\0') => Reading::Understood(Understood {
            condition: Condition::Nothing,
            text: value.to_owned(),
        }),
        Ok(Some(condition)) => {
            let text = subject.text();
            Reading::Understood(Understood { condition, text })
        }
        Ok(None) => Reading::Ignored,
        Err(fault) => Reading::Faulty(fault),
    }
}

struct Subject<'a> {
    kind: ResourceType,
    parameter: &'static Parameter,
    modifier: Option<&'a str>,
    full_name: &'a str,
    value: &'a str,
}

impl Subject<'_> {
    fn text(&self) -> String {
        match self.parameter.kind {
            Kind::Date | Kind::LastUpdated => Comparison::parse(self.value)
                .map_or_else(|| self.value.to_owned(), |comparison| comparison.text),
            _ => self.value.to_owned(),
        }
    }

    /// `None` where the parameter is left out.
    fn condition(&self) -> Result<Option<Condition>, Fault> {
        Ok(Some(match self.parameter.kind {
            Kind::Id => self.id()?,
            Kind::LastUpdated => self.date(Field::LastUpdated)?,
            Kind::Date => self.date(Field::Date(self.parameter.name))?,
            Kind::Identifier { .. } | Kind::Concept => self.token(),
            Kind::Enumerated { codes, piped } => return self.enumerated(codes, piped),
            Kind::Plain => self.equal(Token::parse(self.value).code()),
            Kind::Version if self.value.contains('|') => return Err(self.refused()),
            Kind::Version => self.equal(self.value),
            Kind::Boolean => self.boolean()?,
            Kind::Text => self.string(),
            Kind::Profile => self.uri(self.value),
            Kind::Uri { versioned } => return Ok(self.versioned_uri(versioned)),
            Kind::Reference(targets) => self.reference(targets)?,
            Kind::Canonical { by_prefix, .. } => self.canonical(by_prefix)?,
        }))
    }

    fn has(&self, token: String) -> Condition {
        Condition::Token(vec![token])
    }

    fn whole(&self, value: &str) -> String {
        whole(self.kind, self.parameter.name, value)
    }

    fn passes(&self, test: Test) -> Condition {
        Condition::Value(self.parameter.name, test)
    }

    fn unparsable(&self, message: impl Into<String>) -> Fault {
        Fault::unparsable(self.full_name, message, self.value)
    }

    fn refused(&self) -> Fault {
        Fault::refused(self.parameter.name, self.value)
    }

    fn is_negated(&self) -> bool {
        self.modifier == Some("not")
    }

    fn id(&self) -> Result<Condition, Fault> {
        let Some(id) = logical_id(self.value) else {
            let text = format!(
                "IllegalArgumentException - Invalid UUID string: {}",
                self.value
            );
            return Err(self.unparsable(text));
        };
        Ok(Condition::Id(id))
    }

    fn date(&self, field: Field) -> Result<Condition, Fault> {
        match Comparison::parse(self.value) {
            Some(comparison) => Ok(comparison.condition(field)),
            None => Err(self.unparsable(format!("{} not parsable", self.value))),
        }
    }

    /// Negated: some value differs; a resource without any is not found.
    fn token(&self) -> Condition {
        let token = Token::parse(self.value);
        if self.is_negated() {
            self.passes(Test::Not(Box::new(token.test())))
        } else {
            self.has(token.term(self.kind, self.parameter.name))
        }
    }

    fn equal(&self, value: &str) -> Condition {
        if self.is_negated() {
            self.passes(Test::Not(Box::new(Test::Equals(value.to_owned()))))
        } else {
            self.has(self.whole(value))
        }
    }

    fn enumerated(&self, codes: &Codes, piped: Piped) -> Result<Option<Condition>, Fault> {
        if self.value.contains('|') && piped == Piped::Ignored {
            return Ok(None);
        }
        let code = Token::parse(self.value).code();
        if !codes.codes.contains(&code) {
            let text = format!("FHIRException - Unknown {} code '{code}'", codes.name);
            return Err(self.unparsable(text));
        }
        if self.is_negated() {
            // Every other code: of codes there are few, and resources with a common one many.
            let others = codes.codes.iter().filter(|other| **other != code);
            let others = others.map(|other| self.whole(other)).collect();
            return Ok(Some(Condition::Token(others)));
        }
        Ok(Some(self.equal(code)))
    }

    fn boolean(&self) -> Result<Condition, Fault> {
        match self.value {
            "true" | "false" => Ok(self.equal(self.value)),
            _ => Err(self.unparsable("true or false expected")),
        }
    }

    fn string(&self) -> Condition {
        match self.modifier {
            Some("exact") => self.has(self.whole(self.value)),
            Some(_) => gram::containing(self.kind, self.parameter.name, &folded(self.value)),
            None => gram::beginning(self.kind, self.parameter.name, &folded(self.value)),
        }
    }

    fn uri(&self, url: &str) -> Condition {
        match self.modifier {
            // A resource may claim several profiles.
            Some(_) if self.parameter.kind == Kind::Profile => {
                self.passes(Test::StartsWith(url.to_owned()))
            }
            Some(_) => Condition::Prefix(self.parameter.name, url.to_owned()),
            None => self.has(self.whole(url)),
        }
    }

    /// `url|version`; with a second pipe the parameter is left out.
    fn versioned_uri(&self, versioned: bool) -> Option<Condition> {
        let (url, version) = self.value.split_once('|').unwrap_or((self.value, ""));
        if version.contains('|') {
            return None;
        }
        let condition = self.uri(url);
        if !versioned || version.is_empty() {
            return Some(condition);
        }
        let version = self.has(whole(self.kind, "version", version));
        Some(Condition::All(vec![condition, version]))
    }

    fn reference(&self, targets: &[ResourceType]) -> Result<Condition, Fault> {
        if self.modifier.is_some() {
            return Ok(self.by_identifier(targets));
        }
        if self.value.starts_with("http") {
            return Ok(self.has(self.whole(self.value)));
        }
        let parts: Vec<&str> = self.value.split('/').collect();
        match parts.as_slice() {
            [id] => Ok(Condition::Token(
                targets
                    .iter()
                    .map(|target| self.whole(&format!("{target}/{id}")))
                    .collect(),
            )),
            [name, _] if targets.iter().any(|target| target.name() == *name) => {
                Ok(self.has(self.whole(self.value)))
            }
            [name, _] => {
                let names: Vec<_> = targets.iter().map(|target| target.name()).collect();
                let known = names.join(", ");
                Err(self.unparsable(format!(
                    "Unsupported target resource type name {name}, not one of [{known}]"
                )))
            }
            _ => Err(self.unparsable(format!(
                "Unsupported reference {} not 'type/id'",
                self.value
            ))),
        }
    }

    /// By the identifier of the current target, for a party also by the one in the reference.
    fn by_identifier(&self, targets: &[ResourceType]) -> Condition {
        let token = Token::parse(self.value);
        let target = Condition::Target(Target {
            prefix: self.whole(""),
            kinds: targets.to_vec(),
            tokens: targets
                .iter()
                .map(|target| token.term(*target, "identifier"))
                .collect(),
        });
        if targets.len() == 1 {
            return target;
        }
        let inline = format!("{}:identifier", self.parameter.name);
        Condition::Any(vec![target, self.has(token.term(self.kind, &inline))])
    }

    fn canonical(&self, by_prefix: bool) -> Result<Condition, Fault> {
        if self.modifier.is_some() || !self.value.starts_with("http") {
            return Err(self.refused());
        }
        Ok(if by_prefix {
            Condition::Prefix(self.parameter.name, self.value.to_owned())
        } else {
            self.has(self.whole(self.value))
        })
    }
}
