//! Versions of one resource, of a type or of everything, oldest first.

use diesel::QueryableByName;
use diesel::pg::{Pg, data_types::PgTimestamp};
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
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
    fn filter(&self, seen: &str, condition: &Condition) -> String {
        let bounds = condition.bounds.replace(TIME, self.at);
        format!("{}{seen}{bounds}", self.only)
    }

    fn count(&self, condition: &Condition) -> String {
        let Self { table, .. } = self;
        let seen = format!("({})", condition.alike.join(" OR "));
        format!(
            "(SELECT count(*) FROM {table} u WHERE {})",
            self.filter(&seen, condition)
        )
    }

    /// The first versions of one type, as many as the page and those before it.
    fn first(&self, seen: &str, condition: &Condition, count: i64) -> String {
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
            self.filter(seen, condition)
        )
    }
}

/// The exact number of versions, and those of the page.
pub async fn run(conn: &mut AsyncPgConnection, query: &Query) -> Result<(i64, Vec<Line>), Error> {
    let rows: Vec<Row> = statement("", query).load(conn).await?;
    let total = rows.as_slice().first().map_or(0, |row| row.total);
    Ok((total, rows.into_iter().filter_map(line).collect()))
}

type Statement = BoxedSqlQuery<'static, Pg, SqlQuery>;

/// An index has the versions of one type in the order of time. So the page is merged from the
/// beginnings of a list for each type, and never needs all versions in order.
fn statement(before: &str, query: &Query) -> Statement {
    let condition = Condition::of(query);
    // Readers of the history of a type or of everything expect a resource in each entry.
    let deletions = query.id.is_some().then_some(DELETED);
    let parts: Vec<Part> = [SUPERSEDED, CURRENT].into_iter().chain(deletions).collect();
    let counts: Vec<String> = parts.iter().map(|part| part.count(&condition)).collect();
    let most = query.limit.saturating_add(query.offset);
    let lists: Vec<String> = parts
        .iter()
        .flat_map(|part| {
            let condition = &condition;
            let lists = condition.seen.iter();
            lists.map(move |seen| part.first(seen, condition, most))
        })
        .collect();
    let sql = format!(
        "{before}SELECT c.total, p.* FROM (SELECT {} AS total) c LEFT JOIN LATERAL (\
         SELECT * FROM ({}) u ORDER BY at, id, version LIMIT {} OFFSET {}) p ON true",
        counts.join(" + "),
        lists.join(" UNION ALL "),
        query.limit,
        query.offset
    );
    let statement = diesel::sql_query(sql).into_boxed::<Pg>();
    let bound = |statement: Statement, bind| match bind {
        Bind::Id(id) => statement.bind::<SqlUuid, _>(id),
        Bind::Keys(keys) => statement.bind::<Array<Text>, _>(keys),
        Bind::Time(at) => statement.bind::<Timestamptz, _>(at),
    };
    condition.binds.into_iter().fold(statement, bound)
}

fn line(row: Row) -> Option<Line> {
    let deletion = row.deletion?;
    Some(Line {
        id: row.id?,
        kind: ResourceType::from_code(row.kind?)?,
        version: row.version?,
        at: from_sql(row.at?),
        document: row.document.filter(|_| !deletion),
        content: Content::of(row.content, row.content_size),
    })
}

enum Bind {
    Id(Uuid),
    Keys(Vec<String>),
    Time(PgTimestamp),
}

/// Stands in a condition for the time of a version.
const TIME: &str = "@time";

#[derive(Default)]
struct Condition {
    /// What is seen of each type; one of them must hold.
    seen: Vec<String>,
    /// The same, types that are seen by the same keys together.
    alike: Vec<String>,
    /// Which resource, and when.
    bounds: String,
    binds: Vec<Bind>,
}

