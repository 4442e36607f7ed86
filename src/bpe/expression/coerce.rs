//! How values become others (`spec/bpmn.md` §4.3).

use std::cmp::Ordering;

use serde_json::Value;

use super::{EvaluationError, describe};
use crate::bpe::model::Variable;

fn invalid(message: String) -> EvaluationError {
    EvaluationError::Invalid(message)
}

/// A number as operators see it.
#[derive(Clone, Copy)]
enum Number {
    Long(i64),
    Double(f64),
}

impl Number {
    #[expect(
        clippy::cast_precision_loss,
        reason = "the language widens integers to doubles"
    )]
    fn double(self) -> f64 {
        match self {
            Self::Long(value) => value as f64,
            Self::Double(value) => value,
        }
    }
}

fn native_number(value: &Variable) -> Option<Number> {
    match value {
        Variable::Integer(value) => Some(Number::Long(i64::from(*value))),
        Variable::Long(value) => Some(Number::Long(*value)),
        Variable::Double(value) => Some(Number::Double(*value)),
        Variable::Json(Value::Number(number)) => number
            .as_i64()
            .map(Number::Long)
            .or_else(|| number.as_f64().map(Number::Double)),
        _ => None,
    }
}

fn to_number(value: &Variable) -> Result<Number, EvaluationError> {
    if let Some(number) = native_number(value) {
        return Ok(number);
    }
    match value {
        Variable::Null => Ok(Number::Long(0)),
        Variable::String(text) if text.is_empty() => Ok(Number::Long(0)),
        Variable::String(text) => text
            .parse()
            .map(Number::Long)
            .or_else(|_| text.parse().map(Number::Double))
            .map_err(|_| invalid(format!("'{text}' is not a number"))),
        other => Err(invalid(format!("{} is not a number", describe(other)))),
    }
}

pub(super) fn to_boolean(value: &Variable) -> Result<bool, EvaluationError> {
    match value {
        Variable::Boolean(value) | Variable::Json(Value::Bool(value)) => Ok(*value),
        Variable::Null => Ok(false),
        Variable::String(text) => Ok(text.eq_ignore_ascii_case("true")),
        other => Err(invalid(format!("{} is not a Boolean", describe(other)))),
    }
}

pub(super) fn to_text(value: &Variable) -> String {
    match value {
        Variable::Null => String::new(),
        Variable::Boolean(value) => value.to_string(),
        Variable::Integer(value) => value.to_string(),
        Variable::Long(value) => value.to_string(),
        Variable::Double(value) => format!("{value:?}"),
        Variable::String(text) | Variable::Json(Value::String(text)) => text.clone(),
        Variable::Date(value) => value.to_string(),
        other => other.to_json().to_string(),
    }
}

pub(super) fn is_empty(value: &Variable) -> bool {
    match value {
        Variable::Null | Variable::Json(Value::Null) => true,
        Variable::String(text) | Variable::Json(Value::String(text)) => text.is_empty(),
        Variable::Bytes(bytes) => bytes.is_empty(),
        Variable::List(items) => items.is_empty(),
        Variable::Map(entries) => entries.is_empty(),
        Variable::Targets(targets) => targets.entries.is_empty(),
        Variable::Json(Value::Array(items)) => items.is_empty(),
        Variable::Json(Value::Object(entries)) => entries.is_empty(),
        _ => false,
    }
}

pub(super) fn equal(left: &Variable, right: &Variable) -> Result<bool, EvaluationError> {
    if left.is_null() || right.is_null() {
        return Ok(left.is_null() && right.is_null());
    }
    if native_number(left).is_some() || native_number(right).is_some() {
        let (left, right) = (to_number(left)?, to_number(right)?);
        return Ok(match (left, right) {
            (Number::Long(left), Number::Long(right)) => left == right,
            _ => left.double() == right.double(),
        });
    }
    if matches!(left, Variable::Boolean(_)) || matches!(right, Variable::Boolean(_)) {
        return Ok(to_boolean(left)? == to_boolean(right)?);
    }
    if matches!(left, Variable::String(_)) || matches!(right, Variable::String(_)) {
        return Ok(to_text(left) == to_text(right));
    }
    Ok(left == right)
}

pub(super) fn ordered(
    symbol: &str,
    left: &Variable,
    right: &Variable,
) -> Result<bool, EvaluationError> {
    let inclusive = matches!(symbol, "<=" | ">=");
    if left.is_null() || right.is_null() {
        return Ok(inclusive && left.is_null() && right.is_null());
    }
    let ordering = if native_number(left).is_some() || native_number(right).is_some() {
        match (to_number(left)?, to_number(right)?) {
            (Number::Long(left), Number::Long(right)) => Some(left.cmp(&right)),
            (left, right) => left.double().partial_cmp(&right.double()),
        }
    } else {
        match (left, right) {
            (Variable::String(left), Variable::String(right)) => Some(left.cmp(right)),
            (Variable::Date(left), Variable::Date(right)) => Some(left.cmp(right)),
            _ => {
                let (left, right) = (describe(left), describe(right));
                return Err(invalid(format!("{left} and {right} have no order")));
            }
        }
    };
    Ok(match ordering {
        Some(Ordering::Equal) => inclusive,
        Some(Ordering::Less) => symbol.starts_with('<'),
        Some(Ordering::Greater) => symbol.starts_with('>'),
        None => false,
    })
}

pub(super) fn negate(value: &Variable) -> Result<Variable, EvaluationError> {
    arithmetic("-", &Variable::Long(0), value)
}

pub(super) fn arithmetic(
    symbol: &str,
    left: &Variable,
    right: &Variable,
) -> Result<Variable, EvaluationError> {
    let (left, right) = (to_number(left)?, to_number(right)?);
    if let (Number::Long(left), Number::Long(right)) = (left, right)
        && symbol != "/"
    {
        let result = match symbol {
            "+" => left.checked_add(right),
            "-" => left.checked_sub(right),
            "*" => left.checked_mul(right),
            _ => left.checked_rem(right),
        };
        let failed = || invalid(format!("{left} {symbol} {right} has no result"));
        return result.map(Variable::Long).ok_or_else(failed);
    }
    let (left, right) = (left.double(), right.double());
    Ok(Variable::Double(match symbol {
        "+" => left + right,
        "-" => left - right,
        "*" => left * right,
        "/" => left / right,
        _ => left % right,
    }))
}
