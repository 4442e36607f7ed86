//! The functions of FHIRPath.

use std::borrow::Cow;
use std::collections::HashSet;

use super::ast::{Expression, Function};
use super::compare::equal;
use super::eval::{Evaluation, Fault, Items, Outcome, Scope, integer, only, plain_item, truth};
use super::item::{Item, Plain};
use crate::fhir::validate::narrative;
use crate::fhir::validate::pattern::{self, Pattern};

/// What it costs at least to make a pattern.
const COMPILING: usize = 20_000;

/// Calls a function on its input.
pub fn call<'a>(
    run: &Evaluation<'a>,
    function: Function,
    input: Items<'a>,
    arguments: &[Expression],
    scope: Scope<'_, 'a>,
) -> Outcome<'a> {
    run.spend(input.len())?;
    let call = Call {
        run,
        arguments,
        scope,
    };
    match function {
        Function::Exists
        | Function::Empty
        | Function::Not
        | Function::All
        | Function::AllTrue
        | Function::AnyTrue
        | Function::AllFalse
        | Function::AnyFalse
        | Function::HasValue
        | Function::IsDistinct
        | Function::SubsetOf
        | Function::SupersetOf
        | Function::HtmlChecks => {
            let answer = call.question(function, input)?;
            Ok(answer.map(Item::Bool).into_iter().collect())
        }
        Function::Where
        | Function::Select
        | Function::First
        | Function::Last
        | Function::Tail
        | Function::Skip
        | Function::Take
        | Function::Single
        | Function::Distinct
        | Function::Intersect
        | Function::Exclude
        | Function::Union
        | Function::Combine
        | Function::Children
        | Function::Descendants
        | Function::Extension
        | Function::Trace
        | Function::Iif => call.collection(function, input),
        Function::Count => Ok(vec![Item::Integer(length(input.len()))]),
        Function::Join => call.join(input),
        Function::OfType | Function::As | Function::Is => Ok(input),
        Function::Resolve => Err(Fault::Undecided("references are not followed".to_owned())),
        _ => call.single(function, input),
    }
}

fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

struct Call<'r, 'a, 's> {
    run: &'r Evaluation<'a>,
    arguments: &'r [Expression],
    scope: Scope<'s, 'a>,
}

