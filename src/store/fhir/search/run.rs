//! Runs searches: one statement for total and page, so that both are of the same moment.

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Nullable, SmallInt, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::condition::{Condition, Selection, Visible};
use super::sql::{Bind, Statement};
use super::totals::Totals;
use crate::r4::ResourceType;
use crate::store::Error;

/// The most resources that one include adds to a page.
const INCLUDES: i64 = 1000;

/// A current resource as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    pub kind: ResourceType,
    pub id: Uuid,
    pub version: i64,
    pub document: String,
    /// Raw content of a Binary: where it is and how long.
    pub content: Option<(Uuid, i64)>,
}

/// The exact number of matches and those of the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub total: i64,
    pub hits: Vec<Hit>,
}

const COLUMNS: &str = "r.type, r.id, r.version, r.document, r.content, r.content_size";

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = BigInt)]
    total: i64,
    #[diesel(sql_type = Nullable<Text>)]
    stamp: Option<String>,
    #[diesel(embed)]
    row: Row,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Nullable<SmallInt>)]
    #[diesel(column_name = "type")]
    kind: Option<i16>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    id: Option<Uuid>,
    #[diesel(sql_type = Nullable<BigInt>)]
    version: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    document: Option<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    content: Option<Uuid>,
    #[diesel(sql_type = Nullable<BigInt>)]
    content_size: Option<i64>,
}

/// `None` for the empty right side of the join: a total without a page.
fn hit(row: Row) -> Option<Hit> {
    Some(Hit {
        kind: ResourceType::from_code(row.kind?)?,
        id: row.id?,
        version: row.version?,
        document: row.document?,
        content: row.content.zip(row.content_size),
    })
}

/// Total and page of one search.
pub async fn run(
    conn: &mut AsyncPgConnection,
    selection: &Selection,
    totals: &Totals,
) -> Result<Found, Error> {
    let mut filter = Statement::default();
    let condition = settled(conn, &selection.condition).await?;
    filter
        .kind("r", selection.kind)
        .push(" AND ")
        .condition(&condition);
    filter.push(" AND ").visible(&selection.visible);
    let key = (filter.sql.clone(), filter.binds.clone());
    let known = totals.known(&key);
    let statement = paged(selection, filter, known);
    let lines: Vec<Line> = statement.into_query().load(conn).await?;
    // `first` would be a method of diesel.
    let first = lines.split_first().map(|(first, _)| first);
    let total = first.map_or(0, |line| line.total);
    if let Some(stamp) = first.and_then(|line| line.stamp.clone()) {
        totals.learn(key, stamp, total);
    }
    let hits = lines.into_iter().filter_map(|line| hit(line.row)).collect();
    Ok(Found { total, hits })
}

#[derive(QueryableByName)]
struct Token {
    #[diesel(sql_type = Text)]
    token: String,
}

/// Looks up what conditions refer to. A statement of its own: with the tokens in hand the planner
/// knows how many rows have them.
async fn settled(conn: &mut AsyncPgConnection, condition: &Condition) -> Result<Condition, Error> {
    let mut found = Vec::new();
    for target in condition.targets() {
        let mut statement = Statement::default();
        statement.referring(target);
        let tokens: Vec<Token> = statement.into_query().load(conn).await?;
        found.push(tokens.into_iter().map(|token| token.token).collect());
    }
    Ok(condition.settled(&mut found.into_iter()))
}

/// A total may be remembered if every transaction up to the newest event is over: then any later
/// commit brings a newer event.
fn paged(selection: &Selection, filter: Statement, known: Option<(String, i64)>) -> Statement {
    let Statement { sql: filter, binds } = filter;
    let mut statement = Statement {
        sql: String::new(),
        binds,
    };
    statement
        .push("WITH newest AS MATERIALIZED (SELECT e.xid::text || ' ' || e.id::text AS stamp, ")
        .push("e.xid < pg_snapshot_xmin(pg_current_snapshot()) AS settled ")
        .push("FROM event e ORDER BY e.xid DESC, e.id DESC LIMIT 1), ")
        .push("counted AS MATERIALIZED (SELECT ");
    if let Some((stamp, total)) = known {
        statement
            .push("CASE WHEN (SELECT stamp FROM newest) = ")
            .bind(Bind::Text(stamp));
        statement.push(" THEN ").bind(Bind::Number(total));
    } else {
        statement.push("CASE WHEN false THEN 0");
    }
    statement
        .push(" ELSE (SELECT count(*) FROM resource r WHERE ")
        .push(&filter)
        .push(") END")
        .push(" AS total) SELECT counted.total, ")
        .push("(SELECT stamp FROM newest WHERE settled) AS stamp, p.* ")
        .push("FROM counted LEFT JOIN LATERAL (SELECT ")
        .push(COLUMNS)
        .push(" FROM resource r WHERE ")
        .push(&filter)
        .push(" ORDER BY ")
        .order(&selection.order)
        .push(" LIMIT ")
        .bind(Bind::Number(selection.limit))
        .push(" OFFSET ")
        .bind(Bind::Number(selection.offset))
        // One row on the left: the join keeps the order of the right.
        .push(") p ON true");
    statement
}

