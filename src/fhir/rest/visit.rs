//! The access log: one line for each request, and an id that joins it to whatever else is logged
//! meanwhile. The client gets the id, too, so that a partner can say which request he means.
//!
//! Queries are left out: they may hold names and identifiers of persons.

use std::future::Future;
use std::time::Instant;

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::Version;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use tracing::Instrument;
use uuid::Uuid;

use crate::fhir::audit::{VISIT, Visit};
use crate::fhir::service::Peer;
use crate::net::tls;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Does the work of one request, and logs how it came out. The time is that until the answer
/// begins: what is streamed takes as long as its reader.
pub(super) async fn logged(
    request: &HttpRequest,
    peer: Option<&Peer>,
    work: impl Future<Output = HttpResponse>,
) -> HttpResponse {
    let visit = Visit {
        request: Uuid::now_v7(),
        address: request.peer_addr().map(|address| address.ip()),
    };
    let id = visit.request.to_string();
    let began = Instant::now();
    let work = work.instrument(tracing::info_span!("request", id));
    let mut answer = VISIT.scope(visit, work).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        answer.headers_mut().insert(REQUEST_ID, value);
    }
    if request.version() < Version::HTTP_2 {
        tls::leave_out_date(answer.headers_mut());
    }
    let client = match peer {
        Some(Peer::Certificate(certificate)) => certificate.subject.as_str(),
        Some(Peer::Loader | Peer::BuiltIn) | None => "",
    };
    tracing::info!(
        target: "dsf::access",
        id,
        method = request.method().as_str(),
        path = request.path(),
        status = answer.status().as_u16(),
        bytes = size(&answer),
        ms = began.elapsed().as_millis() as u64,
        address = request.peer_addr().map(tracing::field::display),
        client,
        "answered"
    );
    answer
}

/// What is sent as the body; nothing for a stream without an announced end.
fn size(answer: &HttpResponse) -> u64 {
    match answer.body().size() {
        BodySize::Sized(size) => size,
        BodySize::None | BodySize::Stream => 0,
    }
}
