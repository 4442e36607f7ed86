//! What is wrong with a configuration, for the person who has to put it right.

use std::fmt;

use crate::config::Origin;

/// One thing to put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `section.key`, a section, or the file.
    pub key: String,
    /// Where the value came from, if there is one.
    pub origin: Option<Origin>,
    /// The value as written; never that of a secret.
    pub value: Option<String>,
    /// Completes the sentence that begins with the key.
    pub fault: String,
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.fault)?;
        match (&self.origin, &self.value) {
            (Some(origin), Some(value)) => write!(f, "\n    {origin}: {value:?}")?,
            (Some(origin), None) => write!(f, "\n    {origin}")?,
            (None, _) => {}
        }
        write!(f, "\n    remedy: {}", self.remedy)
    }
}

/// All problems of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "the configuration has a problem")?,
            many => write!(f, "the configuration has {many} problems")?,
        }
        for problem in &self.0 {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}