impl<'a> Call<'_, 'a, '_> {
    /// An argument, asked of the item in scope.
    fn argument(&self, index: usize) -> Outcome<'a> {
        match self.arguments.get(index) {
            Some(argument) => self.run.run(argument, self.scope),
            None => Ok(Vec::new()),
        }
    }

    fn text(&self, index: usize) -> Result<Option<Cow<'a, str>>, Fault> {
        Ok(only(self.argument(index)?)?.and_then(|item| item.text()))
    }

    /// The first argument, asked of each item in turn.
    fn each(&self, this: &Item<'a>, index: usize) -> Outcome<'a> {
        match self.arguments.first() {
            Some(argument) => self.run.run(argument, Scope { this, index }),
            None => Ok(vec![this.clone()]),
        }
    }

    fn question(&self, function: Function, input: Items<'a>) -> Result<Option<bool>, Fault> {
        let bools = || {
            input
                .iter()
                .map(|item| item.plain() == Some(Plain::Bool(true)))
        };
        Ok(Some(match function {
            Function::Exists if self.arguments.is_empty() => !input.is_empty(),
            Function::Exists => {
                for (index, item) in input.iter().enumerate() {
                    if truth(self.each(item, index)?)? == Some(true) {
                        return Ok(Some(true));
                    }
                }
                false
            }
            Function::Empty => input.is_empty(),
            Function::Not => return Ok(truth(input)?.map(|value| !value)),
            Function::All => {
                for (index, item) in input.iter().enumerate() {
                    if truth(self.each(item, index)?)? != Some(true) {
                        return Ok(Some(false));
                    }
                }
                true
            }
            Function::AllTrue => bools().all(|value| value),
            Function::AnyTrue => bools().any(|value| value),
            Function::AllFalse => !bools().any(|value| value),
            Function::AnyFalse => !bools().all(|value| value),
            Function::HasValue => input.len() == 1 && input[0].plain().is_some(),
            Function::IsDistinct => distinct(self.run, &input)?.len() == input.len(),
            Function::SubsetOf => {
                let other = self.argument(0)?;
                self.run.compare(&input, other.len())?;
                input.iter().all(|item| has(&other, item))
            }
            Function::SupersetOf => {
                let other = self.argument(0)?;
                self.run.compare(&input, other.len())?;
                other.iter().all(|item| has(&input, item))
            }
            _ => match only(input)?.and_then(|item| item.text()) {
                Some(div) => narrative::problem(&div).is_none(),
                None => return Ok(None),
            },
        }))
    }

    fn collection(&self, function: Function, mut input: Items<'a>) -> Outcome<'a> {
        let count = |items: Items<'a>| {
            integer(items)
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or_default()
        };
        Ok(match function {
            Function::Where => {
                let mut kept = Vec::new();
                for (index, item) in input.into_iter().enumerate() {
                    if truth(self.each(&item, index)?)? == Some(true) {
                        kept.push(item);
                    }
                }
                kept
            }
            Function::Select => {
                let mut found = Vec::new();
                for (index, item) in input.iter().enumerate() {
                    found.extend(self.each(item, index)?);
                    self.run.may_hold(found.len())?;
                }
                found
            }
            Function::First => input.into_iter().take(1).collect(),
            Function::Last => input.pop().into_iter().collect(),
            Function::Tail => input.into_iter().skip(1).collect(),
            Function::Skip => input.into_iter().skip(count(self.argument(0)?)).collect(),
            Function::Take => input.into_iter().take(count(self.argument(0)?)).collect(),
            Function::Single => only(input)?.into_iter().collect(),
            Function::Distinct => distinct(self.run, &input)?,
            Function::Intersect | Function::Exclude => {
                let other = self.argument(0)?;
                self.run.compare(&input, other.len())?;
                input.retain(|item| has(&other, item) == (function == Function::Intersect));
                input
            }
            Function::Union => {
                input.extend(self.argument(0)?);
                distinct(self.run, &input)?
            }
            Function::Combine => {
                input.extend(self.argument(0)?);
                self.run.may_hold(input.len())?;
                input
            }
            Function::Children => self.children(&input)?,
            Function::Descendants => {
                let (mut found, mut next) = (Vec::new(), self.children(&input)?);
                while !next.is_empty() {
                    self.run.may_hold(found.len() + next.len())?;
                    let below = self.children(&next)?;
                    found.append(&mut next);
                    next = below;
                }
                found
            }
            Function::Extension => {
                let url = self.text(0)?.unwrap_or_default();
                let mut extensions = Vec::new();
                for item in &input {
                    if let Item::Element(spot) = item {
                        spot.named("extension", &mut extensions);
                    }
                }
                let has_url = |extension: &serde_json::Value| {
                    extension.get("url").and_then(serde_json::Value::as_str) == Some(&url)
                };
                extensions.retain(|spot| spot.value.is_some_and(has_url));
                extensions.into_iter().map(Item::Element).collect()
            }
            Function::Iif => self.iif(input)?,
            _ => input,
        })
    }

    fn iif(&self, input: Items<'a>) -> Outcome<'a> {
        let item = only(input)?;
        let scope = match &item {
            Some(this) => Scope { this, index: 0 },
            None => self.scope,
        };
        let [condition, rest @ ..] = self.arguments else {
            return Ok(Vec::new());
        };
        let chosen = match self.run.truth(condition, scope)? {
            Some(true) => rest.first(),
            _ => rest.get(1),
        };
        match chosen {
            Some(chosen) => self.run.run(chosen, scope),
            None => Ok(Vec::new()),
        }
    }

    /// A pattern that is not known before: it is made each time.
    fn compiled(&self, text: &str) -> Result<Pattern, Fault> {
        self.run.spend(COMPILING + text.len())?;
        pattern::compile(text).map_err(|error| Fault::Failed(format!("pattern {text}: {error}")))
    }

    fn children(&self, items: &[Item<'a>]) -> Outcome<'a> {
        let mut found = Vec::new();
        for item in items {
            if let Item::Element(spot) = item {
                found.extend(spot.children().into_iter().map(Item::Element));
                self.run.may_hold(found.len())?;
            }
        }
        self.run.spend(found.len())?;
        Ok(found)
    }

    fn join(&self, input: Items<'a>) -> Outcome<'a> {
        let separator = self.text(0)?.unwrap_or_default();
        let parts: Vec<Cow<'_, str>> = input.iter().filter_map(Item::written).collect();
        let length: usize = parts.iter().map(|part| part.len() + separator.len()).sum();
        self.run.room(length)?;
        Ok(vec![Item::Text(Cow::Owned(parts.join(&separator)))])
    }

    /// Functions of one value; nothing gives nothing.
    fn single(&self, function: Function, input: Items<'a>) -> Outcome<'a> {
        let Some(item) = only(input)? else {
            return Ok(Vec::new());
        };
        let result = match function {
            Function::ToInteger => to_integer(&item),
            Function::ToDecimal => item
                .written()
                .and_then(|text| text.parse().ok())
                .map(Item::Decimal),
            Function::ToText => item.written().map(Item::Text),
            Function::ToBoolean => item
                .written()
                .and_then(|text| text.parse().ok())
                .map(Item::Bool),
            Function::Value => plain_item(&item),
            _ => match item.text() {
                Some(text) => return self.of_text(function, &text),
                None => return Ok(Vec::new()),
            },
        };
        Ok(result.into_iter().collect())
    }

    fn of_text(&self, function: Function, text: &str) -> Outcome<'a> {
        self.run.spend(text.len() / 64)?;
        let other = self.text(0)?;
        let asked =
            |ask: &dyn Fn(&str) -> bool| other.as_deref().map(|other| Item::Bool(ask(other)));
        let result = match function {
            Function::StartsWith => asked(&|other| text.starts_with(other)),
            Function::EndsWith => asked(&|other| text.ends_with(other)),
            Function::Contains => asked(&|other| text.contains(other)),
            Function::IndexOf => other.as_deref().map(|other| {
                let at = text
                    .find(other)
                    .map(|at| length(text[..at].chars().count()));
                Item::Integer(at.unwrap_or(-1))
            }),
            Function::Matches => match other {
                Some(other) => return self.run.matches(text, &self.compiled(&other)?),
                None => None,
            },
            Function::Replace => match (other, self.text(1)?) {
                (Some(other), Some(with)) => {
                    self.run.room_to_replace(text, &with)?;
                    return self.run.text(text.replace(other.as_ref(), &with));
                }
                _ => None,
            },
            Function::ReplaceMatches => match other {
                Some(other) => {
                    let (pattern, with) = (self.compiled(&other)?, self.text(1)?);
                    return self.run.replaced(text, &pattern, with.as_deref());
                }
                None => None,
            },
            Function::Substring => {
                let start =
                    integer(self.argument(0)?).and_then(|start| usize::try_from(start).ok());
                let most = integer(self.argument(1)?).and_then(|most| usize::try_from(most).ok());
                return match start.filter(|start| *start < text.chars().count()) {
                    Some(start) => {
                        let letters = text.chars().skip(start);
                        self.run
                            .text(letters.take(most.unwrap_or(usize::MAX)).collect())
                    }
                    None => Ok(Vec::new()),
                };
            }
            Function::Upper => return self.run.text(text.to_uppercase()),
            Function::Lower => return self.run.text(text.to_lowercase()),
            Function::Trim => return self.run.text(text.trim().to_owned()),
            Function::Length => Some(Item::Integer(length(text.chars().count()))),
            Function::Split => {
                let by = other.unwrap_or_default();
                self.run.spend(text.len())?;
                self.run.room(text.len())?;
                let part = |part: &str| Item::Text(Cow::Owned(part.to_owned()));
                return Ok(text.split(by.as_ref()).map(part).collect());
            }
            _ => None,
        };
        Ok(result.into_iter().collect())
    }
}

fn to_integer<'a>(item: &Item<'a>) -> Option<Item<'a>> {
    match item.plain()? {
        Plain::Integer(value) => Some(Item::Integer(value)),
        Plain::Bool(value) => Some(Item::Integer(value.into())),
        Plain::Text(text) => text.parse().ok().map(Item::Integer),
        _ => None,
    }
}

fn has(list: &[Item<'_>], item: &Item<'_>) -> bool {
    list.iter().any(|one| equal(one, item) == Some(true))
}

/// Each value once. Texts, which may be many, are told apart by a set.
pub fn distinct<'a>(run: &Evaluation<'a>, items: &[Item<'a>]) -> Outcome<'a> {
    let mut texts = HashSet::new();
    let mut others: Items<'a> = Vec::new();
    let mut kept = Vec::new();
    for item in items {
        match item.plain() {
            Some(Plain::Text(text)) => {
                if texts.insert(text) {
                    kept.push(item.clone());
                }
            }
            _ => {
                run.spend(others.len().saturating_mul(item.size()))?;
                if !has(&others, item) {
                    others.push(item.clone());
                    kept.push(item.clone());
                }
            }
        }
    }
    Ok(kept)
}
