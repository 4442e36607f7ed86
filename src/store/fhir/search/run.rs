//! Runs searches: one statement for total and page, so that both are of the same moment.

use std::collections::HashMap;

use diesel::QueryableByName;
use diesel::pg::data_types::PgTimestamp;
use diesel::sql_types::{Array, BigInt, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use uuid::Uuid;

use super::audience::audiences;
use super::condition::{Condition, Selection, Visible};
use super::list::{is_list, key, list};
use super::lookup::settled;
use super::page::{Page, paged};
use super::sql::{Bind, Statement};
use super::totals::{Key, Total, Totals};
use crate::r4::ResourceType;
use crate::store::Error;
use crate::store::fhir::Content;
use crate::store::fhir::time::from_sql;
use crate::store::statement::{Statement as Prepared, statement};

/// The most resources that one include adds to a page.
const INCLUDES: i64 = 1000;

/// A current resource as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    pub kind: ResourceType,
    pub id: Uuid,
    pub version: i64,
    pub last_updated: Timestamp,
    /// `None`: to be fetched, see [`fetch`].
    pub document: Option<String>,
    /// Raw content of a Binary.
    pub content: Option<Content>,
}

/// The exact number of matches and those of the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Of the directory, just before.
    pub generation: i64,
    pub total: i64,
    pub hits: Vec<Hit>,
}

/// Remembered totals, and what tells whether a document meets a condition, in memory.
pub struct Memory<'a> {
    pub totals: &'a Totals,
    pub met: &'a (dyn Fn(&Condition, &str) -> bool + Sync),
}

/// A page, with the total or what changed since another one was counted.
pub(super) struct Answer {
    pub snapshot: String,
    pub total: Option<i64>,
    pub changes: Option<String>,
    pub hits: Vec<Hit>,
}

pub(super) const COLUMNS: &str =
    "r.type, r.id, r.version, r.last_updated, r.document, r.content, r.content_size";

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
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_updated: Option<PgTimestamp>,
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
        last_updated: from_sql(row.last_updated?),
        document: Some(row.document?),
        content: Content::of(row.content, row.content_size),
    })
}

/// Total and page of one search. Without a memory, as in a transaction that has written, the total
/// is counted. Hits may lack their documents.
pub async fn run(
    conn: &mut AsyncPgConnection,
    selection: &Selection,
    memory: Option<Memory<'_>>,
) -> Result<Found, Error> {
    let context = matches!(selection.visible, Visible::KeysOrContext(_));
    // What is seen through a security context changes without an event of its own.
    let memory = memory.filter(|_| !context);
    let audiences = if is_list(selection) {
        let mut count = Count::new(memory.as_ref(), key(selection));
        loop {
            let (audiences, answer) = list(conn, selection, count.known.as_ref()).await?;
            let generation = audiences.generation;
            let Some(answer) = answer else {
                break audiences;
            };
            if let Some(found) = count.told(generation, answer, selection, &selection.condition) {
                return Ok(found);
            }
        }
    } else {
        audiences(conn, selection.kind, &selection.visible).await?
    };
    let generation = audiences.generation;
    if audiences.seen.is_empty() && !context {
        return Ok(Found {
            generation,
            ..Found::default()
        });
    }
    let condition = settled(conn, &selection.condition).await?;
    let page = Page::new(selection, &condition, &audiences);
    let mut count = Count::new(memory.as_ref(), page.key());
    loop {
        let answer = ask(conn, &page, count.known.as_ref()).await?;
        if let Some(found) = count.told(generation, answer, selection, &condition) {
            return Ok(found);
        }
    }
}

async fn ask(
    conn: &mut AsyncPgConnection,
    page: &Page<'_>,
    known: Option<&Total>,
) -> Result<Answer, Error> {
    let query = paged(page, known).into_query();
    let mut lines: Vec<Line> = if page.is_usual() {
        Prepared::from(query).load(conn).await?
    } else {
        query.load(conn).await?
    };
    let lost = || Error::Unreachable("the search has no answer".to_owned());
    let first = lines.first_mut().ok_or_else(lost)?;
    Ok(Answer {
        snapshot: std::mem::take(&mut first.snapshot),
        total: first.total,
        changes: first.changes.take(),
        hits: lines.into_iter().filter_map(|line| hit(line.row)).collect(),
    })
}

