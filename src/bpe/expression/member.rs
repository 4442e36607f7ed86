//! Properties and methods that values offer. Anything not listed here does not exist.

use serde_json::Value;

use super::coerce;
use super::parser::Node;
use super::{EvaluationError, Scope, describe};
use crate::bpe::model::{Target, Variable};

type Result<T = Variable> = std::result::Result<T, EvaluationError>;

fn invalid<T>(message: String) -> Result<T> {
    Err(EvaluationError::Invalid(message))
}

/// Methods of `execution` with the number of their arguments.
const EXECUTION: [(&str, usize); 17] = [
    ("getVariable", 1),
    ("getVariableLocal", 1),
    ("hasVariable", 1),
    ("hasVariableLocal", 1),
    ("setVariable", 2),
    ("setVariableLocal", 2),
    ("removeVariable", 1),
    ("removeVariableLocal", 1),
    ("getVariables", 0),
    ("getProcessInstanceId", 0),
    ("getId", 0),
    ("getBusinessKey", 0),
    ("getProcessBusinessKey", 0),
    ("getCurrentActivityId", 0),
    ("getCurrentActivityName", 0),
    ("getActivityInstanceId", 0),
    ("getProcessDefinitionId", 0),
];

/// Finds unknown methods of `execution` when the model is deployed.
pub(super) fn check(
    target: &Node,
    name: &str,
    arguments: usize,
) -> std::result::Result<(), String> {
    if !matches!(target, Node::Name(root) if root == "execution") {
        return Ok(());
    }
    match EXECUTION.into_iter().find(|(method, _)| *method == name) {
        Some((_, count)) if count == arguments => Ok(()),
        Some((_, count)) => Err(format!(
            "execution.{name} takes {count} arguments, not {arguments}"
        )),
        None => Err(format!("execution has no method '{name}'")),
    }
}

pub(super) fn execution(name: &str, mut arguments: Vec<Variable>, scope: &mut dyn Scope) -> Result {
    let value = if arguments.len() > 1 {
        arguments.pop()
    } else {
        None
    };
    let variable = arguments.first().map(coerce::to_text).unwrap_or_default();
    Ok(match name {
        "getVariable" => scope.variable(&variable).unwrap_or_default(),
        "getVariableLocal" => scope.local_variable(&variable).unwrap_or_default(),
        "hasVariable" => Variable::Boolean(scope.variable(&variable).is_some()),
        "hasVariableLocal" => Variable::Boolean(scope.local_variable(&variable).is_some()),
        "setVariable" | "setVariableLocal" => {
            scope.set(
                &variable,
                Some(value.unwrap_or_default()),
                name.ends_with("Local"),
            );
            Variable::Null
        }
        "removeVariable" | "removeVariableLocal" => {
            scope.set(&variable, None, name.ends_with("Local"));
            Variable::Null
        }
        "getVariables" => Variable::Map(scope.variables()),
        _ => return getter(name, |property| scope.execution(property)),
    })
}

pub(super) fn task(name: &str, arguments: &[Variable], scope: &mut dyn Scope) -> Result {
    if let ("setVariable" | "getVariable" | "hasVariable", [_, ..]) = (name, arguments) {
        return execution(name, arguments.to_vec(), scope);
    }
    getter(name, |property| scope.task(property))
}

/// `getX()` reads the property `x`.
fn getter(name: &str, read: impl Fn(&str) -> Option<Variable>) -> Result {
    let property = name.strip_prefix("get").or_else(|| name.strip_prefix("is"));
    let found = property.and_then(|property| {
        let mut chars = property.chars();
        let first = chars.next()?.to_lowercase();
        read(&first.chain(chars).collect::<String>())
    });
    match found {
        Some(value) => Ok(value),
        None => invalid(format!("there is no method '{name}'")),
    }
}

