//! What goes wrong, as the client is told and as the log is told: the only place that knows
//! status codes (fhir-api §3.3, Appendix B).
//!
//! The wire distinguishes little on purpose: an invalid, duplicate, dangling or forbidden write is
//! always 403 (§12 row 29).

use crate::fhir::authorize::Reason;
use crate::r4::outcome::{IssueType, Outcome};
use crate::r4::{Resource, ResourceType};
use crate::store;

/// A failed request.
#[derive(Clone, Debug)]
pub struct Fault {
    status: u16,
    /// What the client reads; without it the body is empty.
    outcome: Option<Outcome>,
    /// What the log reads, and of a refusal also who is at home: [`Fault::in_full`].
    internal: Option<Box<str>>,
    headers: Vec<(&'static str, String)>,
    /// Of a refusal: a name of docs/security.md, and what it is about, for the audit trail.
    reason: Option<&'static str>,
    about: Option<Box<str>>,
    /// It is presented as a resource is, with charset and headers for caches (§2.3).
    is_as_data: bool,
}

/// The place of a version in answers: tag, location, time.
#[derive(Clone, Debug)]
pub struct Tombstone {
    pub etag: String,
    pub location: String,
    pub last_modified: String,
}

impl Fault {
    fn empty(status: u16) -> Self {
        Self {
            status,
            outcome: None,
            internal: None,
            headers: Vec::new(),
            reason: None,
            about: None,
            is_as_data: false,
        }
    }

    fn told(status: u16, kind: IssueType, text: impl Into<String>) -> Self {
        Self {
            outcome: Some(Outcome::error(kind, text)),
            ..Self::empty(status)
        }
    }

    fn processing(status: u16, text: impl Into<String>) -> Self {
        Self::told(status, IssueType::Processing, text)
    }

    /// Nobody we know, or no longer; the reason is a name of docs/security.md.
    #[must_use]
    pub fn unauthenticated(reason: &'static str) -> Self {
        Self {
            reason: Some(reason),
            ..Self::empty(403)
        }
    }

    #[must_use]
    pub fn unparsable(detail: impl Into<String>) -> Self {
        Self {
            internal: Some(detail.into().into_boxed_str()),
            ..Self::told(403, IssueType::Structure, "Unable to parse resource")
        }
    }

    /// The rules said no; `word` is the operation's name on the wire.
    #[must_use]
    pub fn denied(word: &str, reason: Option<Reason>) -> Self {
        let text = format!("Operation {word} forbidden");
        Self {
            internal: reason.map(|reason| format!("{}: {reason}", reason.id()).into_boxed_str()),
            reason: reason.map(Reason::id),
            ..Self::told(403, IssueType::Forbidden, text)
        }
    }

    /// A validator found errors.
    #[must_use]
    pub fn invalid(outcome: Outcome) -> Self {
        Self {
            outcome: Some(outcome),
            is_as_data: true,
            ..Self::empty(403)
        }
    }

    /// A profile without a snapshot (§4.11).
    #[must_use]
    pub fn ungenerated(outcome: Outcome) -> Self {
        Self {
            outcome: Some(outcome),
            ..Self::empty(500)
        }
    }

    /// A reference that cannot stand.
    #[must_use]
    pub fn reference(text: impl Into<String>) -> Self {
        Self::processing(403, text)
    }

    #[must_use]
    pub fn duplicate(kind: ResourceType) -> Self {
        Self::told(
            403,
            IssueType::Duplicate,
            format!("Duplicate {kind} resources exist"),
        )
    }

    #[must_use]
    pub fn bad_request(text: impl Into<String>) -> Self {
        Self::processing(400, text)
    }

    #[must_use]
    pub fn bad_request_without_words() -> Self {
        Self::empty(400)
    }

    #[must_use]
    pub fn no_such_route() -> Self {
        Self::empty(404)
    }

    #[must_use]
    pub fn unknown() -> Self {
        Self::empty(404)
    }

    #[must_use]
    pub fn not_a_uuid(kind: ResourceType) -> Self {
        Self::processing(404, format!("{kind} with id (not a UUID) not found"))
    }

