//! Tables that are as full as a year has made them, without a year of requests.

#![allow(dead_code, reason = "not every benchmark fills tables")]

use serde_json::Value;
use tokio_postgres::{Client, NoTls};

/// A connection past the node.
pub async fn admin(url: &str) -> Client {
    let (admin, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    admin
}

/// Stores one resource so many times more, each a millisecond later than the one before.
pub async fn copy(url: &str, resource: &Value, count: i64) {
    let admin = admin(url).await;
    let copy = format!(
        "INSERT INTO fhir.resource (id, type, version, last_updated, document, access, audience, \
         tokens, terms) SELECT gen_random_uuid(), type, version, last_updated + i * interval '1 ms', \
         document, access, audience, tokens, terms \
         FROM fhir.resource, generate_series(1, {count}) i WHERE id = '{}'",
        resource["id"].as_str().unwrap()
    );
    admin.batch_execute(&copy).await.unwrap();
    admin
        .batch_execute("VACUUM ANALYZE fhir.resource")
        .await
        .unwrap();
}
