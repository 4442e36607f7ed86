//! The compiled form of one process definition.

use std::collections::HashMap;

use super::event::Event;
use super::node::{Code, Flow, FlowIx, Kind, Listener, Node, NodeIx, Service, Task};

/// One process of a BPMN file, immutable after parsing.
#[derive(Clone, Debug)]
pub struct Graph {
    /// `process@id`, for a process plugin `<domain>_<name>`.
    pub key: String,
    pub name: Option<String>,
    pub version_tag: Option<String>,
    pub history_time_to_live: Option<String>,
    pub executable: bool,
    pub nodes: Vec<Node>,
    pub flows: Vec<Flow>,
    pub(crate) ids: HashMap<String, NodeIx>,
}

/// Where the host adds a listener of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Message start events.
    MessageStart,
    /// Message intermediate catch events and receive tasks.
    Receive,
    /// End events of every kind in every scope.
    End,
    UserTask,
}

/// A listener the host adds to every node of a place.
#[derive(Clone, Debug)]
pub struct Inject<'a> {
    pub place: Place,
    pub event: &'a str,
    /// The key under which the runtime knows its own code.
    pub class: &'a str,
    /// Before the listeners of the model, not after them.
    pub first: bool,
}

impl Graph {
    /// The process itself.
    pub const ROOT: NodeIx = NodeIx(0);

    #[must_use]
    pub fn node(&self, ix: NodeIx) -> &Node {
        &self.nodes[ix.0 as usize]
    }

    #[must_use]
    pub fn flow(&self, ix: FlowIx) -> &Flow {
        &self.flows[ix.0 as usize]
    }

    /// The node with this BPMN id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<NodeIx> {
        self.ids.get(id).copied()
    }

    #[must_use]
    pub fn find_flow(&self, id: &str) -> Option<FlowIx> {
        let at = self.flows.iter().position(|flow| flow.id == id)?;
        u32::try_from(at).ok().map(FlowIx)
    }

    /// All nodes with their numbers, in document order.
    pub fn iter(&self) -> impl Iterator<Item = (NodeIx, &Node)> {
        (0..).map(NodeIx).zip(&self.nodes)
    }

    /// The start events directly inside a scope.
    pub fn starts(&self, scope: NodeIx) -> impl Iterator<Item = (NodeIx, &Event)> {
        self.node(scope)
            .children
            .iter()
            .filter_map(|&ix| match &self.node(ix).kind {
                Kind::Start { event, .. } => Some((ix, event)),
                _ => None,
            })
    }

    /// The top-level start event for messages of this name; start names are constant.
    #[must_use]
    pub fn message_start(&self, name: &str) -> Option<NodeIx> {
        self.message_starts()
            .find(|(_, text)| *text == name)
            .map(|(ix, _)| ix)
    }

    /// The names of the messages that start this process.
    pub fn message_starts(&self) -> impl Iterator<Item = (NodeIx, &str)> {
        self.starts(Self::ROOT)
            .filter_map(|(ix, event)| match event {
                Event::Message {
                    name: Some(name), ..
                } => Some((ix, name.source())),
                _ => None,
            })
    }

    /// Adds a host listener to every node of a place.
    pub fn inject(&mut self, inject: &Inject<'_>) {
        for node in &mut self.nodes {
            if !inject.place.holds(&node.kind) {
                continue;
            }
            let listener = Listener {
                event: inject.event.to_owned(),
                service: Service {
                    code: Code::Class(inject.class.to_owned()),
                    fields: Vec::new(),
                },
                task: inject.place == Place::UserTask,
            };
            if inject.first {
                node.listeners.insert(0, listener);
            } else {
                node.listeners.push(listener);
            }
        }
    }
}

impl Place {
    fn holds(self, kind: &Kind) -> bool {
        match self {
            Self::MessageStart => {
                matches!(
                    kind,
                    Kind::Start {
                        event: Event::Message { .. },
                        ..
                    }
                )
            }
            Self::Receive => matches!(
                kind,
                Kind::Catch(Event::Message { .. }) | Kind::Task(Task::Receive(_))
            ),
            Self::End => matches!(kind, Kind::End(_)),
            Self::UserTask => matches!(kind, Kind::Task(Task::User(_))),
        }
    }
}
