//! The lease of the one node that may answer reads from memory; see docs/adr/0044.

use std::time::Duration;

use diesel::sql_types::{Bool, Double, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::store::{Error, Store};

#[derive(QueryableByName)]
struct Told {
    #[diesel(sql_type = Bool)]
    is_held: bool,
}

/// Takes the lease for some time from now on. `false` where there are other nodes, or what is being
/// changed at the moment takes too long.
pub async fn take(store: &Store, lasts: Duration) -> Result<bool, Error> {
    asked(store, "take_read_lease", lasts).await
}

/// Lets it last for some time from now on; `false` when it is over, or somebody waits for its end.
pub async fn prolong(store: &Store, lasts: Duration) -> Result<bool, Error> {
    asked(store, "prolong_read_lease", lasts).await
}

async fn asked(store: &Store, function: &'static str, lasts: Duration) -> Result<bool, Error> {
    let (node, application) = store.node();
    store
        .read(async |conn: &mut AsyncPgConnection| {
            let sql = format!("SELECT {function}($1, $2, make_interval(secs => $3)) AS is_held");
            let told: Told = sql_query(sql)
                .bind::<Text, _>(node)
                .bind::<Text, _>(application)
                .bind::<Double, _>(lasts.as_secs_f64())
                .get_result(conn)
                .await?;
            Ok(told.is_held)
        })
        .await
}

/// Gives the lease back, so that nobody waits for its end.
pub async fn give_back(store: &Store) -> Result<(), Error> {
    let (node, _) = store.node();
    store
        .read(async |conn: &mut AsyncPgConnection| {
            let sql = "UPDATE read_lease SET until = '-infinity' WHERE node = $1";
            sql_query(sql).bind::<Text, _>(node).execute(conn).await?;
            Ok(())
        })
        .await
}

#[cfg(test)]
mod tests {
    use diesel_async::SimpleAsyncConnection;
    use tokio::sync::oneshot;
    use tokio_postgres::NoTls;

    use super::*;
    use crate::store::testing::fresh_database;
    use crate::store::{Schema, Settings};

    const LONG: Duration = Duration::from_secs(3600);
    const SHORT: Duration = Duration::from_millis(500);
    const CHANGE: &str = "UPDATE fhir.directory SET generation = generation";

    async fn store(settings: &Settings) -> Store {
        Store::open(settings, Schema::Fhir).await.unwrap()
    }

    async fn change(store: &Store) {
        let change = async |conn: &mut AsyncPgConnection| Ok(conn.batch_execute(CHANGE).await?);
        store.write::<_, Error, _>(change).await.unwrap();
    }

    async fn is_held(store: &Store) -> bool {
        let look = async |conn: &mut AsyncPgConnection| {
            let sql = "SELECT until > clock_timestamp() AS is_held FROM read_lease";
            Ok::<Told, Error>(sql_query(sql).get_result(conn).await?)
        };
        store.read(look).await.unwrap().is_held
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_has_no_lease_changes_nothing_while_it_lasts() {
        let settings = fresh_database().await;
        let holder = store(&settings).await;
        assert!(take(&holder, SHORT).await.unwrap());
        let other = store(&settings).await;
        change(&other).await;
        assert!(!is_held(&other).await);
        // Now there is company.
        assert!(!take(&holder, LONG).await.unwrap());

        // An administrator is nobody's company, and waits as well.
        let settings = fresh_database().await;
        let holder = store(&settings).await;
        assert!(take(&holder, SHORT).await.unwrap());
        let url = settings.url.as_deref().unwrap();
        let (admin, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let (waits, asked) = (admin.batch_execute(CHANGE), prolong_until_refused(&holder));
        let (changed, ()) = tokio::join!(waits, asked);
        changed.unwrap();
        assert!(!is_held(&holder).await);
        assert!(take(&holder, LONG).await.unwrap());
    }

    /// As long as nobody waits it lasts: who waits is not kept waiting for ever.
    async fn prolong_until_refused(holder: &Store) {
        while prolong(holder, SHORT).await.unwrap() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn its_holder_changes_what_it_likes() {
        let settings = fresh_database().await;
        let holder = store(&settings).await;
        assert!(!prolong(&holder, LONG).await.unwrap(), "it has none");
        assert!(take(&holder, LONG).await.unwrap());
        change(&holder).await;
        assert!(prolong(&holder, LONG).await.unwrap());
        assert!(is_held(&holder).await);
        give_back(&holder).await.unwrap();
        change(&store(&settings).await).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_is_not_taken_while_something_is_being_changed() {
        let settings = fresh_database().await;
        let holder = store(&settings).await;
        // Also what the holder began while it had the lease.
        for lasts in [None, Some(LONG)] {
            if let Some(lasts) = lasts {
                assert!(take(&holder, lasts).await.unwrap());
            }
            let (begun, has_begun) = oneshot::channel();
            let (may_end, end) = oneshot::channel::<()>();
            let signals = std::sync::Mutex::new(Some((begun, end)));
            let (changing, signals) = (holder.clone(), std::sync::Arc::new(signals));
            let open = tokio::spawn(async move {
                let change = async move |conn: &mut AsyncPgConnection| {
                    conn.batch_execute(CHANGE).await?;
                    let signals = signals.lock().unwrap().take();
                    if let Some((begun, end)) = signals {
                        begun.send(()).unwrap();
                        end.await.unwrap();
                    }
                    Ok(())
                };
                changing.write::<_, Error, _>(change).await.unwrap();
            });
            has_begun.await.unwrap();
            assert!(!take(&holder, LONG).await.unwrap());
            may_end.send(()).unwrap();
            open.await.unwrap();
            assert!(take(&holder, LONG).await.unwrap());
            give_back(&holder).await.unwrap();
        }
    }
}
