//! The conformance resources that others are judged by: which there are, and their documents.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, SmallInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::tables::resource;
use crate::r4::ResourceType;
use crate::store::Error;
use crate::store::statement::statement;

/// A current version, and the generation of the directory that it was seen in.
#[derive(Debug, QueryableByName)]
pub struct Seen {
    #[diesel(sql_type = BigInt)]
    pub generation: i64,
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    pub id: Uuid,
    #[diesel(sql_type = BigInt)]
    pub version: i64,
}

/// The address of a current conformance resource.
#[derive(Debug, QueryableByName)]
pub struct Address {
    #[diesel(sql_type = BigInt)]
    pub generation: i64,
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    pub id: Uuid,
    #[diesel(sql_type = SmallInt, column_name = "type")]
    kind: i16,
    #[diesel(sql_type = Nullable<Text>)]
    pub url: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub version: Option<String>,
}

impl Address {
    #[must_use]
    pub fn kind(&self) -> Option<ResourceType> {
        ResourceType::from_code(self.kind)
    }
}

fn codes(kinds: &[ResourceType]) -> Vec<i16> {
    kinds.iter().map(|kind| kind.code()).collect()
}

/// The current versions of these types; cheap, to see whether anything has changed.
pub async fn seen(
    conn: &mut AsyncPgConnection,
    kinds: &[ResourceType],
) -> Result<Vec<Seen>, Error> {
    Ok(statement(
        "SELECT directory.generation, resource.id, resource.version \
         FROM directory, resource WHERE resource.type = ANY($1) AND resource.deleted IS NULL",
    )
    .bind::<Array<SmallInt>, _>(codes(kinds))
    .load(conn)
    .await?)
}

/// The addresses of the current resources of these types, oldest first.
pub async fn addresses(
    conn: &mut AsyncPgConnection,
    kinds: &[ResourceType],
) -> Result<Vec<Address>, Error> {
    Ok(statement(
        "SELECT directory.generation, resource.id, resource.type, \
                resource.document::json ->> 'url' AS url, \
                resource.document::json ->> 'version' AS version \
         FROM directory, resource WHERE resource.type = ANY($1) AND resource.deleted IS NULL \
         ORDER BY resource.last_updated, resource.id",
    )
    .bind::<Array<SmallInt>, _>(codes(kinds))
    .load(conn)
    .await?)
}

/// The current resources of this type that are open to any of these keys.
pub async fn open_to(
    conn: &mut AsyncPgConnection,
    kind: ResourceType,
    keys: &[String],
) -> Result<Vec<Uuid>, Error> {
    Ok(resource::table
        .filter(resource::kind.eq(kind.code()))
        .filter(resource::deleted.is_null())
        .filter(resource::access.overlaps_with(keys))
        .select(resource::id)
        .load(conn)
        .await?)
}

/// The documents of these resources, of those that are current.
pub async fn documents(
    conn: &mut AsyncPgConnection,
    ids: &[Uuid],
) -> Result<Vec<(Uuid, String)>, Error> {
    Ok(resource::table
        .filter(resource::id.eq_any(ids))
        .filter(resource::deleted.is_null())
        .select((resource::id, resource::document))
        .load(conn)
        .await?)
}
