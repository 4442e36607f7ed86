//! Puts rows into the tables for the tests of search and subscriptions.

use diesel::pg::data_types::PgTimestamp;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Jsonb, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use uuid::Uuid;

use super::IndexTerms;
use crate::r4::Resource;

/// Stores a resource as its next version, with an event, readable by `access`.
pub(crate) async fn put(
    conn: &mut AsyncPgConnection,
    resource: &Resource,
    terms: IndexTerms,
    access: &[&str],
) {
    let id: Uuid = resource.id().expect("an id").parse().expect("a UUID");
    let kind = resource.resource_type().expect("a stored type").code();
    let version: i64 = resource
        .version_id()
        .expect("a version")
        .parse()
        .expect("a number");
    let at: jiff::Timestamp = resource
        .last_updated()
        .expect("a time")
        .parse()
        .expect("a time");
    let document = Value::from(resource.members().clone()).to_string();
    sql_query(
        "WITH row AS (INSERT INTO resource (id, type, version, last_updated, document, access, tokens, terms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET \
         version = $3, last_updated = $4, document = $5, access = $6, tokens = $7, terms = $8) \
         INSERT INTO event (resource, type, version, kind, at) VALUES ($1, $2, $3, 1, $4)",
    )
    .bind::<SqlUuid, _>(id)
    .bind::<SmallInt, _>(kind)
    .bind::<BigInt, _>(version)
    .bind::<Timestamptz, _>(PgTimestamp(at.as_microsecond() - 946_684_800_000_000))
    .bind::<Text, _>(document)
    .bind::<Array<Text>, _>(access.to_vec())
    .bind::<Array<Text>, _>(terms.tokens)
    .bind::<Jsonb, _>(Value::Object(terms.values))
    .execute(conn)
    .await
    .expect("the row is stored");
    sql_query("NOTIFY fhir_event")
        .execute(conn)
        .await
        .expect("a hint");
}