/// The ids of the first matches, whoever may read them.
pub async fn find_ids(
    conn: &mut AsyncPgConnection,
    kind: ResourceType,
    condition: &Condition,
    limit: i64,
) -> Result<Vec<Uuid>, Error> {
    let mut statement = Statement::default();
    statement
        .push("SELECT r.id FROM resource r WHERE ")
        .kind("r", kind)
        .push(" AND ");
    let condition = settled(conn, condition).await?;
    statement
        .condition(&condition)
        .push(" ORDER BY r.last_updated, r.id LIMIT ");
    statement.bind(Bind::Number(limit));
    let ids: Vec<Id> = statement.into_query().load(conn).await?;
    Ok(ids.into_iter().map(|id| id.id).collect())
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// The visible current resources of one type among `ids`.
pub async fn by_references(
    conn: &mut AsyncPgConnection,
    kind: ResourceType,
    ids: Vec<Uuid>,
    visible: &Visible,
) -> Result<Vec<Hit>, Error> {
    let mut statement = all_of(kind, visible);
    statement.push("r.id = ANY(").bind(Bind::Ids(ids)).push(")");
    included(conn, statement).await
}

/// The visible current resources of one type that have one of `tokens`.
pub async fn by_tokens(
    conn: &mut AsyncPgConnection,
    kind: ResourceType,
    tokens: &[String],
    visible: &Visible,
) -> Result<Vec<Hit>, Error> {
    let mut statement = all_of(kind, visible);
    statement.token("r", tokens);
    included(conn, statement).await
}

/// All current resources of one type that meet a condition, whoever may read them.
pub async fn all(
    conn: &mut AsyncPgConnection,
    kind: ResourceType,
    condition: &Condition,
) -> Result<Vec<Hit>, Error> {
    let mut statement = all_of(kind, &Visible::Everything);
    let condition = settled(conn, condition).await?;
    statement
        .condition(&condition)
        .push(" ORDER BY r.last_updated, r.id");
    let rows: Vec<Row> = statement.into_query().load(conn).await?;
    Ok(rows.into_iter().filter_map(hit).collect())
}

fn all_of(kind: ResourceType, visible: &Visible) -> Statement {
    let mut statement = Statement::default();
    statement
        .push("SELECT ")
        .push(COLUMNS)
        .push(" FROM resource r WHERE ")
        .kind("r", kind);
    statement.push(" AND ").visible(visible).push(" AND ");
    statement
}

async fn included(
    conn: &mut AsyncPgConnection,
    mut statement: Statement,
) -> Result<Vec<Hit>, Error> {
    statement
        .push(" ORDER BY r.last_updated, r.id LIMIT ")
        .bind(Bind::Number(INCLUDES));
    let rows: Vec<Row> = statement.into_query().load(conn).await?;
    Ok(rows.into_iter().filter_map(hit).collect())
}

#[derive(QueryableByName)]
struct Tokens {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Array<Text>)]
    tokens: Vec<String>,
}

/// The tokens of current resources, for conditions on what an event's resource refers to.
pub async fn tokens_of(
    conn: &mut AsyncPgConnection,
    ids: Vec<Uuid>,
) -> Result<Vec<(Uuid, Vec<String>)>, Error> {
    let mut statement = Statement::default();
    statement
        .push("SELECT r.id, r.tokens FROM resource r WHERE r.deleted IS NULL AND r.id = ANY(")
        .bind(Bind::Ids(ids))
        .push(")");
    let rows: Vec<Tokens> = statement.into_query().load(conn).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.tokens)).collect())
}
