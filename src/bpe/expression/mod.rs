//! The expression language of process models (`spec/bpmn.md` §4), compiled at deployment.

/// A value, a text with `${…}` in it, or a single `${…}` that keeps its type.
#[derive(Clone, Debug)]
pub struct Expression {
    source: String,
}

impl Expression {
    /// The text as written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// An expression that must say yes or no.
#[derive(Clone, Debug)]
pub struct Condition(pub Expression);
