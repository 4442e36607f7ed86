//! BPMN files → [`Graph`]s, with every problem of a file reported at its place.
//!
//! Three passes: `process` collects nodes and flows in document order, `resolve` connects them,
//! `check` refuses models that cannot run (`spec/bpmn.md` S-PARSE-4). Nothing is ignored in
//! silence: what has no effect here is a warning, what would change the meaning is an error.

mod check;
mod definitions;
mod event;
mod extension;
mod process;
mod reader;
mod resolve;
mod task;

use std::collections::HashMap;

use crate::bpe::model::{Graph, Position};
use definitions::Definitions;
use reader::Reader;

/// Something wrong, or merely odd, in a BPMN file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}: {element}: {message}", position.line, position.column)]
pub struct Problem {
    pub position: Position,
    /// Kind and id of the element, e.g. `serviceTask 'sendPing'`.
    pub element: String,
    /// What is wrong and what to do about it.
    pub message: String,
    /// Does not keep the process from running.
    pub warning: bool,
}

/// The processes of a file and what was odd about it.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// Executable processes only.
    pub graphs: Vec<Graph>,
    pub warnings: Vec<Problem>,
}

/// Reads a BPMN file whose placeholders have been replaced.
///
/// # Errors
/// All problems that keep the file from being deployed, in document order.
pub fn parse(source: &str) -> Result<Parsed, Vec<Problem>> {
    let document = match roxmltree::Document::parse(source) {
        Ok(document) => document,
        Err(error) => return Err(vec![xml_problem(&error)]),
    };
    let mut reader = Reader::new(&document);
    let root = document.root_element();
    if !reader::is_bpmn(root, "definitions") {
        reader.error(
            root,
            "is not a BPMN 2.0 file: its root must be bpmn:definitions",
        );
        return Err(reader.problems);
    }
    let definitions = Definitions::read(root, &mut reader);
    let mut graphs = Vec::new();
    let mut ids = HashMap::new();
    for element in reader::children(root, "process") {
        if element.attribute("isExecutable") == Some("true") {
            let draft = process::collect(element, &definitions, &mut reader, &mut ids);
            let graph = resolve::resolve(draft, &mut reader);
            check::check(&graph, &mut reader);
            graphs.push(graph);
        } else {
            reader.warn(
                element,
                "is not executable and is not deployed; set isExecutable=\"true\"",
            );
        }
    }
    let (warnings, mut errors): (Vec<_>, Vec<_>) = reader
        .problems
        .into_iter()
        .partition(|problem| problem.warning);
    errors.sort_by_key(|problem| (problem.position.line, problem.position.column));
    if errors.is_empty() {
        Ok(Parsed { graphs, warnings })
    } else {
        Err(errors)
    }
}

fn xml_problem(error: &roxmltree::Error) -> Problem {
    let at = error.pos();
    let message = match error {
        roxmltree::Error::DtdDetected => "a DOCTYPE is not allowed in a BPMN file".to_owned(),
        other => format!("is not well-formed XML: {other}"),
    };
    Problem {
        position: Position {
            line: at.row,
            column: at.col,
        },
        element: "file".to_owned(),
        message,
        warning: false,
    }
}

#[cfg(test)]
mod tests;
