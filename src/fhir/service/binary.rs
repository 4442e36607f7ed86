//! Raw content: taken in and given out in chunks, each with a connection of its own, so that a
//! slow client holds none (fhir-api §2.8, §9.4). Some chunks are under way between here and the store
//! while another is between here and the client, so that neither waits for the other.

use std::collections::VecDeque;
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

/// Chunks under way between here and the store: with one alone, the store rests while it is taken in
/// or put away here.
const UNDER_WAY: usize = 2;

/// A chunk under way, that is given up with what it is for.
type Chunk<T> = AbortOnDropHandle<Result<T, Fault>>;

/// Content on its way in. Dropped before its end, it leaves nothing behind.
pub struct Upload {
    draft: Draft,
    number: i32,
    size: i64,
    pending: BytesMut,
    /// The chunks before, on their way; each gives its room back.
    written: VecDeque<Chunk<BytesMut>>,
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
            written: VecDeque::new(),
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
        while self.landed().await?.is_some() {}
        self.draft.is_kept = true;
        Ok(Content {
            id: self.draft.id,
            size: self.size,
        })
    }

    /// Sends what is pending on its way, once there are not too many before it.
    async fn write(&mut self) -> Result<(), Fault> {
        let room = match self.written.len() {
            UNDER_WAY.. => self.landed().await?,
            _ => None,
        };
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
        self.written.push_back(AbortOnDropHandle::new(written));
        Ok(())
    }

    /// Waits for the first chunk that is on its way, if one is.
    async fn landed(&mut self) -> Result<Option<BytesMut>, Fault> {
        match self.written.pop_front() {
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
    /// What is here, from `here` on.
    pieces: VecDeque<Bytes>,
    here: i64,
    /// The chunks behind, on their way.
    ahead: VecDeque<Chunk<Vec<Vec<u8>>>>,
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
            pieces: VecDeque::new(),
            here: 0,
            ahead: VecDeque::new(),
        }
    }

    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        while self.at < self.end {
            let Some(piece) = self.pieces.pop_front() else {
                self.arrive().await?;
                continue;
            };
            let first = self.here;
            self.here += i64::try_from(piece.len()).unwrap_or_default();
            let last = self.here.min(self.end);
            // A range may begin behind some pieces of its first chunk.
            if last <= self.at {
                continue;
            }
            let inside = |at: i64| usize::try_from(at - first).unwrap_or_default();
            let wanted = piece.slice(inside(self.at)..inside(last));
            self.at = last;
            return Ok(Some(wanted));
        }
        Ok(None)
    }

    /// Waits for the next chunk; those behind it are asked for at once.
    async fn arrive(&mut self) -> Result<(), Fault> {
        let size = i64::try_from(binary::CHUNK).unwrap_or(i64::MAX);
        let number = self.at / size;
        let chunk = self.ahead.pop_front();
        let chunk = chunk.unwrap_or_else(|| self.fetch(number));
        let chunk = chunk.await.map_err(lost)??;
        self.here = number * size;
        let length: usize = chunk.iter().map(Vec::len).sum();
        if self.here + i64::try_from(length).unwrap_or_default() <= self.at {
            let id = self.content.id;
            return Err(Fault::internal(format!(
                "content {id} ends in chunk {number}, before its time"
            )));
        }
        self.pieces = chunk.into_iter().map(Bytes::from).collect();
        let behind = (number + 1..).take_while(|number| number * size < self.end);
        let asked = self.ahead.len();
        for number in behind.skip(asked).take(UNDER_WAY - asked) {
            let chunk = self.fetch(number);
            self.ahead.push_back(chunk);
        }
        Ok(())
    }

    fn fetch(&self, number: i64) -> Chunk<Vec<Vec<u8>>> {
        let (service, id) = (Arc::clone(&self.service), self.content.id);
        AbortOnDropHandle::new(tokio::spawn(async move {
            let number = i32::try_from(number)
                .map_err(|_| Fault::internal("content with too many chunks"))?;
            let chunk = async |conn: &mut AsyncPgConnection| binary::chunk(conn, id, number).await;
            let chunk: Result<Vec<Vec<u8>>, store::Error> = service.store().read(chunk).await;
            Ok(chunk?)
        }))
    }
}
