//! Why a document cannot be read, and where.

use super::table::{Block, Element, Primitive};

/// A document that is not a FHIR resource: what is wrong, and the place of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message} (line {line}, column {column})")]
pub struct ParseError {
    /// What is wrong, and what was expected.
    pub message: String,
    /// FHIRPath of the element: `Task.input[0].type`; `$` when no resource was recognised.
    pub path: String,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
}

/// An error on its way up: the parsers add the path from its end, one name a level.
#[derive(Debug)]
pub(super) struct Failure(Box<Parts>);

#[derive(Debug)]
struct Parts {
    message: String,
    offset: usize,
    path: Vec<String>,
}

impl Failure {
    pub fn new(offset: usize, message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            message: message.into(),
            offset,
            path: Vec::new(),
        }))
    }

    pub fn within(mut self, name: &str) -> Self {
        self.0.path.push(name.to_owned());
        self
    }

    pub fn at_index(self, name: &str, index: usize) -> Self {
        self.within(&format!("{name}[{index}]"))
    }

    pub fn locate(mut self, document: &[u8]) -> ParseError {
        let before = &document[..self.0.offset.min(document.len())];
        let start = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let path = if self.0.path.is_empty() {
            "$".to_owned()
        } else {
            self.0.path.reverse();
            self.0.path.join(".")
        };
        ParseError {
            message: self.0.message,
            path,
            line: count(before.iter().filter(|byte| **byte == b'\n').count() + 1),
            column: count(String::from_utf8_lossy(&before[start..]).chars().count() + 1),
        }
    }
}

/// What no single element can break: two types of one choice, an extension with value and parts.
/// `present` are places in [`Block::elements`], ascending.
pub(super) fn check_together(block: &Block, present: &[usize]) -> Result<(), String> {
    let elements = |at: &usize| &block.elements()[*at];
    for pair in present.windows(2) {
        let (first, second) = (elements(&pair[0]), elements(&pair[1]));
        if pair[0] != pair[1] && first.position == second.position {
            let (first, second) = (&first.name, &second.name);
            return Err(format!("both {first} and {second}, expected one of them"));
        }
    }
    let has = |wanted: fn(&Element) -> bool| present.iter().map(elements).any(wanted);
    if block.name == "Extension"
        && has(|element| element.name == "extension")
        && has(|element| element.defined_name == "value[x]")
    {
        return Err("an extension with both a value and extensions, expected one of them".into());
    }
    Ok(())
}

/// A piece of a document for an error message: quoted, and cut if long.
pub(super) fn excerpt(text: &str) -> String {
    let mut shown: String = text.chars().take(60).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("'{}'", shown.escape_debug())
}

/// What a document must keep to: everything, or only what a server insists on
/// (`spec/fhir-api.md` §2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Strict,
    Lenient,
}

impl Reading {
    /// The form that a value of this type must have. The id of a resource in a body is replaced
    /// or compared, never stored, so that a server takes any: `urn:uuid:…` within Bundles.
    pub fn form_of(self, primitive: Primitive) -> Primitive {
        match primitive {
            Primitive::Id if self == Self::Lenient => Primitive::String,
            other => other,
        }
    }
}

/// How deep elements and lists may be nested.
pub(super) const MAX_DEPTH: usize = 100;
