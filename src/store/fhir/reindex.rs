//! The terms of everything that is stored, made anew when the rules for them have changed.

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Integer, Jsonb, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::search::IndexTerms;
use crate::store::Error;

/// A current version.
#[derive(Debug, QueryableByName)]
pub struct Stored {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = BigInt)]
    pub version: i64,
    #[diesel(sql_type = Text)]
    pub document: String,
}

#[derive(QueryableByName)]
struct Rules {
    #[diesel(sql_type = Integer)]
    rules: i32,
}

/// The rules by which what is stored was indexed.
pub async fn rules(conn: &mut AsyncPgConnection) -> Result<i32, Error> {
    let rules: Rules = diesel::sql_query("SELECT rules FROM search_index")
        .get_result(conn)
        .await?;
    Ok(rules.rules)
}

/// Everything is indexed by these rules now.
pub async fn finish(conn: &mut AsyncPgConnection, rules: i32) -> Result<(), Error> {
    diesel::sql_query("UPDATE search_index SET rules = $1 WHERE rules < $1")
        .bind::<Integer, _>(rules)
        .execute(conn)
        .await?;
    Ok(())
}

/// The next resources in the order of ids.
pub async fn after(
    conn: &mut AsyncPgConnection,
    id: Uuid,
    limit: i64,
) -> Result<Vec<Stored>, Error> {
    Ok(diesel::sql_query(
        "SELECT id, version, document FROM resource WHERE id > $1 ORDER BY id LIMIT $2",
    )
    .bind::<SqlUuid, _>(id)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?)
}

/// Puts terms in place, except for a version that was replaced meanwhile.
pub async fn put(
    conn: &mut AsyncPgConnection,
    indexed: Vec<(Stored, IndexTerms)>,
) -> Result<(), Error> {
    let (mut ids, mut versions, mut terms) = (Vec::new(), Vec::new(), Vec::new());
    for (stored, found) in indexed {
        ids.push(stored.id);
        versions.push(stored.version);
        terms.push(serde_json::json!([found.tokens, found.values]));
    }
    diesel::sql_query(
        "UPDATE resource r SET terms = n.terms -> 1, \
                tokens = ARRAY(SELECT jsonb_array_elements_text(n.terms -> 0)) \
         FROM unnest($1, $2, $3) n(id, version, terms) \
         WHERE r.id = n.id AND r.version = n.version",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Array<BigInt>, _>(versions)
    .bind::<Array<Jsonb>, _>(terms)
    .execute(conn)
    .await?;
    Ok(())
}
