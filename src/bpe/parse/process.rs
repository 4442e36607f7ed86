//! First pass: nodes and flows of a process in document order, references still by name.

use std::collections::HashMap;

use roxmltree::Node as Element;

use super::definitions::Definitions;
use super::reader::{self, Reader, extension_attribute};
use super::{event, extension, task};
use crate::bpe::expression::Expression;
use crate::bpe::model::{
    Event, Flow, Gateway, Graph, Kind, Node, NodeIx, Position, ServiceKind, Task,
};

/// A process whose references are not resolved yet.
pub(super) struct Draft {
    pub(super) graph: Graph,
    pub(super) references: Vec<Reference>,
    pub(super) flows: Vec<DraftFlow>,
    pub(super) associations: Vec<(String, String)>,
}

/// A name that a node uses for another element.
pub(super) struct Reference {
    pub(super) node: NodeIx,
    pub(super) kind: ReferenceKind,
    pub(super) to: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ReferenceKind {
    Attached,
    Default,
    Compensated,
}

pub(super) struct DraftFlow {
    pub(super) flow: Flow,
    pub(super) source: String,
    pub(super) target: String,
}

/// Elements that say nothing to an engine.
const SILENT: [&str; 17] = [
    "incoming",
    "outgoing",
    "documentation",
    "extensionElements",
    "laneSet",
    "textAnnotation",
    "group",
    "category",
    "dataObject",
    "dataObjectReference",
    "dataStoreReference",
    "ioSpecification",
    "property",
    "multiInstanceLoopCharacteristics",
    "standardLoopCharacteristics",
    "dataInputAssociation",
    "dataOutputAssociation",
];

const KNOWN_ATTRIBUTES: [&str; 29] = [
    "class",
    "delegateExpression",
    "expression",
    "resultVariable",
    "type",
    "topic",
    "async",
    "asyncBefore",
    "asyncAfter",
    "exclusive",
    "assignee",
    "candidateUsers",
    "candidateGroups",
    "dueDate",
    "followUpDate",
    "priority",
    "formKey",
    "initiator",
    "versionTag",
    "historyTimeToLive",
    "calledElementBinding",
    "calledElementVersion",
    "calledElementVersionTag",
    "isStartableInTasklist",
    "candidateStarterUsers",
    "candidateStarterGroups",
    "modelerTemplate",
    "modelerTemplateVersion",
    "modelerTemplateIcon",
];

const KNOWN_EXTENSIONS: [&str; 9] = [
    "field",
    "executionListener",
    "taskListener",
    "inputOutput",
    "failedJobRetryTimeCycle",
    "in",
    "out",
    "properties",
    "formData",
];

pub(super) fn collect(
    element: Element,
    definitions: &Definitions,
    reader: &mut Reader,
    ids: &mut HashMap<String, Position>,
) -> Draft {
    let text = |name| extension_attribute(element, name).map(str::to_owned);
    let graph = Graph {
        key: element.attribute("id").unwrap_or_default().to_owned(),
        name: element.attribute("name").map(str::to_owned),
        version_tag: text("versionTag"),
        history_time_to_live: text("historyTimeToLive"),
        executable: true,
        nodes: Vec::new(),
        flows: Vec::new(),
        ids: HashMap::new(),
    };
    let (references, flows, associations) = (Vec::new(), Vec::new(), Vec::new());
    let draft = Draft {
        graph,
        references,
        flows,
        associations,
    };
    let mut collector = Collector {
        draft,
        definitions,
        reader,
        ids,
    };
    collector.node(element, Kind::Process, Graph::ROOT);
    collector.draft
}

struct Collector<'a, 'r, 'd> {
    draft: Draft,
    definitions: &'a Definitions,
    reader: &'r mut Reader<'d>,
    ids: &'r mut HashMap<String, Position>,
}

