//! The BPMN model of a process: read, checked, and asked which code it needs.

use super::manifest::{Manifest, ProcessEntry};
use super::problem::Problems;
use crate::bpe::model::{
    Code, Event, Field, Graph, Kind, Listener, Node, Service, ServiceKind, Task,
};
use crate::bpe::parse;

/// The fields that make a message (spec/bpe.md §7.2).
pub(crate) const MESSAGE_FIELDS: [&str; 3] = ["instantiatesCanonical", "profile", "messageName"];

/// The listeners of user tasks that need no code: they make the form as the model says.
pub(crate) const DEFAULT_LISTENERS: [&str; 4] = [
    "dev.dsf.bpe.v2.activity.DefaultUserTaskListener",
    "dev.dsf.bpe.v1.activity.DefaultUserTaskListener",
    "dev.dsf.bpe.activity.DefaultUserTaskListener",
    "org.highmed.dsf.bpe.activity.DefaultUserTaskListener",
];

/// What the entry of a listener that stands for one of these may have (spec/bpe.md §4.2): four have
/// a say in the form before it is created, the last one sees it when it is there.
pub(crate) const FORM_MEMBERS: [&str; 5] = [
    "getPractitioners",
    "getPractitionerRoles",
    "createQuestionnaireResponse",
    "beforeQuestionnaireResponseCreate",
    "afterQuestionnaireResponseCreate",
];

/// The model of one process, placeholders replaced.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub file: String,
    pub source: String,
    pub graph: Graph,
    pub uses: Vec<Use>,
}

/// One place in a model that names code.
#[derive(Clone, Debug)]
pub(super) struct Use {
    /// `serviceTask 'SelectTarget'`.
    pub element: String,
    pub class: String,
    pub kind: UseKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UseKind {
    Service,
    Message,
    ExecutionListener,
    TaskListener,
}

impl UseKind {
    /// Works without an entry in `activities`.
    pub(super) fn has_default(self) -> bool {
        self == Self::Message
    }

    /// The function that an object must have.
    pub(super) fn member(self) -> Option<&'static str> {
        match self {
            Self::Service => Some("execute"),
            Self::ExecutionListener | Self::TaskListener => Some("notify"),
            Self::Message => None,
        }
    }
}

pub(super) fn read(
    entry: &ProcessEntry,
    source: String,
    manifest: &Manifest,
    problems: &mut Problems,
) -> Option<Model> {
    let file = &entry.model;
    let parsed = match parse::parse(&source) {
        Ok(parsed) => parsed,
        Err(found) => {
            for problem in found {
                problems.error(file, place(&problem), problem.message);
            }
            return None;
        }
    };
    for problem in &parsed.warnings {
        problems.warning(file, place(problem), problem.message.clone());
    }
    let count = parsed.graphs.len();
    let Ok([graph]) = <[Graph; 1]>::try_from(parsed.graphs) else {
        problems.error(
            file,
            "",
            format!("must hold exactly one executable process, has {count}"),
        );
        return None;
    };
    check(entry, &graph, manifest, problems);
    let uses = uses(file, &graph, problems);
    Some(Model {
        file: file.clone(),
        source,
        graph,
        uses,
    })
}

fn place(problem: &parse::Problem) -> String {
    let at = problem.position;
    format!("{}:{}: {}", at.line, at.column, problem.element)
}

fn check(entry: &ProcessEntry, graph: &Graph, manifest: &Manifest, problems: &mut Problems) {
    let file = &entry.model;
    if graph.key != entry.id {
        let message = format!(
            "is the process {}, plugin.toml says {}",
            graph.key, entry.id
        );
        problems.error(file, "process", message);
    }
    let version = manifest.version.resource_version();
    if graph.version_tag.as_deref() != Some(version) {
        let found = graph.version_tag.as_deref().unwrap_or("absent");
        let message = format!("is {found}, must be #{{version}}, here {version}");
        problems.error(file, "camunda:versionTag", message);
    }
}

/// The code that a model names.
pub(super) fn uses(file: &str, graph: &Graph, problems: &mut Problems) -> Vec<Use> {
    let mut uses = Vec::new();
    for (_, node) in graph.iter() {
        let element = format!("{} '{}'", node.kind.element(), node.id);
        collect(file, &element, node, &mut uses, problems);
        uses.extend(listened(&element, &node.listeners));
    }
    for flow in &graph.flows {
        uses.extend(listened(
            &format!("sequenceFlow '{}'", flow.id),
            &flow.listeners,
        ));
    }
    uses
}

fn collect(file: &str, element: &str, node: &Node, uses: &mut Vec<Use>, problems: &mut Problems) {
    let (kind, service) = match &node.kind {
        Kind::Task(Task::Service(ServiceKind::Send, service)) => (UseKind::Message, service),
        Kind::Task(Task::Service(_, service)) => (UseKind::Service, service),
        Kind::Throw(Event::Message { service, .. }) | Kind::End(Event::Message { service, .. }) => {
            match service {
                Some(service) => (UseKind::Message, service),
                None => {
                    let message = "sends nothing: its messageEventDefinition needs camunda:class";
                    problems.error(file, element, message);
                    return;
                }
            }
        }
        _ => return,
    };
    if kind == UseKind::Message && matches!(service.code, Code::Class(_)) {
        for name in MESSAGE_FIELDS {
            if !has_field(&service.fields, name) {
                problems.error(file, element, format!("needs the camunda:field {name}"));
            }
        }
    }
    uses.extend(used(element, service, kind));
}

fn has_field(fields: &[Field], name: &str) -> bool {
    fields
        .iter()
        .any(|field| field.name == name && !field.value.source().trim().is_empty())
}

fn listened(element: &str, listeners: &[Listener]) -> Vec<Use> {
    listeners
        .iter()
        .filter_map(|listener| {
            let kind = if listener.task {
                UseKind::TaskListener
            } else {
                UseKind::ExecutionListener
            };
            let element = format!("{element}, {} listener", listener.event);
            used(&element, &listener.service, kind)
        })
        .collect()
}

/// Expressions are evaluated by the engine and need no code.
fn used(element: &str, service: &Service, kind: UseKind) -> Option<Use> {
    match &service.code {
        Code::Class(class)
            if kind == UseKind::TaskListener && DEFAULT_LISTENERS.contains(&class.as_str()) =>
        {
            None
        }
        Code::Class(class) | Code::Delegate(class) => Some(Use {
            element: element.to_owned(),
            class: class.clone(),
            kind,
        }),
        Code::Expression { .. } | Code::External(_) => None,
    }
}
