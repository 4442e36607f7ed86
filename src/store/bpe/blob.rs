//! Large values of variables, kept beside the state of their instance: a step that does not touch
//! them does not write them again.

use diesel::QueryableByName;
use diesel::sql_types::{Array, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::store::Error;
use crate::store::statement::statement;

/// A value under the digest of its text.
#[derive(Clone, Debug, QueryableByName)]
pub struct Blob {
    #[diesel(sql_type = Text)]
    pub digest: String,
    #[diesel(sql_type = Text)]
    pub content: String,
}

/// The values of an instance with these digests.
pub async fn read(
    conn: &mut AsyncPgConnection,
    instance: Uuid,
    digests: &[String],
) -> Result<Vec<Blob>, Error> {
    let rows =
        statement("select digest, content from blob where instance = $1 and digest = any ($2)")
            .bind::<SqlUuid, _>(instance)
            .bind::<Array<Text>, _>(digests)
            .load(conn)
            .await?;
    Ok(rows)
}
