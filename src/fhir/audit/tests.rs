//! The trail as an auditor sees it.

use std::sync::Arc;

use diesel_async::SimpleAsyncConnection;
use jiff::{SignedDuration, Timestamp};

use super::verify::{Report, Verifier};
use super::{Act, Deed, Journal, Reads, Record, Refused, Settings};
use crate::auth::Identity;
use crate::kernel::Clock;
use crate::r4::ResourceType;
use crate::store::fhir::audit::{self, Block, NewBlock};
use crate::store::testing::fresh_database;
use crate::store::{self, AsyncPgConnection, Schema, Store};

const SETTINGS: Settings = Settings {
    reads: Reads::Others,
    keep: SignedDuration::from_hours(24),
};

fn deed(version: i64) -> Deed {
    Deed {
        act: Act::Update,
        kind: ResourceType::Task,
        id: uuid::Uuid::from_u128(1),
        version,
        reason: None,
    }
}

async fn store() -> Store {
    let settings = fresh_database().await;
    Store::open(&settings, Schema::Fhir).await.unwrap()
}

async fn blocks(store: &Store) -> Vec<Block> {
    let span = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
    let read = async |conn: &mut AsyncPgConnection| audit::blocks(conn, 0, span, 10_000).await;
    store.read(read).await.unwrap()
}

async fn report(store: &Store) -> Report {
    let read = async |conn: &mut AsyncPgConnection| audit::head(conn).await;
    let head = store.read(read).await.unwrap();
    let mut verifier = Verifier::default();
    blocks(store)
        .await
        .iter()
        .for_each(|block| verifier.take(block));
    verifier.finish(head)
}

async fn sql(store: &Store, text: &str) -> Result<(), store::Error> {
    store
        .read(async |conn: &mut AsyncPgConnection| Ok(conn.batch_execute(text).await?))
        .await
}

async fn append(store: &Store, at: Timestamp) {
    let block = NewBlock {
        id: uuid::Uuid::new_v4(),
        at,
        since: at,
        node: "n".to_owned(),
        count: 1,
        records: Record::new(at, "read").line(),
    };
    let append = async |conn: &mut AsyncPgConnection| audit::append(conn, &block).await;
    store.read(append).await.unwrap();
}

/// What is noted before the end is in the chain, whole, whichever node it came from.
#[tokio::test]
async fn several_nodes_write_one_chain_and_store_everything_at_their_end() {
    let store = store().await;
    let identity = Arc::new(Identity::initial_loader());
    let node = async |place: &str| {
        let journal = Journal::new(SETTINGS, place, Clock::system());
        let write = async {
            for version in 1..=500 {
                journal.done(&identity, vec![deed(version)]);
                if version % 100 == 0 {
                    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
                }
            }
            journal.refused(Refused {
                identity: None,
                certificate: None,
                reason: "no-certificate",
                about: None,
                asked: "GET /fhir/Task".to_owned(),
            });
            journal.finish();
        };
        tokio::join!(journal.run(&store), write);
    };
    tokio::join!(node("1"), node("2"), node("3"));
    let report = report(&store).await;
    assert_eq!(report.problems, Vec::<String>::new());
    // For each node also its start, its refusal and its end.
    assert_eq!(report.records, 3 * 503);
    let all = blocks(&store).await;
    let lines = all.iter().flat_map(|block| block.records.lines());
    let records: Vec<Record> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let updates = records.iter().filter(|record| record.did == "update");
    assert_eq!(updates.count(), 1500);
    let refused = records
        .iter()
        .find(|record| record.did == "refuse")
        .unwrap();
    assert_eq!(refused.reason.as_deref(), Some("no-certificate"));
}

