//! The expression language of process models (`spec/bpmn.md` §4), compiled at deployment.
//!
//! A text is a plain literal, a single `${…}` whose value keeps its type, or a mixture that
//! becomes text. There are no loops and no reflection: evaluation always ends, and values offer
//! only the properties and methods listed in `member`.

mod coerce;
mod evaluate;
mod lexer;
mod member;
mod parser;

use parser::Node;

use crate::bpe::model::{Variable, Variables};

/// A compiled text of a model.
#[derive(Clone, Debug)]
pub struct Expression {
    source: String,
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    Literal,
    Single(Node),
    Mixed(Vec<Part>),
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Code(Node),
}

/// An expression that must say yes or no.
#[derive(Clone, Debug)]
pub struct Condition(pub Expression);

/// The text is no expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expression `{source_text}`: {message}")]
pub struct SyntaxError {
    pub source_text: String,
    pub message: String,
}

/// An expression that cannot be evaluated with the variables at hand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    #[error("no variable '{0}' is visible here")]
    UnknownVariable(String),
    #[error("{0}")]
    Invalid(String),
}

/// What an expression sees of the instance: the execution from which it is evaluated.
pub trait Scope {
    fn variable(&self, name: &str) -> Option<Variable>;
    fn local_variable(&self, name: &str) -> Option<Variable>;
    fn variables(&self) -> Variables;
    /// Writes or, without a value, removes a variable.
    fn set(&mut self, name: &str, value: Option<Variable>, local: bool);
    /// A property of `execution`, such as `businessKey`.
    fn execution(&self, property: &str) -> Option<Variable>;
    /// A property of the current user `task`; nothing outside of task listeners.
    fn task(&self, property: &str) -> Option<Variable>;
}

impl Expression {
    /// Compiles a text with `${…}` or `#{…}` in it, or none.
    ///
    /// # Errors
    /// When what stands between the braces is not in the language.
    pub fn compile(source: &str) -> Result<Self, SyntaxError> {
        let fail = |message| SyntaxError {
            source_text: source.to_owned(),
            message,
        };
        let mut parts = split(source).map_err(fail)?;
        let form = match parts.len() {
            0 => Form::Literal,
            1 => match parts.remove(0) {
                Part::Code(node) => Form::Single(node),
                Part::Text(_) => Form::Literal,
            },
            _ => Form::Mixed(parts),
        };
        Ok(Self {
            source: source.to_owned(),
            form,
        })
    }

    /// A text in which `${` has no meaning.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        Self {
            source: text.to_owned(),
            form: Form::Literal,
        }
    }

    /// The text as written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    #[must_use]
    pub fn is_literal(&self) -> bool {
        matches!(self.form, Form::Literal)
    }

    /// The value, with its type.
    ///
    /// # Errors
    /// On unknown variables, and on values that an operation does not take.
    pub fn evaluate(&self, scope: &mut dyn Scope) -> Result<Variable, EvaluationError> {
        match &self.form {
            Form::Literal => Ok(Variable::String(self.source.clone())),
            Form::Single(node) => evaluate::evaluate(node, scope),
            Form::Mixed(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Text(literal) => text.push_str(literal),
                        Part::Code(node) => {
                            text.push_str(&coerce::to_text(&evaluate::evaluate(node, scope)?));
                        }
                    }
                }
                Ok(Variable::String(text))
            }
        }
    }

    /// The value as text; null is empty.
    ///
    /// # Errors
    /// As [`Expression::evaluate`].
    pub fn text(&self, scope: &mut dyn Scope) -> Result<String, EvaluationError> {
        self.evaluate(scope).map(|value| coerce::to_text(&value))
    }
}

impl Condition {
    /// Yes or no. Only a Boolean will do: text that reads like one does not
    /// (`spec/bpmn.md` S-NODE-2).
    ///
    /// # Errors
    /// As [`Expression::evaluate`], and for a value that is not a Boolean.
    pub fn holds(&self, scope: &mut dyn Scope) -> Result<bool, EvaluationError> {
        match self.0.evaluate(scope)? {
            Variable::Boolean(value) | Variable::Json(serde_json::Value::Bool(value)) => Ok(value),
            other => Err(EvaluationError::Invalid(format!(
                "condition `{}` yields {} instead of a Boolean",
                self.0.source(),
                describe(&other)
            ))),
        }
    }
}

/// A value for people: type and, if short, content.
fn describe(value: &Variable) -> String {
    match value {
        Variable::Null => "null".to_owned(),
        other => format!("the {} '{}'", other.type_name(), coerce::to_text(other)),
    }
}

fn split(source: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = source;
    while let Some(at) = rest.find("${").into_iter().chain(rest.find("#{")).min() {
        text.push_str(&rest[..at]);
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        let (node, used) = parser::parse(&rest[at + 2..])?;
        parts.push(Part::Code(node));
        rest = &rest[at + 2 + used..];
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests;
