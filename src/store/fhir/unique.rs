//! Who else among the current resources of a type carries one of these keys.

use diesel::prelude::*;
use diesel::sql_types::{Array, Integer, SmallInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::r4::ResourceType;
use crate::store::Error;
use crate::store::statement::statement;

#[derive(QueryableByName)]
struct Keys {
    #[diesel(sql_type = Array<Text>)]
    keys: Vec<String>,
}

/// Lets one transaction at a time write resources of this type that have keys.
pub async fn lock(conn: &mut AsyncPgConnection, kind: ResourceType) -> Result<(), Error> {
    statement("SELECT pg_advisory_xact_lock(1146307654, $1)")
        .bind::<Integer, _>(i32::from(kind.code()))
        .execute(conn)
        .await?;
    Ok(())
}

/// Lets one transaction at a time decide by what each of these conditions finds. Conditions share
/// 256 locks of a type, taken in one order: the table of locks of PostgreSQL is small.
pub async fn lock_conditions(
    conn: &mut AsyncPgConnection,
    conditions: &[(ResourceType, String)],
) -> Result<(), Error> {
    let kinds: Vec<i16> = conditions.iter().map(|(kind, _)| kind.code()).collect();
    let texts: Vec<&str> = conditions.iter().map(|(_, text)| text.as_str()).collect();
    statement(
        "SELECT pg_advisory_xact_lock(1146307655, key) FROM ( \
             SELECT DISTINCT kind * 256 + (hashtext(condition) & 255) AS key \
             FROM unnest($1, $2) AS asked (kind, condition) ORDER BY key) AS keys",
    )
    .bind::<Array<SmallInt>, _>(kinds)
    .bind::<Array<Text>, _>(texts)
    .execute(conn)
    .await?;
    Ok(())
}

/// The keys of current resources, other than `own`, that share at least one of `keys`.
pub async fn rivals(
    conn: &mut AsyncPgConnection,
    kind: ResourceType,
    own: Uuid,
    keys: &[String],
) -> Result<Vec<Vec<String>>, Error> {
    let found: Vec<Keys> = statement("SELECT keys FROM holders_of_keys($1, $2) WHERE id <> $3")
        .bind::<SmallInt, _>(kind.code())
        .bind::<Array<Text>, _>(keys)
        .bind::<diesel::sql_types::Uuid, _>(own)
        .load(conn)
        .await?;
    Ok(found.into_iter().map(|row| row.keys).collect())
}

#[derive(QueryableByName)]
struct Holder {
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    id: Uuid,
}

/// The current resources of a type that carry this key.
pub async fn holders(
    conn: &mut AsyncPgConnection,
    kind: ResourceType,
    key: &str,
) -> Result<Vec<Uuid>, Error> {
    let found: Vec<Holder> = statement("SELECT id FROM holders_of_keys($1, ARRAY[$2])")
        .bind::<SmallInt, _>(kind.code())
        .bind::<Text, _>(key)
        .load(conn)
        .await?;
    Ok(found.into_iter().map(|holder| holder.id).collect())
}
