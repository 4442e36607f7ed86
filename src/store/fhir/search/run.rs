//! Runs searches: one statement for total and page, so that both are of the same moment.

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Nullable, SmallInt, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::audience::audiences;
use super::condition::{Condition, Selection, Visible};
use super::lookup::settled;
use super::page::{Page, paged};
use super::sql::{Bind, Statement};
use super::totals::{Total, Totals};
use crate::r4::ResourceType;
use crate::store::Error;
use crate::store::statement::Statement as Prepared;

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
    /// Of the directory, just before.
    pub generation: i64,
    pub total: i64,
    pub hits: Vec<Hit>,
}

/// Remembered totals, and what tells whether a document met a condition, in memory.
pub struct Memory<'a> {
    pub totals: &'a Totals,
    pub met: &'a (dyn Fn(&Condition, &str) -> bool + Sync),
}

pub(super) const COLUMNS: &str = "r.type, r.id, r.version, r.document, r.content, r.content_size";

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    snapshot: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    total: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    changes: Option<String>,
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

/// Total and page of one search. Without a memory, as in a transaction that has written, the total
/// is counted.
pub async fn run(
    conn: &mut AsyncPgConnection,
    selection: &Selection,
    memory: Option<Memory<'_>>,
) -> Result<Found, Error> {
    let audiences = audiences(conn, selection.kind, &selection.visible).await?;
    let mut found = Found {
        generation: audiences.generation,
        ..Found::default()
    };
    let context = matches!(selection.visible, Visible::KeysOrContext(_));
    if audiences.seen.is_empty() && !context {
        return Ok(found);
    }
    let condition = settled(conn, &selection.condition).await?;
    let page = Page::new(selection, &condition, &audiences);
    // What is seen through a security context changes without an event of its own.
    let memory = memory.filter(|_| !context);
    let mut known = memory
        .as_ref()
        .and_then(|memory| memory.totals.known(&page.key()));
    loop {
        let query = paged(&page, known.as_ref()).into_query();
        let mut lines: Vec<Line> = if page.is_usual() {
            Prepared::from(query).load(conn).await?
        } else {
            query.load(conn).await?
        };
        let Some(first) = lines.first_mut() else {
            return Ok(found);
        };
        let snapshot = std::mem::take(&mut first.snapshot);
        let forward = |known: &Total| {
            let changes = first.changes.as_deref()?;
            let met = |document: &str| {
                memory
                    .as_ref()
                    .is_some_and(|m| (m.met)(&condition, document))
            };
            let more = carried(changes, selection.visible.keys(), met)?;
            Some(known.count + more)
        };
        let Some(count) = first.total.or_else(|| known.as_ref().and_then(forward)) else {
            // It cannot be told what a change changed.
            known = None;
            continue;
        };
        if let Some(memory) = &memory {
            memory.totals.learn(page.key(), Total { snapshot, count });
        }
        found.total = count;
        found.hits = lines.into_iter().filter_map(|line| hit(line.row)).collect();
        return Ok(found);
    }
}

/// By how much a total differs from what it was before the changes; `None` if that cannot be told.
fn carried(changes: &str, keys: &[String], met: impl Fn(&str) -> bool) -> Option<i64> {
    let changes: Vec<Change> = serde_json::from_str(changes).ok()?;
    let mut more = 0;
    for Change(created, document, access, is_met) in changes {
        if !created {
            let was_seen = access?.iter().any(|key| keys.contains(key));
            more -= i64::from(was_seen && met(&document?));
        }
        more += i64::from(is_met);
    }
    Some(more)
}

/// Whether it is new, what it was before, and whether it is a match now.
#[derive(serde::Deserialize)]
struct Change(bool, Option<String>, Option<Vec<String>>, bool);

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
