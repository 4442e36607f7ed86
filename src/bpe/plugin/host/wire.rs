//! Values on the way between process variables and plugin code: `[type, value]` in JSON.
//!
//! The type travels with the value, because a variable keeps its type through code that does not
//! touch it. The other side is `decoders` and `TYPES` in `js/prelude/values.js`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::bpe::model::{Target, Targets, Variable, Variables};

/// What code sent that no variable can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a value of a variable: {0}")]
pub struct Malformed(String);

pub(super) fn encode(variable: &Variable) -> Value {
    match variable {
        // No value stands apart from a running instance.
        Variable::Null | Variable::Apart(_) => json!(["null"]),
        Variable::Boolean(value) => json!(["boolean", value]),
        Variable::Integer(value) => json!(["integer", value]),
        // Numbers of JavaScript are exact up to 53 bits only.
        Variable::Long(value) => json!(["long", value.to_string()]),
        Variable::Double(value) if value.is_finite() => json!(["double", value]),
        Variable::Double(value) => json!(["double", special(*value)]),
        Variable::String(value) => json!(["string", value]),
        Variable::Date(at) => json!(["date", at.as_millisecond()]),
        Variable::Bytes(bytes) => json!(["bytes", STANDARD.encode(bytes)]),
        Variable::List(items) => json!(["list", items.iter().map(encode).collect::<Vec<_>>()]),
        Variable::Map(entries) => json!(["map", named(entries)]),
        Variable::Json(value) => json!(["json", value]),
        Variable::Resource(value) => json!(["resource", value]),
        Variable::Target(one) => json!(["target", target(one)]),
        Variable::Targets(all) => {
            json!([
                "targets",
                all.entries.iter().map(target).collect::<Vec<_>>()
            ])
        }
    }
}

/// Variables as pairs: their order is kept, and no name can mean something to JavaScript.
pub(super) fn named(variables: &Variables) -> Value {
    variables
        .iter()
        .map(|(name, value)| json!([name, encode(value)]))
        .collect()
}

fn special(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

pub(super) fn target(target: &Target) -> Value {
    json!({
        "organization": target.organization_identifier,
        "endpoint": target.endpoint_identifier,
        "url": target.endpoint_url,
        "correlationKey": target.correlation_key,
    })
}

pub(super) fn decode(value: &Value) -> Result<Variable, Malformed> {
    try_decode(value).ok_or_else(|| Malformed(value.to_string()))
}

fn try_decode(pair: &Value) -> Option<Variable> {
    let value = pair.get(1).unwrap_or(&Value::Null);
    Some(match pair.get(0)?.as_str()? {
        "null" => Variable::Null,
        "boolean" => Variable::Boolean(value.as_bool()?),
        "integer" => Variable::Integer(i32::try_from(value.as_i64()?).ok()?),
        "long" => Variable::Long(value.as_str()?.parse().ok()?),
        "double" => Variable::Double(double(value)?),
        "string" => Variable::String(value.as_str()?.to_owned()),
        "date" => Variable::Date(Timestamp::from_millisecond(value.as_i64()?).ok()?),
        "bytes" => Variable::Bytes(STANDARD.decode(value.as_str()?).ok()?),
        "list" => Variable::List(items(value, try_decode)?),
        "json" => Variable::Json(value.clone()),
        "resource" => Variable::Resource(Box::new(value.clone())),
        "target" => Variable::Target(target_of(value)?),
        "targets" => Variable::Targets(Targets {
            entries: items(value, target_of)?,
        }),
        _ => return None,
    })
}

fn double(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some(_) => Some(f64::NAN),
        None => value.as_f64(),
    }
}

fn items<T>(value: &Value, one: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    value.as_array()?.iter().map(one).collect()
}

pub(super) fn target_of(value: &Value) -> Option<Target> {
    let text = |name: &str| value.get(name)?.as_str().map(str::to_owned);
    Some(Target {
        organization_identifier: text("organization")?,
        endpoint_identifier: text("endpoint")?,
        endpoint_url: text("url")?,
        correlation_key: text("correlationKey"),
    })
}
