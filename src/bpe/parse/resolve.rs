//! Second pass: names become numbers.

use std::collections::HashMap;

use super::process::{Draft, Reference, ReferenceKind};
use super::reader::Reader;
use crate::bpe::model::{Event, FlowIx, Graph, Kind, Node, NodeIx};

pub(super) fn resolve(draft: Draft, reader: &mut Reader) -> Graph {
    let Draft {
        mut graph,
        references,
        flows,
        associations,
    } = draft;
    for draft in flows {
        let number = u32::try_from(graph.flows.len()).unwrap_or(u32::MAX);
        let mut flow = draft.flow;
        let mut complete = true;
        for (name, id) in [("sourceRef", &draft.source), ("targetRef", &draft.target)] {
            let Some(node) = graph.find(id) else {
                let element = format!("sequenceFlow '{}'", flow.id);
                let message = format!("{name} '{id}' names no node of this process");
                reader.push(flow.position, element, message, false);
                complete = false;
                continue;
            };
            if name == "sourceRef" {
                flow.source = node;
            } else {
                flow.target = node;
            }
        }
        if complete {
            graph.nodes[flow.source.0 as usize]
                .outgoing
                .push(FlowIx(number));
            graph.nodes[flow.target.0 as usize]
                .incoming
                .push(FlowIx(number));
        }
        graph.flows.push(flow);
    }
    for reference in &references {
        apply(&mut graph, reference, reader);
    }
    handlers(&mut graph, &associations);
    links(&mut graph, reader);
    graph
}

fn apply(graph: &mut Graph, reference: &Reference, reader: &mut Reader) {
    let Reference { node, kind, to } = reference;
    let found = match kind {
        ReferenceKind::Default => {
            let flow = graph
                .find_flow(to)
                .filter(|&flow| graph.flow(flow).source == *node);
            graph.nodes[node.0 as usize].default_flow = flow;
            flow.is_some()
        }
        ReferenceKind::Attached => attach(graph, *node, to),
        ReferenceKind::Compensated => {
            let target = graph.find(to);
            match &mut graph.nodes[node.0 as usize].kind {
                Kind::Throw(Event::Compensation { activity })
                | Kind::End(Event::Compensation { activity }) => *activity = target,
                _ => {}
            }
            target.is_some()
        }
    };
    if !found {
        let message = match kind {
            ReferenceKind::Default => format!("default '{to}' names no flow that leaves it"),
            ReferenceKind::Attached => format!("attachedToRef '{to}' names no activity"),
            ReferenceKind::Compensated => format!("activityRef '{to}' names no activity"),
        };
        report(graph.node(*node), message, reader);
    }
}

fn attach(graph: &mut Graph, node: NodeIx, to: &str) -> bool {
    let Some(target) = graph.find(to) else {
        return false;
    };
    let activity = matches!(
        graph.node(target).kind,
        Kind::Task(_) | Kind::SubProcess { .. } | Kind::CallActivity(_)
    );
    if !activity {
        return false;
    }
    graph.nodes[target.0 as usize].boundary.push(node);
    if let Kind::Boundary { attached, .. } = &mut graph.nodes[node.0 as usize].kind {
        *attached = target;
    }
    true
}

/// Compensation handlers hang on their boundary events by associations.
fn handlers(graph: &mut Graph, associations: &[(String, String)]) {
    for (source, target) in associations {
        let (Some(source), Some(target)) = (graph.find(source), graph.find(target)) else {
            continue;
        };
        if let Kind::Boundary {
            event: Event::Compensation { .. },
            handler,
            ..
        } = &mut graph.nodes[source.0 as usize].kind
        {
            *handler = Some(target);
        }
    }
}

fn links(graph: &mut Graph, reader: &mut Reader) {
    let mut catches: HashMap<(NodeIx, String), NodeIx> = HashMap::new();
    for (ix, node) in graph.iter() {
        if let Kind::Catch(Event::Link { name, .. }) = &node.kind
            && catches.insert((node.parent, name.clone()), ix).is_some()
        {
            let message = format!("link '{name}' is caught twice in this scope; keep one catch");
            report(node, message, reader);
        }
    }
    for at in 0..graph.nodes.len() {
        let parent = graph.nodes[at].parent;
        let Kind::Throw(Event::Link { name, target }) = &mut graph.nodes[at].kind else {
            continue;
        };
        *target = catches.get(&(parent, name.clone())).copied();
        if target.is_none() {
            let message = format!("link '{name}' is caught nowhere in this scope");
            report(&graph.nodes[at], message, reader);
        }
    }
}

/// An error at a node.
pub(super) fn report(node: &Node, message: impl Into<String>, reader: &mut Reader) {
    let element = format!("{} '{}'", node.kind.element(), node.id);
    reader.push(node.position, element, message.into(), false);
}
