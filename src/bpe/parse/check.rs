//! Third pass: refuses models that cannot run, or would not run as drawn
//! (`spec/bpmn.md` S-PARSE-4).

use super::reader::Reader;
use super::resolve::report;
use crate::bpe::model::{Event, Gateway, Graph, Kind, Node, NodeIx, Task};

pub(super) fn check(graph: &Graph, reader: &mut Reader) {
    for (ix, node) in graph.iter() {
        let mut check = Check {
            graph,
            reader,
            node,
            ix,
        };
        match &node.kind {
            Kind::Process | Kind::SubProcess { .. } | Kind::EventSubProcess => check.scope(ix),
            Kind::Start { .. } => check.start(),
            Kind::End(event) => check.end(event),
            Kind::Throw(event) => check.throw(event),
            Kind::Catch(event) => check.catch(event),
            Kind::Boundary { .. } => check.boundary(),
            Kind::Gateway(gateway) => check.gateway(*gateway),
            Kind::Task(_) | Kind::CallActivity(_) => {}
        }
        check.flows();
        check.parameters();
        check.subscriptions();
    }
}

struct Check<'a, 'r, 'd> {
    graph: &'a Graph,
    reader: &'r mut Reader<'d>,
    node: &'a Node,
    ix: NodeIx,
}

impl<'a> Check<'a, '_, '_> {
    fn error(&mut self, message: impl Into<String>) {
        report(self.node, message, self.reader);
    }

    fn scope(&mut self, ix: NodeIx) {
        let starts: Vec<_> = self.graph.starts(ix).map(|(_, event)| event).collect();
        match self.node.kind {
            Kind::Process => {
                let plain = starts
                    .iter()
                    .filter(|event| matches!(event, Event::None | Event::Timer(_)));
                if plain.count() > 1 {
                    self.error("has multiple none or timer start events; keep one");
                }
                if starts.is_empty() {
                    self.error("has no start event");
                }
            }
            Kind::EventSubProcess => {
                if starts.len() != 1 || matches!(starts.first(), Some(Event::None)) {
                    self.error("needs exactly one start event with an event definition");
                }
                if !self.node.incoming.is_empty() || !self.node.outgoing.is_empty() {
                    self.error("is started by its event; no sequence flow may enter or leave it");
                }
            }
            _ => {
                if starts.len() > 1 {
                    self.error("has multiple start events; a sub-process has one");
                } else if !matches!(starts.first(), Some(Event::None)) {
                    self.error("needs a start event without event definition");
                }
            }
        }
        self.handlers(ix);
    }

    /// Start events of event sub-processes compete like boundary events.
    fn handlers(&mut self, ix: NodeIx) {
        let events: Vec<_> = self.event_starts(ix).collect();
        self.competing(&events);
    }

    fn event_starts(&self, ix: NodeIx) -> impl Iterator<Item = &'a Event> + use<'a> {
        let graph = self.graph;
        let inner = graph.node(ix).children.iter();
        inner
            .filter(|child| matches!(graph.node(**child).kind, Kind::EventSubProcess))
            .flat_map(|child| graph.starts(*child).map(|(_, event)| event))
    }

