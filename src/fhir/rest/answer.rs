//! Writes answers: resources in the representation that is wanted, and faults.

use std::collections::VecDeque;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;

use super::asked::{Asked, Return};
use super::media::{self, Format, Wanted};
use super::{page, summary};
use crate::fhir::fault::Fault;
use crate::fhir::results;
use crate::fhir::service::{ContentReader, Found, Piece, Service, Stored, http_date};
use crate::r4::outcome::{IssueType, Outcome};
use crate::r4::{Resource, json, xml};

const CACHING: &str = "private, no-cache, no-transform";

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
        .insert_header((
            header::CONTENT_TYPE,
            format!("{};charset=UTF-8", wanted.media.name),
        ))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static(CACHING)))
        .insert_header((header::VARY, HeaderValue::from_static("Accept")));
    if wanted.media.format == Format::Html {
        page::policy(&mut builder);
    }
    builder
}

/// The tag of a version; pages have tags of their own (§2.7).
#[must_use]
pub fn tag(stored: &Stored, wanted: &Wanted) -> String {
    let prefix = if wanted.media.format == Format::Html {
        "h"
    } else {
        ""
    };
    format!("W/\"{prefix}{}\"", stored.version)
}

/// What every answer about a version says of it.
pub fn describe(builder: &mut HttpResponseBuilder, stored: &Stored, wanted: &Wanted) {
    builder
        .insert_header((header::ETAG, tag(stored, wanted)))
        .insert_header((header::LAST_MODIFIED, http_date(stored.last_updated)));
}

/// A Bundle, perhaps with Binaries in it.
#[must_use]
pub fn resource(service: &Arc<Service>, resource: &Resource, wanted: &Wanted) -> HttpResponse {
    filled(service, begin(StatusCode::OK, wanted), resource, wanted)
}

/// A stored version.
pub fn stored(service: &Arc<Service>, stored: Stored, wanted: &Wanted) -> HttpResponse {
    let mut builder = begin(StatusCode::OK, wanted);
    describe(&mut builder, &stored, wanted);
    shown(service, builder, stored, wanted)
}

/// What was found, as far as possible of what has been written before.
pub fn searchset(service: &Arc<Service>, found: Found, wanted: &Wanted) -> HttpResponse {
    let json = is_usual(wanted).then(|| results::searchset_json(service, &found));
    match json.flatten() {
        Some(json) => begin(StatusCode::OK, wanted).body(json),
        None => resource(service, &results::searchset(service, found), wanted),
    }
}

/// The representation that is asked for most: as it is written once for a version.
fn is_usual(wanted: &Wanted) -> bool {
    wanted.media.format == Format::Json && !wanted.pretty && wanted.summary.is_none()
}

/// The version as the body. As it is asked for most, it may have been written before.
fn shown(
    service: &Arc<Service>,
    mut builder: HttpResponseBuilder,
    stored: Stored,
    wanted: &Wanted,
) -> HttpResponse {
    match stored.json().filter(|_| is_usual(wanted)) {
        Some(json) => builder.body(json),
        None => filled(service, builder, &service.document(stored), wanted),
    }
}

/// The document as the body; content of Binaries streams into it.
fn filled(
    service: &Arc<Service>,
    mut builder: HttpResponseBuilder,
    resource: &Resource,
    wanted: &Wanted,
) -> HttpResponse {
    let mut pieces = VecDeque::from(service.pieces(document(resource, wanted)));
    if wanted.media.format == Format::Html {
        // A page shows no content.
        pieces.retain(|piece| matches!(piece, Piece::Text(_)));
    }
    let size = pieces.iter().map(Piece::size).sum();
    if pieces.len() == 1
        && let Some(Piece::Text(whole)) = pieces.pop_front()
    {
        return builder.body(whole);
    }
    let writing = Writing {
        service: Arc::clone(service),
        pieces,
        reader: None,
    };
    let stream = stream::unfold(writing, |mut writing| async {
        Some((writing.next().await.transpose()?, writing))
    });
    builder.body(actix_web::body::SizedStream::new(size, Box::pin(stream)))
}

/// A document with content of Binaries, half-way.
struct Writing {
    service: Arc<Service>,
    pieces: VecDeque<Piece>,
    reader: Option<ContentReader>,
}

impl Writing {
    async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            if let Some(reader) = &mut self.reader {
                // Chunks can be put into base64 one by one.
                if let Some(chunk) = reader.next().await? {
                    return Ok(Some(Bytes::from(STANDARD.encode(chunk))));
                }
                self.reader = None;
            }
            match self.pieces.pop_front() {
                Some(Piece::Text(text)) => return Ok(Some(text)),
                Some(Piece::Data(content)) => {
                    let reader = ContentReader::new(&self.service, content, 0, content.size);
                    self.reader = Some(reader);
                }
                None => return Ok(None),
            }
        }
    }
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
            let word = if status == StatusCode::CREATED {
                "created"
            } else {
                "updated"
            };
            let text = format!("{} {word} at location {location}", stored.kind);
            let outcome = Outcome::information(IssueType::Informational, text).to_resource();
            builder.body(document(&outcome, &asked.wanted))
        }
        Return::Representation => shown(service, builder, stored, &asked.wanted),
    }
}

/// An outcome that is no fault.
#[must_use]
pub fn outcome(kind: IssueType, text: String, wanted: &Wanted) -> HttpResponse {
    let outcome = Outcome::information(kind, text).to_resource();
    begin(StatusCode::OK, wanted).body(document(&outcome, wanted))
}

/// An information that is written like an error: 200, format by `Accept` alone.
#[must_use]
pub fn plain(
    kind: IssueType,
    text: String,
    request: &HttpRequest,
) -> (HttpResponseBuilder, Vec<u8>) {
    let wanted = Wanted {
        media: media::of_error(request),
        pretty: false,
        summary: None,
    };
    let mut builder = HttpResponse::Ok();
    builder.insert_header((header::CONTENT_TYPE, wanted.media.name));
    (
        builder,
        document(&Outcome::information(kind, text).to_resource(), &wanted),
    )
}

/// A fault as the client is told; the log has been told before.
#[must_use]
pub fn fault(fault: &Fault, request: &HttpRequest) -> HttpResponse {
    let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut builder = HttpResponse::build(status);
    // Nobody waits for the rest of a body that is refused or does not come.
    if matches!(fault.status(), 408 | 413) {
        builder.force_close();
    }
    for (name, value) in fault.headers() {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(*name), HeaderValue::try_from(value)) {
            builder.insert_header((name, value));
        }
    }
    match fault.outcome() {
        Some(outcome) => {
            let media = media::of_error(request);
            let wanted = Wanted {
                media,
                pretty: false,
                summary: None,
            };
            builder.insert_header((header::CONTENT_TYPE, media.name));
            if fault.is_as_data() {
                let with_charset = format!("{};charset=UTF-8", media.name);
                builder
                    .insert_header((header::CONTENT_TYPE, with_charset))
                    .insert_header((header::CACHE_CONTROL, CACHING))
                    .insert_header((header::VARY, "Accept"));
            }
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
pub fn streamed(
    mut builder: HttpResponseBuilder,
    size: i64,
    reader: ContentReader,
) -> HttpResponse {
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
