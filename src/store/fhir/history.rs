//! Versions of one resource, of a type or of everything, oldest first.

use diesel::QueryableByName;
use diesel::pg::{Pg, data_types::PgTimestamp};
use diesel::sql_types::{
    Array, BigInt, Bool, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use uuid::Uuid;

use super::Content;
use super::time::{from_sql, to_sql};
use crate::r4::ResourceType;
use crate::store::Error;

/// The rows of some types that share one of these access keys.
#[derive(Clone, Debug)]
pub struct Visible {
    pub kinds: Vec<ResourceType>,
    pub keys: Vec<String>,
    /// Also what has a security context that shows itself to the keys.
    pub context: bool,
}

/// A bound on the time of a version.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    From(Timestamp),
    Before(Timestamp),
    /// Outside of the half-open range.
    Outside(Timestamp, Timestamp),
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Query {
    pub id: Option<Uuid>,
    pub visible: Vec<Visible>,
    pub bounds: Vec<Bound>,
    pub limit: i64,
    pub offset: i64,
}

/// One version, or a deletion, which has no document.
#[derive(Clone, Debug)]
pub struct Line {
    pub id: Uuid,
    pub kind: ResourceType,
    pub version: i64,
    pub at: Timestamp,
    pub document: Option<String>,
    pub content: Option<Content>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    total: i64,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    id: Option<Uuid>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    kind: Option<i16>,
    #[diesel(sql_type = Nullable<BigInt>)]
    version: Option<i64>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    at: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<Bool>)]
    deletion: Option<bool>,
    #[diesel(sql_type = Nullable<Text>)]
    document: Option<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    content: Option<Uuid>,
    #[diesel(sql_type = Nullable<BigInt>)]
    content_size: Option<i64>,
}

/// What versions are read from: table, number, time, whether it is a deletion, which rows.
struct Part {
    table: &'static str,
    version: &'static str,
    at: &'static str,
    deletion: bool,
    only: &'static str,
}

const SUPERSEDED: Part = Part {
    table: "version",
    version: "u.version",
    at: "u.last_updated",
    deletion: false,
    only: "",
};
const CURRENT: Part = Part {
    table: "resource",
    ..SUPERSEDED
};
/// A deletion is seen by whoever could see what it deleted.
const DELETED: Part = Part {
    table: "resource",
    version: "u.version + 1",
    at: "u.deleted",
    deletion: true,
    only: "u.deleted IS NOT NULL AND ",
};

impl Part {
    fn filter(&self, condition: &Condition) -> String {
        format!("{}{}", self.only, condition.sql.replace(TIME, self.at))
    }

    fn count(&self, condition: &Condition) -> String {
        let Self { table, .. } = self;
        format!(
            "(SELECT count(*) FROM {table} u WHERE {})",
            self.filter(condition)
        )
    }

    /// The first versions, as many as the page and those before it.
    fn first(&self, condition: &Condition, count: i64) -> String {
        let Self {
            table,
            version,
            at,
            deletion,
            ..
        } = self;
        format!(
            "(SELECT u.id, u.type AS kind, {version} AS version, {at} AS at, {deletion} AS deletion, \
             u.document, u.content, u.content_size FROM {table} u WHERE {} \
             ORDER BY {at}, u.id, {version} LIMIT {count})",
            self.filter(condition)
        )
    }
}