    fn competing(&mut self, events: &[&Event]) {
        let escalations: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                Event::Escalation(escalation) => Some(escalation.code.as_deref()),
                _ => None,
            })
            .collect();
        let errors: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                Event::Error(error) => Some(error.code.as_deref()),
                _ => None,
            })
            .collect();
        let mixed = escalations.len() > 1 && escalations.contains(&None);
        if mixed || repeated(&escalations).is_some() {
            self.error("has several escalation events for the same code; keep one");
        }
        if let Some(code) = repeated(&errors) {
            let code = code.unwrap_or("any error");
            self.error(format!("has several error events for '{code}'; keep one"));
        }
        let compensation = events
            .iter()
            .filter(|event| matches!(event, Event::Compensation { .. }))
            .count();
        if compensation > 1 {
            self.error("has several compensation events; keep one");
        }
    }

    fn start(&mut self) {
        let Kind::Start {
            event,
            interrupting,
        } = &self.node.kind
        else {
            return;
        };
        if !self.node.incoming.is_empty() {
            self.error("is a start event; no sequence flow may enter it");
        }
        let parent = self.graph.node(self.node.parent);
        let allowed = match parent.kind {
            Kind::Process => matches!(
                event,
                Event::None
                    | Event::Message { .. }
                    | Event::Timer(_)
                    | Event::Signal(_)
                    | Event::Conditional(_)
            ),
            Kind::EventSubProcess => !matches!(
                event,
                Event::None | Event::Cancel | Event::Terminate | Event::Link { .. }
            ),
            _ => matches!(event, Event::None),
        };
        if !allowed {
            self.error(format!(
                "a {} start event is not possible here",
                event.name()
            ));
        }
        if let (Event::Error(_), false, Kind::EventSubProcess) = (event, interrupting, &parent.kind)
        {
            self.error("an error start event is always interrupting; remove isInterrupting");
        }
        match event {
            Event::Message { name: None, .. } => {
                self.error("needs a messageRef to a message with a name");
            }
            Event::Message {
                name: Some(name), ..
            } if !name.is_literal() && matches!(parent.kind, Kind::Process) => {
                self.error("the name of a start message must be constant");
            }
            _ => {}
        }
    }

    fn end(&mut self, event: &Event) {
        if !self.node.outgoing.is_empty() {
            self.error("is an end event; no sequence flow may leave it");
        }
        match event {
            Event::Error(error) if error.code.is_none() => {
                self.error("needs an errorRef to an error with an errorCode");
            }
            Event::Cancel => {
                let parent = self.graph.node(self.node.parent);
                if !matches!(parent.kind, Kind::SubProcess { transaction: true }) {
                    self.error("a cancel end event must stand directly in a transaction");
                }
            }
            Event::Timer(_) | Event::Conditional(_) | Event::Link { .. } => {
                self.error(format!("a {} end event does not exist", event.name()));
            }
            _ => self.throws(event),
        }
    }

    fn throw(&mut self, event: &Event) {
        match event {
            Event::None
            | Event::Message { .. }
            | Event::Signal(_)
            | Event::Escalation(_)
            | Event::Compensation { .. }
            | Event::Link { .. } => self.throws(event),
            _ => self.error(format!("a {} throw event does not exist", event.name())),
        }
    }

    fn throws(&mut self, event: &Event) {
        if let Event::Escalation(escalation) = event
            && escalation.code.is_none()
        {
            self.error("needs an escalationRef to an escalation with an escalationCode");
        }
    }

    fn catch(&mut self, event: &Event) {
        match event {
            Event::Message { name: None, .. } => {
                self.error("needs a messageRef to a message with a name");
            }
            Event::Message { .. }
            | Event::Timer(_)
            | Event::Signal(_)
            | Event::Conditional(_)
            | Event::Link { .. } => {}
            _ => self.error(format!("a {} catch event does not exist", event.name())),
        }
    }

    fn boundary(&mut self) {
        let Kind::Boundary {
            attached,
            interrupting,
            event,
            handler,
        } = &self.node.kind
        else {
            return;
        };
        if !self.node.incoming.is_empty() {
            self.error("is a boundary event; no sequence flow may enter it");
        }
        let host = self.graph.node(*attached);
        match event {
            Event::Cancel if !matches!(host.kind, Kind::SubProcess { transaction: true }) => {
                self.error("a cancel boundary event must be attached to a transaction");
            }
            Event::Escalation(_)
                if !matches!(
                    host.kind,
                    Kind::SubProcess { .. } | Kind::CallActivity(_) | Kind::Task(Task::User(_))
                ) =>
            {
                let message = "an escalation boundary event must be attached to a sub-process, a \
                               call activity or a user task";
                self.error(message);
            }
            Event::Error(_) | Event::Cancel if !interrupting => {
                self.error("is always interrupting; remove cancelActivity=\"false\"");
            }
            Event::Compensation { .. } if handler.is_none() => {
                self.error("needs an association to its compensation handler");
            }
            Event::Message { name: None, .. } => {
                self.error("needs a messageRef to a message with a name");
            }
            Event::None | Event::Terminate | Event::Link { .. } => {
                self.error(format!("a {} boundary event does not exist", event.name()));
            }
            _ => {}
        }
    }

    fn gateway(&mut self, gateway: Gateway) {
        match gateway {
            Gateway::Exclusive => self.exclusive(),
            Gateway::EventBased => self.event_based(),
            Gateway::Parallel | Gateway::Inclusive => {}
        }
    }

    fn exclusive(&mut self) {
        let flows: Vec<_> = self
            .node
            .outgoing
            .iter()
            .map(|&ix| (ix, self.graph.flow(ix)))
            .collect();
        let id = &self.node.id;
        if flows.is_empty() {
            self.error(format!("'{id}' needs an outgoing sequence flow"));
        }
        if let [(ix, flow)] = flows[..]
            && flow.condition.is_some()
            && self.node.default_flow != Some(ix)
        {
            self.error(format!(
                "'{id}' has a single outgoing flow; it must not have a condition"
            ));
        }
        let free = flows
            .iter()
            .filter(|(ix, flow)| flow.condition.is_none() && self.node.default_flow != Some(*ix));
        if flows.len() > 1 && free.count() > 1 {
            let message = "has more than one outgoing flow without condition; add conditions or a \
                           default";
            self.error(format!("'{id}' {message}"));
        }
    }

    fn event_based(&mut self) {
        if self.node.async_after.is_some() {
            self.error("asyncAfter is not possible on an event-based gateway");
        }
        if self.node.outgoing.is_empty() {
            self.error("needs outgoing flows to the events it waits for");
        }
        for &ix in &self.node.outgoing {
            let target = self.graph.node(self.graph.flow(ix).target);
            let waits = matches!(
                &target.kind,
                Kind::Catch(
                    Event::Message { .. }
                        | Event::Timer(_)
                        | Event::Signal(_)
                        | Event::Conditional(_)
                )
            );
            if !waits {
                self.error(format!(
                    "Event based gateway can only lead to intermediate catch events, not to '{}'",
                    target.id
                ));
            } else if target.incoming.len() > 1 {
                let message = format!(
                    "'{}' stands behind an event-based gateway; no other flow may enter it",
                    target.id
                );
                report(target, message, self.reader);
            }
        }
    }

    fn flows(&mut self) {
        if self.node.for_compensation
            && !(self.node.incoming.is_empty() && self.node.outgoing.is_empty())
        {
            self.error("is a compensation handler; no sequence flow may enter or leave it");
        }
        for &ix in &self.node.outgoing {
            let flow = self.graph.flow(ix);
            let element = format!("sequenceFlow '{}'", flow.id);
            if self.node.default_flow == Some(ix) && flow.condition.is_some() {
                let message = format!(
                    "'{}' is the default flow; it must not have a condition",
                    flow.id
                );
                self.reader.push(flow.position, element, message, false);
            } else if self.node.async_after.is_some() && flow.id.is_empty() {
                let message = "leaves a node with asyncAfter and therefore needs an id".to_owned();
                self.reader.push(flow.position, element, message, false);
            } else if self.graph.node(flow.target).parent != self.node.parent {
                let message =
                    "connects different scopes; a flow stays in its sub-process".to_owned();
                self.reader.push(flow.position, element, message, false);
            }
        }
    }

    fn parameters(&mut self) {
        let node = self.node;
        let refused = matches!(
            node.kind,
            Kind::Gateway(_) | Kind::Start { .. } | Kind::Boundary { .. } | Kind::EventSubProcess
        );
        if refused && !(node.inputs.is_empty() && node.outputs.is_empty()) {
            let kind = node.kind.element();
            self.error(format!("a {kind} cannot have input or output parameters"));
        }
        if matches!(node.kind, Kind::End(_)) && !node.outputs.is_empty() {
            self.error("an endEvent cannot have output parameters");
        }
        if node.multi.is_some() && !node.outputs.is_empty() {
            self.error("a multi-instance activity cannot have output parameters");
        }
    }

    /// Two subscriptions of one name on one scope could never be told apart.
    fn subscriptions(&mut self) {
        let graph = self.graph;
        let boundary: Vec<_> = self
            .node
            .boundary
            .iter()
            .filter_map(|&ix| match &graph.node(ix).kind {
                Kind::Boundary { event, .. } => Some(event),
                _ => None,
            })
            .collect();
        self.competing(&boundary);
        let ix = self.ix;
        let own = match &self.node.kind {
            Kind::Process => graph.starts(ix).map(|(_, event)| event).collect(),
            _ => Vec::new(),
        };
        let inner: Vec<_> = if self.node.kind.is_container() {
            self.event_starts(ix).collect()
        } else {
            Vec::new()
        };
        // The boundary events of a multi-instance stand on its body, not on the single instances.
        let groups = if self.node.multi.is_some() {
            vec![own, boundary, inner]
        } else {
            vec![own, boundary.into_iter().chain(inner).collect()]
        };
        for group in groups {
            let mut seen = Vec::new();
            for event in group {
                let name = match event {
                    Event::Message {
                        name: Some(name), ..
                    } => ("message", name.source()),
                    Event::Signal(signal) => ("signal", signal.name.source()),
                    _ => continue,
                };
                if seen.contains(&name) {
                    self.error(format!(
                        "waits twice for the {} '{}'; keep one",
                        name.0, name.1
                    ));
                }
                seen.push(name);
            }
        }
    }
}

/// A value that occurs twice.
fn repeated<T: PartialEq + Copy>(values: &[T]) -> Option<T> {
    values
        .iter()
        .enumerate()
        .find(|(at, value)| values[..*at].contains(value))
        .map(|(_, value)| *value)
}
