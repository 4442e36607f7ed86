//! The audit trail: blocks of records, each with the digest of the one before it (see docs/adr).
//!
//! What a record says is the business of `fhir::audit`; here it is text.

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{self, BigInt, Bytea, Integer, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::time::{from_sql, to_sql};
use crate::store::Error;
use crate::store::statement::statement;

/// A SHA-256 sum.
pub type Sum = [u8; 32];

/// What a node has gathered, on its way into the chain.
#[derive(Clone, Debug)]
pub struct NewBlock {
    pub id: Uuid,
    pub at: Timestamp,
    /// The time of the oldest record.
    pub since: Timestamp,
    pub node: String,
    pub count: i32,
    /// One a line.
    pub records: String,
}

/// A link of the chain.
#[derive(Clone, Debug)]
pub struct Block {
    pub number: i64,
    pub at: Timestamp,
    pub node: String,
    pub count: i32,
    pub records: String,
    pub previous: Vec<u8>,
    pub digest: Vec<u8>,
}

/// A place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub number: i64,
    pub digest: Vec<u8>,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = Timestamptz)]
    at: PgTimestamp,
    #[diesel(sql_type = Text)]
    node: String,
    #[diesel(sql_type = Integer)]
    count: i32,
    #[diesel(sql_type = Text)]
    records: String,
    #[diesel(sql_type = Bytea)]
    previous: Vec<u8>,
    #[diesel(sql_type = Bytea)]
    digest: Vec<u8>,
}

#[derive(QueryableByName)]
struct LinkLine {
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = Bytea)]
    digest: Vec<u8>,
}

impl From<LinkLine> for Link {
    fn from(LinkLine { number, digest }: LinkLine) -> Self {
        Self { number, digest }
    }
}

impl Block {
    /// The digest that its content and the block before it ask for.
    #[must_use]
    pub fn expected(&self) -> Sum {
        let previous: String = self.previous.iter().map(|b| format!("{b:02x}")).collect();
        let head = format!(
            "{previous}\n{}\n{}\n{}\n{}\n",
            self.number,
            self.at.as_millisecond(),
            self.node,
            self.count
        );
        let mut digest = Sha256::new_with_prefix(head);
        digest.update(&self.records);
        digest.finalize().into()
    }
}

/// What stands before the first block.
#[must_use]
pub fn beginning() -> Sum {
    Sha256::digest("dsf audit").into()
}

/// Appends a block, by one statement; its number. The same block again changes nothing.
pub async fn append(conn: &mut AsyncPgConnection, block: &NewBlock) -> Result<i64, Error> {
    #[derive(QueryableByName)]
    struct Appended {
        #[diesel(sql_type = BigInt)]
        number: i64,
    }
    let appended: Appended = statement("SELECT audit_append($1, $2, $3, $4, $5, $6) AS number")
        .bind::<sql_types::Uuid, _>(block.id)
        .bind::<Timestamptz, _>(to_sql(block.at))
        .bind::<Timestamptz, _>(to_sql(block.since))
        .bind::<Text, _>(&block.node)
        .bind::<Integer, _>(block.count)
        .bind::<Text, _>(&block.records)
        .get_result(conn)
        .await?;
    Ok(appended.number)
}

/// The blocks after `number` that may hold records of the span, oldest first.
pub async fn blocks(
    conn: &mut AsyncPgConnection,
    number: i64,
    (from, to): (Timestamp, Timestamp),
    limit: i64,
) -> Result<Vec<Block>, Error> {
    let lines: Vec<Line> = statement(
        "SELECT number, at, node, count, records, previous, digest FROM audit_block \
         WHERE number > $1 AND at >= $2 AND since <= $3 ORDER BY number LIMIT $4",
    )
    .bind::<BigInt, _>(number)
    .bind::<Timestamptz, _>(to_sql(from))
    .bind::<Timestamptz, _>(to_sql(to))
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    let block = |line: Line| Block {
        number: line.number,
        at: from_sql(line.at),
        node: line.node,
        count: line.count,
        records: line.records,
        previous: line.previous,
        digest: line.digest,
    };
    Ok(lines.into_iter().map(block).collect())
}

/// The end of the chain, as the table of its own says.
pub async fn head(conn: &mut AsyncPgConnection) -> Result<Option<Link>, Error> {
    let head: Option<LinkLine> = statement("SELECT number, digest FROM audit_head")
        .get_result(conn)
        .await
        .optional()?;
    Ok(head.map(Link::from))
}

/// Within a transaction: the last block before a time, unless it is the end of the chain. Nobody
/// else appends or prunes until the transaction is over.
pub async fn last_before(
    conn: &mut AsyncPgConnection,
    time: Timestamp,
) -> Result<Option<Link>, Error> {
    let found: Option<LinkLine> = statement(
        "WITH head AS (SELECT number FROM audit_head FOR UPDATE) \
         SELECT b.number, b.digest FROM audit_block b, head \
         WHERE b.at < $1 AND b.number < head.number ORDER BY b.number DESC LIMIT 1",
    )
    .bind::<Timestamptz, _>(to_sql(time))
    .get_result(conn)
    .await
    .optional()?;
    Ok(found.map(Link::from))
}

/// Within a transaction: removes the beginning of the chain up to a block.
pub async fn prune(conn: &mut AsyncPgConnection, through: i64) -> Result<(), Error> {
    statement("SELECT set_config('dsf.audit_prune', $1, true)")
        .bind::<Text, _>(through.to_string())
        .execute(conn)
        .await?;
    statement("DELETE FROM audit_block WHERE number <= $1")
        .bind::<BigInt, _>(through)
        .execute(conn)
        .await?;
    Ok(())
}
