//! The log of changes that subscriptions read, in an order that no late commit can disturb.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, SmallInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::r4::ResourceType;
use crate::store::Error;
use crate::store::statement::statement;

/// The NOTIFY channel that hints at new events; the table is the truth.
pub const CHANNEL: &str = "fhir_event";

/// How far a reader has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    pub transaction: i64,
    pub number: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Created,
    Updated,
    Deleted,
}

/// One change, with the document of the version it made where that is wanted and still stored.
#[derive(Clone, Debug)]
pub struct Event {
    pub cursor: Cursor,
    pub resource: Uuid,
    pub kind: ResourceType,
    pub version: i64,
    pub change: Change,
    pub document: Option<String>,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = BigInt)]
    transaction: i64,
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    resource: Uuid,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = SmallInt)]
    change: i16,
    #[diesel(sql_type = diesel::sql_types::Nullable<Text>)]
    document: Option<String>,
}

/// What a look into the log has found.
#[derive(Clone, Debug)]
pub struct Look {
    /// Of transactions that are over, oldest first.
    pub events: Vec<Event>,
    /// There are more that can be had at once.
    pub is_full: bool,
    /// There are further ones, which stay out of sight until an older transaction is over.
    pub is_obscured: bool,
}

/// The events after `cursor`, with the documents of these types of resources.
pub async fn after(
    conn: &mut AsyncPgConnection,
    cursor: Cursor,
    limit: usize,
    wanted: &[ResourceType],
) -> Result<Look, Error> {
    // Asked first: what comes into sight in between is found by the look.
    let is_obscured = is_obscured(conn).await?;
    let lines: Vec<Line> = statement(
        "SELECT e.xid::text::bigint AS transaction, e.id AS number, e.resource, e.type AS kind, \
                e.version, e.kind AS change, coalesce(r.document, v.document) AS document \
         FROM event e \
         CROSS JOIN LATERAL (SELECT CASE WHEN e.type = ANY ($4) THEN e.resource END AS id) w \
         LEFT JOIN resource r ON r.id = w.id AND r.version = e.version \
         LEFT JOIN version v ON v.id = w.id AND v.version = e.version \
         WHERE (e.xid, e.id) > ($1::text::xid8, $2) \
           AND e.xid < pg_snapshot_xmin(pg_current_snapshot()) \
         ORDER BY e.xid, e.id LIMIT $3",
    )
    .bind::<Text, _>(cursor.transaction.to_string())
    .bind::<BigInt, _>(cursor.number)
    .bind::<BigInt, _>(i64::try_from(limit).unwrap_or(i64::MAX))
    .bind::<Array<SmallInt>, _>(wanted.iter().map(|kind| kind.code()).collect::<Vec<_>>())
    .load(conn)
    .await?;
    let events: Vec<Event> = lines.into_iter().filter_map(event).collect();
    let is_full = events.len() >= limit;
    Ok(Look {
        is_full,
        is_obscured,
        events,
    })
}

/// By the newest event, which the index has at hand.
async fn is_obscured(conn: &mut AsyncPgConnection) -> Result<bool, Error> {
    #[derive(QueryableByName)]
    struct Obscured {
        #[diesel(sql_type = Bool)]
        is_obscured: bool,
    }
    let told: Obscured = statement(
        "SELECT coalesce((SELECT xid FROM event ORDER BY xid DESC, id DESC LIMIT 1) \
             >= pg_snapshot_xmin(pg_current_snapshot()), false) AS is_obscured",
    )
    .get_result(conn)
    .await?;
    Ok(told.is_obscured)
}

/// The cursor behind everything that is over now.
pub async fn end(conn: &mut AsyncPgConnection) -> Result<Cursor, Error> {
    #[derive(QueryableByName)]
    struct Horizon {
        #[diesel(sql_type = BigInt)]
        xmin: i64,
    }
    let horizon: Horizon =
        statement("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1 AS xmin")
            .get_result(conn)
            .await?;
    Ok(Cursor {
        transaction: horizon.xmin,
        number: i64::MAX,
    })
}

/// Tells every node that there is something to read.
pub async fn announce(conn: &mut AsyncPgConnection) -> Result<(), Error> {
    statement(format!("NOTIFY {CHANNEL}")).execute(conn).await?;
    Ok(())
}

fn event(line: Line) -> Option<Event> {
    Some(Event {
        cursor: Cursor {
            transaction: line.transaction,
            number: line.number,
        },
        resource: line.resource,
        kind: ResourceType::from_code(line.kind)?,
        version: line.version,
        change: match line.change {
            1 => Change::Created,
            2 => Change::Updated,
            _ => Change::Deleted,
        },
        document: line.document,
    })
}

#[cfg(test)]
mod tests {
    use diesel_async::SimpleAsyncConnection;

    use super::*;
    use crate::store::testing::fresh_database;
    use crate::store::{Schema, Store};

    /// A resource and its event, of this type of resource.
    fn write(kind: ResourceType) -> String {
        let (id, kind) = (Uuid::new_v4(), kind.code());
        format!(
            "INSERT INTO resource (id, type, version, last_updated, document, access, audience) \
                 VALUES ('{id}', {kind}, 1, now(), '{{}}', '{{}}', audience_of({kind}::smallint, '{{}}')); \
             INSERT INTO event (resource, type, version, kind, at) VALUES ('{id}', {kind}, 1, 1, now())"
        )
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_stays_out_of_sight_is_told_of() {
        let settings = fresh_database().await;
        let store = Store::open(&settings, Schema::Fhir).await.unwrap();
        let start = store.read::<_, Error, _>(async |conn| end(conn).await);
        let start = start.await.unwrap();
        let look = |limit: usize| {
            let wanted = [ResourceType::Task];
            let look =
                async move |conn: &mut AsyncPgConnection| after(conn, start, limit, &wanted).await;
            let store = store.clone();
            async move { store.read(look).await.unwrap() }
        };
        let (task, patient) = (write(ResourceType::Task), write(ResourceType::Patient));
        let work = async |older: &mut AsyncPgConnection| {
            older.batch_execute("SELECT pg_current_xact_id()").await?;
            let write = async |conn: &mut AsyncPgConnection| {
                conn.batch_execute(&task).await?;
                Ok::<_, Error>(conn.batch_execute(&patient).await?)
            };
            store.read(write).await?;
            let seen = look(10).await;
            assert!(seen.events.is_empty() && seen.is_obscured && !seen.is_full);
            Ok::<_, Error>(())
        };
        store.write(work).await.unwrap();

        let seen = look(10).await;
        assert!(!seen.is_obscured && !seen.is_full);
        let documents = seen.events.iter().map(|event| event.document.is_some());
        assert_eq!(documents.collect::<Vec<_>>(), [true, false]);
        let first = look(1).await;
        assert!(first.is_full && first.events.len() == 1);
    }
}
