//! The store against a real PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use diesel::sql_query;
use diesel::sql_types::BigInt;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use tokio::sync::Barrier;

use super::notify::{Hub, Signal};
use super::{Error, Schema, Settings, Store, migrate, testing};

#[derive(diesel::QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

async fn store() -> Store {
    let settings = testing::fresh_database().await;
    let store = Store::open(&settings, Schema::Fhir).await.unwrap();
    execute(
        &store,
        "CREATE TABLE item (id int CONSTRAINT item_id PRIMARY KEY, n bigint)",
    )
    .await;
    store
}

async fn execute(store: &Store, sql: &str) {
    store
        .read::<_, Error, _>(async |conn| Ok(conn.batch_execute(sql).await?))
        .await
        .unwrap();
}

async fn number(store: &Store, sql: &str) -> i64 {
    let row: Number = store
        .read::<_, Error, _>(async |c| Ok(sql_query(sql).get_result(c).await?))
        .await
        .unwrap();
    row.n
}

#[tokio::test(flavor = "multi_thread")]
async fn several_nodes_migrate_at_once_and_the_books_are_complete() {
    let settings = testing::fresh_database().await;
    let nodes = (0..4).map(|_| {
        let settings = settings.clone();
        tokio::spawn(async move { Store::open(&settings, Schema::Bpe).await.map(|_| ()) })
    });
    for node in futures_util::future::join_all(nodes).await {
        node.unwrap().unwrap();
    }
    let store = Store::connect(&settings, Schema::Bpe).unwrap();
    assert!(
        migrate::status(&store)
            .await
            .unwrap()
            .iter()
            .all(|step| step.applied)
    );
    let other = Store::connect(&settings, Schema::Fhir).unwrap();
    assert!(
        migrate::status(&other)
            .await
            .unwrap()
            .iter()
            .all(|step| !step.applied)
    );
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_refused() {
    let settings = testing::fresh_database().await;
    let store = Store::open(&settings, Schema::Fhir).await.unwrap();
    execute(
        &store,
        "INSERT INTO fhir.migration VALUES ('9999_future', 'x')",
    )
    .await;
    let refusal = Store::open(&settings, Schema::Fhir)
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        refusal.contains("9999_future") && refusal.contains("newer"),
        "{refusal}"
    );
}

#[tokio::test]
async fn a_unique_violation_names_its_constraint() {
    let store = store().await;
    let twice = store
        .write::<_, Error, _>(async |tx| {
            Ok(tx
                .batch_execute("INSERT INTO item VALUES (1); INSERT INTO item VALUES (1)")
                .await?)
        })
        .await;
    assert_eq!(twice.unwrap_err().unique_constraint(), Some("item_id"));
    assert_eq!(number(&store, "SELECT count(*) AS n FROM item").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_retried_and_both_transactions_succeed() {
    let store = store().await;
    execute(&store, "INSERT INTO item VALUES (1, 0), (2, 0)").await;
    let (both, runs) = (Arc::new(Barrier::new(2)), Arc::new(AtomicUsize::new(0)));
    let add = |first: i32, second: i32| {
        let (store, both, runs) = (store.clone(), Arc::clone(&both), Arc::clone(&runs));
        tokio::spawn(async move {
            store
                .write::<_, Error, _>(async |tx| {
                    let run = runs.fetch_add(1, Ordering::Relaxed);
                    let update = |id| format!("UPDATE item SET n = n + 1 WHERE id = {id}");
                    tx.batch_execute(&update(first)).await?;
                    if run < 2 {
                        both.wait().await;
                    }
                    Ok(tx.batch_execute(&update(second)).await?)
                })
                .await
        })
    };
    let (one, two) = (add(1, 2), add(2, 1));
    one.await.unwrap().unwrap();
    two.await.unwrap().unwrap();
    assert_eq!(
        number(&store, "SELECT sum(n)::bigint AS n FROM item").await,
        4
    );
    assert_eq!(AtomicUsize::load(&runs, Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_dropped_transaction_frees_its_locks_at_once() {
    let store = store().await;
    execute(&store, "INSERT INTO item VALUES (1, 0)").await;
    let hanging = store.write::<(), Error, _>(async |tx| {
        tx.batch_execute("UPDATE item SET n = 1").await?;
        std::future::pending().await
    });
    assert!(
        tokio::time::timeout(Duration::from_millis(200), hanging)
            .await
            .is_err()
    );
    execute(
        &store,
        "SET lock_timeout = '5s'; UPDATE item SET n = n + 10",
    )
    .await;
    assert_eq!(number(&store, "SELECT n FROM item").await, 10);
}

#[tokio::test]
async fn a_full_pool_says_busy_and_a_slow_statement_is_cancelled() {
    let settings = Settings {
        pool_size: 1,
        wait_timeout: Duration::from_millis(100),
        statement_timeout: Duration::from_millis(300),
        ..testing::fresh_database().await
    };
    let store = Store::connect(&settings, Schema::Fhir).unwrap();
    let sleep =
        || store.read::<_, Error, _>(async |c| Ok(c.batch_execute("SELECT pg_sleep(60)").await?));
    let (slow, busy) = tokio::join!(sleep(), sleep());
    assert!(matches!(slow, Err(Error::TooSlow)), "{slow:?}");
    assert!(matches!(busy, Err(Error::Busy)), "{busy:?}");
}

#[tokio::test]
async fn a_listener_hears_hints_and_is_told_to_reread_after_a_lost_connection() {
    let store = store().await;
    let hub = Hub::start(&store);
    let mut listener = hub.listen("item");
    assert_eq!(listener.next().await, Signal::Reread, "at once");
    assert_eq!(listener.next().await, Signal::Reread, "listening");
    execute(&store, "NOTIFY item, 'one'").await;
    assert_eq!(listener.next().await, Signal::Hint("one".into()));
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    execute(&store, others).await;
    assert_eq!(listener.next().await, Signal::Reread, "listening again");
    execute(&store, "NOTIFY item, 'two'").await;
    assert_eq!(listener.next().await, Signal::Hint("two".into()));
    drop(hub);
    assert_eq!(listener.next().await, Signal::Closed);
}
