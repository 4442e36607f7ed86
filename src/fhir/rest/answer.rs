//! Writes answers: resources in the representation that is wanted, and faults.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use serde_json::Value;

use super::asked::{Asked, Return};
use super::media::{self, Format, Wanted};
use super::{page, summary};
use crate::fhir::fault::Fault;
use crate::fhir::service::{ContentReader, Service, Stored, http_date};
use crate::r4::outcome::{IssueType, Outcome};
use crate::r4::{Resource, json, xml};

const CACHING: &str = "private, no-cache, no-transform";
/// Stands for the content of a Binary while its document is written; no base64 text holds a colon.
const PLACEHOLDER: &str = "::content::";

/// The document in the wanted representation.
#[must_use]
pub fn document(resource: &Resource, wanted: &Wanted) -> Vec<u8> {
    let shortened;
    let resource = match wanted.summary.and_then(|kind| summary::of(resource, kind)) {
        Some(short) => {
            shortened = short;
            &shortened
        }
        None => resource,
    };
    match wanted.media.format {
        Format::Json => json::write(resource, wanted.pretty),
        Format::Xml => xml::write(resource, wanted.pretty),
        Format::Html => page::of(resource).into_bytes(),
    }
}

/// An answer with a status, the usual caching headers and the wanted content type.
pub fn begin(status: StatusCode, wanted: &Wanted) -> HttpResponseBuilder {
    let mut builder = HttpResponse::build(status);
    builder
        .insert_header((header::CONTENT_TYPE, format!("{};charset=UTF-8", wanted.media.name)))
        .insert_header((header::CACHE_CONTROL, CACHING))
        .insert_header((header::VARY, "Accept"));
    if wanted.media.format == Format::Html {
        page::policy(&mut builder);
    }
    builder
}

/// The tag of a version; pages have tags of their own (§2.7).
#[must_use]
pub fn tag(stored: &Stored, wanted: &Wanted) -> String {
    let prefix = if wanted.media.format == Format::Html { "h" } else { "" };
    format!("W/\"{prefix}{}\"", stored.version)
}

/// What every answer about a version says of it.
pub fn describe(builder: &mut HttpResponseBuilder, stored: &Stored, wanted: &Wanted) {
    builder
        .insert_header((header::ETAG, tag(stored, wanted)))
        .insert_header((header::LAST_MODIFIED, http_date(stored.last_updated)));
}

/// A resource that is no stored version: a Bundle, a CapabilityStatement.
#[must_use]
pub fn resource(resource: &Resource, wanted: &Wanted) -> HttpResponse {
    begin(StatusCode::OK, wanted).body(document(resource, wanted))
}

/// A stored version.
pub fn stored(service: &Arc<Service>, stored: Stored, wanted: &Wanted) -> HttpResponse {
    let mut builder = begin(StatusCode::OK, wanted);
    describe(&mut builder, &stored, wanted);
    body(service, builder, stored, wanted)
}

/// The body of a stored version; content of a Binary streams through.
fn body(
    service: &Arc<Service>,
    mut builder: HttpResponseBuilder,
    stored: Stored,
    wanted: &Wanted,
) -> HttpResponse {
    let Some(content) = stored.content.filter(|_| wanted.media.format != Format::Html) else {
        return builder.body(document(&stored.resource, wanted));
    };
    let mut resource = stored.resource;
    let placeholder = Value::String(PLACEHOLDER.to_owned());
    resource.members_mut().insert("data".to_owned(), placeholder);
    let text = document(&resource, wanted);
    let Some(at) = find(&text, PLACEHOLDER.as_bytes()) else { return builder.body(text) };
    let before = Bytes::copy_from_slice(&text[..at]);
    let after = Bytes::copy_from_slice(&text[at + PLACEHOLDER.len()..]);
    let encoded = u64::try_from(content.size).unwrap_or_default().div_ceil(3) * 4;
    let size = before.len() as u64 + encoded + after.len() as u64;
    let reader = ContentReader::new(service, content, 0, content.size);
    let pieces = stream::unfold(Part::Before(before, reader, after), |part| async {
        match part {
            Part::Before(before, reader, after) => Some((Ok(before), Part::Data(reader, after))),
            Part::Data(mut reader, after) => match reader.next().await {
                Ok(Some(chunk)) => {
                    Some((Ok(Bytes::from(STANDARD.encode(chunk))), Part::Data(reader, after)))
                }
                Ok(None) => Some((Ok(after), Part::End)),
                Err(fault) => Some((Err(fault), Part::End)),
            },
            Part::End => None,
        }
    });
    builder.body(actix_web::body::SizedStream::new(size, Box::pin(pieces)))
}

