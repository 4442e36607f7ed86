//! Brings the search terms of what is stored up to date with the rules of this program.
//!
//! Runs before anything is served, so that no search goes by terms of other rules. Several nodes
//! may do it at once: the outcome is the same.

use uuid::Uuid;

use crate::fhir::search::{RULES, terms};
use crate::r4::Resource;
use crate::store::fhir::reindex as rows;
use crate::store::{AsyncPgConnection, Error, Store};

/// Resources of one transaction.
const STEP: i64 = 500;

/// Indexes everything anew if that is needed; answers how many resources there were.
pub async fn run(store: &Store) -> Result<usize, Error> {
    let known = store.read(async |conn: &mut AsyncPgConnection| rows::rules(conn).await);
    if known.await? >= RULES {
        return Ok(0);
    }
    let (mut last, mut count) = (Uuid::nil(), 0);
    loop {
        let step = store.write(async |conn: &mut AsyncPgConnection| {
            let stored = rows::after(conn, last, STEP).await?;
            let end = stored.last().map(|stored| stored.id);
            let count = stored.len();
            let indexed = stored.into_iter().filter_map(|stored| {
                let resource = Resource::from_value(serde_json::from_str(&stored.document).ok()?)?;
                Some((stored, terms(&resource)))
            });
            rows::put(conn, indexed.collect()).await?;
            Ok::<_, Error>((end, count))
        });
        let (Some(end), done) = step.await? else {
            break;
        };
        (last, count) = (end, count + done);
        tracing::info!(count, "search terms are made anew");
    }
    store
        .read(async |conn: &mut AsyncPgConnection| rows::finish(conn, RULES).await)
        .await?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fhir::search::{IndexTerms, conditions};
    use crate::r4::ResourceType;
    use crate::store::Schema;
    use crate::store::fhir::search::testing::{self, find_ids};
    use crate::store::testing::fresh_database;

    #[tokio::test]
    async fn what_was_indexed_by_older_rules_is_found_by_the_newest_after_a_start() {
        let store = Store::open(&fresh_database().await, Schema::Fhir)
            .await
            .expect("a store");
        let location = Resource::from_value(json!({
            "resourceType": "Location",
            "id": "00000000-0000-0000-0000-000000000001",
            "meta": {"versionId": "1", "lastUpdated": "2026-01-01T00:00:00.000Z"},
            "name": "Ward One",
        }));
        let location = location.expect("a resource");
        let pairs = [("name:contains".to_owned(), "rd on".to_owned())];
        let condition = conditions(ResourceType::Location, &pairs).expect("a good query");
        let found = async || {
            let found = store.read(async |conn: &mut AsyncPgConnection| {
                find_ids(conn, ResourceType::Location, &condition, 2).await
            });
            found.await.expect("an answer").len()
        };
        let put = store.read(async |conn: &mut AsyncPgConnection| {
            testing::put(conn, &location, IndexTerms::default(), &["ALL"]).await;
            Ok::<_, Error>(())
        });
        put.await.expect("stored");
        assert_eq!(found().await, 0);
        assert_eq!(run(&store).await.expect("indexed"), 1);
        assert_eq!(found().await, 1);
        assert_eq!(run(&store).await.expect("nothing to do"), 0);
    }
}
