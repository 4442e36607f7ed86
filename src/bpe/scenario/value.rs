//! Values of scenario files as process variables, and how they compare.

use serde_json::Value as Json;
use toml::Value;
use toml::value::Table;

use crate::bpe::engine::timestamp;
use crate::bpe::model::{Variable, Variables};

/// Integers are longs, date-times without quotes are dates, tables are maps.
pub(super) fn variable(value: &Value) -> Variable {
    match value {
        Value::String(text) => Variable::String(text.clone()),
        Value::Integer(number) => Variable::Long(*number),
        Value::Float(number) => Variable::Double(*number),
        Value::Boolean(value) => Variable::Boolean(*value),
        Value::Datetime(at) => {
            let text = Variable::String(at.to_string());
            timestamp(&text).map_or(text, Variable::Date)
        }
        Value::Array(items) => items.iter().map(variable).collect(),
        Value::Table(table) => Variable::Map(variables(table)),
    }
}

pub(super) fn variables(table: &Table) -> Variables {
    table
        .iter()
        .map(|(name, value)| (name.clone(), variable(value)))
        .collect()
}

/// Values compare as JSON; `1` and `1.0` are equal.
pub(super) fn equal(expected: &Value, found: &Variable) -> bool {
    same(&variable(expected).to_json(), &found.to_json())
}

fn same(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => {
            left == right || left.as_f64() == right.as_f64()
        }
        (Json::Array(left), Json::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(a, b)| same(a, b))
        }
        (Json::Object(left), Json::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, a)| right.get(key).is_some_and(|b| same(a, b)))
        }
        _ => left == right,
    }
}