    #[must_use]
    pub fn not_found(kind: ResourceType, id: impl std::fmt::Display) -> Self {
        Self::processing(404, format!("{kind} with id {id} not found"))
    }

    #[must_use]
    pub fn not_deleted(kind: ResourceType, id: impl std::fmt::Display) -> Self {
        Self::processing(400, format!("{kind} with id {id} is not marked deleted"))
    }

    #[must_use]
    pub fn gone(versioned: &str, stone: Tombstone) -> Self {
        let text = format!("Resource with id {versioned} is marked as deleted.");
        let mut fault = Self::told(410, IssueType::Deleted, text);
        fault.headers = vec![
            ("ETag", stone.etag),
            ("Location", stone.location),
            ("Last-Modified", stone.last_modified),
            (
                "Cache-Control",
                "private, no-cache, no-transform".to_owned(),
            ),
        ];
        fault
    }

    #[must_use]
    pub fn update_as_create() -> Self {
        let text = "Update as create not allowed";
        Self {
            headers: vec![("Allow", "GET, PUT, DELETE".to_owned())],
            ..Self::told(405, IssueType::Forbidden, text)
        }
    }

    #[must_use]
    pub fn method(allow: &str) -> Self {
        Self {
            headers: vec![("Allow", allow.to_owned())],
            ..Self::empty(405)
        }
    }

    /// `GET` on the base (§1.5).
    #[must_use]
    pub fn base_takes_bundles() -> Self {
        let text = "This is the base URL of the FHIR server. GET method not allowed, \
                    use POST to execute batch and transaction Bundle resources";
        Self {
            headers: vec![
                ("Allow", "POST".to_owned()),
                ("Cache-Control", "no-store, no-transform".to_owned()),
                ("Vary", "Accept".to_owned()),
            ],
            ..Self::processing(405, text)
        }
    }

    #[must_use]
    pub fn not_acceptable() -> Self {
        Self::empty(406)
    }

    #[must_use]
    pub fn unsupported_media_type() -> Self {
        Self::empty(415)
    }

    #[must_use]
    pub fn precondition_failed() -> Self {
        Self::empty(412)
    }

    #[must_use]
    pub fn version_mismatch(id: impl std::fmt::Display, expected: i64, latest: i64) -> Self {
        let text = format!(
            "Resource with id {id} expected version {expected} does not match latest version {latest}"
        );
        Self::processing(412, text)
    }

    /// A condition that hits more than one resource.
    #[must_use]
    pub fn multiple_matches(text: impl Into<String>) -> Self {
        Self::told(412, IssueType::MultipleMatches, text)
    }

    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        let text = format!("The request body is larger than the allowed {limit} bytes");
        Self::told(413, IssueType::TooLong, text)
    }

    /// A sender that fell silent in the middle of its body, or trickles.
    #[must_use]
    pub fn too_slow() -> Self {
        let text = "The request body did not arrive in time";
        Self::told(408, IssueType::Timeout, text)
    }

    #[must_use]
    pub fn uri_too_long(limit: usize) -> Self {
        let text = format!(
            "Path and query are longer than the allowed {limit} bytes, ask for less at once"
        );
        Self::told(414, IssueType::TooLong, text)
    }

    #[must_use]
    pub fn headers_too_large(limit: usize) -> Self {
        let text = format!("The request headers are larger than the allowed {limit} bytes");
        Self::told(431, IssueType::TooLong, text)
    }

    #[must_use]
    pub fn range_not_satisfiable(size: i64) -> Self {
        Self {
            headers: vec![("Content-Range", format!("bytes */{size}"))],
            ..Self::empty(416)
        }
    }

    /// Too much to do at the moment; the client should come again.
    #[must_use]
    pub fn busy(detail: impl Into<String>) -> Self {
        Self {
            internal: Some(detail.into().into_boxed_str()),
            headers: vec![("Retry-After", "1".to_owned())],
            ..Self::told(503, IssueType::Transient, "The server is busy, try again")
        }
    }

    /// One client takes too much; nothing is said to it but when to come again.
    #[must_use]
    pub fn too_many_requests() -> Self {
        Self {
            headers: vec![("Retry-After", "1".to_owned())],
            ..Self::empty(429)
        }
    }

