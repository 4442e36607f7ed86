//! Puts rows into the tables for the tests of search and subscriptions.

use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Integer, SmallInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use uuid::Uuid;

use super::audience::audiences;
use super::lookup::{find_settled, settled};
use super::page::{Page, paged};
use super::{Condition, IndexTerms, Selection};
use crate::r4::{Resource, ResourceType};
use crate::store::Error;
use crate::store::fhir::{NewRow, directory, many, resource as rows};

/// Stores a resource as the version that it says it is, readable by `access`. A version that is
/// there is stored once more.
pub(crate) async fn put(
    conn: &mut AsyncPgConnection,
    resource: &Resource,
    terms: IndexTerms,
    access: &[&str],
) {
    let id: Uuid = resource.id().expect("an id").parse().expect("a UUID");
    let kind = resource.resource_type().expect("a stored type");
    let at = resource.last_updated().expect("a time");
    let row = NewRow {
        id,
        kind,
        at: at.parse().expect("a time"),
        document: Value::from(resource.members().clone()).to_string(),
        access: access.iter().map(ToString::to_string).collect(),
        context: None,
        keys: None,
        terms,
        content: None,
    };
    let generation = directory::generation(conn).await.expect("a generation");
    let current = rows::current(conn, kind, id).await.expect("an answer");
    match current {
        None => {
            let new = many::NewInsert {
                generation,
                row,
                once: None,
            };
            many::insert_all(conn, &[new]).await.expect("stored");
        }
        Some(old) => {
            let new = many::Replacement {
                generation,
                base: old.version,
                row,
            };
            let stored = many::update_all(conn, &[new]).await;
            assert!(stored.expect("stored"), "the version is the next one");
        }
    }
    sql_query("NOTIFY fhir_event")
        .execute(conn)
        .await
        .expect("a hint");
}

/// The ids of the first matches, whoever may read them.
pub(crate) async fn find_ids(
    conn: &mut AsyncPgConnection,
    kind: ResourceType,
    condition: &Condition,
    limit: i64,
) -> Result<Vec<Uuid>, Error> {
    let condition = settled(conn, condition).await?;
    find_settled(conn, kind, &condition, limit).await
}

#[derive(diesel::QueryableByName)]
struct Plan {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    plan: String,
}

/// How PostgreSQL runs a search, and what came of it. A list it runs like this for whoever is in many
/// audiences only; how otherwise, `super::list` tries itself.
pub(crate) async fn plan(conn: &mut AsyncPgConnection, selection: &Selection) -> Value {
    let audiences = audiences(conn, selection.kind, &selection.visible)
        .await
        .expect("an answer");
    let condition = settled(conn, &selection.condition)
        .await
        .expect("an answer");
    let mut statement = paged(&Page::new(selection, &condition, &audiences), None);
    statement.sql = format!(
        "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {}",
        statement.sql
    );
    let plan: Plan = statement
        .into_query()
        .get_result(conn)
        .await
        .expect("a plan");
    serde_json::from_str(&plan.plan).expect("JSON")
}

/// Rows of the table of resources.
#[derive(diesel::QueryableByName)]
pub(crate) struct LookedAt {
    #[diesel(sql_type = BigInt)]
    pub from_end_to_end: i64,
    #[diesel(sql_type = BigInt)]
    pub by_index: i64,
}

impl LookedAt {
    pub(crate) fn all(&self) -> i64 {
        self.from_end_to_end + self.by_index
    }
}

/// What this transaction has looked at, by whatever plan.
pub(crate) async fn looked_at(conn: &mut AsyncPgConnection) -> LookedAt {
    let counters = "SELECT seq_tup_read AS from_end_to_end, idx_tup_fetch AS by_index \
                    FROM pg_stat_xact_user_tables WHERE relname = 'resource'";
    let counted = sql_query(counters).get_result(conn).await;
    counted.expect("counters")
}

/// Stores `count` resources of a type: pattern with `§` for the number in twelve digits, `¤` for one of
/// two codes; half of them are seen by ALL, the others by fifty organisations.
pub(crate) async fn fill(conn: &mut AsyncPgConnection, filling: &Filling<'_>) {
    sql_query(
        "INSERT INTO resource (id, type, version, last_updated, document, access, audience, tokens, terms) \
         SELECT ($1 || '-0000-0000-0000-' || x.n)::uuid, $2, 1, \
             timestamptz '2026-01-01 00:00:00Z' + i * interval '1 second', '{}', x.access, \
             audience_of($2, x.access), \
             replace(replace($3::text, '§', x.n), '¤', x.code)::text[] || ARRAY( \
                 SELECT $5 || '*' || substr(md5(x.n), s, 3) FROM generate_series(1, 30) s WHERE $5 <> '') \
                 || CASE WHEN $5 <> '' THEN ARRAY[$5 || '<' || left(md5(x.n), 8), $5 || '=' || md5(x.n)] ELSE '{}' END, \
             replace(replace(replace($4, '§', x.n), '¤', x.code), '¶', md5(x.n))::jsonb || ( \
                 SELECT coalesce(jsonb_object_agg(d, jsonb_build_array( \
                     1767225600000000 + i::bigint * 1000000, 1767225600000000 + i::bigint * 1000000)), '{}') FROM unnest($6) d) \
         FROM generate_series(1, $7) i CROSS JOIN LATERAL (SELECT lpad(i::text, 12, '0') AS n, \
             CASE WHEN i % 2 = 0 THEN ARRAY['ALL'] ELSE ARRAY['ORG:' || i % 100] END AS access, \
             CASE WHEN i % 100 = 0 THEN $8 ELSE $9 END AS code) x",
    )
    .bind::<Text, _>(format!("{:08x}", filling.kind.code()))
    .bind::<SmallInt, _>(filling.kind.code())
    .bind::<Array<Text>, _>(&filling.terms.tokens)
    .bind::<Text, _>(Value::Object(filling.terms.values.clone()).to_string())
    .bind::<Text, _>(filling.text)
    .bind::<Array<Text>, _>(filling.dates)
    .bind::<Integer, _>(filling.count)
    .bind::<Text, _>(filling.codes.0)
    .bind::<Text, _>(filling.codes.1)
    .execute(conn)
    .await
    .expect("rows");
}

/// See [`fill`].
pub(crate) struct Filling<'a> {
    pub kind: ResourceType,
    pub count: i32,
    pub terms: IndexTerms,
    /// The beginning of the terms of texts, `Type:parameter`; empty where there are none.
    pub text: &'a str,
    /// Parameters that are dates.
    pub dates: &'a [&'a str],
    /// One in a hundred has the first.
    pub codes: (&'a str, &'a str),
}

/// Lets PostgreSQL look at what is there, as it does by itself sooner or later.
pub(crate) async fn analyze(conn: &mut AsyncPgConnection) {
    for statement in [
        "VACUUM ANALYZE resource",
        "ANALYZE audience",
        "ANALYZE event",
    ] {
        sql_query(statement)
            .execute(conn)
            .await
            .expect("statistics");
    }
}

/// The text of the resource with this number.
pub(crate) async fn md5(conn: &mut AsyncPgConnection, number: &str) -> String {
    let plan: Plan = sql_query("SELECT md5($1) AS \"QUERY PLAN\"")
        .bind::<Text, _>(number)
        .get_result(conn)
        .await
        .expect("a digest");
    plan.plan
}
