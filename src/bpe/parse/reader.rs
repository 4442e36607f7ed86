//! Access to the XML tree, and the list of problems found on the way.

use roxmltree::{Document, Node as Element};

use super::Problem;
use crate::bpe::expression::Expression;
use crate::bpe::model::Position;

pub(super) const BPMN: &str = "http://www.omg.org/spec/BPMN/20100524/MODEL";

/// Extension namespaces that mean the same to us.
const EXTENSIONS: [&str; 4] = [
    "http://camunda.org/schema/1.0/bpmn",
    "http://operaton.org/schema/1.0/bpmn",
    "http://www.camunda.com/fox",
    "http://www.operaton.com/fox",
];

pub(super) struct Reader<'a> {
    document: &'a Document<'a>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(document: &'a Document<'a>) -> Self {
        Self {
            document,
            problems: Vec::new(),
        }
    }

    pub(super) fn position(&self, element: Element) -> Position {
        let at = self.document.text_pos_at(element.range().start);
        Position {
            line: at.row,
            column: at.col,
        }
    }

    pub(super) fn error(&mut self, element: Element, message: impl Into<String>) {
        let position = self.position(element);
        self.push(position, describe(element), message.into(), false);
    }

    pub(super) fn warn(&mut self, element: Element, message: impl Into<String>) {
        let position = self.position(element);
        self.push(position, describe(element), message.into(), true);
    }

    pub(super) fn push(&mut self, at: Position, element: String, message: String, warning: bool) {
        self.problems.push(Problem {
            position: at,
            element,
            message,
            warning,
        });
    }

    /// Compiles a text of an element; what does not compile is reported and read as literal.
    pub(super) fn expression(&mut self, element: Element, text: &str) -> Expression {
        Expression::compile(text).unwrap_or_else(|error| {
            self.error(element, error.to_string());
            Expression::literal(text)
        })
    }

    /// A compiled extension attribute.
    pub(super) fn extension(&mut self, element: Element, name: &str) -> Option<Expression> {
        let text = extension_attribute(element, name)?;
        Some(self.expression(element, text))
    }

    /// Warns of extension attributes that nobody reads.
    pub(super) fn only(&mut self, element: Element, known: &[&str]) {
        for attribute in element.attributes() {
            let extension = attribute
                .namespace()
                .is_some_and(|name| EXTENSIONS.contains(&name));
            if extension && !known.contains(&attribute.name()) {
                let message = format!("attribute camunda:{} has no effect here", attribute.name());
                self.warn(element, message);
            }
        }
    }
}

/// Kind and id of an element, for people.
pub(super) fn describe(element: Element) -> String {
    let name = element.tag_name().name();
    match element.attribute("id") {
        Some(id) => format!("{name} '{id}'"),
        None => match element
            .ancestors()
            .skip(1)
            .find_map(|outer| outer.attribute("id"))
        {
            Some(id) => format!("{name} in '{id}'"),
            None => name.to_owned(),
        },
    }
}

pub(super) fn is_bpmn(element: Element, name: &str) -> bool {
    element.tag_name().namespace() == Some(BPMN) && element.tag_name().name() == name
}

pub(super) fn children<'a, 'input>(
    element: Element<'a, 'input>,
    name: &'static str,
) -> impl Iterator<Item = Element<'a, 'input>> {
    element
        .children()
        .filter(move |child| is_bpmn(*child, name))
}

pub(super) fn child<'a, 'input>(
    element: Element<'a, 'input>,
    name: &'static str,
) -> Option<Element<'a, 'input>> {
    children(element, name).next()
}

pub(super) fn is_extension(element: Element) -> bool {
    element
        .tag_name()
        .namespace()
        .is_some_and(|name| EXTENSIONS.contains(&name))
}

/// Extension elements of an element.
pub(super) fn extensions<'a, 'input>(
    element: Element<'a, 'input>,
) -> impl Iterator<Item = Element<'a, 'input>> {
    children(element, "extensionElements")
        .flat_map(|extensions| extensions.children())
        .filter(|child| is_extension(*child))
}

/// Extension children of an extension element.
pub(super) fn parts<'a, 'input>(
    element: Element<'a, 'input>,
    name: &'static str,
) -> impl Iterator<Item = Element<'a, 'input>> {
    element
        .children()
        .filter(move |child| is_extension(*child) && child.tag_name().name() == name)
}

pub(super) fn extension_attribute<'a>(element: Element<'a, '_>, name: &str) -> Option<&'a str> {
    EXTENSIONS
        .iter()
        .find_map(|namespace| element.attribute((*namespace, name)))
}

/// An attribute of an extension element, or an extension attribute of a BPMN element.
pub(super) fn either<'a>(element: Element<'a, '_>, name: &str) -> Option<&'a str> {
    if is_extension(element) {
        element.attribute(name)
    } else {
        extension_attribute(element, name)
    }
}

pub(super) fn is_true(element: Element, name: &str) -> bool {
    extension_attribute(element, name) == Some("true")
}

/// The text of an element, without the white space around it.
pub(super) fn text(element: Element) -> String {
    let parts: String = element
        .children()
        .filter(Element::is_text)
        .filter_map(|child| child.text())
        .collect();
    parts.trim().to_owned()
}
