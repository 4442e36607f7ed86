//! All of a type that a caller may see, by the time of the last update: a search without a condition,
//! which is asked for most. See docs/adr/0043.

use diesel::QueryableByName;
use diesel::pg::data_types::PgTimestamp;
use diesel::sql_types::{
    Array, BigInt, Bool, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::audience::{Audiences, LISTS};
use super::condition::{Order, Selection, SortKey, Visible};
use super::page::{CHANGED_BYTES, CHANGES};
use super::run::{Answer, Hit};
use super::sql::Bind;
use super::totals::{Key, Total};
use crate::store::Error;
use crate::store::fhir::Content;
use crate::store::fhir::time::from_sql;
use crate::store::statement::statement;

/// Whether a selection is a list. What is seen through a security context is in none.
pub(super) fn is_list(selection: &Selection) -> bool {
    let context = matches!(selection.visible, Visible::KeysOrContext(_));
    !context && selection.condition.is_empty() && is_by_time(&selection.order)
}

pub(super) fn is_by_time(order: &[Order]) -> bool {
    match order {
        [] => true,
        [only] => only.key == SortKey::LastUpdated,
        _ => false,
    }
}

/// What the total of a list belongs to.
pub(super) fn key(selection: &Selection) -> Key {
    let keys = selection.visible.keys().to_vec();
    (format!("all {}", selection.kind), vec![Bind::Texts(keys)])
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Nullable<BigInt>)]
    generation: Option<i64>,
    #[diesel(sql_type = Nullable<Array<Integer>>)]
    seen: Option<Vec<i32>>,
    #[diesel(sql_type = Nullable<Bool>)]
    others: Option<bool>,
    #[diesel(sql_type = Nullable<Text>)]
    snapshot: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    total: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    changes: Option<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    id: Option<Uuid>,
    #[diesel(sql_type = Nullable<BigInt>)]
    version: Option<i64>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_updated: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    content: Option<Uuid>,
    #[diesel(sql_type = Nullable<BigInt>)]
    content_size: Option<i64>,
}