/// The total of a search, counted or carried forward.
struct Count<'a> {
    memory: Option<&'a Memory<'a>>,
    key: Key,
    known: Option<Total>,
}

impl<'a> Count<'a> {
    fn new(memory: Option<&'a Memory<'a>>, key: Key) -> Self {
        let known = memory.and_then(|memory| memory.totals.known(&key));
        Self { memory, key, known }
    }

    /// What an answer to the question with what is known comes to. `None`: it cannot be told what the
    /// changes changed, so nothing is known any more.
    fn told(
        &mut self,
        generation: i64,
        answer: Answer,
        selection: &Selection,
        condition: &Condition,
    ) -> Option<Found> {
        let memory = self.memory;
        let met = |document: &str| memory.is_some_and(|memory| (memory.met)(condition, document));
        let known = self.known.take();
        let carried = || {
            let more = carried(answer.changes.as_deref()?, selection.visible.keys(), met)?;
            Some(known?.count + more)
        };
        let total = answer.total.or_else(carried)?;
        if let Some(memory) = memory {
            let Answer { snapshot, .. } = answer;
            let count = total;
            memory
                .totals
                .learn(self.key.clone(), Total { snapshot, count });
        }
        Some(Found {
            generation,
            total,
            hits: answer.hits,
        })
    }
}

/// By how much a total differs from what it was before the changes; `None` if that cannot be told.
fn carried(changes: &str, keys: &[String], met: impl Fn(&str) -> bool) -> Option<i64> {
    let changes: Vec<Change> = serde_json::from_str(changes).ok()?;
    let is_match = |document: &str, access: &[String]| {
        access.iter().any(|key| keys.contains(key)) && met(document)
    };
    let mut more = 0;
    for Change(created, before, had, now, has) in changes {
        if !created {
            more -= i64::from(is_match(&before?, &had?));
        }
        if let Some((now, has)) = now.zip(has) {
            more += i64::from(is_match(&now, &has));
        }
    }
    Some(more)
}

/// Whether it is new, document and access keys before, and those of now.
#[derive(serde::Deserialize)]
pub(super) struct Change(
    bool,
    Option<String>,
    Option<Vec<String>>,
    Option<String>,
    Option<Vec<String>>,
);

#[derive(QueryableByName)]
struct Document {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    document: String,
}

/// Gives hits the documents that they lack, except those that the caller has. A version that was
/// removed for good since it was found is none any more.
pub async fn fetch(
    conn: &mut AsyncPgConnection,
    hits: &mut Vec<Hit>,
    has: impl Fn(&Hit) -> bool,
) -> Result<(), Error> {
    let lacks = |hit: &&Hit| hit.document.is_none() && !has(hit);
    let missing = hits.iter().filter(lacks);
    let (ids, versions): (Vec<Uuid>, Vec<i64>) = missing.map(|hit| (hit.id, hit.version)).unzip();
    if ids.is_empty() {
        return Ok(());
    }
    let documents: Vec<Document> = statement("SELECT id, document FROM documents_of($1, $2)")
        .bind::<Array<SqlUuid>, _>(&ids)
        .bind::<Array<BigInt>, _>(versions)
        .load(conn)
        .await?;
    let mut fetched: HashMap<Uuid, Option<String>> = ids.into_iter().map(|id| (id, None)).collect();
    fetched.extend(
        documents
            .into_iter()
            .map(|one| (one.id, Some(one.document))),
    );
    hits.retain_mut(|hit| match fetched.remove(&hit.id) {
        Some(document) => {
            hit.document = document;
            hit.document.is_some()
        }
        None => true,
    });
    Ok(())
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