impl Collector<'_, '_, '_> {
    /// Adds a node and, for a container, everything in it.
    fn node(&mut self, element: Element, kind: Kind, parent: NodeIx) {
        let container = kind.is_container();
        let number = u32::try_from(self.draft.graph.nodes.len()).unwrap_or(u32::MAX);
        let ix = NodeIx(number);
        let id = self.id(element).unwrap_or_default();
        self.reader.only(element, &KNOWN_ATTRIBUTES);
        self.unknown_extensions(element);
        let (async_before, async_after) = extension::continuations(element);
        let (inputs, outputs) = extension::parameters(element, self.reader);
        let default = if matches!(kind, Kind::Task(Task::User(_))) {
            "create"
        } else {
            "start"
        };
        let node = Node {
            id: id.clone(),
            name: element.attribute("name").map(str::to_owned),
            position: self.reader.position(element),
            parent,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            default_flow: None,
            multi: task::multi_instance(element, self.reader),
            boundary: Vec::new(),
            children: Vec::new(),
            async_before,
            async_after,
            retry: extension::retry(element, self.reader),
            inputs,
            outputs,
            listeners: extension::listeners(element, default, self.reader),
            for_compensation: element.attribute("isForCompensation") == Some("true"),
            kind,
        };
        self.draft.graph.nodes.push(node);
        self.draft.graph.ids.insert(id, ix);
        if ix != parent {
            self.draft.graph.nodes[parent.0 as usize].children.push(ix);
        }
        if let Some(flow) = element.attribute("default") {
            self.refer(ix, ReferenceKind::Default, flow);
        }
        if container {
            self.contents(element, ix);
        }
    }

    fn id(&mut self, element: Element) -> Option<String> {
        let Some(id) = element.attribute("id").filter(|id| !id.is_empty()) else {
            self.reader.error(element, "needs an id");
            return None;
        };
        let position = self.reader.position(element);
        if let Some(first) = self.ids.insert(id.to_owned(), position) {
            let message = format!(
                "id '{id}' is already used in line {}; ids are unique",
                first.line
            );
            self.reader.error(element, message);
        }
        Some(id.to_owned())
    }

    fn unknown_extensions(&mut self, element: Element) {
        for child in reader::extensions(element) {
            let name = child.tag_name().name();
            if !KNOWN_EXTENSIONS.contains(&name) {
                self.reader
                    .warn(child, format!("element camunda:{name} has no effect here"));
            }
        }
    }

    fn refer(&mut self, node: NodeIx, kind: ReferenceKind, to: &str) {
        self.draft.references.push(Reference {
            node,
            kind,
            to: to.to_owned(),
        });
    }

    fn contents(&mut self, element: Element, scope: NodeIx) {
        for child in element.children().filter(Element::is_element) {
            if child.tag_name().namespace() != Some(reader::BPMN) {
                continue;
            }
            match child.tag_name().name() {
                "sequenceFlow" => self.flow(child),
                "association" => self.association(child),
                name if SILENT.contains(&name) => {}
                _ => {
                    if let Some(kind) = self.kind(child) {
                        self.node(child, kind, scope);
                    }
                }
            }
        }
    }

    fn kind(&mut self, element: Element) -> Option<Kind> {
        let name = element.tag_name().name();
        let (definitions, reader) = (self.definitions, &mut *self.reader);
        Some(match name {
            "startEvent"
            | "endEvent"
            | "intermediateCatchEvent"
            | "intermediateThrowEvent"
            | "boundaryEvent" => self.event(element),
            "serviceTask" => task::service(ServiceKind::Service, element, reader),
            "sendTask" => task::service(ServiceKind::Send, element, reader),
            "businessRuleTask" => task::service(ServiceKind::BusinessRule, element, reader),
            "receiveTask" => task::receive(element, definitions, reader),
            "userTask" => task::user(element, reader),
            "task" | "manualTask" => Kind::Task(Task::Pass),
            "exclusiveGateway" => Kind::Gateway(Gateway::Exclusive),
            "parallelGateway" => Kind::Gateway(Gateway::Parallel),
            "inclusiveGateway" => Kind::Gateway(Gateway::Inclusive),
            "eventBasedGateway" => {
                if element.attribute("instantiate") == Some("true")
                    || element.attribute("eventGatewayType") == Some("Parallel")
                {
                    reader.error(
                        element,
                        "only exclusive, non-instantiating ones are supported",
                    );
                }
                Kind::Gateway(Gateway::EventBased)
            }
            "subProcess" if element.attribute("triggeredByEvent") == Some("true") => {
                Kind::EventSubProcess
            }
            "subProcess" => Kind::SubProcess { transaction: false },
            "transaction" => Kind::SubProcess { transaction: true },
            "callActivity" => task::call(element, reader),
            _ => {
                reader.error(
                    element,
                    format!("{name} is not supported; model it differently"),
                );
                return None;
            }
        })
    }

    fn event(&mut self, element: Element) -> Kind {
        let ix = NodeIx(u32::try_from(self.draft.graph.nodes.len()).unwrap_or(u32::MAX));
        let found = event::read(element, self.definitions, self.reader);
        if let Some(activity) = found.activity {
            self.refer(ix, ReferenceKind::Compensated, &activity);
        }
        let event = found.event;
        match element.tag_name().name() {
            "startEvent" => {
                let interrupting = element.attribute("isInterrupting") != Some("false");
                Kind::Start {
                    event,
                    interrupting,
                }
            }
            "endEvent" => Kind::End(event),
            "intermediateCatchEvent" => Kind::Catch(event),
            "intermediateThrowEvent" => Kind::Throw(event),
            _ => {
                let attached = element.attribute("attachedToRef").unwrap_or_default();
                self.refer(ix, ReferenceKind::Attached, attached);
                let interrupting = element.attribute("cancelActivity") != Some("false")
                    && !matches!(event, Event::Compensation { .. });
                Kind::Boundary {
                    attached: Graph::ROOT,
                    interrupting,
                    event,
                    handler: None,
                }
            }
        }
    }

    fn flow(&mut self, element: Element) {
        let id = match element.attribute("id") {
            Some(_) => self.id(element).unwrap_or_default(),
            None => String::new(),
        };
        let condition = reader::child(element, "conditionExpression")
            .and_then(|condition| self.condition(condition));
        let flow = Flow {
            id,
            position: self.reader.position(element),
            source: Graph::ROOT,
            target: Graph::ROOT,
            condition,
            listeners: extension::listeners(element, "take", self.reader),
        };
        let end = |name| element.attribute(name).unwrap_or_default().to_owned();
        let (source, target) = (end("sourceRef"), end("targetRef"));
        self.draft.flows.push(DraftFlow {
            flow,
            source,
            target,
        });
    }

    fn condition(&mut self, element: Element) -> Option<Expression> {
        if let Some(language) = element.attribute("language") {
            let message = format!("scripts in {language} are not supported; use an expression");
            self.reader.error(element, message);
        }
        let text = reader::text(element);
        if text.is_empty() {
            self.reader
                .warn(element, "is empty and counts as no condition");
            return None;
        }
        Some(self.reader.expression(element, &text))
    }

    fn association(&mut self, element: Element) {
        let end = |name| element.attribute(name).map(str::to_owned);
        if let (Some(source), Some(target)) = (end("sourceRef"), end("targetRef")) {
            self.draft.associations.push((source, target));
        }
    }
}
