//! The value of a syntax tree.

use super::coerce;
use super::member;
use super::parser::Node;
use super::{EvaluationError, Scope};
use crate::bpe::model::Variable;

type Value = Result<Variable, EvaluationError>;

pub(super) fn evaluate(node: &Node, scope: &mut dyn Scope) -> Value {
    match node {
        Node::Value(value) => Ok(value.clone()),
        Node::Name(name) => scope
            .variable(name)
            .ok_or_else(|| EvaluationError::UnknownVariable(name.clone())),
        Node::Not(inner) => Ok(Variable::Boolean(!coerce::to_boolean(&evaluate(
            inner, scope,
        )?)?)),
        Node::Negate(inner) => coerce::negate(&evaluate(inner, scope)?),
        Node::Empty(inner) => Ok(Variable::Boolean(coerce::is_empty(&evaluate(
            inner, scope,
        )?))),
        Node::Binary(symbol, left, right) => binary(symbol, left, right, scope),
        Node::Choice(condition, yes, no) => {
            if coerce::to_boolean(&evaluate(condition, scope)?)? {
                evaluate(yes, scope)
            } else {
                evaluate(no, scope)
            }
        }
        Node::Property(target, name) => property(target, name, scope),
        Node::Index(target, index) => {
            let target = evaluate(target, scope)?;
            let index = evaluate(index, scope)?;
            member::index(&target, &index)
        }
        Node::Call(target, name, arguments) => call(target, name, arguments, scope),
    }
}

fn binary(symbol: &str, left: &Node, right: &Node, scope: &mut dyn Scope) -> Value {
    let left = evaluate(left, scope)?;
    match symbol {
        "&&" if !coerce::to_boolean(&left)? => return Ok(Variable::Boolean(false)),
        "||" if coerce::to_boolean(&left)? => return Ok(Variable::Boolean(true)),
        _ => {}
    }
    let right = evaluate(right, scope)?;
    Ok(match symbol {
        "&&" | "||" => Variable::Boolean(coerce::to_boolean(&right)?),
        "==" => Variable::Boolean(coerce::equal(&left, &right)?),
        "!=" => Variable::Boolean(!coerce::equal(&left, &right)?),
        "<" | ">" | "<=" | ">=" => Variable::Boolean(coerce::ordered(symbol, &left, &right)?),
        _ => coerce::arithmetic(symbol, &left, &right)?,
    })
}

/// `execution` and `task`, unless variables of that name hide them.
fn root<'a>(node: &'a Node, scope: &dyn Scope) -> Option<&'a str> {
    match node {
        Node::Name(name) if matches!(name.as_str(), "execution" | "task") => {
            scope.variable(name).is_none().then_some(name.as_str())
        }
        _ => None,
    }
}

fn property(target: &Node, name: &str, scope: &mut dyn Scope) -> Value {
    let found = match root(target, scope) {
        Some("execution") => scope.execution(name),
        Some(_) => scope.task(name),
        None => {
            let target = evaluate(target, scope)?;
            return member::property(&target, name);
        }
    };
    found.ok_or_else(|| EvaluationError::Invalid(format!("there is no property '{name}'")))
}

fn call(target: &Node, name: &str, arguments: &[Node], scope: &mut dyn Scope) -> Value {
    let owner = root(target, scope);
    let receiver = match owner {
        Some(_) => Variable::Null,
        None => evaluate(target, scope)?,
    };
    let mut values = Vec::with_capacity(arguments.len());
    for argument in arguments {
        values.push(evaluate(argument, scope)?);
    }
    match owner {
        Some("execution") => member::execution(name, values, scope),
        Some(_) => member::task(name, &values, scope),
        None => member::call(&receiver, name, &values),
    }
}
