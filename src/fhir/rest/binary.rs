//! Binary as raw content (fhir-api §2.8).

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use serde_json::json;

use super::asked::{self, Precondition};
use super::body::Body;
use super::resources::not_modified;
use super::{Call, answer, media};
use crate::fhir::fault::Fault;
use crate::fhir::service::{Checks, ContentReader, Holder, Incoming, Stored, Upload, http_date};
use crate::r4::{Node, Resource, ResourceType};
use crate::store::fhir::Content;

const SECURITY_CONTEXT: HeaderName = HeaderName::from_static("x-security-context");
const FHIR: [&str; 4] = [
    "application/fhir+xml",
    "application/fhir+json",
    "application/xml+fhir",
    "application/json+fhir",
];
/// What browsers may show within a page.
const INLINE: [&str; 9] = [
    "text/html",
    "text/plain",
    "application/pdf",
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/svg+xml",
    "image/avif",
];

/// Whether a body is content and not a FHIR document.
pub(super) fn is_raw(request: &HttpRequest) -> bool {
    let content_type = asked::header(request, "content-type").unwrap_or_default();
    media::of_body(content_type).is_none()
}

/// Whether the content is asked for and not the resource: a FHIR type must stand first, alone.
pub(super) fn wants_raw(request: &HttpRequest) -> bool {
    let pairs = asked::pairs(request);
    match pairs.iter().find(|(name, _)| name == "_format") {
        Some((_, value)) => value == "inline",
        None => {
            let ranges = media::ranges(&media::accept(request));
            ranges
                .first()
                .is_none_or(|first| !FHIR.contains(&first.text.as_str()))
        }
    }
}

/// What a `Range` header asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Span {
    Whole,
    Part(i64, i64),
    Unsatisfiable,
}

impl Span {
    /// One range of bytes after RFC 9110; anything else is ignored.
    fn of(text: &str, size: i64) -> Self {
        let Some((first, last)) = text.strip_prefix("bytes=").and_then(|s| s.split_once('-'))
        else {
            return Self::Whole;
        };
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if !digits(first) || !digits(last) {
            return Self::Whole;
        }
        let (start, end) = match (first.parse::<i64>(), last.parse::<i64>()) {
            (Ok(start), Ok(end)) => (start, end.min(size - 1)),
            (Ok(start), Err(_)) if last.is_empty() => (start, size - 1),
            (Err(_), Ok(0)) if first.is_empty() => return Self::Unsatisfiable,
            (Err(_), Ok(length)) if first.is_empty() => ((size - length).max(0), size - 1),
            _ => return Self::Whole,
        };
        if start < size && start <= end {
            Self::Part(start, end)
        } else {
            Self::Unsatisfiable
        }
    }
}

