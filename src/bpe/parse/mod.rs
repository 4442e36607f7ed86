//! BPMN files → [`Graph`]s, with every problem of a file reported at its place.

use crate::bpe::model::{Graph, Position};

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
    let _ = source;
    Ok(Parsed {
        graphs: Vec::new(),
        warnings: Vec::new(),
    })
}
