//! `code`, `system|code`, `|code`, `system|` (§5.4).

use crate::r4::ResourceType;
use crate::store::fhir::search::Test;

use super::term::term;

/// The value of a token parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A code of any system.
    Code(&'a str),
    /// A code that has no system.
    WithoutSystem(&'a str),
    Both(&'a str, &'a str),
    /// Any code of the system.
    System(&'a str),
}

impl<'a> Token<'a> {
    /// What follows a second pipe is cut off.
    pub(super) fn parse(value: &'a str) -> Self {
        let mut parts = value.split('|');
        let first = parts.next().unwrap_or_default();
        match (first, parts.next()) {
            (code, None) => Self::Code(code),
            ("", Some(code)) => Self::WithoutSystem(code),
            (system, Some("")) => Self::System(system),
            (system, Some(code)) => Self::Both(system, code),
        }
    }

    pub(super) fn term(&self, kind: ResourceType, parameter: &str) -> String {
        match self {
            Self::Code(code) => term(kind, parameter, '~', code),
            Self::WithoutSystem(code) => term(kind, parameter, '=', &format!("|{code}")),
            Self::Both(system, code) => term(kind, parameter, '=', &format!("{system}|{code}")),
            Self::System(system) => term(kind, parameter, '^', system),
        }
    }

    /// The same as a test of one stored `system|code`.
    pub(super) fn test(&self) -> Test {
        match self {
            Self::Code(code) => Test::Code((*code).to_owned()),
            Self::WithoutSystem(code) => Test::Equals(format!("|{code}")),
            Self::Both(system, code) => Test::Equals(format!("{system}|{code}")),
            Self::System(system) => Test::StartsWith(format!("{system}|")),
        }
    }

    /// The code, for parameters whose element has no system.
    pub(super) fn code(&self) -> &'a str {
        match self {
            Self::Code(code) | Self::WithoutSystem(code) | Self::Both(_, code) => code,
            Self::System(_) => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Token::{self, Both, Code, System, WithoutSystem};

    #[test]
    fn a_pipe_tells_system_from_code() {
        for (value, token) in [
            ("c", Code("c")),
            ("|c", WithoutSystem("c")),
            ("s|c", Both("s", "c")),
            ("s|", System("s")),
            ("s|c|x", Both("s", "c")),
        ] {
            assert_eq!(Token::parse(value), token);
        }
    }
}