/// A JSON value as the nearest variable, so that operators see numbers and texts.
pub(super) fn from_json(value: &Value) -> Variable {
    match value {
        Value::Null => Variable::Null,
        Value::Bool(value) => Variable::Boolean(*value),
        Value::Number(number) => match number.as_i64() {
            Some(value) => Variable::Long(value),
            None => Variable::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Variable::String(text.clone()),
        other => Variable::Json(other.clone()),
    }
}

pub(super) fn property(target: &Variable, name: &str) -> Result {
    let found = match target {
        Variable::Map(entries) => Some(entries.get(name).cloned().unwrap_or_default()),
        Variable::Json(Value::Object(entries)) => entries.get(name).map(from_json),
        Variable::Resource(resource) => Some(resource.get(name).map(from_json).unwrap_or_default()),
        Variable::Targets(targets) => match name {
            "entries" => Some(
                targets
                    .entries
                    .iter()
                    .cloned()
                    .map(Variable::Target)
                    .collect(),
            ),
            "empty" => Some(Variable::Boolean(targets.entries.is_empty())),
            "firstEntry" => Some(
                targets
                    .entries
                    .first()
                    .cloned()
                    .map(Variable::Target)
                    .into(),
            ),
            _ => None,
        },
        Variable::Target(target) => target_property(target, name),
        _ if name == "empty" => Some(Variable::Boolean(coerce::is_empty(target))),
        _ => None,
    };
    match found {
        Some(value) => Ok(value),
        None => invalid(format!("{} has no property '{name}'", describe(target))),
    }
}

fn target_property(target: &Target, name: &str) -> Option<Variable> {
    Some(match name {
        "organizationIdentifierValue" => target.organization_identifier.clone().into(),
        "endpointIdentifierValue" => target.endpoint_identifier.clone().into(),
        "endpointUrl" => target.endpoint_url.clone().into(),
        "correlationKey" => target.correlation_key.clone().map(Variable::String).into(),
        _ => return None,
    })
}

pub(super) fn index(target: &Variable, index: &Variable) -> Result {
    let position = || coerce::to_text(index).parse::<usize>().ok();
    match target {
        Variable::List(items) => Ok(position()
            .and_then(|at| items.get(at))
            .cloned()
            .unwrap_or_default()),
        Variable::Json(Value::Array(items)) => Ok(position()
            .and_then(|at| items.get(at))
            .map(from_json)
            .unwrap_or_default()),
        Variable::Null => Ok(Variable::Null),
        other => property(other, &coerce::to_text(index)),
    }
}

pub(super) fn call(target: &Variable, name: &str, arguments: &[Variable]) -> Result {
    match (target, name, arguments) {
        (Variable::Null, _, _) => invalid(format!("method '{name}' of null")),
        (_, "isEmpty", []) => Ok(Variable::Boolean(coerce::is_empty(target))),
        (_, "equals", [other]) => Ok(Variable::Boolean(target == other)),
        (_, "toString", []) => Ok(Variable::String(coerce::to_text(target))),
        (Variable::String(text), _, _) => text_call(text, name, arguments),
        (Variable::List(items), "size", []) => Ok(Variable::Integer(length(items.len()))),
        (Variable::List(items), "contains", [item]) => Ok(Variable::Boolean(items.contains(item))),
        (Variable::List(_) | Variable::Map(_), "get", [at]) => index(target, at),
        (Variable::Map(entries), "size", []) => Ok(Variable::Integer(length(entries.len()))),
        (Variable::Map(entries), "containsKey", [key]) => Ok(Variable::Boolean(
            entries.contains_key(&coerce::to_text(key)),
        )),
        (_, _, []) => getter(name, |name| property(target, name).ok()),
        _ => invalid(format!("{} has no method '{name}'", describe(target))),
    }
}

fn text_call(text: &str, name: &str, arguments: &[Variable]) -> Result {
    let first = arguments.first().map(coerce::to_text).unwrap_or_default();
    Ok(match (name, arguments.len()) {
        ("length", 0) => Variable::Integer(length(text.chars().count())),
        ("trim", 0) => text.trim().into(),
        ("toLowerCase", 0) => text.to_lowercase().into(),
        ("toUpperCase", 0) => text.to_uppercase().into(),
        ("contains", 1) => text.contains(&first).into(),
        ("startsWith", 1) => text.starts_with(&first).into(),
        ("endsWith", 1) => text.ends_with(&first).into(),
        ("equalsIgnoreCase", 1) => text.eq_ignore_ascii_case(&first).into(),
        ("substring", 1 | 2) => return substring(text, arguments),
        _ => {
            return invalid(format!(
                "a text has no method '{name}' with these arguments"
            ));
        }
    })
}

fn substring(text: &str, arguments: &[Variable]) -> Result {
    let count = text.chars().count();
    let bound = |at: usize| match arguments.get(at) {
        None => Some(count),
        Some(value) => coerce::to_text(value)
            .parse::<usize>()
            .ok()
            .filter(|&at| at <= count),
    };
    match (bound(0), bound(1)) {
        (Some(from), Some(to)) if from <= to => Ok(text
            .chars()
            .skip(from)
            .take(to - from)
            .collect::<String>()
            .into()),
        _ => invalid(format!("substring of '{text}' is out of range")),
    }
}

fn length(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