/// How far the writing of a document with content has come.
enum Part {
    Before(Bytes, ContentReader, Bytes),
    Data(ContentReader, Bytes),
    End,
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// The answer to a write.
pub fn written(
    service: &Arc<Service>,
    status: StatusCode,
    stored: Stored,
    asked: &Asked,
) -> HttpResponse {
    let location = stored.location(&service.settings().base_url);
    let mut builder = begin(status, &asked.wanted);
    describe(&mut builder, &stored, &asked.wanted);
    builder.insert_header((header::LOCATION, location.clone()));
    match asked.prefer {
        Return::Minimal => builder.finish(),
        Return::Outcome => {
            let word = if status == StatusCode::CREATED { "created" } else { "updated" };
            let text = format!("{} {word} at location {location}", stored.kind);
            let outcome = Outcome::information(IssueType::Informational, text).to_resource();
            builder.body(document(&outcome, &asked.wanted))
        }
        Return::Representation => body(service, builder, stored, &asked.wanted),
    }
}

/// An outcome that is no fault.
#[must_use]
pub fn outcome(kind: IssueType, text: String, wanted: &Wanted) -> HttpResponse {
    resource(&Outcome::information(kind, text).to_resource(), wanted)
}

/// An information that is written like an error: 200, format by `Accept` alone.
#[must_use]
pub fn plain(
    kind: IssueType,
    text: String,
    request: &HttpRequest,
) -> (HttpResponseBuilder, Vec<u8>) {
    let wanted = Wanted { media: media::of_error(request), pretty: false, summary: None };
    let mut builder = HttpResponse::Ok();
    builder.insert_header((header::CONTENT_TYPE, wanted.media.name));
    (builder, document(&Outcome::information(kind, text).to_resource(), &wanted))
}

/// A fault as the client is told; the log has been told before.
#[must_use]
pub fn fault(fault: &Fault, request: &HttpRequest) -> HttpResponse {
    let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut builder = HttpResponse::build(status);
    for (name, value) in fault.headers() {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(*name), HeaderValue::try_from(value)) {
            builder.insert_header((name, value));
        }
    }
    match fault.outcome() {
        Some(outcome) => {
            let media = media::of_error(request);
            let wanted = Wanted { media, pretty: false, summary: None };
            builder.insert_header((header::CONTENT_TYPE, media.name));
            if media.format == Format::Html {
                page::policy(&mut builder);
            }
            builder.body(document(&outcome, &wanted))
        }
        None => {
            builder.insert_header((header::CACHE_CONTROL, "must-revalidate,no-cache,no-store"));
            builder.finish()
        }
    }
}

/// A body of a known size that is read piece by piece.
#[must_use]
pub fn streamed(mut builder: HttpResponseBuilder, size: i64, reader: ContentReader) -> HttpResponse {
    let pieces = stream::unfold(Some(reader), |reader| async {
        let mut reader = reader?;
        match reader.next().await {
            Ok(Some(chunk)) => Some((Ok(chunk), Some(reader))),
            Ok(None) => None,
            Err(fault) => Some((Err(fault), None)),
        }
    });
    let size = u64::try_from(size).unwrap_or_default();
    builder.body(actix_web::body::SizedStream::new(size, Box::pin(pieces)))
}
