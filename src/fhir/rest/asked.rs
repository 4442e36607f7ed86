//! What a request asks for beside its path: query, preferences, preconditions.

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName};
use jiff::Timestamp;

use super::media::{self, Format, Wanted};
use crate::fhir::fault::Fault;
use crate::fhir::search::Handling;
use crate::fhir::service::Stored;
use crate::net::tls::PeerCertificate;

/// Keys are kept in an index, and need not be longer than a few UUIDs.
const LONGEST_KEY: usize = 255;

/// What a write answers with (§2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Return {
    Minimal,
    Outcome,
    #[default]
    Representation,
}

/// See the module.
#[derive(Debug)]
pub struct Asked {
    pub pairs: Vec<(String, String)>,
    pub wanted: Wanted,
    pub prefer: Return,
    pub handling: Handling,
}

impl Asked {
    pub fn of(request: &HttpRequest) -> Result<Self, Fault> {
        Self::by(request, pairs(request))
    }

    /// The same with these names and values instead of those of the query.
    pub fn by(request: &HttpRequest, pairs: Vec<(String, String)>) -> Result<Self, Fault> {
        let wanted = media::wanted(request, &pairs)?;
        let (prefer, handling) = preferences(request);
        Ok(Self {
            pairs,
            wanted,
            prefer,
            handling,
        })
    }

    pub fn first(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn all(&self, name: &str) -> Vec<String> {
        let named = self
            .pairs
            .iter()
            .filter(|(key, value)| key == name && !value.is_empty());
        named.map(|(_, value)| value.clone()).collect()
    }
}

/// The decoded query.
#[must_use]
pub fn pairs(request: &HttpRequest) -> Vec<(String, String)> {
    decoded(request.query_string().as_bytes())
}

/// The names and values of a query, or of a form that was sent.
#[must_use]
pub fn decoded(form: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(form).into_owned().collect()
}

/// Whether the body is a form.
#[must_use]
pub fn is_form(request: &HttpRequest) -> bool {
    let content_type = header(request, "content-type").unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Preferences may stand together, in any order, in one line or several.
fn preferences(request: &HttpRequest) -> (Return, Handling) {
    let (mut prefer, mut handling) = (Return::default(), Handling::default());
    let lines = request.headers().get_all(HeaderName::from_static("prefer"));
    let words = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split([',', ';']));
    for word in words {
        match word.trim() {
            "return=minimal" => prefer = Return::Minimal,
            "return=OperationOutcome" => prefer = Return::Outcome,
            "return=representation" => prefer = Return::Representation,
            "handling=strict" => handling = Handling::Strict,
            "handling=lenient" => handling = Handling::Lenient,
            _ => {}
        }
    }
    (prefer, handling)
}

/// The certificate of a connection, if it has one.
#[must_use]
pub fn certificate(request: &HttpRequest) -> Option<&PeerCertificate> {
    request.conn_data::<PeerCertificate>()
}

/// The one value of a header as text.
#[must_use]
pub fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// The key under which a create happens once; an empty one is none.
pub fn idempotency_key(request: &HttpRequest) -> Result<Option<&str>, Fault> {
    let name = "idempotency-key";
    let Some(value) = request.headers().get(name) else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(key) if key.len() <= LONGEST_KEY => Ok(Some(key.trim()).filter(|key| !key.is_empty())),
        _ => Err(Fault::bad_request(format!(
            "Bad Idempotency-Key header value, at most {LONGEST_KEY} ASCII characters expected"
        ))),
    }
}

/// The format of the request's body; 415 for what is not FHIR.
pub fn body_format(request: &HttpRequest) -> Result<Format, Fault> {
    let content_type = header(request, "content-type").unwrap_or_default();
    media::of_body(content_type).ok_or_else(Fault::unsupported_media_type)
}

/// The version in `W/"3"` or `"3"`.
#[must_use]
pub fn version_of_tag(tag: &str) -> Option<i64> {
    let tag = tag.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

/// `If-Match`, if it names a version.
#[must_use]
pub fn if_match(request: &HttpRequest) -> Option<i64> {
    version_of_tag(header(request, header::IF_MATCH.as_str())?)
}

fn date(request: &HttpRequest, name: &HeaderName) -> Option<i64> {
    http_seconds(header(request, name.as_str())?)
}

/// A date of an HTTP header in seconds.
#[must_use]
pub fn http_seconds(text: &str) -> Option<i64> {
    let time = jiff::fmt::strtime::parse("%a, %d %b %Y %H:%M:%S GMT", text).ok()?;
    let at = time
        .to_datetime()
        .ok()?
        .to_zoned(jiff::tz::TimeZone::UTC)
        .ok()?;
    Some(at.timestamp().as_second())
}

/// How preconditions of a read turn out (§4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    Holds,
    Failed,
    NotModified,
}

/// Garbage in these headers is ignored, as the specification of HTTP wants it.
#[must_use]
pub fn precondition(request: &HttpRequest, stored: &Stored, tag: &str) -> Precondition {
    let changed = second(stored.last_updated);
    if if_match(request).is_some_and(|version| version != stored.version) {
        return Precondition::Failed;
    }
    if date(request, &header::IF_UNMODIFIED_SINCE).is_some_and(|at| at != changed) {
        return Precondition::Failed;
    }
    let none_match = header(request, header::IF_NONE_MATCH.as_str())
        .map(str::trim)
        .filter(|tag| tag.starts_with("W/\"") && tag.ends_with('"'));
    let unchanged = match none_match {
        Some(known) => known == tag,
        None => date(request, &header::IF_MODIFIED_SINCE).is_some_and(|at| changed <= at),
    };
    if unchanged {
        Precondition::NotModified
    } else {
        Precondition::Holds
    }
}

/// HTTP knows no milliseconds.
#[must_use]
pub fn second(at: Timestamp) -> i64 {
    at.as_second()
}
