//! The server's own look-ups: which resources have these tokens, whoever may read them.
//!
//! Every entry of a Bundle needs some, and what its transaction has written is in no statistics. So
//! they leave PostgreSQL no other way than the index on what they ask for; see docs/adr/0039.

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Nullable, SmallInt, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::condition::Condition;
use super::sql::{Bind, Statement};
use crate::r4::ResourceType;
use crate::store::Error;
use crate::store::fhir::many::array;
use crate::store::statement::statement;

/// A condition on more than tokens goes on from the resources that have its tokens, if these are
/// fewer. `ids_with_tokens` looks at no more either.
const MANY: usize = 1000;

/// The current resources of a type that have all these tokens; at least one is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    pub kind: ResourceType,
    pub tokens: Vec<String>,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// What is found for each, the oldest first, by one statement. Without a limit: all of it.
pub async fn with_tokens(
    conn: &mut AsyncPgConnection,
    asked: &[Asked],
    limit: Option<i64>,
) -> Result<Vec<Vec<Uuid>>, Error> {
    let mut found = vec![Vec::new(); asked.len()];
    if asked.is_empty() {
        return Ok(found);
    }
    let kinds: Vec<i16> = asked.iter().map(|one| one.kind.code()).collect();
    let tokens: Vec<String> = asked.iter().map(|one| array(&one.tokens)).collect();
    let lines: Vec<Line> = statement("SELECT number, id FROM ids_with_tokens($1, $2, $3)")
        .bind::<Array<SmallInt>, _>(kinds)
        .bind::<Array<Text>, _>(tokens)
        .bind::<Nullable<BigInt>, _>(limit)
        .load(conn)
        .await?;
    for Line { number, id } in lines {
        let index = usize::try_from(number - 1).ok();
        if let Some(ids) = index.and_then(|index| found.get_mut(index)) {
            ids.push(id);
        }
    }
    Ok(found)
}

/// Looks up what a condition refers to. A statement of its own: with the tokens in hand the planner
/// knows how many rows have them.
pub(super) async fn settled(
    conn: &mut AsyncPgConnection,
    condition: &Condition,
) -> Result<Condition, Error> {
    let found = with_tokens(conn, &condition.asked(), None).await?;
    Ok(condition.settled(&found))
}

/// The ids of the first matches, whoever may read them, for a condition that refers to nothing any
/// more.
pub async fn find_settled(
    conn: &mut AsyncPgConnection,
    kind: ResourceType,
    condition: &Condition,
    limit: i64,
) -> Result<Vec<Uuid>, Error> {
    if condition.is_hopeless() {
        return Ok(Vec::new());
    }
    // What nearly all of these are.
    if let Some(tokens) = condition.words() {
        let tokens = tokens.to_vec();
        let found = with_tokens(conn, &[Asked { kind, tokens }], Some(limit)).await?;
        return Ok(found.into_iter().flatten().collect());
    }
    let candidates = candidates(conn, kind, condition).await?;
    let query = first_ids(kind, candidates, condition, limit).into_query();
    let ids: Vec<Id> = query.load(conn).await?;
    Ok(ids.into_iter().map(|id| id.id).collect())
}

/// Among which all matches are; `None` if these are too many to say.
async fn candidates(
    conn: &mut AsyncPgConnection,
    kind: ResourceType,
    condition: &Condition,
) -> Result<Option<Vec<Uuid>>, Error> {
    let lists = condition.narrowed().into_iter();
    let asked: Vec<Asked> = lists.map(|tokens| Asked { kind, tokens }).collect();
    let found = with_tokens(conn, &asked, i64::try_from(MANY).ok()).await?;
    let is_all = !asked.is_empty() && found.iter().all(|ids| ids.len() < MANY);
    Ok(is_all.then(|| found.into_iter().flatten().collect()))
}

fn first_ids(
    kind: ResourceType,
    candidates: Option<Vec<Uuid>>,
    condition: &Condition,
    limit: i64,
) -> Statement {
    let mut statement = Statement::default();
    statement.push("SELECT r.id FROM resource r WHERE ");
    match candidates {
        // Their type is known; named again, it would offer the list of all of the type.
        Some(ids) => statement
            .push("r.deleted IS NULL AND r.id = ANY(")
            .bind(Bind::Ids(ids))
            .push(")"),
        None => statement.kind("r", kind),
    };
    statement
        .push(" AND ")
        .condition(condition)
        .push(" ORDER BY r.last_updated, r.id LIMIT ")
        .bind(Bind::Number(limit));
    statement
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::super::testing::{Filling, fill, find_ids, looked_at};
    use super::super::{Compare, Edge, Field, IndexTerms, Moment, Target};
    use super::*;
    use crate::store::fhir::unique;
    use crate::store::testing::fresh_database;
    use crate::store::{Schema, Store};

    const NUMBER: &str = "000000000400";

    fn token(number: &str) -> String {
        format!("Patient:identifier=s|{number}")
    }

    /// Of Patients, each met by the one with the [`NUMBER`].
    fn shapes() -> Vec<Condition> {
        let words = || Condition::Words(vec![token(NUMBER)]);
        let either = || Condition::Token(vec![token("nobody"), token(NUMBER)]);
        let moment = || {
            Condition::Moment(Moment {
                field: Field::LastUpdated,
                edge: Edge::First,
                compare: Compare::Greater,
                at: 0,
            })
        };
        vec![
            Condition::All(vec![words()]),
            Condition::All(vec![words(), moment()]),
            Condition::All(vec![either()]),
            Condition::All(vec![either(), moment()]),
        ]
    }

    async fn store_patients(conn: &mut AsyncPgConnection) {
        let terms = IndexTerms {
            tokens: vec![token("§"), "Patient:active=true".to_owned()],
            values: Map::new(),
        };
        let filling = Filling {
            kind: ResourceType::Patient,
            count: 20_000,
            terms,
            text: "",
            dates: &[],
            codes: ("", ""),
        };
        fill(conn, &filling).await;
    }

    /// As in a long Bundle: nobody has counted what it stored.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_lookup_finds_its_row_among_thousands_that_are_in_no_statistics() {
        let settings = fresh_database().await;
        let store = Store::open(&settings, Schema::Fhir).await.expect("a store");
        let work = async |conn: &mut AsyncPgConnection| {
            store_patients(conn).await;
            let before = looked_at(conn).await.all();
            let kind = ResourceType::Patient;
            let mut found = Vec::new();
            for condition in shapes() {
                found.push(find_ids(conn, kind, &condition, 2).await?);
            }
            let nobody = Condition::All(vec![Condition::Words(vec![token("nobody")])]);
            let mut none = find_ids(conn, kind, &nobody, 2).await?;
            let referring = Condition::All(vec![Condition::Target(Target {
                prefix: "Group:member=".to_owned(),
                kinds: vec![kind],
                tokens: vec![token(NUMBER)],
            })]);
            none.extend(find_ids(conn, ResourceType::Group, &referring, 2).await?);
            none.extend(unique::holders(conn, kind, "no key").await?);
            Ok::<_, Error>((found, none, looked_at(conn).await.all() - before))
        };
        let (found, none, rows) = store.write(work).await.expect("answers");
        assert_eq!(found[0].len(), 1);
        assert!(found.iter().all(|ids| *ids == found[0]), "{found:?}");
        assert_eq!(none, Vec::<Uuid>::new());
        assert!(rows <= 20, "{rows} rows for seven look-ups");
    }
}
