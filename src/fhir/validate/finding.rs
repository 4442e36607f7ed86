//! What is found, in words.

use serde_json::Value;

use crate::r4::outcome::{Issue, IssueType, Place, Severity};

/// Something to say about an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub kind: IssueType,
    /// FHIRPath of the element.
    pub path: String,
    /// Which rule speaks: the key of a constraint, or a word of this validator.
    pub rule: String,
    pub text: String,
}

impl Finding {
    /// The rule of codes that R4 itself lists for an element: others cannot even be read as R4.
    pub const CODE: &'static str = "code";

    #[must_use]
    pub fn is_error(&self) -> bool {
        matches!(self.severity, Severity::Error | Severity::Fatal)
    }

    /// As an issue; the position is that of the element in its document, where that is known.
    #[must_use]
    pub fn to_issue(&self, position: Option<(u32, u32)>) -> Issue {
        let place = Place {
            path: self.path.clone(),
            position,
        };
        let mut issue = Issue::new(self.severity, self.kind, self.text.clone()).at(place);
        issue.message_id = Some(self.rule.clone());
        issue
    }
}

/// A value in a message, not too long.
#[must_use]
pub fn shown(value: Option<&Value>) -> String {
    let text = match value {
        None => return "absent".to_owned(),
        Some(Value::String(text)) => format!("'{text}'"),
        Some(value) => value.to_string(),
    };
    match text.char_indices().nth(120) {
        Some((at, _)) => format!("{} …", &text[..at]),
        None => text,
    }
}
