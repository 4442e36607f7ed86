//! OperationOutcome: what a server answers when it cannot do what was asked, or has a remark.
//!
//! The wire shape is `spec/fhir-api.md` §3.4: severity, code, diagnostics, and for findings of a
//! validator the place as FHIRPath expression and as line and column.

use std::fmt;

use serde_json::{Map, Value, json};

use super::{Node, Resource};

/// Declares a FHIR code list as an enum with its codes.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $code:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($variant),+ }

        impl $name {
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            #[must_use]
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.code())
            }
        }
    };
}

codes! {
    /// How bad an issue is.
    Severity {
        Fatal = "fatal",
        Error = "error",
        Warning = "warning",
        Information = "information",
    }
}

codes! {
    /// The kind of an issue.
    IssueType {
        Invalid = "invalid",
        Structure = "structure",
        Required = "required",
        Value = "value",
        Invariant = "invariant",
        Security = "security",
        Login = "login",
        Unknown = "unknown",
        Expired = "expired",
        Forbidden = "forbidden",
        Suppressed = "suppressed",
        Processing = "processing",
        NotSupported = "not-supported",
        Duplicate = "duplicate",
        MultipleMatches = "multiple-matches",
        NotFound = "not-found",
        Deleted = "deleted",
        TooLong = "too-long",
        CodeInvalid = "code-invalid",
        Extension = "extension",
        TooCostly = "too-costly",
        BusinessRule = "business-rule",
        Conflict = "conflict",
        Transient = "transient",
        LockError = "lock-error",
        NoStore = "no-store",
        Exception = "exception",
        Timeout = "timeout",
        Incomplete = "incomplete",
        Throttled = "throttled",
        Informational = "informational",
    }
}

/// Where in the received document an issue is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// FHIRPath of the element, for example `Task.input[0].type`.
    pub path: String,
    /// Line and column, both from 1, when the text of the document is known.
    pub position: Option<(u32, u32)>,
}

/// One thing to tell the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    pub severity: Severity,
    pub kind: IssueType,
    pub diagnostics: String,
    pub place: Option<Place>,
    /// The identifier of the message, given by validators.
    pub message_id: Option<String>,
    /// More than the diagnostics say, for those who may know it.
    pub details: Option<String>,
}

impl Issue {
    #[must_use]
    pub fn new(severity: Severity, kind: IssueType, diagnostics: impl Into<String>) -> Self {
        Self {
            severity,
            kind,
            diagnostics: diagnostics.into(),
            place: None,
            message_id: None,
            details: None,
        }
    }

    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    fn to_element(&self) -> Value {
        let mut issue = Map::new();
        let extensions = self.extensions();
        if !extensions.is_empty() {
            issue.insert("extension".to_owned(), Value::Array(extensions));
        }
        issue.insert("severity".to_owned(), json!(self.severity.code()));
        issue.insert("code".to_owned(), json!(self.kind.code()));
        let mut details = Map::new();
        if let Some(id) = &self.message_id {
            let system = "http://hl7.org/fhir/java-core-messageId";
            let coding = json!([{"system": system, "code": id}]);
            details.insert("coding".to_owned(), coding);
        }
        if let Some(text) = &self.details {
            details.insert("text".to_owned(), json!(text));
        }
        if !details.is_empty() {
            issue.insert("details".to_owned(), Value::Object(details));
        }
        issue.insert("diagnostics".to_owned(), json!(self.diagnostics));
        if let Some(place) = &self.place {
            let mut locations = vec![json!(place.path)];
            if let Some((line, column)) = place.position {
                locations.push(json!(format!("Line[{line}] Col[{column}]")));
            }
            issue.insert("location".to_owned(), Value::Array(locations));
            issue.insert("expression".to_owned(), json!([place.path]));
        }
        Value::Object(issue)
    }