/// The audiences and, unless the caller is in none or in too many, the answer; its hits come without
/// their documents.
pub(super) async fn list(
    conn: &mut AsyncPgConnection,
    selection: &Selection,
    known: Option<&Total>,
) -> Result<(Audiences, Option<Answer>), Error> {
    let descending = selection.order.iter().any(|order| order.descending);
    let offset = selection.offset.min(i64::MAX - selection.limit);
    let lines: Vec<Line> = statement(
        "SELECT generation, seen, others, snapshot, total, changes, \
                id, version, last_updated, content, content_size \
         FROM list_resources($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind::<SmallInt, _>(selection.kind.code())
    .bind::<Array<Text>, _>(selection.visible.keys())
    .bind::<BigInt, _>(i64::try_from(LISTS).unwrap_or(i64::MAX))
    .bind::<Bool, _>(descending)
    .bind::<BigInt, _>(selection.limit)
    .bind::<BigInt, _>(offset)
    .bind::<Nullable<Text>, _>(known.map(|known| known.snapshot.clone()))
    .bind::<BigInt, _>(CHANGES)
    .bind::<BigInt, _>(CHANGED_BYTES)
    .load(conn)
    .await?;
    let mut lines = lines.into_iter();
    let first = lines.next();
    let Some((generation, seen, others, rest)) = first.and_then(|first| {
        let rest = (first.snapshot, first.total, first.changes);
        Some((first.generation?, first.seen?, first.others?, rest))
    }) else {
        return Err(Error::Unreachable("the list has no beginning".to_owned()));
    };
    let audiences = Audiences {
        generation,
        seen,
        others,
    };
    let (snapshot, total, changes) = rest;
    let answer = snapshot.map(|snapshot| Answer {
        snapshot,
        total,
        changes,
        hits: lines.filter_map(|line| hit(selection, line)).collect(),
    });
    Ok((audiences, answer))
}

fn hit(selection: &Selection, line: Line) -> Option<Hit> {
    Some(Hit {
        kind: selection.kind,
        id: line.id?,
        version: line.version?,
        last_updated: from_sql(line.last_updated?),
        document: None,
        content: Content::of(line.content, line.content_size),
    })
}

#[cfg(test)]
mod tests {
    use super::super::condition::{Condition, IndexTerms};
    use super::super::run::Change;
    use super::super::testing::{Filling, fill, looked_at};
    use super::super::{Found, fetch, run};
    use super::*;
    use crate::r4::ResourceType;
    use crate::store::testing::fresh_database;
    use crate::store::{Schema, Store};

    /// Half of it is seen by ALL, the other one by fifty organisations.
    const COUNT: i32 = 20_000;

    async fn store_tasks(conn: &mut AsyncPgConnection) {
        let filling = Filling {
            kind: ResourceType::Task,
            count: COUNT,
            terms: IndexTerms::default(),
            text: "",
            dates: &[],
            codes: ("", ""),
        };
        fill(conn, &filling).await;
    }

    fn selection(keys: Vec<String>, descending: bool) -> Selection {
        Selection {
            kind: ResourceType::Task,
            condition: Condition::All(Vec::new()),
            visible: Visible::Keys(keys),
            order: vec![Order {
                key: SortKey::LastUpdated,
                descending,
            }],
            limit: 20,
            offset: if descending { 5 } else { 0 },
        }
    }

    /// The last twelve digits of an id: when it was updated.
    fn numbers(hits: &[Hit]) -> Vec<u64> {
        let number = |hit: &Hit| hit.id.simple().to_string()[20..].parse();
        hits.iter()
            .map(|hit| number(hit).expect("digits"))
            .collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_page_is_merged_from_lists_that_are_in_no_statistics() {
        let settings = fresh_database().await;
        let store = Store::open(&settings, Schema::Fhir).await.expect("a store");
        let work = async |conn: &mut AsyncPgConnection| {
            // Planned while there is nothing.
            let both = ["ALL".to_owned(), "ORG:1".to_owned()];
            list(conn, &selection(both.to_vec(), true), None).await?;
            store_tasks(conn).await;
            let before = looked_at(conn).await;
            let asked = selection(both.to_vec(), true);
            let (_, counted) = list(conn, &asked, None).await?;
            let counted = counted.expect("an answer");
            let known = Total {
                snapshot: counted.snapshot,
                count: counted.total.expect("a count"),
            };
            let middle = looked_at(conn).await;
            let (audiences, newest) = list(conn, &asked, Some(&known)).await?;
            let asked = selection(both.to_vec(), false);
            let (_, oldest) = list(conn, &asked, Some(&known)).await?;
            let after = looked_at(conn).await;
            assert_eq!(after.from_end_to_end, before.from_end_to_end);
            assert!(after.by_index - middle.by_index <= 200, "two pages of 20");
            Ok::<_, Error>((known.count, audiences, [newest, oldest]))
        };
        let (count, audiences, pages) = store.write(work).await.expect("answers");
        assert_eq!(count, 10_200);
        assert_eq!((audiences.seen.len(), audiences.others), (2, true));
        // Even ones, and each hundredth from the first; of the newest the first five are passed.
        let [newest, oldest] = pages.map(|page| numbers(&page.expect("an answer").hits));
        assert_eq!(newest[..3], [19_990, 19_988, 19_986]);
        assert_eq!(oldest[..3], [1, 2, 4]);
        assert_eq!((newest.len(), oldest.len()), (20, 20));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_is_in_many_audiences_is_answered_without_their_lists() {
        let settings = fresh_database().await;
        let store = Store::open(&settings, Schema::Fhir).await.expect("a store");
        let work = async |conn: &mut AsyncPgConnection| {
            store_tasks(conn).await;
            let keys = (0..100).map(|number| format!("ORG:{number}")).collect();
            let many = selection(keys, true);
            let (audiences, answer) = list(conn, &many, None).await?;
            let nobody = run(conn, &selection(vec!["ORG:none".to_owned()], true), None).await?;
            let found = run(conn, &many, None).await?;
            Ok::<_, Error>((audiences, answer.is_some(), nobody, found))
        };
        let (audiences, is_list, nobody, found) = store.write(work).await.expect("answers");
        assert_eq!((audiences.seen.len(), is_list), (50, false));
        assert_eq!(found.total, 10_000);
        assert_eq!(numbers(&found.hits)[..3], [19_989, 19_987, 19_985]);
        let generation = found.generation;
        let none = Found {
            generation,
            ..Found::default()
        };
        assert_eq!(nobody, none);
    }

    /// Stores so many Tasks, each with an event.
    async fn change(conn: &mut AsyncPgConnection, count: i32, bytes: i32) -> Result<(), Error> {
        let sql = "WITH new AS (INSERT INTO resource \
                       (id, type, version, last_updated, document, access, audience) \
                   SELECT gen_random_uuid(), 25, 1, now(), repeat('x', $2), '{ALL}', \
                       audience_of(25::smallint, '{ALL}') FROM generate_series(1, $1) RETURNING id) \
                   INSERT INTO event (resource, type, version, kind, at) \
                   SELECT id, 25, 1, 1, now() FROM new";
        let query = diesel::sql_query(sql).bind::<Integer, _>(count);
        query.bind::<Integer, _>(bytes).execute(conn).await?;
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn changes_that_are_too_many_or_too_large_are_counted() {
        let settings = fresh_database().await;
        let store = Store::open(&settings, Schema::Fhir).await.expect("a store");
        let asked = selection(vec!["ALL".to_owned()], false);
        let work = async |conn: &mut AsyncPgConnection| {
            change(conn, 1, 10).await?;
            let mut told = Vec::new();
            let most = i32::try_from(CHANGES).expect("few");
            for (count, bytes) in [
                (0, 0),
                (most, 10),
                (most + 1, 10),
                (1, 3 << 20),
                (2, 3 << 20),
            ] {
                let (_, before) = list(conn, &asked, None).await?;
                let before = before.expect("an answer");
                let known = Total {
                    snapshot: before.snapshot,
                    count: before.total.expect("a count"),
                };
                change(conn, count, bytes).await?;
                let (_, after) = list(conn, &asked, Some(&known)).await?;
                let after = after.expect("an answer");
                let changes = after
                    .changes
                    .as_deref()
                    .map(serde_json::from_str::<Vec<Change>>);
                let changes = changes.map(|changes| changes.expect("changes").len());
                told.push((changes, after.total.map(|total| total - known.count)));
            }
            Ok::<_, Error>(told)
        };
        // Not in one transaction: what that has changed is in none of its snapshots.
        let told = store.read(work).await.expect("answers");
        let few = |count| (Some(count), None);
        let counted = |count| (None, Some(count));
        assert_eq!(told, [few(0), few(200), counted(201), few(1), counted(2)]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_document_is_that_of_the_version_that_was_found() {
        let settings = fresh_database().await;
        let store = Store::open(&settings, Schema::Fhir).await.expect("a store");
        let asked = selection(vec!["ALL".to_owned()], false);
        let work = async |conn: &mut AsyncPgConnection| {
            change(conn, 4, 3).await?;
            let (_, answer) = list(conn, &asked, None).await?;
            let mut hits = answer.expect("an answer").hits;
            let [updated, removed, held, _] = [0, 1, 2, 3].map(|at| hits[at].id);
            let sql = "INSERT INTO version (id, version, type, last_updated, document, access) \
                           SELECT id, version, type, last_updated, 'old', access \
                           FROM resource WHERE id = $1";
            diesel::sql_query(sql)
                .bind::<SqlUuid, _>(updated)
                .execute(conn)
                .await?;
            let sql = "UPDATE resource SET version = 2 WHERE id = $1";
            diesel::sql_query(sql)
                .bind::<SqlUuid, _>(updated)
                .execute(conn)
                .await?;
            let sql = "DELETE FROM resource WHERE id = $1";
            diesel::sql_query(sql)
                .bind::<SqlUuid, _>(removed)
                .execute(conn)
                .await?;
            fetch(conn, &mut hits, |hit| hit.id == held).await?;
            Ok::<_, Error>(hits)
        };
        let hits = store.read(work).await.expect("answers");
        let documents: Vec<_> = hits.iter().map(|hit| hit.document.as_deref()).collect();
        assert_eq!(documents, [Some("old"), None, Some("xxx")]);
    }
}