impl Call<'_> {
    /// Takes content in as it comes; the resource around it is made from the headers.
    pub(super) async fn upload(&self, body: &mut Body) -> Result<Incoming, Fault> {
        let only = |name: &HeaderName| {
            let mut values = self.request.headers().get_all(name);
            let value = values
                .next()?
                .to_str()
                .ok()
                .filter(|value| !value.trim().is_empty())?;
            values.next().is_none().then_some(value)
        };
        let content_type = only(&header::CONTENT_TYPE);
        let context = only(&SECURITY_CONTEXT);
        let (Some(content_type), Some(context)) = (content_type, context) else {
            return Err(Fault::bad_request_without_words());
        };
        let resource = Resource::of_type("Binary")
            .with("contentType", content_type)
            .with("securityContext", json!({ "reference": context }));
        let mut upload = Upload::begin(self.service).await?;
        while let Some(piece) = body.piece().await {
            upload.push(&piece?).await?;
        }
        Ok(Incoming {
            kind: ResourceType::Binary,
            resource,
            content: Some(upload.finish().await?),
            holder: Holder::default(),
            checks: Checks::Now,
        })
    }

    /// Uploaded content goes with the refusal of its Binary. After a failure of ours nobody knows
    /// whether it was stored; then it stays, and is swept if not.
    pub(super) async fn unless_refused<T>(
        &self,
        content: Option<Content>,
        outcome: Result<T, Fault>,
    ) -> Result<T, Fault> {
        if let (Some(content), Err(fault)) = (content, &outcome)
            && fault.status() < 500
        {
            self.service.discard(content.id).await;
        }
        outcome
    }

    /// The content of a stored Binary, or a part of it.
    pub(super) fn raw(&self, stored: Stored) -> Result<HttpResponse, Fault> {
        let content_type = match stored.resource().str("contentType") {
            Some(text) if !text.is_empty() => text.to_owned(),
            _ => "application/octet-stream".to_owned(),
        };
        let essence = content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_lowercase();
        let ranges = media::ranges(&media::accept(self.request));
        if !ranges
            .iter()
            .any(|range| media::takes(&range.essence, &essence))
        {
            return Err(Fault::not_acceptable());
        }
        match asked::precondition(self.request, &stored, &stored.etag()) {
            Precondition::Holds => {}
            Precondition::Failed => return Err(Fault::precondition_failed()),
            Precondition::NotModified => return Ok(not_modified(&stored, stored.etag())),
        }
        let content = stored.content.unwrap_or(Content {
            id: stored.id,
            size: 0,
        });
        let span = self.span(&stored, content.size);
        let (status, start, end) = match span {
            Span::Whole => (StatusCode::OK, 0, content.size),
            Span::Part(start, end) => (StatusCode::PARTIAL_CONTENT, start, end + 1),
            Span::Unsatisfiable => return Err(Fault::range_not_satisfiable(content.size)),
        };
        let mut builder = HttpResponse::build(status);
        self.describe_raw(&mut builder, &stored, &content_type, &essence);
        if let Span::Part(start, end) = span {
            let range = format!("bytes {start}-{end}/{}", content.size);
            builder.insert_header((header::CONTENT_RANGE, range));
        }
        let reader = ContentReader::new(self.service, content, start, end);
        Ok(answer::streamed(builder, end - start, reader))
    }

    fn describe_raw(
        &self,
        builder: &mut HttpResponseBuilder,
        stored: &Stored,
        content_type: &str,
        essence: &str,
    ) {
        builder
            .insert_header((header::CONTENT_TYPE, content_type))
            .insert_header((header::ETAG, stored.etag()))
            .insert_header((header::LAST_MODIFIED, http_date(stored.last_updated)))
            .insert_header((header::CACHE_CONTROL, "private, no-cache, no-transform"))
            .insert_header((header::VARY, "Accept"))
            .insert_header((header::ACCEPT_RANGES, "bytes"));
        let context = stored
            .resource()
            .get("securityContext")
            .and_then(|c| c.text("reference"));
        if let Some(context) = context {
            builder.insert_header((SECURITY_CONTEXT, context));
        }
        let inline = asked::pairs(self.request)
            .iter()
            .any(|(name, _)| name == "_format");
        if !(inline && INLINE.contains(&essence)) {
            let name = format!("Binary_{}.{}", stored.id, extension(content_type));
            builder.insert_header((
                header::CONTENT_DISPOSITION,
                format!("attachment; filename={name}"),
            ));
        }
    }

    /// `Range`, unless `If-Range` names another version or the method is HEAD.
    fn span(&self, stored: &Stored, size: i64) -> Span {
        let Some(range) = asked::header(self.request, "range") else {
            return Span::Whole;
        };
        if self.request.method() == actix_web::http::Method::HEAD {
            return Span::Whole;
        }
        let same = match asked::header(self.request, "if-range") {
            Some(tag) if tag.starts_with("W/") => tag == stored.etag(),
            Some(date) => {
                asked::http_seconds(date).is_none_or(|at| at == asked::second(stored.last_updated))
            }
            None => true,
        };
        if same {
            Span::of(range, size)
        } else {
            Span::Whole
        }
    }
}

/// The end of a download's file name.
fn extension(content_type: &str) -> &'static str {
    match content_type {
        "image/jpeg" => "jpeg",
        "image/png" => "png",
        "image/svg+xml" => "svg",
        "image/tiff" => "tiff",
        "text/csv" => "csv",
        "text/html" => "html",
        "text/plain" => "txt",
        "application/dicom" => "dicom",
        "application/dicom+json" | "application/json" => "json",
        "application/dicom+xml" | "application/xml" => "xml",
        "application/gzip" => "gz",
        "application/pdf" => "pdf",
        "application/pem-certificate-chain" => "pem",
        "application/x-ndjson" => "ndjson",
        "application/zip" => "zip",
        _ => "bin",
    }
}

#[cfg(test)]
mod tests {
    use super::Span;

    #[test]
    fn a_range_follows_rfc_9110_and_anything_else_is_ignored() {
        for (text, span) in [
            ("bytes=0-3", Span::Part(0, 3)),
            ("bytes=5-5", Span::Part(5, 5)),
            ("bytes=3-100", Span::Part(3, 10)),
            ("bytes=3-", Span::Part(3, 10)),
            ("bytes=-4", Span::Part(7, 10)),
            ("bytes=-100", Span::Part(0, 10)),
            ("bytes=-0", Span::Unsatisfiable),
            ("bytes=11-", Span::Unsatisfiable),
            ("bytes=5-3", Span::Unsatisfiable),
            ("bytes=0-1,3-4", Span::Whole),
            ("bytes=-", Span::Whole),
            ("bytes= 0-3", Span::Whole),
        ] {
            assert_eq!(Span::of(text, 11), span, "{text}");
        }
    }
}