    fn extensions(&self) -> Vec<Value> {
        let url = |name| format!("http://hl7.org/fhir/StructureDefinition/operationoutcome-{name}");
        let mut extensions = Vec::new();
        if let Some((line, column)) = self.place.as_ref().and_then(|place| place.position) {
            extensions.push(json!({"url": url("issue-line"), "valueInteger": line}));
            extensions.push(json!({"url": url("issue-col"), "valueInteger": column}));
        }
        if let Some(id) = &self.message_id {
            extensions.push(json!({"url": url("message-id"), "valueString": id}));
        }
        extensions
    }

    fn from_element(element: &Value) -> Option<Self> {
        let severity = Severity::from_code(element.text("severity")?)?;
        let kind = IssueType::from_code(element.text("code")?)?;
        let diagnostics = element
            .text("diagnostics")
            .or_else(|| element.member("details")?.text("text"))
            .unwrap_or_default();
        let path = element.texts("expression").next();
        let place = path.map(|path| Place {
            path: path.to_owned(),
            position: None,
        });
        Some(Self {
            place,
            ..Self::new(severity, kind, diagnostics)
        })
    }
}

/// An OperationOutcome under construction; it has at least one issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    issues: Vec<Issue>,
}

impl Outcome {
    /// One error.
    #[must_use]
    pub fn error(kind: IssueType, diagnostics: impl Into<String>) -> Self {
        Issue::new(Severity::Error, kind, diagnostics).into()
    }

    /// One remark that is no problem.
    #[must_use]
    pub fn information(kind: IssueType, diagnostics: impl Into<String>) -> Self {
        Issue::new(Severity::Information, kind, diagnostics).into()
    }

    /// All of these issues; `None` when there are none.
    #[must_use]
    pub fn of(issues: Vec<Issue>) -> Option<Self> {
        (!issues.is_empty()).then_some(Self { issues })
    }

    #[must_use]
    pub fn with(mut self, issue: Issue) -> Self {
        self.issues.push(issue);
        self
    }

    /// Adds to the first issue what its diagnostics leave out.
    #[must_use]
    pub fn with_details(mut self, text: impl Into<String>) -> Self {
        if let Some(first) = self.issues.first_mut() {
            first.details = Some(text.into());
        }
        self
    }

    /// The same with line and column of each element that `position` finds.
    #[must_use]
    pub fn placed(mut self, position: impl Fn(&str) -> Option<(u32, u32)>) -> Self {
        let places = self
            .issues
            .iter_mut()
            .filter_map(|issue| issue.place.as_mut());
        for place in places.filter(|place| place.position.is_none()) {
            place.position = position(&place.path);
        }
        self
    }

    #[must_use]
    pub fn issues(&self) -> &[Issue] {
        &self.issues
    }

    #[must_use]
    pub fn to_resource(&self) -> Resource {
        let issues: Vec<_> = self.issues.iter().map(Issue::to_element).collect();
        Resource::of_type("OperationOutcome").with("issue", Value::Array(issues))
    }

    /// Reads the answer of another server; issues that cannot be understood are left out.
    #[must_use]
    pub fn from_resource(resource: &Resource) -> Option<Self> {
        if resource.type_name() != "OperationOutcome" {
            return None;
        }
        Self::of(
            resource
                .list("issue")
                .filter_map(Issue::from_element)
                .collect(),
        )
    }
}

impl From<Issue> for Outcome {
    fn from(issue: Issue) -> Self {
        Self {
            issues: vec![issue],
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, issue) in self.issues.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(
                f,
                "{separator}{} {}: {}",
                issue.severity, issue.kind, issue.diagnostics
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_keeps_its_issues_as_a_resource() {
        let place = Place {
            path: "Task.status".to_owned(),
            position: Some((3, 14)),
        };
        let outcome = Outcome::error(IssueType::Processing, "no")
            .with(Issue::new(Severity::Warning, IssueType::Structure, "odd").at(place));
        let resource = outcome.to_resource();
        let locations: Vec<_> = resource
            .list("issue")
            .nth(1)
            .unwrap()
            .texts("location")
            .map(str::to_owned)
            .collect();
        assert_eq!(locations, ["Task.status", "Line[3] Col[14]"]);
        let back = Outcome::from_resource(&resource).unwrap();
        assert_eq!(
            back.to_string(),
            "error processing: no; warning structure: odd"
        );
    }
}
