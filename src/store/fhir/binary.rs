//! Content of Binary resources in chunks of equal size, so that a range is found by arithmetic.

use diesel::prelude::*;
use diesel::sql_types::{Bytea, Integer};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::tables::{content, content_chunk};
use crate::store::Error;
use crate::store::statement::statement;

/// Bytes of every chunk but the last. A multiple of three: chunks can be put into base64 one by one.
pub const CHUNK: usize = 768 * 1024;
/// What a chunk is read in, because buffers for whole ones are slow to come by. A multiple of three.
const PIECE: usize = 96 * 1024;

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

#[derive(QueryableByName)]
struct Piece {
    #[diesel(sql_type = Integer)]
    number: i32,
    #[diesel(sql_type = Bytea)]
    bytes: Vec<u8>,
}

/// The pieces of one chunk; none beyond the end.
pub async fn chunk(
    conn: &mut AsyncPgConnection,
    id: Uuid,
    number: i32,
) -> Result<Vec<Vec<u8>>, Error> {
    let mut pieces: Vec<Piece> = statement(
        "SELECT s.number, substr(c.bytes, s.number * $3 + 1, $3) AS bytes \
         FROM content_chunk c CROSS JOIN generate_series(0, $4) s (number) \
         WHERE c.content = $1 AND c.number = $2 AND s.number * $3 < octet_length(c.bytes)",
    )
    .bind::<diesel::sql_types::Uuid, _>(id)
    .bind::<Integer, _>(number)
    .bind::<Integer, _>(i32::try_from(PIECE).unwrap_or(i32::MAX))
    .bind::<Integer, _>(i32::try_from(CHUNK / PIECE).unwrap_or(i32::MAX))
    .load(conn)
    .await?;
    pieces.sort_unstable_by_key(|piece| piece.number);
    Ok(pieces.into_iter().map(|piece| piece.bytes).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::fresh_database;
    use crate::store::{Schema, Store};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_chunk_comes_in_pieces_that_are_the_whole() {
        let settings = fresh_database().await;
        let store = Store::open(&settings, Schema::Fhir).await.expect("a store");
        let work = async |conn: &mut AsyncPgConnection| {
            let id = Uuid::new_v4();
            begin(conn, id).await?;
            let mut found = Vec::new();
            for (number, size) in (0..).zip([CHUNK, PIECE, PIECE + 1, 1]) {
                let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
                append(conn, id, number, &bytes).await?;
                let pieces = chunk(conn, id, number).await?;
                assert_eq!(pieces.concat(), bytes);
                found.push(pieces.len());
            }
            assert!(chunk(conn, id, 4).await?.is_empty());
            Ok::<_, Error>(found)
        };
        let found = store.read(work).await.expect("answers");
        assert_eq!(found, [CHUNK / PIECE, 1, 2, 1]);
    }
}
