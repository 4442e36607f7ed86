//! One resource: read, read a version, delete. What is written stands in [`super::many`].

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use uuid::Uuid;

use super::search::IndexTerms;
use super::tables::{directory, resource, version};
use super::time::{from_sql, to_sql};
use crate::r4::ResourceType;
use crate::store::Error;

diesel::define_sql_function! {
    fn delete_resource(
        generation: BigInt, id: diesel::sql_types::Uuid, version: BigInt, at: Timestamptz
    ) -> Bool;
}

/// Where the content of a Binary version is, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    pub id: Uuid,
    pub size: i64,
}

/// One stored version.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: Uuid,
    pub kind: ResourceType,
    pub version: i64,
    pub last_updated: Timestamp,
    /// Set only on the newest version of a deleted resource.
    pub deleted: Option<Timestamp>,
    pub document: String,
    pub access: Vec<String>,
    pub context: Option<Uuid>,
    pub content: Option<Content>,
}

/// What a write stores beside id and version.
#[derive(Clone, Debug)]
pub struct NewRow {
    pub id: Uuid,
    pub kind: ResourceType,
    pub at: Timestamp,
    pub document: String,
    pub access: Vec<String>,
    pub context: Option<Uuid>,
    pub keys: Option<Vec<String>>,
    pub terms: IndexTerms,
    pub content: Option<Content>,
}

/// A row with the generation of the directory at the moment it was read.
#[derive(Debug)]
pub struct Seen<T> {
    pub generation: i64,
    pub found: T,
}

type Fields = (
    Uuid,
    i16,
    i64,
    PgTimestamp,
    Option<PgTimestamp>,
    String,
    Vec<String>,
    Option<Uuid>,
    Option<Uuid>,
    Option<i64>,
);

pub(super) fn row(fields: Fields) -> Option<Row> {
    let (id, kind, version, last_updated, deleted, document, access, context, content, size) =
        fields;
    Some(Row {
        id,
        kind: ResourceType::from_code(kind)?,
        version,
        last_updated: from_sql(last_updated),
        deleted: deleted.map(from_sql),
        document,
        access,
        context,
        content: content.zip(size).map(|(id, size)| Content { id, size }),
    })
}

/// The current versions that there are, also of deleted resources.
pub async fn read_all(conn: &mut AsyncPgConnection, ids: &[Uuid]) -> Result<Seen<Vec<Row>>, Error> {
    let found: Vec<(i64, Option<Fields>)> = directory::table
        .left_join(resource::table.on(resource::id.eq_any(ids)))
        .select((
            directory::generation,
            (
                resource::id,
                resource::kind,
                resource::version,
                resource::last_updated,
                resource::deleted,
                resource::document,
                resource::access,
                resource::context,
                resource::content,
                resource::content_size,
            )
                .nullable(),
        ))
        .load(conn)
        .await?;
    Ok(Seen {
        // The directory has a row of its own from the beginning.
        generation: found
            .iter()
            .map(|(generation, _)| *generation)
            .max()
            .unwrap_or(0),
        found: found
            .into_iter()
            .filter_map(|(_, fields)| fields.and_then(row))
            .collect(),
    })
}

/// The current version, also of a deleted resource.
pub async fn read(
    conn: &mut AsyncPgConnection,
    kind: ResourceType,
    id: Uuid,
) -> Result<Seen<Option<Row>>, Error> {
    let Seen { generation, found } = read_all(conn, &[id]).await?;
    let found = found.into_iter().find(|row| row.kind == kind);
    Ok(Seen { generation, found })
}

/// The current version for a caller that stays within a transaction; locks nothing.
pub async fn current(
    conn: &mut AsyncPgConnection,
    kind: ResourceType,
    id: Uuid,
) -> Result<Option<Row>, Error> {
    Ok(read(conn, kind, id).await?.found)
}

/// Which of these are current resources, and of which type.
pub async fn current_among(
    conn: &mut AsyncPgConnection,
    ids: &[Uuid],
) -> Result<Vec<(ResourceType, Uuid)>, Error> {
    let found: Vec<(i16, Uuid)> = resource::table
        .filter(resource::id.eq_any(ids))
        .filter(resource::deleted.is_null())
        .select((resource::kind, resource::id))
        .load(conn)
        .await?;
    let known = |(kind, id)| Some((ResourceType::from_code(kind)?, id));
    Ok(found.into_iter().filter_map(known).collect())
}

/// A superseded version.
pub async fn superseded(
    conn: &mut AsyncPgConnection,
    kind: ResourceType,
    id: Uuid,
    number: i64,
) -> Result<Option<Row>, Error> {
    let found: Option<Fields> = version::table
        .filter(version::id.eq(id))
        .filter(version::number.eq(number))
        .filter(version::kind.eq(kind.code()))
        .select((
            version::id,
            version::kind,
            version::number,
            version::last_updated,
            diesel::dsl::sql::<Nullable<Timestamptz>>("NULL::timestamptz"),
            version::document,
            version::access,
            version::context,
            version::content,
            version::content_size,
        ))
        .first(conn)
        .await
        .optional()?;
    Ok(found.and_then(row))
}

/// Marks version `base` as deleted; `false` when it is not the current one any more, or the directory
/// is not at `generation`.
pub async fn delete(
    conn: &mut AsyncPgConnection,
    generation: i64,
    (id, base): (Uuid, i64),
    at: Timestamp,
) -> Result<bool, Error> {
    Ok(
        diesel::select(delete_resource(generation, id, base, to_sql(at)))
            .get_result(conn)
            .await?,
    )
}

/// Removes every version for good.
pub async fn remove(conn: &mut AsyncPgConnection, id: Uuid) -> Result<(), Error> {
    diesel::delete(version::table.filter(version::id.eq(id)))
        .execute(conn)
        .await?;
    diesel::delete(resource::table.filter(resource::id.eq(id)))
        .execute(conn)
        .await?;
    Ok(())
}
