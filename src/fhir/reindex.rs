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
