//! Raw content: taken in and given out in chunks, each with a connection of its own, so that a
//! slow client holds none (fhir-api §2.8, §9.4).

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use serde_json::Value;
use uuid::Uuid;

use super::{Service, Stored};
use crate::fhir::fault::Fault;
use crate::r4::Resource;
use crate::store::fhir::{Content, binary};
use crate::store::{self, AsyncPgConnection};

/// Content on its way in. What is not made part of a Binary afterwards is swept.
pub struct Upload {
    service: Arc<Service>,
    id: Uuid,
    number: i32,
    size: i64,
    pending: BytesMut,
}

impl Upload {
    pub async fn begin(service: &Arc<Service>) -> Result<Self, Fault> {
        let id = Uuid::new_v4();
        service
            .store()
            .read(async |conn: &mut AsyncPgConnection| binary::begin(conn, id).await)
            .await
            .map_err(|error: store::Error| Fault::from(error))?;
        let service = Arc::clone(service);
        Ok(Self { service, id, number: 0, size: 0, pending: BytesMut::new() })
    }

    pub async fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.pending.extend_from_slice(bytes);
        while self.pending.len() >= binary::CHUNK {
            let chunk = self.pending.split_to(binary::CHUNK);
            self.write(&chunk).await?;
        }
        Ok(())
    }

    pub async fn finish(mut self) -> Result<Content, Fault> {
        let rest = std::mem::take(&mut self.pending);
        if !rest.is_empty() {
            self.write(&rest).await?;
        }
        Ok(Content { id: self.id, size: self.size })
    }

    async fn write(&mut self, chunk: &[u8]) -> Result<(), Fault> {
        let (id, number) = (self.id, self.number);
        self.service
            .store()
            .read(async |conn: &mut AsyncPgConnection| {
                binary::append(conn, id, number, chunk).await
            })
            .await
            .map_err(|error: store::Error| Fault::from(error))?;
        self.number += 1;
        self.size += i64::try_from(chunk.len()).unwrap_or_default();
        Ok(())
    }
}

impl Service {
    /// The resource as a document, the content of a Binary within it.
    pub async fn document(self: &Arc<Self>, stored: Stored) -> Result<Resource, Fault> {
        let mut resource = stored.resource;
        if let Some(content) = stored.content {
            let bytes = ContentReader::new(self, content, 0, content.size).all().await?;
            let data = Value::String(STANDARD.encode(bytes));
            resource.members_mut().insert("data".to_owned(), data);
        }
        Ok(resource)
    }
}

/// A part of stored content on its way out, chunk by chunk.
pub struct ContentReader {
    service: Arc<Service>,
    content: Content,
    /// The next byte to give out, and the one behind the last.
    at: i64,
    end: i64,
}

impl ContentReader {
    /// The bytes from `start` up to, not including, `end`.
    #[must_use]
    pub fn new(service: &Arc<Service>, content: Content, start: i64, end: i64) -> Self {
        Self { service: Arc::clone(service), content, at: start, end: end.min(content.size) }
    }

    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        if self.at >= self.end {
            return Ok(None);
        }
        let size = i64::try_from(binary::CHUNK).unwrap_or(i64::MAX);
        let number = i32::try_from(self.at / size)
            .map_err(|_| Fault::internal("content with too many chunks"))?;
        let id = self.content.id;
        let chunk = self
            .service
            .store()
            .read(async |conn: &mut AsyncPgConnection| binary::chunk(conn, id, number).await)
            .await
            .map_err(|error: store::Error| Fault::from(error))?
            .ok_or_else(|| Fault::internal(format!("content {id} lacks chunk {number}")))?;
        let first = i64::from(number) * size;
        let from = usize::try_from(self.at - first).unwrap_or_default();
        let to = usize::try_from(self.end - first).unwrap_or_default().min(chunk.len());
        self.at = first + i64::try_from(to).unwrap_or_default();
        Ok(Some(Bytes::from(chunk).slice(from..to)))
    }

    /// Everything at once.
    pub async fn all(mut self) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}