    #[must_use]
    pub fn internal(detail: impl Into<String>) -> Self {
        Self {
            internal: Some(detail.into().into_boxed_str()),
            ..Self::told(500, IssueType::Exception, "Error while accessing DB")
        }
    }

    /// The same with the reason of a refusal in the answer.
    #[must_use]
    pub fn in_full(mut self) -> Self {
        if let Some(reason) = self.internal.as_deref().filter(|_| self.status < 500) {
            self.outcome = self.outcome.map(|outcome| outcome.with_details(reason));
        }
        self
    }

    /// Names the resource that was refused, as `Type/id`.
    #[must_use]
    pub fn about(mut self, path: String) -> Self {
        self.about = Some(path.into_boxed_str());
        self
    }

    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same with line and column of the elements that it is about, as `position` finds them.
    #[must_use]
    pub fn placed(mut self, position: impl Fn(&str) -> Option<(u32, u32)>) -> Self {
        self.outcome = self.outcome.map(|outcome| outcome.placed(position));
        self
    }

    /// What is wrong with the content that was sent; the fault itself if it is about rights, about
    /// the place that was asked for, or not of the client's making.
    ///
    /// # Errors
    /// The fault as it was.
    pub fn into_rejection(self) -> Result<Outcome, Box<Self>> {
        let is_of_content = self.reason.is_none() && matches!(self.status, 400 | 403 | 409 | 412);
        match self.outcome {
            Some(outcome) if is_of_content => Ok(outcome),
            _ => Err(Box::new(self)),
        }
    }

    /// The same failure as the answer to a whole transaction (§6.8): what the client did wrong
    /// becomes 400, unless it is 403.
    #[must_use]
    pub fn of_transaction(mut self) -> Self {
        if (400..500).contains(&self.status) && self.status != 403 {
            self.status = 400;
            self.headers.clear();
        }
        self
    }

    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Nothing is there, and nothing more is said.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.status == 404 && self.outcome.is_none()
    }

    #[must_use]
    pub fn is_as_data(&self) -> bool {
        self.is_as_data
    }

    #[must_use]
    pub fn is_denial(&self) -> bool {
        self.status == 403
    }

    /// What was refused, as `Type/id`, where that is known.
    #[must_use]
    pub fn refused_resource(&self) -> Option<&str> {
        self.about.as_deref()
    }

    /// Why, in a word: the name of the reason, or the code of the first issue.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        let code = |outcome: &Outcome| outcome.issues().first().map(|issue| issue.kind.code());
        let code = || self.outcome.as_ref().and_then(code);
        self.reason.or_else(code).unwrap_or("unknown")
    }

    #[must_use]
    pub fn headers(&self) -> &[(&'static str, String)] {
        &self.headers
    }

    #[must_use]
    pub fn internal_detail(&self) -> Option<&str> {
        self.internal.as_deref()
    }

    #[must_use]
    pub fn outcome(&self) -> Option<Resource> {
        self.outcome.as_ref().map(Outcome::to_resource)
    }

    #[must_use]
    pub fn issue_count(&self) -> usize {
        self.outcome
            .as_ref()
            .map_or(0, |outcome| outcome.issues().len())
    }

    /// The text of the first issue, for logs.
    #[must_use]
    pub fn text(&self) -> &str {
        self.outcome
            .as_ref()
            .map_or("", |outcome| &outcome.issues()[0].diagnostics)
    }

    /// The status line of an entry in a response Bundle.
    #[must_use]
    pub fn status_line(&self) -> String {
        format!("{} {}", self.status, phrase(self.status))
    }
}

/// The reason phrase that clients see in Bundle entries.
#[must_use]
pub fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

impl From<store::Error> for Fault {
    fn from(error: store::Error) -> Self {
        let detail = error.to_string();
        if error.is_transient() {
            Self::busy(detail)
        } else {
            Self::internal(detail)
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, self.text())?;
        self.internal
            .as_ref()
            .map_or(Ok(()), |detail| write!(f, " ({detail})"))
    }
}

impl std::error::Error for Fault {}
