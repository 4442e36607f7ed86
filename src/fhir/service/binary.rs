//! Raw content: taken in and given out in chunks, each with a connection of its own, so that a
//! slow client holds none (fhir-api §2.8, §9.4). One chunk is under way between here and the store
//! while another is between here and the client, so that neither waits for the other.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::{Service, Stored};
use crate::fhir::fault::Fault;
use crate::r4::Resource;
use crate::store::fhir::{Content, binary};
use crate::store::{self, AsyncPgConnection};

/// Content on its way in. Dropped before its end, it leaves nothing behind.
pub struct Upload {
    draft: Draft,
    number: i32,
    size: i64,
    pending: BytesMut,
    /// The chunk before, on its way; gives its room back.
    written: Option<AbortOnDropHandle<Result<BytesMut, Fault>>>,
}

/// Content that no Binary has yet, and that goes unless one takes it. What even this misses, when
/// the process is killed, is swept.
struct Draft {
    service: Arc<Service>,
    id: Uuid,
    is_kept: bool,
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_kept {
            let (service, id) = (Arc::clone(&self.service), self.id);
            tokio::spawn(async move { service.discard(id).await });
        }
    }
}

impl Upload {
    pub async fn begin(service: &Arc<Service>) -> Result<Self, Fault> {
        let id = Uuid::new_v4();
        let begin = async |conn: &mut AsyncPgConnection| binary::begin(conn, id).await;
        service
            .store()
            .read(begin)
            .await
            .map_err(|error: store::Error| Fault::from(error))?;
        let draft = Draft {
            service: Arc::clone(service),
            id,
            is_kept: false,
        };
        Ok(Self {
            draft,
            number: 0,
            size: 0,
            pending: BytesMut::with_capacity(binary::CHUNK),
            written: None,
        })
    }

    pub async fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = binary::CHUNK - self.pending.len();
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.pending.extend_from_slice(now);
            rest = later;
            if self.pending.len() == binary::CHUNK {
                self.write().await?;
            }
        }
        Ok(())
    }

    /// The whole content; from now on it is the caller's.
    pub async fn finish(mut self) -> Result<Content, Fault> {
        if !self.pending.is_empty() {
            self.write().await?;
        }
        self.landed().await?;
        self.draft.is_kept = true;
        Ok(Content {
            id: self.draft.id,
            size: self.size,
        })
    }

    /// Sends what is pending on its way, once the chunk before has arrived.
    async fn write(&mut self) -> Result<(), Fault> {
        let room = self.landed().await?;
        let room = room.unwrap_or_else(|| BytesMut::with_capacity(binary::CHUNK));
        let mut chunk = std::mem::replace(&mut self.pending, room);
        let (id, number) = (self.draft.id, self.number);
        self.number += 1;
        self.size += i64::try_from(chunk.len()).unwrap_or_default();
        let service = Arc::clone(&self.draft.service);
        let written = tokio::spawn(async move {
            let append =
                async |conn: &mut AsyncPgConnection| binary::append(conn, id, number, &chunk).await;
            let appended: Result<(), store::Error> = service.store().read(append).await;
            appended.map_err(Fault::from)?;
            chunk.clear();
            Ok(chunk)
        });
        self.written = Some(AbortOnDropHandle::new(written));
        Ok(())
    }

    /// Waits for the chunk that is on its way, if one is.
    async fn landed(&mut self) -> Result<Option<BytesMut>, Fault> {
        match self.written.take() {
            Some(written) => Ok(Some(written.await.map_err(lost)??)),
            None => Ok(None),
        }
    }
}

/// A chunk whose task ended without a result.
fn lost(error: tokio::task::JoinError) -> Fault {
    Fault::internal(format!("a chunk of content was given up: {error}"))
}

impl Service {
    /// Removes content that has not become part of a Binary.
    pub async fn discard(&self, id: Uuid) {
        let removed = self
            .store()
            .read(async |conn: &mut AsyncPgConnection| binary::remove(conn, id).await)
            .await;
        if let Err(error) = removed {
            let error: store::Error = error;
            tracing::warn!(%error, content = %id, "content without a Binary is removed later");
        }
    }
}

