//! Versions on their way into the tables: many are stored by one statement.

use std::collections::HashMap;

use diesel::QueryableByName;
use diesel::sql_types::{self, Array, BigInt, Jsonb, Nullable, SmallInt, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::resource::NewRow;
use super::time::to_sql;
use crate::store::Error;
use crate::store::statement::{Statement, statement};

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

/// A row for [`update_all`].
#[derive(Clone, Debug)]
pub struct Replacement {
    /// Of the directory that the update was judged by.
    pub generation: i64,
    /// The version that it replaces.
    pub base: i64,
    pub row: NewRow,
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
), audiences AS MATERIALIZED (
    SELECT type, access, audience_of(type, access::text[]) AS audience
        FROM (SELECT DISTINCT type, access FROM fresh) AS several
), stored AS (
    INSERT INTO resource (id, type, version, last_updated, document, access, context, keys,
            content, content_size, tokens, terms, audience)
        SELECT id, type, 1, at, document, access::text[], context, keys::text[],
            content, content_size, tokens::text[], terms, audience
        FROM fresh JOIN audiences USING (type, access)
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

/// In the order of the input, so that the last of several versions of one resource is the newest.
const UPDATE: &str = "\
SELECT count(*) AS refused FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
    AS input (generation, id, type, at, document, access, context, keys, content,
        content_size, tokens, terms, base)
WHERE NOT update_resource(generation, id, base, at, document, access::text[], context, keys::text[],
    content, content_size, tokens::text[], terms)";

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    refused: i64,
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
    let rows: Vec<(i64, &NewRow)> = all.iter().map(|new| (new.generation, &new.row)).collect();
    let onces = || all.iter().map(|new| new.once.as_ref());
    let told: Vec<Told> = columns(statement(INSERT), &rows)
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
    Ok(all.iter().map(|new| outcome(&new.row)).collect())
}

/// Stores the version after the base of each, all by one statement; `false` when one of these is not
/// the current one any more, or the directory is not at the generation: then all must be undone.
pub async fn update_all(conn: &mut AsyncPgConnection, all: &[Replacement]) -> Result<bool, Error> {
    let rows: Vec<(i64, &NewRow)> = all.iter().map(|new| (new.generation, &new.row)).collect();
    let count: Count = columns(statement(UPDATE), &rows)
        .bind::<Array<BigInt>, _>(all.iter().map(|new| new.base).collect::<Vec<_>>())
        .get_result(conn)
        .await?;
    Ok(count.refused == 0)
}

/// The first twelve parameters: generation and row, one array for each column.
fn columns<'a>(statement: Statement<'a>, rows: &[(i64, &'a NewRow)]) -> Statement<'a> {
    let generations: Vec<i64> = rows.iter().map(|(generation, _)| *generation).collect();
    let rows = || rows.iter().map(|(_, row)| *row);
    statement
        .bind::<Array<BigInt>, _>(generations)
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
