//! Messages, signals, errors and escalations that the events of a file refer to.

use std::collections::HashMap;

use roxmltree::Node as Element;

use super::reader::{self, Reader};
use crate::bpe::expression::Expression;

pub(super) struct Definitions {
    pub(super) messages: HashMap<String, Expression>,
    pub(super) signals: HashMap<String, Expression>,
    pub(super) errors: HashMap<String, ErrorDefinition>,
    /// Codes of escalations.
    pub(super) escalations: HashMap<String, Option<String>>,
}

pub(super) struct ErrorDefinition {
    pub(super) code: Option<String>,
    pub(super) message: Option<Expression>,
}

impl Definitions {
    pub(super) fn read(root: Element, reader: &mut Reader) -> Self {
        Self {
            messages: names(root, "message", reader),
            signals: signals(root, reader),
            errors: errors(root, reader),
            escalations: reader::children(root, "escalation")
                .filter_map(|element| {
                    let code = element.attribute("escalationCode").map(str::to_owned);
                    Some((element.attribute("id")?.to_owned(), code))
                })
                .collect(),
        }
    }
}

fn names(root: Element, kind: &'static str, reader: &mut Reader) -> HashMap<String, Expression> {
    let mut found = HashMap::new();
    for element in reader::children(root, kind) {
        let Some(id) = element.attribute("id") else {
            reader.error(element, "needs an id");
            continue;
        };
        if let Some(name) = element.attribute("name") {
            found.insert(id.to_owned(), reader.expression(element, name));
        }
    }
    found
}

fn signals(root: Element, reader: &mut Reader) -> HashMap<String, Expression> {
    let mut seen = Vec::new();
    for element in reader::children(root, "signal") {
        let Some(name) = element.attribute("name") else {
            continue;
        };
        if seen.contains(&name) {
            reader.error(
                element,
                format!("signal name '{name}' is used twice; keep one of them"),
            );
        }
        seen.push(name);
    }
    names(root, "signal", reader)
}

fn errors(root: Element, reader: &mut Reader) -> HashMap<String, ErrorDefinition> {
    let mut found = HashMap::new();
    for element in reader::children(root, "error") {
        let code = element
            .attribute("errorCode")
            .filter(|code| !code.is_empty());
        let message = reader.extension(element, "errorMessage");
        if let Some(id) = element.attribute("id") {
            found.insert(
                id.to_owned(),
                ErrorDefinition {
                    code: code.map(str::to_owned),
                    message,
                },
            );
        }
    }
    found
}
