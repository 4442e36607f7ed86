//! Bodies: read piece by piece from senders who keep on sending, whole up to a limit, and parsed.

use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::web;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, timeout};

use super::Call;
use super::asked;
use super::media::Format;
use crate::fhir::fault::Fault;
use crate::fhir::validate;
use crate::r4::{ParseError, Resource, ResourceType, json, xml};

/// How slow a sender may be.
#[derive(Clone, Copy)]
struct Patience {
    /// The longest silence, and the time that every sender has.
    silence: Duration,
    /// Who takes longer has to send as many bytes a second on average.
    least_rate: u64,
}

const PATIENCE: Patience = Patience {
    silence: Duration::from_secs(20),
    least_rate: 512,
};
/// What of a refused body is still taken in, so that the refusal is read.
const LEFTOVER: usize = 64 << 20;
const LEFTOVER_TIME: Duration = Duration::from_secs(5);

/// What a client sends after the head of its request.
pub struct Body<S = web::Payload> {
    payload: Option<S>,
    patience: Patience,
    began: Instant,
    received: u64,
}

impl<S> Body<S>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    pub fn new(payload: S) -> Self {
        Self {
            payload: Some(payload),
            patience: PATIENCE,
            began: Instant::now(),
            received: 0,
        }
    }

    /// The stream itself, for what is no body but a conversation.
    pub fn take(&mut self) -> Option<S> {
        self.payload.take()
    }

    /// The next piece. Senders who fall silent or trickle are refused: they would hold a
    /// connection, and what they sent, for ever.
    pub async fn piece(&mut self) -> Option<Result<Bytes, Fault>> {
        let Patience {
            silence,
            least_rate,
        } = self.patience;
        let earned = Duration::from_secs(self.received / least_rate);
        let left = (silence + earned).saturating_sub(self.began.elapsed());
        let payload = self.payload.as_mut()?;
        let Ok(piece) = timeout(left.min(silence), payload.next()).await else {
            return Some(Err(Fault::too_slow()));
        };
        if let Some(Ok(piece)) = &piece {
            self.received += piece.len() as u64;
        }
        piece.map(|piece| piece.map_err(|error| Fault::unparsable(error.to_string())))
    }

    /// The whole body.
    async fn whole(&mut self, limit: usize) -> Result<Bytes, Fault> {
        let mut body = BytesMut::new();
        while let Some(piece) = self.piece().await {
            let piece = piece?;
            if body.len() + piece.len() > limit {
                return Err(Fault::too_large(limit));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    }

    /// Takes in what is left, and drops it. On HTTP/2 an answer that is given before the body is
    /// read gets lost: the stream is reset, and clients throw the answer away.
    pub async fn drop_the_rest(&mut self) {
        let all = async {
            let mut dropped = 0;
            while let Some(Ok(piece)) = self.piece().await {
                dropped += piece.len();
                if dropped > LEFTOVER {
                    break;
                }
            }
        };
        // Whoever sends longer has been patient with us, too.
        let _ = timeout(LEFTOVER_TIME, all).await;
    }
}

/// A document as it was sent, and what was read in it.
pub(super) struct Sent {
    pub text: Bytes,
    pub read: Read,
}

/// A resource, and the places of what is no part of it in R4.
type Read = Result<(Resource, Vec<String>), ParseError>;

fn readable(read: Read) -> Result<Resource, Fault> {
    let (resource, left_out) = read.map_err(|error| Fault::unparsable(error.to_string()))?;
    if !left_out.is_empty() {
        tracing::info!(
            kind = resource.type_name(),
            ?left_out,
            "parts of a body are left out"
        );
    }
    Ok(resource)
}

/// How many bytes are looked through to find the places of all findings.
const MOST_LOCATED: usize = 16 << 20;

/// Line and column of an element, unless it takes too long to look for that many.
pub(super) fn position(text: &[u8], findings: usize, path: &str) -> Option<(u32, u32)> {
    let is_cheap = text.len().saturating_mul(findings) <= MOST_LOCATED;
    let text = str::from_utf8(text).ok().filter(|_| is_cheap)?;
    validate::position(text, path)
}

impl Call<'_> {
    /// The resource in the body, which must be of this type, and its text.
    pub(super) async fn resource(
        &self,
        kind: ResourceType,
        body: &mut Body,
    ) -> Result<(Resource, Bytes), Fault> {
        let Sent { text, read } = self.sent(body).await?;
        let resource = readable(read)?;
        if resource.resource_type() == Some(kind) {
            return Ok((resource, text));
        }
        Err(Fault::unparsable(format!(
            "{} instead of {kind}",
            resource.type_name()
        )))
    }

    pub(super) async fn any_resource(&self, body: &mut Body) -> Result<Resource, Fault> {
        readable(self.sent(body).await?.read)
    }

    /// The body, read in its own format.
    pub(super) async fn sent(&self, body: &mut Body) -> Result<Sent, Fault> {
        let format = asked::body_format(self.request)?;
        let text = self
            .text(body, self.service.settings().max_body_size)
            .await?;
        let read = match format {
            Format::Xml => xml::parse_leniently(&text),
            Format::Json | Format::Html => json::parse_leniently(&text),
        };
        Ok(Sent { text, read })
    }

    /// The whole body. What announces itself as too large need not be sent.
    pub(super) async fn text(&self, body: &mut Body, limit: usize) -> Result<Bytes, Fault> {
        let announced = asked::header(self.request, "content-length");
        if announced.is_some_and(|size| size.parse().is_ok_and(|size: usize| size > limit)) {
            return Err(Fault::too_large(limit));
        }
        body.whole(limit).await
    }

    /// Whether there is none.
    pub(super) fn has_no_body(&self) -> bool {
        asked::header(self.request, "content-length").is_none_or(|size| size == "0")
            && asked::header(self.request, "content-type").is_none()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    /// What becomes of a sender of pieces with pauses between them.
    async fn status(count: usize, size: usize, pause: u64) -> u16 {
        let pieces = stream::iter(0..count).then(move |_| async move {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            Ok(Bytes::from(vec![b'x'; size]))
        });
        let mut body = Body::new(Box::pin(pieces));
        body.patience = Patience {
            silence: Duration::from_millis(500),
            least_rate: 1000,
        };
        let whole = body.whole(8 << 20).await;
        whole.map_or_else(|fault| fault.status(), |_| 200)
    }

    #[tokio::test]
    async fn slow_senders_are_refused_and_slow_lines_are_not() {
        let (slow_line, silence, trickle, flood) = tokio::join!(
            status(30, 5000, 25),
            status(2, 5000, 1500),
            status(30, 1, 25),
            status(90, 100_000, 0),
        );
        assert_eq!([slow_line, silence, trickle, flood], [200, 408, 408, 413]);
    }
}
