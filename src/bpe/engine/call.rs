//! Code of plugins, listeners and called processes: asked of the host, then answered.

use super::agenda::{On, Op, Then};
use super::machine::{Done, Machine};
use super::request::{Ask, Call as CodeCall, CallKind, ChildStart, Request};
use super::state::{FrameId, Phase, State, WaitId, Waiting};
use super::trigger::{Answer, Child, Outcome, Setting};
use super::variables::{Given, Seen};
use super::{End, Failure};
use crate::bpe::expression::{EvaluationError, Scope};
use crate::bpe::model::{
    Binding, Call, Code, Kind, Listener, Pass, Payload, Service, Variable, Variables,
};

impl<'g> Machine<'g> {
    /// The host must do something before the segment goes on.
    pub(super) fn ask(&mut self, frame: FrameId, ask: Ask, then: Then) {
        let node = self
            .frame(frame)
            .map_or(crate::bpe::model::NodeIx(0), |found| found.node);
        let activity = self.activity(frame);
        let request = Request {
            id: self.wait_id(frame),
            frame,
            node,
            activity,
            ask,
        };
        self.push(Op::Await { request, then });
    }

    /// Runs code: an expression at once, anything else by the host.
    pub(super) fn call(
        &mut self,
        frame: FrameId,
        service: &Service,
        kind: CallKind,
        then: Then,
    ) -> Done {
        self.run_code(frame, service, kind, then, None)
    }

    fn run_code(
        &mut self,
        frame: FrameId,
        service: &Service,
        kind: CallKind,
        then: Then,
        on: Option<&On>,
    ) -> Done {
        let class = match &service.code {
            Code::Class(class) | Code::Delegate(class) => class.clone(),
            Code::External(topic) => topic.source().to_owned(),
            Code::Expression { expression, result } => {
                let value = expression.evaluate(&mut Seen {
                    machine: self,
                    frame,
                    on,
                });
                let value = self.evaluated(frame, value)?;
                if let Some(name) = result {
                    let setting = Setting {
                        name: name.clone(),
                        value: Some(value),
                        local: false,
                    };
                    self.apply(frame, &setting);
                }
                if then == Then::Complete {
                    self.push(Op::Complete(frame));
                }
                return Ok(());
            }
        };
        let mut fields = Variables::new();
        for field in &service.fields {
            let value = field.value.evaluate(&mut Seen {
                machine: self,
                frame,
                on,
            });
            fields.insert(field.name.clone(), self.evaluated(frame, value)?);
        }
        let flow = match on {
            Some(On::Take(flow)) => Some(*flow),
            _ => self.frame(frame).and_then(|found| found.via),
        };
        let flow = flow.map(|flow| self.graph.flow(flow).id.clone());
        let canceled = matches!(on, Some(On::End { canceled: true }));
        let call = CodeCall {
            kind,
            class,
            fields,
            flow,
            canceled,
            at: self.now,
        };
        self.ask(frame, Ask::Call(call), then);
        Ok(())
    }

