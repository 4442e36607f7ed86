//! Streams that code has opened: Binary content on its way, and transformations of bytes.
//!
//! Code reads and writes pieces, so that content of any size passes through a call whose memory is
//! bounded. A stream belongs to its call and ends with it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::Refusal;
use super::fhir::{refused, repeated, told};
use super::question::{DownloadQuestion, TransformQuestion, UploadQuestion};
use super::session::Session;
use super::transform::Transform;
use crate::net::http::{self, Download, Error, Method, Pieces, Response};

/// Bytes that code is handed at a time.
pub(super) const PIECE: usize = 1024 * 1024;
/// Streams of one call.
const MOST_STREAMS: usize = 64;
/// Bytes of what a server says when it refuses.
const LONGEST_REFUSAL: usize = 1024 * 1024;

/// A stream that is open.
enum Stream {
    Download {
        body: Box<Download>,
        /// Received and not handed out yet.
        rest: Bytes,
    },
    Upload {
        pieces: Pieces,
        answer: JoinHandle<Result<Response, Error>>,
    },
    Transform(Box<Transform>),
}

/// The streams of a call by their numbers; one that is at work is not in here.
#[derive(Default)]
pub(super) struct Streams(Mutex<(u32, HashMap<u32, Stream>)>);

impl Streams {
    fn open(&self, stream: Stream) -> Result<u32, Refusal> {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.1.len() >= MOST_STREAMS {
            let message = format!("more than {MOST_STREAMS} streams are open; close some");
            return Err(Refusal::new(message));
        }
        streams.0 += 1;
        let number = streams.0;
        streams.1.insert(number, stream);
        Ok(number)
    }

    fn take(&self, number: u32) -> Result<Stream, Refusal> {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = streams.1.remove(&number);
        found.ok_or_else(|| Refusal::new("the stream is closed, or at work already"))
    }

    fn put(&self, number: u32, stream: Stream) {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        streams.1.insert(number, stream);
    }

    /// Drops what is not finished.
    pub(super) fn close(&self, number: u32) {
        if let Ok(Stream::Upload { answer, .. }) = self.take(number) {
            answer.abort();
        }
    }
}

impl Drop for Streams {
    /// An upload that nobody finished must not look complete.
    fn drop(&mut self) {
        let streams = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        for stream in streams.1.values() {
            if let Stream::Upload { answer, .. } = stream {
                answer.abort();
            }
        }
    }
}

impl Session {
    pub(super) async fn download(&self, question: DownloadQuestion) -> Result<Value, Refusal> {
        let mut server = self.server(question.server.as_ref(), false).await?;
        let mut headers = vec![
            ("accept", Some(question.accept.as_str())),
            ("range", question.range.as_deref()),
        ];
        let more = question.headers.iter();
        headers.extend(more.map(|(name, value)| (name.as_str(), Some(value.as_str()))));
        let found = Mutex::new(None);
        let head = loop {
            let request = server.request(Method::GET, &question.path, &headers)?;
            // Only the head is waited for; it is kept while a failure that may pass is repeated.
            let begin = || async {
                let download = server.client.download(&request).await?;
                let head = download.head();
                *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(download);
                Ok(head)
            };
            let head = repeated(question.retry.as_ref(), begin).await?;
            if !self.services().renewed(&mut server, head.status).await? {
                break head;
            }
        };
        let body = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let body = body.ok_or_else(|| Refusal::new("the server gave no answer"))?;
        if !head.status.is_success() {
            return Err(refusal_of(body).await);
        }
        let stream = self.streams.open(Stream::Download {
            body: Box::new(body),
            rest: Bytes::new(),
        })?;
        Ok(json!({
            "stream": stream,
            "contentType": head.header("content-type"),
            "contentLength": head.header("content-length").and_then(|text| text.parse::<u64>().ok()),
            "range": head.header("content-range").and_then(range),
        }))
    }

    pub(super) async fn upload(&self, question: UploadQuestion) -> Result<Value, Refusal> {
        let mut server = self.server(question.server.as_ref(), true).await?;
        let method = match question.method.as_str() {
            "PUT" => Method::PUT,
            _ => Method::POST,
        };
        let headers = [
            ("accept", Some("application/fhir+json")),
            ("content-type", Some(question.content_type.as_str())),
            ("x-security-context", question.security_context.as_deref()),
            ("prefer", question.prefer.as_deref()),
        ];
        let request = server.request(method, &question.path, &headers)?;
        let (pieces, body) = http::pieces();
        let services = self.shared_services();
        let answer = tokio::spawn(async move {
            let answer = server.client.upload(&request, body).await;
            if let Ok(refused) = &answer {
                // What was sent is gone; the next try has another token.
                let _ = services.renewed(&mut server, refused.status).await;
            }
            answer
        });
        let stream = self.streams.open(Stream::Upload { pieces, answer })?;
        Ok(json!({ "stream": stream }))
    }

