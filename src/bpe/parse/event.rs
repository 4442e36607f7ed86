//! Event definitions inside events.

use roxmltree::Node as Element;

use super::definitions::Definitions;
use super::extension;
use super::reader::{self, Reader, extension_attribute};
use crate::bpe::expression::{Condition, Expression};
use crate::bpe::model::{
    Conditional, ErrorEvent, EscalationEvent, Event, SignalEvent, Timer, TimerForm,
};

/// The event and, for compensation, the id of the activity it names.
pub(super) struct Found {
    pub(super) event: Event,
    pub(super) activity: Option<String>,
}

pub(super) fn read(element: Element, definitions: &Definitions, reader: &mut Reader) -> Found {
    let mut all = element
        .children()
        .filter(|child| child.tag_name().name().ends_with("EventDefinition"));
    let Some(definition) = all.next() else {
        return Found {
            event: Event::None,
            activity: None,
        };
    };
    if all.next().is_some() {
        reader.error(
            element,
            "several event definitions in one event are not supported",
        );
    }
    let mut activity = None;
    let event = match definition.tag_name().name() {
        "messageEventDefinition" => message(definition, definitions, reader),
        "timerEventDefinition" => timer(definition, reader),
        "signalEventDefinition" => signal(definition, definitions, reader),
        "errorEventDefinition" => error(definition, definitions, reader),
        "escalationEventDefinition" => escalation(definition, definitions, reader),
        "conditionalEventDefinition" => conditional(definition, reader),
        "compensateEventDefinition" => {
            activity = definition.attribute("activityRef").map(str::to_owned);
            Event::Compensation { activity: None }
        }
        "cancelEventDefinition" => Event::Cancel,
        "terminateEventDefinition" => Event::Terminate,
        "linkEventDefinition" => link(definition, reader),
        other => {
            reader.error(definition, format!("{other} is not supported"));
            Event::None
        }
    };
    Found { event, activity }
}

fn message(element: Element, definitions: &Definitions, reader: &mut Reader) -> Event {
    reader.only(
        element,
        &[
            "class",
            "delegateExpression",
            "expression",
            "resultVariable",
            "type",
            "topic",
        ],
    );
    let name = match element.attribute("messageRef") {
        None => None,
        Some(id) => message_name(element, id, definitions, reader),
    };
    Event::Message {
        name,
        service: extension::service(element, reader),
    }
}

/// The name of the message with this id.
pub(super) fn message_name(
    element: Element,
    id: &str,
    definitions: &Definitions,
    reader: &mut Reader,
) -> Option<Expression> {
    let id = id.rsplit(':').next().unwrap_or(id);
    let name = definitions.messages.get(id).cloned();
    if name.is_none() {
        reader.error(
            element,
            format!("messageRef '{id}' names no message that has a name"),
        );
    }
    name
}

fn timer(element: Element, reader: &mut Reader) -> Event {
    let forms = [
        ("timeDate", TimerForm::Date),
        ("timeDuration", TimerForm::Duration),
        ("timeCycle", TimerForm::Cycle),
    ];
    for (name, form) in forms {
        let Some(child) = reader::child(element, name) else {
            continue;
        };
        let text = reader::text(child);
        if text.is_empty() {
            reader.error(child, "is empty; write a date, a duration or a cycle");
        }
        let value = reader.expression(child, &text);
        return Event::Timer(Timer { form, value });
    }
    reader.error(element, "needs a timeDate, a timeDuration or a timeCycle");
    Event::Timer(Timer {
        form: TimerForm::Duration,
        value: Expression::literal(""),
    })
}

fn signal(element: Element, definitions: &Definitions, reader: &mut Reader) -> Event {
    let id = element.attribute("signalRef").unwrap_or_default();
    let name = definitions
        .signals
        .get(id.rsplit(':').next().unwrap_or(id))
        .cloned();
    if name.is_none() {
        reader.error(
            element,
            format!("signalRef '{id}' names no signal that has a name"),
        );
    }
    reader.only(element, &[]);
    let payload = extension::payload(element, "in", reader);
    Event::Signal(SignalEvent {
        name: name.unwrap_or_else(|| Expression::literal("")),
        payload,
    })
}

fn error(element: Element, definitions: &Definitions, reader: &mut Reader) -> Event {
    reader.only(element, &["errorCodeVariable", "errorMessageVariable"]);
    let mut event = ErrorEvent {
        code_variable: extension_attribute(element, "errorCodeVariable").map(str::to_owned),
        message_variable: extension_attribute(element, "errorMessageVariable").map(str::to_owned),
        ..ErrorEvent::default()
    };
    if let Some(id) = element.attribute("errorRef") {
        match definitions.errors.get(id.rsplit(':').next().unwrap_or(id)) {
            Some(found) => {
                event.code.clone_from(&found.code);
                event.message.clone_from(&found.message);
            }
            None => {
                let message = format!("errorRef '{id}' names no error and is taken as the code");
                reader.warn(element, message);
                event.code = Some(id.to_owned());
            }
        }
    }
    Event::Error(event)
}

fn escalation(element: Element, definitions: &Definitions, reader: &mut Reader) -> Event {
    reader.only(element, &["escalationCodeVariable"]);
    let code_variable = extension_attribute(element, "escalationCodeVariable").map(str::to_owned);
    let mut code = None;
    if let Some(id) = element.attribute("escalationRef") {
        match definitions
            .escalations
            .get(id.rsplit(':').next().unwrap_or(id))
        {
            Some(found) => code.clone_from(found),
            None => reader.error(element, format!("escalationRef '{id}' names no escalation")),
        }
    }
    Event::Escalation(EscalationEvent {
        code,
        code_variable,
    })
}

fn conditional(element: Element, reader: &mut Reader) -> Event {
    reader.only(
        element,
        &["variableName", "variableEvents", "variableEvent"],
    );
    let text = reader::child(element, "condition")
        .map(reader::text)
        .unwrap_or_default();
    if text.is_empty() {
        reader.error(element, "needs a condition");
    }
    let events = extension_attribute(element, "variableEvents")
        .or_else(|| extension_attribute(element, "variableEvent"))
        .map(|list| {
            list.split(',')
                .map(|event| event.trim().to_owned())
                .collect()
        });
    Event::Conditional(Conditional {
        condition: Condition(reader.expression(element, &text)),
        variable: extension_attribute(element, "variableName").map(str::to_owned),
        events: events.unwrap_or_default(),
    })
}

fn link(element: Element, reader: &mut Reader) -> Event {
    let name = element.attribute("name").unwrap_or_default().to_owned();
    if name.is_empty() {
        reader.error(element, "a link needs a name");
    }
    Event::Link { name, target: None }
}
