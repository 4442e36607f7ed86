//! What expressions work on: elements and system values.

use std::borrow::Cow;

use serde_json::Value;

use crate::fhir::validate::spot::{Spot, size};
use crate::r4::table::{Content, Primitive};

#[derive(Clone, Debug)]
pub enum Item<'a> {
    Element(Spot<'a>),
    Bool(bool),
    Integer(i64),
    Decimal(f64),
    Text(Cow<'a, str>),
}

/// The system value of an item.
#[derive(Clone, Debug, PartialEq)]
pub enum Plain<'a> {
    Bool(bool),
    Integer(i64),
    Decimal(f64),
    Text(Cow<'a, str>),
    /// A date, time or both.
    Moment(Cow<'a, str>),
}

impl<'a> Item<'a> {
    /// The system value, unless this is an element with children or without value.
    pub fn plain(&self) -> Option<Plain<'a>> {
        Some(match self {
            Self::Bool(value) => Plain::Bool(*value),
            Self::Integer(value) => Plain::Integer(*value),
            Self::Decimal(value) => Plain::Decimal(*value),
            Self::Text(text) => Plain::Text(text.clone()),
            Self::Element(spot) => return plain_of(spot),
        })
    }

    pub fn text(&self) -> Option<Cow<'a, str>> {
        match self.plain()? {
            Plain::Text(text) | Plain::Moment(text) => Some(text),
            _ => None,
        }
    }

    /// As `toString()` writes it.
    pub fn written(&self) -> Option<Cow<'a, str>> {
        if let Self::Element(spot) = self
            && let Some(Value::Number(number)) = spot.value
        {
            return Some(Cow::Owned(number.to_string()));
        }
        Some(match self.plain()? {
            Plain::Text(text) | Plain::Moment(text) => text,
            Plain::Bool(value) => Cow::Owned(value.to_string()),
            Plain::Integer(value) => Cow::Owned(value.to_string()),
            Plain::Decimal(value) => Cow::Owned(value.to_string()),
        })
    }

    /// How much work it is to compare it.
    pub fn size(&self) -> usize {
        let bytes = |text: &str| 1 + text.len() / 64;
        match self {
            Self::Text(text) => bytes(text),
            Self::Element(spot) => match spot.value {
                Some(Value::String(text)) => bytes(text),
                Some(value) => usize::try_from(size(value)).unwrap_or(usize::MAX),
                None => 1,
            },
            _ => 1,
        }
    }

    pub fn is_of(&self, type_name: &str) -> bool {
        let is = |name: &str| name.eq_ignore_ascii_case(type_name);
        match self {
            Self::Bool(_) => is("Boolean"),
            Self::Integer(_) => is("Integer"),
            Self::Decimal(_) => is("Decimal"),
            Self::Text(_) => is("String"),
            Self::Element(spot) => {
                is(spot.type_name)
                    || spot.block().is_some_and(|block| {
                        !matches!(spot.content, Content::Primitive(_)) && is(block.base)
                    })
            }
        }
    }
}

fn plain_of<'a>(spot: &Spot<'a>) -> Option<Plain<'a>> {
    match spot.value? {
        Value::Bool(value) => Some(Plain::Bool(*value)),
        Value::Number(number) => Some(match spot.content {
            Content::Primitive(Primitive::Decimal) => Plain::Decimal(number.as_f64()?),
            _ => Plain::Integer(number.as_i64()?),
        }),
        Value::String(text) => Some(match spot.content {
            Content::Primitive(
                Primitive::Date | Primitive::DateTime | Primitive::Instant | Primitive::Time,
            ) => Plain::Moment(Cow::Borrowed(text)),
            _ => Plain::Text(Cow::Borrowed(text)),
        }),
        _ => None,
    }
}
