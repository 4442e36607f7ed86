//! What is wrong with a package, in words that say where and what to do.

use std::path::Path;

/// One thing wrong, or merely odd, in a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    /// Key, element, or line and column; empty for the file as a whole.
    pub place: String,
    pub message: String,
    /// Does not keep the package from being used.
    pub warning: bool,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.place.as_str() {
            "" => write!(f, "{}: {}", self.file, self.message),
            place => write!(f, "{}: {place}: {}", self.file, self.message),
        }
    }
}

/// A package that is not used, with everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("plugin {origin} is not used: {}", listed(.problems))]
pub struct Refused {
    pub origin: String,
    pub problems: Vec<Problem>,
}

impl Refused {
    /// A file that is no package.
    #[must_use]
    pub fn unreadable(path: &Path, message: String) -> Self {
        let origin = path
            .file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy()
            .into_owned();
        let problem = Problem {
            file: origin.clone(),
            place: String::new(),
            message,
            warning: false,
        };
        Self {
            origin,
            problems: vec![problem],
        }
    }
}

fn listed(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Collects the problems of a package while it is read.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn error(
        &mut self,
        file: &str,
        place: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.add(file, place.into(), message.into(), false);
    }

    pub(super) fn warning(
        &mut self,
        file: &str,
        place: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.add(file, place.into(), message.into(), true);
    }

    fn add(&mut self, file: &str, place: String, message: String, warning: bool) {
        let problem = Problem {
            file: file.to_owned(),
            place,
            message,
            warning,
        };
        // One file may be read for several processes.
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    pub(super) fn errors(&self) -> usize {
        self.0.iter().filter(|problem| !problem.warning).count()
    }

    pub(super) fn into_inner(self) -> Vec<Problem> {
        self.0
    }
}
