//! Nodes and flows of a process graph.

use serde::{Deserialize, Serialize};

use super::event::{Event, Payload};
use crate::bpe::expression::Expression;

/// Number of a node in document order; 0 is the process itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeIx(pub u32);

/// Number of a sequence flow in document order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FlowIx(pub u32);

/// A place in the source file, both counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

/// Everything a token can stand at, and the scopes around it.
#[derive(Clone, Debug)]
pub struct Node {
    pub id: String,
    pub name: Option<String>,
    pub position: Position,
    pub kind: Kind,
    /// The enclosing scope; the process is its own parent.
    pub parent: NodeIx,
    pub incoming: Vec<FlowIx>,
    pub outgoing: Vec<FlowIx>,
    pub default_flow: Option<FlowIx>,
    pub multi: Option<MultiInstance>,
    /// Boundary events attached to this activity.
    pub boundary: Vec<NodeIx>,
    /// Nodes directly inside this scope.
    pub children: Vec<NodeIx>,
    pub async_before: Option<Async>,
    pub async_after: Option<Async>,
    pub retry: Option<Retry>,
    pub inputs: Vec<Mapping>,
    pub outputs: Vec<Mapping>,
    pub listeners: Vec<Listener>,
    /// Entered by compensation only.
    pub for_compensation: bool,
}

/// An asynchronous continuation before or after a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Async {
    /// No other job of the instance runs at the same time.
    pub exclusive: bool,
}

/// `failedJobRetryTimeCycle`, evaluated at the first failure.
#[derive(Clone, Debug)]
pub struct Retry(pub Expression);

#[derive(Clone, Debug)]
pub enum Kind {
    Process,
    SubProcess {
        transaction: bool,
    },
    EventSubProcess,
    Start {
        event: Event,
        interrupting: bool,
    },
    End(Event),
    Catch(Event),
    Throw(Event),
    Boundary {
        attached: NodeIx,
        interrupting: bool,
        event: Event,
        handler: Option<NodeIx>,
    },
    Task(Task),
    Gateway(Gateway),
    CallActivity(Box<Call>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    Exclusive,
    Parallel,
    Inclusive,
    EventBased,
}

#[derive(Clone, Debug)]
pub enum Task {
    /// Service, send and business rule tasks.
    Service(ServiceKind, Service),
    /// Waits for the message, or for an explicit trigger if there is none.
    Receive(Option<Expression>),
    User(Box<UserTask>),
    /// Manual and undefined tasks: passed through.
    Pass,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    Service,
    Send,
    BusinessRule,
}

/// What runs: plugin code known by a key, or an expression.
#[derive(Clone, Debug)]
pub enum Code {
    /// `camunda:class`: an opaque key that plugin code registers for.
    Class(String),
    /// `camunda:delegateExpression`, as written.
    Delegate(String),
    Expression {
        expression: Expression,
        result: Option<String>,
    },
    /// `camunda:type="external"`: a work item of the topic.
    External(Expression),
}

#[derive(Clone, Debug)]
pub struct Service {
    pub code: Code,
    pub fields: Vec<Field>,
}

/// An injected field.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub value: Expression,
}

#[derive(Clone, Debug)]
pub struct Listener {
    /// `start`, `end`, `take`, or the event of a task listener.
    pub event: String,
    pub service: Service,
    /// Task listeners run with the user task, not with the activity.
    pub task: bool,
}

/// An input or output parameter.
#[derive(Clone, Debug)]
pub struct Mapping {
    pub name: String,
    pub value: MappingValue,
}

#[derive(Clone, Debug)]
pub enum MappingValue {
    Expression(Expression),
    List(Vec<MappingValue>),
    Map(Vec<(String, MappingValue)>),
}

#[derive(Clone, Debug, Default)]
pub struct UserTask {
    pub name: Option<Expression>,
    pub description: Option<Expression>,
    pub assignee: Option<Expression>,
    pub candidate_users: Option<Expression>,
    pub candidate_groups: Option<Expression>,
    pub due: Option<Expression>,
    pub follow_up: Option<Expression>,
    pub priority: Option<Expression>,
    pub form_key: Option<Expression>,
}

#[derive(Clone, Debug)]
pub struct MultiInstance {
    pub sequential: bool,
    pub cardinality: Option<Expression>,
    /// An expression or the name of a variable.
    pub collection: Option<Expression>,
    pub element: Option<String>,
    pub completion: Option<Expression>,
    /// Continuations of each inner instance; those of the node belong to the body.
    pub async_before: Option<Async>,
    pub async_after: Option<Async>,
    pub retry: Option<Retry>,
}

#[derive(Clone, Debug)]
pub struct Call {
    pub element: Expression,
    pub binding: Binding,
    pub inputs: Vec<Payload>,
    pub outputs: Vec<Payload>,
}

#[derive(Clone, Debug)]
pub enum Binding {
    Latest,
    Deployment,
    Version(Expression),
    VersionTag(Expression),
}

/// What a mapping between instances passes.
#[derive(Clone, Debug)]
pub enum Pass {
    /// All variables; `local`: those of the activity only.
    All {
        local: bool,
    },
    BusinessKey(Expression),
    Value {
        source: Expression,
        target: String,
        local: bool,
    },
}

#[derive(Clone, Debug)]
pub struct Flow {
    /// Flows may lack an id; then it is empty.
    pub id: String,
    pub position: Position,
    pub source: NodeIx,
    pub target: NodeIx,
    pub condition: Option<Expression>,
    pub listeners: Vec<Listener>,
}

impl Kind {
    /// Holds other nodes.
    #[must_use]
    pub fn is_container(&self) -> bool {
        matches!(
            self,
            Self::Process | Self::SubProcess { .. } | Self::EventSubProcess
        )
    }

    /// The element's name in BPMN, for messages and history.
    #[must_use]
    pub fn element(&self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::SubProcess { transaction: true } => "transaction",
            Self::SubProcess { .. } | Self::EventSubProcess => "subProcess",
            Self::Start { .. } => "startEvent",
            Self::End(_) => "endEvent",
            Self::Catch(_) => "intermediateCatchEvent",
            Self::Throw(_) => "intermediateThrowEvent",
            Self::Boundary { .. } => "boundaryEvent",
            Self::Task(Task::Service(ServiceKind::Service, _)) => "serviceTask",
            Self::Task(Task::Service(ServiceKind::Send, _)) => "sendTask",
            Self::Task(Task::Service(ServiceKind::BusinessRule, _)) => "businessRuleTask",
            Self::Task(Task::Receive(_)) => "receiveTask",
            Self::Task(Task::User(_)) => "userTask",
            Self::Task(Task::Pass) => "task",
            Self::Gateway(Gateway::Exclusive) => "exclusiveGateway",
            Self::Gateway(Gateway::Parallel) => "parallelGateway",
            Self::Gateway(Gateway::Inclusive) => "inclusiveGateway",
            Self::Gateway(Gateway::EventBased) => "eventBasedGateway",
            Self::CallActivity(_) => "callActivity",
        }
    }
}
