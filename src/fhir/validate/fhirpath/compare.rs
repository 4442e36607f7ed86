//! Equality and order.

use std::cmp::Ordering;

use jiff::tz::TimeZone;

use super::eval::Fault;
use super::item::{Item, Plain};
use crate::fhir::validate::spot::Spot;
use crate::r4::datetime::DateTime;

/// Whether two items are equal; `None` when their precision does not tell.
pub fn equal(left: &Item<'_>, right: &Item<'_>) -> Option<bool> {
    match (left.plain(), right.plain()) {
        (Some(left), Some(right)) => plain_equal(&left, &right),
        (None, None) => match (left, right) {
            (Item::Element(left), Item::Element(right)) => {
                Some(left.value == right.value && left.extra == right.extra)
            }
            _ => Some(false),
        },
        _ => Some(false),
    }
}

fn plain_equal(left: &Plain<'_>, right: &Plain<'_>) -> Option<bool> {
    Some(match (left, right) {
        (Plain::Moment(left), Plain::Moment(right)) if left != right => {
            return moments(left, right).map(|order| order == Ordering::Equal);
        }
        (Plain::Moment(left), Plain::Text(right)) | (Plain::Text(left), Plain::Moment(right)) => {
            left == right
        }
        (Plain::Integer(left), Plain::Decimal(right))
        | (Plain::Decimal(right), Plain::Integer(left)) => float(*left) == *right,
        _ => left == right,
    })
}

/// As [`equal`], letters and blanks taken loosely.
pub fn equivalent(left: &Item<'_>, right: &Item<'_>) -> bool {
    match (left.text(), right.text()) {
        (Some(left), Some(right)) => {
            let folded = |text: &str| {
                let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
                words.join(" ")
            };
            folded(&left) == folded(&right)
        }
        _ => equal(left, right) == Some(true),
    }
}

/// The order of two items; `None` when it cannot be told.
pub fn order(left: &Item<'_>, right: &Item<'_>) -> Result<Option<Ordering>, Fault> {
    match (left.plain(), right.plain()) {
        (Some(left), Some(right)) => plain_order(&left, &right),
        (None, None) => match (left, right) {
            (Item::Element(left), Item::Element(right)) => quantities(left, right),
            _ => Ok(None),
        },
        _ => Err(Fault::Failed(
            "values of different types have no order".to_owned(),
        )),
    }
}

fn plain_order(left: &Plain<'_>, right: &Plain<'_>) -> Result<Option<Ordering>, Fault> {
    Ok(match (left, right) {
        (Plain::Integer(left), Plain::Integer(right)) => Some(left.cmp(right)),
        (Plain::Decimal(left), Plain::Decimal(right)) => left.partial_cmp(right),
        (Plain::Integer(left), Plain::Decimal(right)) => float(*left).partial_cmp(right),
        (Plain::Decimal(left), Plain::Integer(right)) => left.partial_cmp(&float(*right)),
        (Plain::Text(left), Plain::Text(right)) => Some(left.cmp(right)),
        (Plain::Moment(left) | Plain::Text(left), Plain::Moment(right) | Plain::Text(right)) => {
            moments(left, right)
        }
        _ => {
            return Err(Fault::Failed(
                "values of different types have no order".to_owned(),
            ));
        }
    })
}

#[expect(clippy::cast_precision_loss, reason = "FHIR integers have 32 bits")]
fn float(number: i64) -> f64 {
    number as f64
}

/// The order of two dates or times; `None` when one lies within the other.
pub fn moments(left: &str, right: &str) -> Option<Ordering> {
    if left == right {
        return Some(Ordering::Equal);
    }
    if let (Some(left), Some(right)) = (DateTime::parse(left), DateTime::parse(right)) {
        let (left, right) = (left.range(&TimeZone::UTC)?, right.range(&TimeZone::UTC)?);
        return if left == right {
            Some(Ordering::Equal)
        } else if left.end <= right.start {
            Some(Ordering::Less)
        } else if right.end <= left.start {
            Some(Ordering::Greater)
        } else {
            None
        };
    }
    // Times of a day, whose digits are in order.
    Some(left.cmp(right))
}

/// Quantities have an order within a unit.
fn quantities(left: &Spot<'_>, right: &Spot<'_>) -> Result<Option<Ordering>, Fault> {
    let number = |spot: &Spot<'_>| spot.value?.get("value")?.as_f64();
    let unit = |spot: &Spot<'_>, name: &str| {
        spot.value
            .and_then(|value| value.get(name))
            .and_then(|unit| unit.as_str())
            .map(str::to_owned)
    };
    let (Some(first), Some(second)) = (number(left), number(right)) else {
        return Ok(None);
    };
    let same = |name: &str| unit(left, name) == unit(right, name);
    let has_code = unit(left, "code").is_some();
    if (has_code && same("code") && same("system")) || (!has_code && same("unit")) {
        return Ok(first.partial_cmp(&second));
    }
    Err(Fault::Undecided(
        "quantities of different units are not compared".to_owned(),
    ))
}

/// How an element compares with a given value of the same type; `None` when that cannot be told.
pub fn order_of(spot: Spot<'_>, bound: &serde_json::Value) -> Option<Ordering> {
    let bound = Spot {
        value: Some(bound),
        extra: None,
        ..spot
    };
    order(&Item::Element(spot), &Item::Element(bound)).ok()?
}

/// Whether a date or time is surely before another.
pub fn is_before(left: &str, right: &str) -> bool {
    moments(left, right) == Some(Ordering::Less)
}
