//! Content of Binary resources in chunks of equal size, so that a range is found by arithmetic.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::tables::{content, content_chunk};
use crate::store::Error;

/// Bytes of every chunk but the last. A multiple of three: chunks can be put into base64 one by one.
pub const CHUNK: usize = 768 * 1024;

/// Makes room for content that is going to be appended.
pub async fn begin(conn: &mut AsyncPgConnection, id: Uuid) -> Result<(), Error> {
    diesel::insert_into(content::table)
        .values(content::id.eq(id))
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn append(
    conn: &mut AsyncPgConnection,
    id: Uuid,
    number: i32,
    bytes: &[u8],
) -> Result<(), Error> {
    diesel::insert_into(content_chunk::table)
        .values((
            content_chunk::content.eq(id),
            content_chunk::number.eq(number),
            content_chunk::bytes.eq(bytes),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Removes content with all its chunks.
pub async fn remove(conn: &mut AsyncPgConnection, id: Uuid) -> Result<(), Error> {
    diesel::delete(content::table.find(id))
        .execute(conn)
        .await?;
    Ok(())
}

/// One chunk; `None` beyond the end.
pub async fn chunk(
    conn: &mut AsyncPgConnection,
    id: Uuid,
    number: i32,
) -> Result<Option<Vec<u8>>, Error> {
    Ok(content_chunk::table
        .filter(content_chunk::content.eq(id))
        .filter(content_chunk::number.eq(number))
        .select(content_chunk::bytes)
        .first(conn)
        .await
        .optional()?)
}