impl Service {
    /// The resource as a document. Where content of a Binary belongs stands its mark, so that it is
    /// never held whole, however many Binaries a Bundle has: see [`Service::pieces`].
    #[must_use]
    pub fn document(&self, stored: Stored) -> Resource {
        let content = stored.content;
        let mut resource = stored.into_resource();
        if let Some(Content { id, size }) = content {
            let mark = Value::String(format!("{}{id}:{size}{MARK_END}", self.marks));
            resource.members_mut().insert("data".to_owned(), mark);
        }
        resource
    }

    /// A written document at its marks, in order.
    #[must_use]
    pub fn pieces(&self, written: Vec<u8>) -> Vec<Piece> {
        let written = Bytes::from(written);
        // Both writers write UTF-8; what is none has no marks.
        let text = std::str::from_utf8(&written).unwrap_or_default();
        let (mut pieces, mut start) = (Vec::new(), 0);
        while let Some(found) = text[start..].find(&self.marks) {
            let at = start + found;
            let inner = &text[at + self.marks.len()..];
            let Some((content, length)) = inner.split_once(MARK_END).and_then(|(inner, _)| {
                let (id, size) = inner.split_once(':')?;
                let (id, size) = (id.parse().ok()?, size.parse().ok()?);
                Some((Content { id, size }, inner.len()))
            }) else {
                break;
            };
            pieces.push(Piece::Text(written.slice(start..at)));
            pieces.push(Piece::Data(content));
            start = at + self.marks.len() + length + MARK_END.len();
        }
        pieces.push(Piece::Text(written.slice(start..)));
        pieces
    }
}

/// Ends the mark of a content.
const MARK_END: &str = "::";

/// How the marks of a service begin. Nobody can write one into a resource of his, because nobody
/// gets to see one.
pub(super) fn marks() -> String {
    format!("::content:{:032x}:", rand::random::<u128>())
}

/// A part of a document on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Text(Bytes),
    /// To be put here in base64.
    Data(Content),
}

impl Piece {
    /// Bytes when written.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Data(content) => u64::try_from(content.size).unwrap_or_default().div_ceil(3) * 4,
        }
    }
}

/// A part of stored content on its way out, chunk by chunk.
pub struct ContentReader {
    service: Arc<Service>,
    content: Content,
    /// The next byte to give out, and the one behind the last.
    at: i64,
    end: i64,
    /// The next chunk, on its way.
    ahead: Option<AbortOnDropHandle<Result<Bytes, Fault>>>,
}

impl ContentReader {
    /// The bytes from `start` up to, not including, `end`.
    #[must_use]
    pub fn new(service: &Arc<Service>, content: Content, start: i64, end: i64) -> Self {
        Self {
            service: Arc::clone(service),
            content,
            at: start,
            end: end.min(content.size),
            ahead: None,
        }
    }

    /// The next piece; `None` at the end. The one behind it is asked for at once.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        if self.at >= self.end {
            return Ok(None);
        }
        let size = i64::try_from(binary::CHUNK).unwrap_or(i64::MAX);
        let number = self.at / size;
        let ahead = self.ahead.take().unwrap_or_else(|| self.fetch(number));
        let chunk = ahead.await.map_err(lost)??;
        let first = number * size;
        if first + size < self.end {
            self.ahead = Some(self.fetch(number + 1));
        }
        let from = usize::try_from(self.at - first).unwrap_or_default();
        let to = usize::try_from(self.end - first)
            .unwrap_or_default()
            .min(chunk.len());
        self.at = first + i64::try_from(to).unwrap_or_default();
        Ok(Some(chunk.slice(from..to)))
    }

    fn fetch(&self, number: i64) -> AbortOnDropHandle<Result<Bytes, Fault>> {
        let (service, id) = (Arc::clone(&self.service), self.content.id);
        AbortOnDropHandle::new(tokio::spawn(async move {
            let number = i32::try_from(number)
                .map_err(|_| Fault::internal("content with too many chunks"))?;
            let chunk = async |conn: &mut AsyncPgConnection| binary::chunk(conn, id, number).await;
            let chunk: Result<Option<Vec<u8>>, store::Error> = service.store().read(chunk).await;
            let lacks = || Fault::internal(format!("content {id} lacks chunk {number}"));
            Ok(Bytes::from(chunk?.ok_or_else(lacks)?))
        }))
    }
}
