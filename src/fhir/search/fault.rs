//! Search parameters that are not understood, in the words clients of the DSF know (§5.3).

use std::fmt;

/// What is wrong with a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    Unsupported,
    NumberOfValues,
    Unparsable,
}

/// One parameter that was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    parameter: String,
    kind: FaultKind,
    message: Option<String>,
    value: Option<String>,
}

impl Fault {
    pub(super) fn unsupported(parameter: &str) -> Self {
        Self {
            parameter: parameter.to_owned(),
            kind: FaultKind::Unsupported,
            message: Some(format!("Query parameter `{parameter}` not supported")),
            value: None,
        }
    }

    pub(super) fn repeated(parameter: &str, message: String) -> Self {
        Self {
            parameter: parameter.to_owned(),
            kind: FaultKind::NumberOfValues,
            message: Some(message),
            value: None,
        }
    }

    /// A value of a control parameter; Java does not repeat it.
    pub(super) fn control(parameter: &str, message: String) -> Self {
        Self {
            parameter: parameter.to_owned(),
            kind: FaultKind::Unparsable,
            message: Some(message),
            value: None,
        }
    }

    pub(super) fn unparsable(parameter: &str, message: impl Into<String>, value: &str) -> Self {
        Self {
            parameter: parameter.to_owned(),
            kind: FaultKind::Unparsable,
            message: Some(message.into()),
            value: Some(value.to_owned()),
        }
    }

    pub(super) fn refused(parameter: &str, value: &str) -> Self {
        Self {
            parameter: parameter.to_owned(),
            kind: FaultKind::Unparsable,
            message: None,
            value: Some(value.to_owned()),
        }
    }

    /// Whether the type has no such parameter.
    pub(super) fn is_unsupported(&self) -> bool {
        self.kind == FaultKind::Unsupported
    }

    /// Whether a parameter that says how to answer was given twice.
    pub(super) fn is_repetition(&self) -> bool {
        self.kind == FaultKind::NumberOfValues
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            FaultKind::Unsupported => "UNSUPPORTED_PARAMETER",
            FaultKind::NumberOfValues => "UNSUPPORTED_NUMBER_OF_VALUES",
            FaultKind::Unparsable => "UNPARSABLE_VALUE",
        };
        write!(f, "parameter: {}, error: {kind}", self.parameter)?;
        if let Some(message) = &self.message {
            write!(f, ", message: '{message}'")?;
        }
        match &self.value {
            Some(value) => write!(f, ", value: {value}"),
            None => Ok(()),
        }
    }
}

/// All faults of one query; `Display` gives the diagnostics of the OperationOutcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}
