//! The log of changes that subscriptions read, in an order that no late commit can disturb.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, SmallInt, Text};
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

/// One change, with the document of the version it made where that is still stored.
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

/// The events after `cursor` of transactions that are over, oldest first.
pub async fn after(
    conn: &mut AsyncPgConnection,
    cursor: Cursor,
    limit: i64,
) -> Result<Vec<Event>, Error> {
    let lines: Vec<Line> = statement(
        "SELECT e.xid::text::bigint AS transaction, e.id AS number, e.resource, e.type AS kind, \
                e.version, e.kind AS change, coalesce(r.document, v.document) AS document \
         FROM event e \
         LEFT JOIN resource r ON r.id = e.resource AND r.version = e.version \
         LEFT JOIN version v ON v.id = e.resource AND v.version = e.version \
         WHERE (e.xid, e.id) > ($1::text::xid8, $2) \
           AND e.xid < pg_snapshot_xmin(pg_current_snapshot()) \
         ORDER BY e.xid, e.id LIMIT $3",
    )
    .bind::<Text, _>(cursor.transaction.to_string())
    .bind::<BigInt, _>(cursor.number)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    Ok(lines.into_iter().filter_map(event).collect())
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