    /// Runs the listeners from one on, each as its own operation.
    pub(super) fn listen(&mut self, frame: FrameId, on: On, at: usize) -> Done {
        let Some(found) = self.frame(frame) else {
            return Ok(());
        };
        let canceling = found.phase == Phase::Canceling;
        let allowed = match &on {
            On::End { canceled } => *canceled == canceling,
            On::Task { event, task } => {
                let Some(row) = self.state.tasks.get(task) else {
                    return Ok(());
                };
                (event == "delete") == canceling
                    && (event != "assignment" || row.assignee.is_some())
            }
            _ => !canceling,
        };
        let all: &'g [Listener] = match &on {
            On::Take(flow) => &self.graph.flow(*flow).listeners,
            _ => &self.node(frame).listeners,
        };
        let (event, task) = match &on {
            On::Start => ("start", false),
            On::End { .. } => ("end", false),
            On::Take(_) => ("take", false),
            On::Task { event, .. } => (event.as_str(), true),
        };
        let fits = |listener: &Listener| listener.event == event && listener.task == task;
        let Some(next) = (at..all.len())
            .find(|&at| fits(&all[at]))
            .filter(|_| allowed)
        else {
            return Ok(());
        };
        self.push(Op::Listen {
            frame,
            on: on.clone(),
            at: next + 1,
        });
        let kind = match &on {
            On::Task { event, task } => CallKind::TaskListener {
                event: event.clone(),
                task: *task,
            },
            _ => CallKind::ExecutionListener {
                event: event.to_owned(),
            },
        };
        self.run_code(frame, &all[next].service, kind, Then::Listener, Some(&on))
    }

    /// The host has done what was asked.
    pub(super) fn answered(&mut self, id: WaitId, answer: Answer) -> Done {
        let Some(Op::Await { request, then }) = self.state.agenda.pop() else {
            return Err(self.stale("nothing was asked".to_owned()));
        };
        if request.id != id {
            return Err(self.stale(format!("request {} is not the one that waits", id.0)));
        }
        let frame = request.frame;
        for setting in &answer.settings {
            self.apply(frame, setting);
        }
        if let (
            Some(patch),
            Ask::Call(CodeCall {
                kind: CallKind::TaskListener { task, .. },
                ..
            }),
        ) = (answer.task, &request.ask)
        {
            self.patch_task(*task, patch);
        }
        if let Some(reason) = answer.delete {
            self.cancel_instance(reason);
            return Ok(());
        }
        if let (Then::Uncaught, Ask::Error { code, .. }) = (then, &request.ask) {
            return self.uncaught(frame, code);
        }
        self.outcome(frame, then, answer.outcome)
    }

    /// What the outcome of code means for its frame.
    pub(super) fn outcome(&mut self, frame: FrameId, then: Then, outcome: Outcome) -> Done {
        if self.frame(frame).is_none() {
            // Interrupted while the code ran: nothing is left that could go on.
            return Ok(());
        }
        let canceling = self.alive(frame).is_none();
        match outcome {
            Outcome::BpmnError { code, .. } if canceling => {
                let message = format!("error '{code}' while being cancelled");
                Err(self.failure(frame, "error-while-canceling", message))
            }
            Outcome::BpmnError { code, message } => self.throw_error(frame, code, message),
            Outcome::Failed { kind, message } => self.fail(frame, kind, message),
            Outcome::Wait if then == Then::Complete && !canceling => {
                self.wait(frame, Waiting::Continue);
                Ok(())
            }
            Outcome::Escalation { code } => {
                if then == Then::Complete {
                    self.push(Op::Complete(frame));
                }
                self.escalate(frame, code);
                Ok(())
            }
            Outcome::Done | Outcome::Wait => {
                if then == Then::Complete {
                    self.push(Op::Complete(frame));
                }
                Ok(())
            }
        }
    }

    /// A call activity starts another process.
    pub(super) fn call_process(&mut self, frame: FrameId, call: &Call) -> Done {
        let mut text = |expression: &crate::bpe::expression::Expression| {
            let text = expression.text(&mut self.seen(frame));
            self.evaluated(frame, text)
        };
        let key = text(&call.element)?;
        let (mut version, mut version_tag) = (None, None);
        match &call.binding {
            Binding::Latest | Binding::Deployment => {}
            Binding::Version(expression) => {
                let text = text(expression)?;
                let number = text.trim().parse().map_err(|_| {
                    self.failure(frame, "call", format!("'{text}' is not a version"))
                })?;
                version = Some(number);
            }
            Binding::VersionTag(expression) => version_tag = Some(text(expression)?),
        }
        let (variables, business_key) = self.payload(frame, &call.inputs)?;
        let same_deployment = matches!(call.binding, Binding::Deployment);
        self.wait(frame, Waiting::Child);
        let child = ChildStart {
            key,
            version,
            version_tag,
            same_deployment,
            business_key,
            variables,
        };
        self.ask(frame, Ask::Start(child), Then::Continue);
        Ok(())
    }

    /// News of a called instance.
    pub(super) fn child(&mut self, frame: FrameId, child: Child) -> Done {
        if self
            .alive(frame)
            .is_none_or(|found| found.waits != Some(Waiting::Child))
        {
            return Err(self.stale(format!("no call waits in {}", frame.0)));
        }
        match child {
            Child::Ended(End::Completed { variables } | End::Canceled { variables, .. }) => {
                self.change_frame(frame, |found| found.waits = None);
                self.map_results(frame, variables)?;
                self.push(Op::Complete(frame));
            }
            Child::Threw {
                code,
                message,
                variables,
            } => {
                if self.catches_error(frame, &code) {
                    self.map_results(frame, variables)?;
                    self.throw_error(frame, code, message)?;
                }
            }
            Child::Escalated { code, variables } => {
                if self.catches_escalation(frame, &code) {
                    self.map_results(frame, variables)?;
                    self.escalate(frame, code);
                }
            }
        }
        Ok(())
    }

    fn map_results(&mut self, frame: FrameId, variables: Variables) -> Done {
        let Kind::CallActivity(call) = &self.node(frame).kind else {
            return Ok(());
        };
        let mut given = Given(variables);
        for Payload(pass) in &call.outputs {
            match pass {
                Pass::All { local } => self.apply_all(frame, given.variables(), *local),
                Pass::BusinessKey(_) => {}
                Pass::Value {
                    source,
                    target,
                    local,
                } => {
                    let value = value_of(source, &mut given);
                    let value = Some(self.evaluated(frame, value)?);
                    self.apply(
                        frame,
                        &Setting {
                            name: target.clone(),
                            value,
                            local: *local,
                        },
                    );
                }
            }
        }
        Ok(())
    }

    pub(super) fn stale(&self, message: String) -> Failure {
        self.failure(State::ROOT, "stale", message)
    }
}

/// A mapping's source is the name of a variable or an expression.
fn value_of(
    source: &crate::bpe::expression::Expression,
    given: &mut Given,
) -> Result<Variable, EvaluationError> {
    if source.is_literal() {
        return Ok(given.variable(source.source()).unwrap_or_default());
    }
    source.evaluate(given)
}