    pub(super) fn transform(&self, question: &TransformQuestion) -> Result<Value, Refusal> {
        let transform = Transform::of(question).map_err(Refusal::new)?;
        let stream = self.streams.open(Stream::Transform(Box::new(transform)))?;
        Ok(json!({ "stream": stream }))
    }

    /// The next piece; a download answers null at its end.
    pub(super) async fn read(&self, number: u32) -> Result<Value, Refusal> {
        match self.streams.take(number)? {
            Stream::Download { mut body, mut rest } => {
                if rest.is_empty() {
                    rest = body.piece().await?.unwrap_or_default();
                }
                let piece = rest.split_to(rest.len().min(PIECE));
                self.streams.put(number, Stream::Download { body, rest });
                Ok(match piece.is_empty() {
                    true => Value::Null,
                    false => json!(STANDARD.encode(piece)),
                })
            }
            Stream::Transform(transform) => self.work(number, transform, Transform::read).await,
            Stream::Upload { .. } => Err(Refusal::new("an upload cannot be read")),
        }
    }

    pub(super) async fn write(&self, number: u32, data: &str) -> Result<Value, Refusal> {
        let data = decoded(data)?;
        match self.streams.take(number)? {
            Stream::Upload { pieces, answer } => {
                if pieces.send(Bytes::from(data)).await.is_err() {
                    // The server did not want to hear the rest; its answer says why.
                    return Err(ended_early(answer).await);
                }
                self.streams.put(number, Stream::Upload { pieces, answer });
                Ok(Value::Null)
            }
            Stream::Transform(transform) => {
                self.work(number, transform, move |transform| transform.write(&data))
                    .await
            }
            Stream::Download { .. } => Err(Refusal::new("a download cannot be written")),
        }
    }

    pub(super) async fn finish(&self, number: u32) -> Result<Value, Refusal> {
        match self.streams.take(number)? {
            Stream::Upload { pieces, answer } => {
                // The body ends well only if it is said to.
                let _ = pieces.finish().await;
                told(&joined(answer).await?)
            }
            Stream::Transform(transform) => self.work(number, transform, Transform::finish).await,
            Stream::Download { .. } => Err(Refusal::new("a download cannot be finished")),
        }
    }

    /// Compressing and encrypting take their time: not on the threads that serve everybody.
    async fn work(
        &self,
        number: u32,
        mut transform: Box<Transform>,
        work: impl FnOnce(&mut Transform) -> Result<(Vec<u8>, bool), String> + Send + 'static,
    ) -> Result<Value, Refusal> {
        let worked = tokio::task::spawn_blocking(move || {
            let outcome = work(&mut transform);
            (transform, outcome)
        });
        let (transform, outcome) = worked
            .await
            .map_err(|error| Refusal::new(error.to_string()))?;
        let (data, more) = outcome.map_err(Refusal::new)?;
        self.streams.put(number, Stream::Transform(transform));
        Ok(json!({ "data": STANDARD.encode(data), "more": more }))
    }
}

pub(super) fn decoded(data: &str) -> Result<Vec<u8>, Refusal> {
    STANDARD
        .decode(data)
        .map_err(|error| Refusal::new(format!("not base64: {error}")))
}

async fn joined(answer: JoinHandle<Result<Response, Error>>) -> Result<Response, Refusal> {
    let answer = answer
        .await
        .map_err(|error| Refusal::new(error.to_string()))?;
    Ok(answer?)
}

async fn ended_early(answer: JoinHandle<Result<Response, Error>>) -> Refusal {
    match joined(answer).await {
        Ok(answer) => told(&answer)
            .err()
            .unwrap_or_else(|| Refusal::new("the server answered before it had heard everything")),
        Err(refusal) => refusal,
    }
}

/// Reads what a server says instead of content.
async fn refusal_of(mut body: Download) -> Refusal {
    let status = body.status.as_u16();
    let mut text = Vec::new();
    while let Ok(Some(piece)) = body.piece().await {
        text.extend_from_slice(&piece);
        if text.len() > LONGEST_REFUSAL {
            break;
        }
    }
    refused(status, serde_json::from_slice(&text).ok())
}

/// `bytes 0-99/1234`.
fn range(text: &str) -> Option<Value> {
    let (part, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = part.split_once('-')?;
    let number = |text: &str| text.parse::<u64>().ok();
    Some(json!({ "size": number(size), "start": number(start)?, "end": number(end)? }))
}
