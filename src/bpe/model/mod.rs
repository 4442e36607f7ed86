//! What a process is once it has been read: the graph of a definition and the values it works on.
//!
//! A [`Graph`] is immutable and shared by all instances of one definition version. Nodes and
//! flows are numbered in document order, so the numbers that persisted state refers to stay the
//! same for one source file, whatever release compiles it.

mod event;
mod graph;
mod node;
mod variable;

pub use event::{
    Conditional, ErrorEvent, EscalationEvent, Event, Payload, SignalEvent, Timer, TimerForm,
};
pub use graph::{Graph, Inject, Place};
pub use node::{
    Async, Binding, Call, Code, Field, Flow, FlowIx, Gateway, Kind, Listener, Mapping,
    MappingValue, MultiInstance, Node, NodeIx, Pass, Position, Retry, Service, ServiceKind, Task,
    UserTask,
};
pub use variable::{Target, Targets, Variable, Variables};