impl Condition {
    fn of(query: &Query) -> Self {
        let mut condition = Self::default();
        for visible in &query.visible {
            condition.visible(visible);
        }
        if condition.seen.is_empty() {
            condition.seen.push("false".to_owned());
            condition.alike.push("false".to_owned());
        }
        if let Some(id) = query.id {
            let id = condition.bind(Bind::Id(id));
            condition.bounds.push_str(&format!(" AND u.id = {id}"));
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

    fn visible(&mut self, visible: &Visible) {
        let keys = self.bind(Bind::Keys(visible.keys.clone()));
        let context = if visible.context {
            format!(
                " OR EXISTS (SELECT 1 FROM resource c WHERE c.id = u.context \
                 AND c.deleted IS NULL AND c.access && {keys})"
            )
        } else {
            String::new()
        };
        let codes: Vec<String> = visible.kinds.iter().map(|k| k.code().to_string()).collect();
        let seen = |kinds: &str| format!("(u.type = {kinds} AND (u.access && {keys}{context}))");
        self.seen.extend(codes.iter().map(|code| seen(code)));
        let all = format!("ANY('{{{}}}'::smallint[])", codes.join(","));
        self.alike.push(seen(&all));
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
        self.bounds.push_str(&part);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::store::testing::fresh_database;
    use crate::store::{Schema, Store};

    /// Versions of each type in each table.
    const EACH: i32 = 4000;
    const PAGE: i64 = 20;

    #[derive(QueryableByName)]
    struct Plan {
        #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
        plan: String,
    }

    async fn fill(conn: &mut AsyncPgConnection) {
        let rows = |columns: &str, more: &str, table: &str| {
            format!(
                "INSERT INTO {table} (id, type, version, last_updated, document, access{columns}) \
                 SELECT gen_random_uuid(), k, 1, now() - i * k * interval '1 second', '{{}}', \
                 ARRAY['ALL']{more} FROM generate_series(1, {EACH}) i, unnest(ARRAY[3, 9, 25]::smallint[]) k"
            )
        };
        for sql in [
            rows(", audience", ", audience_of(k, ARRAY['ALL'])", "resource"),
            rows("", "", "version"),
            "VACUUM ANALYZE resource".to_owned(),
            "VACUUM ANALYZE version".to_owned(),
        ] {
            diesel::sql_query(sql).execute(conn).await.expect("rows");
        }
    }

    /// The most rows that a node handles, but for those that count.
    fn most_rows(node: &Value) -> f64 {
        if node["Node Type"] == "Aggregate" {
            return 0.0;
        }
        let count = |name: &str| node[name].as_f64().unwrap_or_default();
        let own = count("Actual Rows") + count("Rows Removed by Filter");
        let parts = node["Plans"].as_array().into_iter().flatten();
        parts.map(most_rows).fold(own, f64::max)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_history_of_everything_reads_little_more_than_its_page() {
        let store = Store::open(&fresh_database().await, Schema::Fhir).await;
        let read = async |conn: &mut AsyncPgConnection| {
            fill(conn).await;
            let query = Query {
                id: None,
                visible: vec![Visible {
                    kinds: ResourceType::ALL.to_vec(),
                    keys: vec!["ALL".to_owned(), "LOCAL".to_owned()],
                    context: false,
                }],
                bounds: Vec::new(),
                limit: PAGE,
                offset: 0,
            };
            let (total, lines) = run(conn, &query).await?;
            let plan: Plan = statement("EXPLAIN (ANALYZE, FORMAT JSON) ", &query)
                .get_result(conn)
                .await?;
            Ok::<_, Error>((total, lines, plan.plan))
        };
        let (total, lines, plan) = store.expect("a store").read(read).await.expect("a page");
        assert_eq!(total, i64::from(EACH) * 6);
        assert!(lines.len() == 20 && lines.is_sorted_by_key(|line| line.at));
        let plan: Value = serde_json::from_str(&plan).expect("JSON");
        let rows = most_rows(&plan[0]["Plan"]);
        assert!(rows <= 200.0, "{rows} rows at once: {plan:#}");
    }
}
