//! What the extension namespaces add to BPMN: code, fields, listeners, parameters, retries.

use roxmltree::Node as Element;

use super::reader::{self, Reader, either, extension_attribute, parts};
use crate::bpe::expression::Expression;
use crate::bpe::model::{
    Async, Code, Field, Listener, Mapping, MappingValue, Pass, Payload, Retry, Service,
};

/// The implementation on an element, if it has one.
pub(super) fn service(element: Element, reader: &mut Reader) -> Option<Service> {
    let result = either(element, "resultVariable").map(str::to_owned);
    let code = if let Some(class) = either(element, "class") {
        Code::Class(class.to_owned())
    } else if let Some(bean) = either(element, "delegateExpression") {
        Code::Delegate(bean.to_owned())
    } else if let Some(text) = either(element, "expression") {
        Code::Expression {
            expression: reader.expression(element, text),
            result: result.clone(),
        }
    } else if either(element, "type") == Some("external") {
        let topic = either(element, "topic").unwrap_or_default();
        Code::External(reader.expression(element, topic))
    } else {
        return None;
    };
    if result.is_some() && !matches!(code, Code::Expression { .. }) {
        reader.error(
            element,
            "resultVariable works with camunda:expression only; remove it",
        );
    }
    let fields = if reader::is_extension(element) {
        parts(element, "field")
            .map(|field| field_of(field, reader))
            .collect()
    } else {
        fields(element, reader)
    };
    Some(Service { code, fields })
}

fn fields(element: Element, reader: &mut Reader) -> Vec<Field> {
    reader::extensions(element)
        .filter(|child| child.tag_name().name() == "field")
        .map(|field| field_of(field, reader))
        .collect()
}

fn field_of(element: Element, reader: &mut Reader) -> Field {
    let name = element.attribute("name").unwrap_or_default().to_owned();
    let child = |kind| parts(element, kind).next().map(plain_text);
    if name.is_empty() {
        reader.error(element, "needs a name");
    }
    let literal = element
        .attribute("stringValue")
        .map(str::to_owned)
        .or_else(|| child("string"));
    let value = match literal {
        Some(text) => Expression::literal(&text),
        None => {
            let text = element.attribute("expression").map(str::to_owned);
            match text.or_else(|| child("expression")) {
                Some(text) => reader.expression(element, &text),
                None => {
                    reader.error(element, format!("field '{name}' has no value"));
                    Expression::literal("")
                }
            }
        }
    };
    Field { name, value }
}

fn plain_text(element: Element) -> String {
    element
        .children()
        .filter_map(|child| child.text())
        .collect()
}

/// Execution and task listeners of an element, in document order.
pub(super) fn listeners(element: Element, default: &str, reader: &mut Reader) -> Vec<Listener> {
    let mut found = Vec::new();
    for child in reader::extensions(element) {
        let task = match child.tag_name().name() {
            "executionListener" => false,
            "taskListener" => true,
            _ => continue,
        };
        let event = child.attribute("event").unwrap_or(default).to_owned();
        if task && event == "timeout" {
            reader.error(
                child,
                "task listeners on time-outs are not supported; use a timer event",
            );
        }
        match service(child, reader) {
            Some(service) => found.push(Listener {
                event,
                service,
                task,
            }),
            None => reader.error(
                child,
                "needs a class, a delegateExpression or an expression",
            ),
        }
    }
    found
}

/// Input and output parameters.
pub(super) fn parameters(element: Element, reader: &mut Reader) -> (Vec<Mapping>, Vec<Mapping>) {
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for block in reader::extensions(element) {
        if block.tag_name().name() != "inputOutput" {
            continue;
        }
        inputs.extend(parts(block, "inputParameter").map(|it| mapping(it, reader)));
        outputs.extend(parts(block, "outputParameter").map(|it| mapping(it, reader)));
    }
    (inputs, outputs)
}

fn mapping(element: Element, reader: &mut Reader) -> Mapping {
    let name = element.attribute("name").unwrap_or_default().to_owned();
    if name.is_empty() {
        reader.error(element, "needs a name");
    }
    Mapping {
        name,
        value: mapping_value(element, reader),
    }
}

fn mapping_value(element: Element, reader: &mut Reader) -> MappingValue {
    let Some(inner) = element
        .children()
        .find(|child| reader::is_extension(*child))
    else {
        return MappingValue::Expression(reader.expression(element, &reader::text(element)));
    };
    match inner.tag_name().name() {
        "list" => MappingValue::List(
            inner
                .children()
                .filter(|child| reader::is_extension(*child))
                .map(|child| mapping_value(child, reader))
                .collect(),
        ),
        "map" => MappingValue::Map(
            parts(inner, "entry")
                .map(|entry| {
                    let key = entry.attribute("key").unwrap_or_default().to_owned();
                    (key, mapping_value(entry, reader))
                })
                .collect(),
        ),
        other => {
            let message = format!("a {other} cannot be a parameter value; use an expression");
            reader.error(inner, message);
            MappingValue::List(Vec::new())
        }
    }
}

/// Asynchronous continuations before and after an element.
pub(super) fn continuations(element: Element) -> (Option<Async>, Option<Async>) {
    let exclusive = extension_attribute(element, "exclusive") != Some("false");
    let when = |yes: bool| yes.then_some(Async { exclusive });
    let before = reader::is_true(element, "asyncBefore") || reader::is_true(element, "async");
    (when(before), when(reader::is_true(element, "asyncAfter")))
}

/// The retry cycle of an element's jobs, also where it stands on the event definition.
pub(super) fn retry(element: Element, reader: &mut Reader) -> Option<Retry> {
    let definitions = element
        .children()
        .filter(|child| child.tag_name().name().ends_with("EventDefinition"));
    let found = std::iter::once(element)
        .chain(definitions)
        .flat_map(reader::extensions)
        .find(|child| child.tag_name().name() == "failedJobRetryTimeCycle")?;
    Some(Retry(reader.expression(found, &reader::text(found))))
}

/// `in` or `out` mappings of call activities and signals.
pub(super) fn payload(element: Element, kind: &str, reader: &mut Reader) -> Vec<Payload> {
    let mut found = Vec::new();
    for child in reader::extensions(element) {
        if child.tag_name().name() != kind {
            continue;
        }
        let local = child.attribute("local") == Some("true");
        if child.attribute("variables") == Some("all") {
            found.push(Payload(Pass::All { local }));
        }
        if let Some(key) = child.attribute("businessKey") {
            found.push(Payload(Pass::BusinessKey(reader.expression(child, key))));
        }
        let source = match (
            child.attribute("source"),
            child.attribute("sourceExpression"),
        ) {
            (Some(name), _) => Some(Expression::literal(name)),
            (None, Some(text)) => Some(reader.expression(child, text)),
            (None, None) => None,
        };
        match (source, child.attribute("target")) {
            (Some(source), Some(target)) => {
                found.push(Payload(Pass::Value {
                    source,
                    target: target.to_owned(),
                    local,
                }));
            }
            (None, None) => {}
            _ => reader.error(child, "needs both a source and a target"),
        }
    }
    found
}