#[tokio::test]
async fn whatever_is_changed_or_taken_out_is_found() {
    let store = store().await;
    let at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    for _ in 0..6 {
        append(&store, at).await;
    }
    assert_eq!(report(&store).await.problems, Vec::<String>::new());
    for plain in [
        "UPDATE audit_block SET records = '' WHERE number = 3",
        "DELETE FROM audit_block WHERE number = 3",
        "TRUNCATE audit_block",
    ] {
        assert!(sql(&store, plain).await.is_err(), "{plain}");
    }
    // The owner of the database can switch the triggers off: then the digests tell.
    let forced = async |change: &str, problem: &str, back: &str| {
        let off = "ALTER TABLE audit_block DISABLE TRIGGER USER; \
                   CREATE TABLE saved AS SELECT * FROM audit_block;";
        sql(&store, &format!("{off} {change}")).await.unwrap();
        let problems = report(&store).await.problems;
        assert!(
            problems.iter().any(|one| one.contains(problem)),
            "{change}: {problems:?}"
        );
        let on = "DELETE FROM audit_block; INSERT INTO audit_block SELECT * FROM saved; \
                  DROP TABLE saved; ALTER TABLE audit_block ENABLE TRIGGER USER;";
        sql(&store, &format!("{on} {back}")).await.unwrap();
        assert_eq!(
            report(&store).await.problems,
            Vec::<String>::new(),
            "{change}"
        );
    };
    let replaced =
        "UPDATE audit_block SET records = replace(records, 'read', 'none') WHERE number = 3";
    forced(replaced, "block 3 of", "").await;
    forced(
        "UPDATE audit_block SET node = 'm' WHERE number = 2",
        "block 2 of",
        "",
    )
    .await;
    forced(
        "UPDATE audit_block SET at = at + interval '1 s' WHERE number = 2",
        "block 2 of",
        "",
    )
    .await;
    forced(
        "DELETE FROM audit_block WHERE number IN (3, 4)",
        "blocks 3 to 4 are missing",
        "",
    )
    .await;
    forced(
        "DELETE FROM audit_block WHERE number = 6",
        "ends with block 5",
        "",
    )
    .await;
    forced(
        "DELETE FROM audit_block WHERE number < 3",
        "blocks 1 to 2 are missing",
        "",
    )
    .await;
    forced("DELETE FROM audit_block", "ends with block 0", "").await;
}

/// A chain that was shortened and mended as a whole differs from the end that was noted.
#[tokio::test]
async fn an_end_that_was_noted_must_stay_in_the_chain() {
    let store = store().await;
    let at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    for _ in 0..3 {
        append(&store, at).await;
    }
    let noted = report(&store).await.head.unwrap();
    let against = async || {
        let head = store
            .read(async |conn: &mut AsyncPgConnection| audit::head(conn).await)
            .await
            .unwrap();
        let mut verifier = Verifier::new(vec![noted.clone()]);
        blocks(&store)
            .await
            .iter()
            .for_each(|block| verifier.take(block));
        verifier.finish(head).problems
    };
    append(&store, at).await;
    assert_eq!(against().await, Vec::<String>::new());
    let shorter = "ALTER TABLE audit_block DISABLE TRIGGER USER; \
                   DELETE FROM audit_block WHERE number > 2; \
                   UPDATE audit_head SET number = 2, \
                   digest = (SELECT digest FROM audit_block WHERE number = 2);";
    sql(&store, shorter).await.unwrap();
    assert_eq!(report(&store).await.problems, Vec::<String>::new());
    assert_eq!(
        against().await,
        ["block 3, which was noted earlier, is missing"]
    );
    append(&store, at + SignedDuration::from_secs(1)).await;
    assert_eq!(
        against().await,
        ["block 3 is not the one that was noted earlier"]
    );
}

#[tokio::test]
async fn what_is_past_its_time_goes_and_the_chain_says_so() {
    let store = store().await;
    let now: Timestamp = "2026-01-10T00:00:00Z".parse().unwrap();
    for days in [9, 8, 7] {
        append(&store, now - SignedDuration::from_hours(24 * days)).await;
    }
    append(&store, now).await;
    let journal = Journal::new(SETTINGS, "1", Clock::manual(now));
    journal.prune(&store).await.unwrap();
    journal.prune(&store).await.unwrap();
    let kept: Vec<i64> = blocks(&store)
        .await
        .iter()
        .map(|block| block.number)
        .collect();
    assert_eq!(kept, [4, 5]);
    let report = report(&store).await;
    assert_eq!((report.problems, report.first), (Vec::new(), Some(4)));
}