/// The exact number of versions, and those of the page.
pub async fn run(conn: &mut AsyncPgConnection, query: &Query) -> Result<(i64, Vec<Line>), Error> {
    let condition = Condition::of(query);
    // Readers of the history of a type or of everything expect a resource in each entry.
    let deletions = query.id.is_some().then_some(DELETED);
    let parts: Vec<Part> = [SUPERSEDED, CURRENT].into_iter().chain(deletions).collect();
    let joined = |texts: Vec<String>, between: &str| texts.join(between);
    let counts = joined(
        parts.iter().map(|part| part.count(&condition)).collect(),
        " + ",
    );
    let before = query.limit.saturating_add(query.offset);
    let firsts = parts
        .iter()
        .map(|part| part.first(&condition, before))
        .collect();
    let sql = format!(
        "SELECT c.total, p.* FROM (SELECT {counts} AS total) c LEFT JOIN LATERAL (\
         SELECT * FROM ({}) u ORDER BY at, id, version LIMIT {} OFFSET {}) p ON true",
        joined(firsts, " UNION ALL "),
        query.limit,
        query.offset
    );
    let mut statement = diesel::sql_query(sql).into_boxed::<Pg>();
    for bind in condition.binds {
        statement = match bind {
            Bind::Id(id) => statement.bind::<SqlUuid, _>(id),
            Bind::Kinds(kinds) => statement.bind::<Array<SmallInt>, _>(kinds),
            Bind::Keys(keys) => statement.bind::<Array<Text>, _>(keys),
            Bind::Time(at) => statement.bind::<Timestamptz, _>(at),
        };
    }
    let rows: Vec<Row> = statement.load(conn).await?;
    let total = rows.as_slice().first().map_or(0, |row| row.total);
    Ok((total, rows.into_iter().filter_map(line).collect()))
}

fn line(row: Row) -> Option<Line> {
    let deletion = row.deletion?;
    Some(Line {
        id: row.id?,
        kind: ResourceType::from_code(row.kind?)?,
        version: row.version?,
        at: from_sql(row.at?),
        document: row.document.filter(|_| !deletion),
        content: row
            .content
            .zip(row.content_size)
            .map(|(id, size)| Content { id, size }),
    })
}

enum Bind {
    Id(Uuid),
    Kinds(Vec<i16>),
    Keys(Vec<String>),
    Time(PgTimestamp),
}

/// Stands in a condition for the time of a version.
const TIME: &str = "@time";

#[derive(Default)]
struct Condition {
    sql: String,
    binds: Vec<Bind>,
}

impl Condition {
    fn of(query: &Query) -> Self {
        let mut condition = Self::default();
        condition.visible(&query.visible);
        if let Some(id) = query.id {
            let id = condition.bind(Bind::Id(id));
            condition.sql.push_str(&format!(" AND u.id = {id}"));
        }
        for bound in &query.bounds {
            condition.bound(*bound);
        }
        condition
    }

    /// The placeholder of a new bind.
    fn bind(&mut self, bind: Bind) -> String {
        self.binds.push(bind);
        format!("${}", self.binds.len())
    }

    fn visible(&mut self, visible: &[Visible]) {
        let mut parts = vec!["false".to_owned()];
        for one in visible {
            let kinds: Vec<i16> = one.kinds.iter().map(|kind| kind.code()).collect();
            // An index is in the order of time for one type.
            let kinds = match kinds.as_slice() {
                [only] => only.to_string(),
                _ => format!("ANY({})", self.bind(Bind::Kinds(kinds))),
            };
            let keys = self.bind(Bind::Keys(one.keys.clone()));
            let context = if one.context {
                format!(
                    " OR EXISTS (SELECT 1 FROM resource c WHERE c.id = u.context \
                     AND c.deleted IS NULL AND c.access && {keys})"
                )
            } else {
                String::new()
            };
            parts.push(format!(
                "(u.type = {kinds} AND (u.access && {keys}{context}))"
            ));
        }
        self.sql = format!("({})", parts.join(" OR "));
    }

    fn bound(&mut self, bound: Bound) {
        let part = match bound {
            Bound::From(at) => format!(" AND {TIME} >= {}", self.bind(Bind::Time(to_sql(at)))),
            Bound::Before(at) => format!(" AND {TIME} < {}", self.bind(Bind::Time(to_sql(at)))),
            Bound::Outside(from, to) => {
                let from = self.bind(Bind::Time(to_sql(from)));
                let to = self.bind(Bind::Time(to_sql(to)));
                format!(" AND ({TIME} < {from} OR {TIME} >= {to})")
            }
        };
        self.sql.push_str(&part);
    }
}
