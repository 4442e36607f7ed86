//! One resource: read, read a version, insert, update, delete.

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Jsonb, Nullable, SmallInt, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use uuid::Uuid;

use super::search::IndexTerms;
use super::tables::{directory, resource, version};
use super::time::{from_sql, to_sql};
use crate::r4::ResourceType;
use crate::store::Error;

diesel::define_sql_function! {
    #[allow(clippy::too_many_arguments, reason = "the columns of a row, in one statement")]
    fn insert_resource(
        generation: BigInt, id: diesel::sql_types::Uuid, kind: SmallInt, at: Timestamptz,
        document: Text, access: Array<Text>, context: Nullable<diesel::sql_types::Uuid>,
        keys: Nullable<Array<Text>>, content: Nullable<diesel::sql_types::Uuid>,
        content_size: Nullable<BigInt>, tokens: Array<Text>, terms: Jsonb, owner: Nullable<Text>, key: Nullable<Text>
    ) -> Nullable<diesel::sql_types::Uuid>;
}
diesel::define_sql_function! {
    #[allow(clippy::too_many_arguments, reason = "the columns of a row, in one statement")]
    fn update_resource(
        generation: BigInt, id: diesel::sql_types::Uuid, version: BigInt, at: Timestamptz,
        document: Text, access: Array<Text>, context: Nullable<diesel::sql_types::Uuid>,
        keys: Nullable<Array<Text>>, content: Nullable<diesel::sql_types::Uuid>,
        content_size: Nullable<BigInt>, tokens: Array<Text>, terms: Jsonb
    ) -> Bool;
}
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

/// The caller's key for a create that must happen once.
#[derive(Clone, Debug)]
pub struct Idempotency {
    pub owner: String,
    pub key: String,
}

/// How an insert ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    Stored,
    /// The same idempotency key has made this resource before.
    Earlier(Uuid),
    /// The directory is not at the given generation any more: decide again.
    Stale,
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

/// The current version, also of a deleted resource.
pub async fn read(
    conn: &mut AsyncPgConnection,
    kind: ResourceType,
    id: Uuid,
) -> Result<Seen<Option<Row>>, Error> {
    let found: (i64, Option<Fields>) = directory::table
        .left_join(resource::table.on(resource::id.eq(id).and(resource::kind.eq(kind.code()))))
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
        .first(conn)
        .await?;
    Ok(Seen {
        generation: found.0,
        found: found.1.and_then(row),
    })
}

/// The current version for a caller that stays within a transaction; locks nothing.
pub async fn current(
    conn: &mut AsyncPgConnection,
    kind: ResourceType,
    id: Uuid,
) -> Result<Option<Row>, Error> {
    Ok(read(conn, kind, id).await?.found)
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

/// Stores version 1 if the directory is still at `generation`. Several may be under way on one
/// connection; they run in the order in which they were begun.
pub async fn insert(
    mut conn: &AsyncPgConnection,
    generation: i64,
    new: &NewRow,
    once: Option<&Idempotency>,
) -> Result<Inserted, Error> {
    let stored: Option<Uuid> = diesel::select(insert_resource(
        generation,
        new.id,
        new.kind.code(),
        to_sql(new.at),
        &new.document,
        &new.access,
        new.context,
        new.keys.as_ref(),
        new.content.map(|content| content.id),
        new.content.map(|content| content.size),
        &new.terms.tokens,
        serde_json::Value::Object(new.terms.values.clone()),
        once.map(|once| once.owner.as_str()),
        once.map(|once| once.key.as_str()),
    ))
    .get_result(&mut conn)
    .await?;
    Ok(match stored {
        Some(id) if id == new.id => Inserted::Stored,
        Some(id) => Inserted::Earlier(id),
        None => Inserted::Stale,
    })
}

/// Stores the version after `base`; `false` when `base` is not the current one any more, or the
/// directory is not at `generation`.
pub async fn update(
    conn: &mut AsyncPgConnection,
    generation: i64,
    base: i64,
    new: &NewRow,
) -> Result<bool, Error> {
    Ok(diesel::select(update_resource(
        generation,
        new.id,
        base,
        to_sql(new.at),
        &new.document,
        &new.access,
        new.context,
        new.keys.as_ref(),
        new.content.map(|content| content.id),
        new.content.map(|content| content.size),
        &new.terms.tokens,
        serde_json::Value::Object(new.terms.values.clone()),
    ))
    .get_result(conn)
    .await?)
}

/// Marks version `base` as deleted; `false` as in [`update`].
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
