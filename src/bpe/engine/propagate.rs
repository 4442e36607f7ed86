//! Errors and escalations climb from scope to scope until one of them reacts
//! (`spec/bpmn.md` §3.7.3 and §3.7.4).

use super::agenda::{On, Op, Then};
use super::machine::{Done, Machine};
use super::request::Ask;
use super::state::{FrameId, Phase, Role, State};
use super::trigger::Setting;
use crate::bpe::model::{Event, Kind, NodeIx, Variable};

/// The event that reacts, and where.
struct Handler {
    frame: FrameId,
    node: NodeIx,
    /// A start event of an event sub-process inside the frame; otherwise a boundary event.
    inside: bool,
    interrupting: bool,
}

/// What is looked for.
#[derive(Clone, Copy)]
enum Thrown<'a> {
    Error(&'a str),
    /// Unexpected failures are caught by name only, never by a catch-all.
    Failure(&'a str),
    Escalation(&'a str),
}

/// How well an event fits: an equal code beats a catch-all.
fn fit(event: &Event, thrown: Thrown) -> Option<u8> {
    let (code, thrown, catch_all) = match (event, thrown) {
        (Event::Error(error), Thrown::Error(thrown)) => (&error.code, thrown, true),
        (Event::Error(error), Thrown::Failure(thrown)) => (&error.code, thrown, false),
        (Event::Escalation(found), Thrown::Escalation(thrown)) => (&found.code, thrown, true),
        _ => return None,
    };
    match code {
        Some(code) => (code == thrown).then_some(2),
        None => catch_all.then_some(1),
    }
}

impl Machine<'_> {
    fn handler(&self, from: FrameId, thrown: Thrown) -> Option<Handler> {
        let mut at = from;
        let mut came_from = None;
        loop {
            let found = self.frame(at)?;
            let node = self.graph.node(found.node);
            let open = found.role != Role::Body && found.phase != Phase::Canceling;
            let inside = node.children.iter().filter(|child| {
                open && Some(**child) != came_from
                    && matches!(self.graph.node(**child).kind, Kind::EventSubProcess)
            });
            let starts = inside
                .flat_map(|child| self.graph.starts(*child))
                .map(|(ix, _)| ix);
            let boundary = node
                .boundary
                .iter()
                .copied()
                .filter(|_| found.role != Role::Inner);
            let best = self.best(starts, thrown).map(|node| (node, true));
            if let Some((node, inside)) =
                best.or_else(|| self.best(boundary, thrown).map(|node| (node, false)))
            {
                let interrupting = match self.graph.node(node).kind {
                    Kind::Boundary { interrupting, .. } | Kind::Start { interrupting, .. } => {
                        interrupting
                    }
                    _ => true,
                };
                return Some(Handler {
                    frame: at,
                    node,
                    inside,
                    interrupting,
                });
            }
            came_from = matches!(node.kind, Kind::EventSubProcess).then_some(found.node);
            at = self.state.parent(at)?;
        }
    }

    fn best(&self, nodes: impl Iterator<Item = NodeIx>, thrown: Thrown) -> Option<NodeIx> {
        let fitting = nodes.filter_map(|ix| match &self.graph.node(ix).kind {
            Kind::Boundary { event, .. } | Kind::Start { event, .. } => {
                fit(event, thrown).map(|fit| (fit, ix))
            }
            _ => None,
        });
        fitting
            .max_by_key(|(fit, ix)| (*fit, std::cmp::Reverse(*ix)))
            .map(|(_, ix)| ix)
    }

    fn react_to(&mut self, handler: &Handler, code: &str, message: Option<&str>) {
        let (code_variable, message_variable) = match &self.graph.node(handler.node).kind {
            Kind::Boundary { event, .. } | Kind::Start { event, .. } => match event {
                Event::Error(error) => (&error.code_variable, &error.message_variable),
                Event::Escalation(escalation) => (&escalation.code_variable, &None),
                _ => (&None, &None),
            },
            _ => (&None, &None),
        };
        let scope = if handler.inside {
            handler.frame
        } else {
            self.state.parent(handler.frame).unwrap_or(State::ROOT)
        };
        let message = message.map(Variable::from).unwrap_or_default();
        for (name, value) in [
            (code_variable, Variable::from(code)),
            (message_variable, message),
        ] {
            if let Some(name) = name {
                let setting = Setting {
                    name: name.clone(),
                    value: Some(value),
                    local: false,
                };
                self.apply(scope, &setting);
            }
        }
        if handler.inside {
            self.enter_handler(handler.frame, handler.node, handler.interrupting);
        } else {
            self.leave_by(handler.frame, handler.node, handler.interrupting);
        }
    }

    /// A BPMN error leaves a frame.
    pub(super) fn throw_error(
        &mut self,
        frame: FrameId,
        code: String,
        message: Option<String>,
    ) -> Done {
        if let Some(handler) = self.handler(frame, Thrown::Error(&code)) {
            self.react_to(&handler, &code, message.as_deref());
            return Ok(());
        }
        if self.state.called {
            let variables = self.root_variables();
            self.ask(
                frame,
                Ask::Error {
                    code,
                    message,
                    variables,
                },
                Then::Uncaught,
            );
            return Ok(());
        }
        self.uncaught(frame, &code)
    }

    /// Nobody catches the error: its path ends there, as if the node had been completed.
    pub(super) fn uncaught(&mut self, frame: FrameId, code: &str) -> Done {
        if self.state.strict_errors || frame == State::ROOT {
            let message = format!("no event catches the error '{code}'");
            return Err(self.failure(frame, "uncaught-error", message));
        }
        let Some(found) = self.alive(frame) else {
            return Ok(());
        };
        if found.in_transit() {
            let scope = found.parent;
            self.remove(frame);
            self.push(Op::Scope(scope));
            return Ok(());
        }
        let leaving = found.phase == Phase::Leaving;
        self.change_frame(frame, |found| {
            found.phase = Phase::Leaving;
            found.out = Vec::new();
        });
        if !leaving {
            self.push(Op::Leave(frame));
            self.push(Op::Listen {
                frame,
                on: On::End { canceled: false },
                at: 0,
            });
        }
        Ok(())
    }

    /// An unexpected failure: caught where an error event names its kind.
    pub(super) fn fail(&mut self, frame: FrameId, kind: String, message: String) -> Done {
        let handler = self.handler(frame, Thrown::Failure(&kind));
        match handler.filter(|_| self.alive(frame).is_some()) {
            Some(handler) => {
                self.react_to(&handler, &kind, Some(&message));
                Ok(())
            }
            None => Err(super::Failure {
                activity: self.activity(frame),
                kind,
                message,
            }),
        }
    }

    /// An escalation leaves a frame; only the nearest handler hears of it.
    pub(super) fn escalate(&mut self, frame: FrameId, code: String) {
        if let Some(handler) = self.handler(frame, Thrown::Escalation(&code)) {
            self.react_to(&handler, &code, None);
        } else if self.state.called {
            let variables = self.root_variables();
            self.ask(frame, Ask::Escalate { code, variables }, Then::Continue);
        }
    }

    /// Whether somebody here, or further up, would react to what a called instance throws.
    pub(super) fn catches_error(&self, frame: FrameId, code: &str) -> bool {
        self.state.called || self.handler(frame, Thrown::Error(code)).is_some()
    }

    pub(super) fn catches_escalation(&self, frame: FrameId, code: &str) -> bool {
        self.state.called || self.handler(frame, Thrown::Escalation(code)).is_some()
    }
}
