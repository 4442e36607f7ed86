//! One resource: read, read a version, insert, update, delete.

use std::collections::HashMap;

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{self, Array, BigInt, Jsonb, Nullable, SmallInt, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use uuid::Uuid;

use super::search::IndexTerms;
use super::tables::{directory, resource, version};
use super::time::{from_sql, to_sql};
use crate::r4::ResourceType;
use crate::store::Error;
use crate::store::statement::statement;

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

/// A row for [`insert_all`].
#[derive(Clone, Debug)]
pub struct NewInsert {
    /// Of the directory that the create was judged by.
    pub generation: i64,
    pub row: NewRow,
    pub once: Option<Idempotency>,
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

/// Rows come as one array for each column. Of those judged by the newest directory, those whose
/// idempotency key is new are stored, with their events.
const INSERT: &str = "\
WITH input AS (
    SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        AS input (generation, id, type, at, document, access, context, keys, content,
            content_size, tokens, terms, owner, key)
), judged AS (
    SELECT input.* FROM input JOIN directory USING (generation)
), once AS (
    INSERT INTO idempotency (owner, key, resource, at)
        SELECT owner, key, id, at FROM judged WHERE key IS NOT NULL
        ON CONFLICT DO NOTHING RETURNING resource
), fresh AS (
    SELECT * FROM judged WHERE key IS NULL OR id IN (SELECT resource FROM once)
), stored AS (
    INSERT INTO resource (id, type, version, last_updated, document, access, context, keys,
            content, content_size, tokens, terms, audience)
        SELECT id, type, 1, at, document, access::text[], context, keys::text[],
            content, content_size, tokens::text[], terms, audience_of(type, access::text[])
        FROM fresh
        RETURNING id
), told AS (
    INSERT INTO event (resource, type, version, kind, at) SELECT id, type, 1, 1, at FROM fresh
)
SELECT judged.id, COALESCE(stored.id, earlier.resource) AS stored
FROM judged LEFT JOIN stored USING (id) LEFT JOIN idempotency earlier USING (owner, key)";

#[derive(QueryableByName)]
struct Told {
    #[diesel(sql_type = sql_types::Uuid)]
    id: Uuid,
    /// The resource that the create made, or an earlier one with its key.
    #[diesel(sql_type = Nullable<sql_types::Uuid>)]
    stored: Option<Uuid>,
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

/// Stores version 1 of each whose directory is still the newest, all by one statement. An answer
/// for each, in their order.
pub async fn insert_all(
    conn: &mut AsyncPgConnection,
    all: &[NewInsert],
) -> Result<Vec<Inserted>, Error> {
    let mut outcomes = store_new(conn, all).await?;
    for (outcome, new) in outcomes.iter_mut().zip(all) {
        // Another create with the same key was not visible yet: it is by now.
        if outcome.is_none() {
            let again = store_new(conn, std::slice::from_ref(new)).await?;
            *outcome = again.into_iter().next().flatten();
        }
    }
    // What is still open collides with a create that was undone meanwhile.
    Ok(outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or(Inserted::Stale))
        .collect())
}

/// What [`INSERT`] says of each; `None` where it cannot tell which resource has the key.
async fn store_new(
    conn: &mut AsyncPgConnection,
    all: &[NewInsert],
) -> Result<Vec<Option<Inserted>>, Error> {
    let rows = || all.iter().map(|new| &new.row);
    let onces = || all.iter().map(|new| new.once.as_ref());
    let told: Vec<Told> = statement(INSERT)
        .bind::<Array<BigInt>, _>(all.iter().map(|new| new.generation).collect::<Vec<_>>())
        .bind::<Array<sql_types::Uuid>, _>(rows().map(|row| row.id).collect::<Vec<_>>())
        .bind::<Array<SmallInt>, _>(rows().map(|row| row.kind.code()).collect::<Vec<_>>())
        .bind::<Array<Timestamptz>, _>(rows().map(|row| to_sql(row.at)).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(rows().map(|row| row.document.as_str()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(rows().map(|row| array(&row.access)).collect::<Vec<_>>())
        .bind::<Array<Nullable<sql_types::Uuid>>, _>(
            rows().map(|row| row.context).collect::<Vec<_>>(),
        )
        .bind::<Array<Nullable<Text>>, _>(
            rows()
                .map(|row| row.keys.as_deref().map(array))
                .collect::<Vec<_>>(),
        )
        .bind::<Array<Nullable<sql_types::Uuid>>, _>(
            rows()
                .map(|row| row.content.map(|content| content.id))
                .collect::<Vec<_>>(),
        )
        .bind::<Array<Nullable<BigInt>>, _>(
            rows()
                .map(|row| row.content.map(|content| content.size))
                .collect::<Vec<_>>(),
        )
        .bind::<Array<Text>, _>(
            rows()
                .map(|row| array(&row.terms.tokens))
                .collect::<Vec<_>>(),
        )
        .bind::<Array<Jsonb>, _>(
            rows()
                .map(|row| serde_json::Value::Object(row.terms.values.clone()))
                .collect::<Vec<_>>(),
        )
        .bind::<Array<Nullable<Text>>, _>(
            onces()
                .map(|once| once.map(|once| once.owner.as_str()))
                .collect::<Vec<_>>(),
        )
        .bind::<Array<Nullable<Text>>, _>(
            onces()
                .map(|once| once.map(|once| once.key.as_str()))
                .collect::<Vec<_>>(),
        )
        .load(conn)
        .await?;
    let told: HashMap<Uuid, Option<Uuid>> =
        told.into_iter().map(|row| (row.id, row.stored)).collect();
    let outcome = |row: &NewRow| match told.get(&row.id) {
        None => Some(Inserted::Stale),
        Some(None) => None,
        Some(Some(id)) if *id == row.id => Some(Inserted::Stored),
        Some(Some(id)) => Some(Inserted::Earlier(*id)),
    };
    Ok(rows().map(outcome).collect())
}

/// Arrays of arrays are rectangles in PostgreSQL, so lists of each row travel as array literals.
pub(super) fn array(texts: &[String]) -> String {
    let mut literal = String::with_capacity(2 + texts.iter().map(|t| t.len() + 3).sum::<usize>());
    literal.push('{');
    for (position, text) in texts.iter().enumerate() {
        literal.push_str(if position == 0 { "\"" } else { ",\"" });
        for letter in text.chars() {
            if matches!(letter, '"' | '\\') {
                literal.push('\\');
            }
            literal.push(letter);
        }
        literal.push('"');
    }
    literal.push('}');
    literal
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
