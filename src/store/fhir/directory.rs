//! The resources that authorisation and reference resolution lean on, and their generation.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, SmallInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::tables::directory;
use crate::r4::ResourceType;
use crate::store::Error;
use crate::store::statement::statement;

/// A current resource of the directory.
#[derive(Debug, QueryableByName)]
pub struct Entry {
    #[diesel(sql_type = BigInt)]
    pub generation: i64,
    #[diesel(sql_type = SmallInt, column_name = "type")]
    kind: i16,
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    pub id: Uuid,
    #[diesel(sql_type = Text)]
    pub document: String,
}

impl Entry {
    #[must_use]
    pub fn kind(&self) -> Option<ResourceType> {
        ResourceType::from_code(self.kind)
    }
}

pub async fn generation(conn: &mut AsyncPgConnection) -> Result<i64, Error> {
    Ok(directory::table
        .select(directory::generation)
        .first(conn)
        .await?)
}

/// All current resources of these types with the generation they belong to: one statement, one
/// snapshot. Empty when there is none at all; then ask for the [`generation`] first.
pub async fn load(
    conn: &mut AsyncPgConnection,
    kinds: &[ResourceType],
) -> Result<Vec<Entry>, Error> {
    let codes: Vec<i16> = kinds.iter().map(|kind| kind.code()).collect();
    Ok(statement(
        "SELECT directory.generation, resource.type, resource.id, resource.document \
         FROM directory, resource WHERE resource.type = ANY($1) AND resource.deleted IS NULL \
         ORDER BY resource.last_updated, resource.id",
    )
    .bind::<Array<SmallInt>, _>(codes)
    .load(conn)
    .await?)
}

/// Announces a change made in this transaction; `false` when another transaction was faster and
/// the whole work must be done again.
pub async fn advance(conn: &mut AsyncPgConnection, generation: i64) -> Result<bool, Error> {
    let changed = diesel::update(directory::table.filter(directory::generation.eq(generation)))
        .set(directory::generation.eq(generation + 1))
        .execute(conn)
        .await?;
    Ok(changed == 1)
}
