//! `kill -9` at each point of `spec/bpmn.md` §5.12, on a real PostgreSQL.
//!
//! A node is this test program once more: it does what leads to the point, and ends there without
//! any chance to clean up. Then the test looks at what it left, lets another node go on, and looks
//! again: nothing may be lost, nothing may have happened twice. `DSF_KILLS=50` kills so often at
//! each point; the table that is printed counts the processes that ended there.
//!
//! | # | where the node is killed | what must hold |
//! |---|---|---|
//! | C1 | a Task's step is about to be stored | nothing of it is there; the Task is taken in once |
//! | C2 | it is stored, nobody knows yet | it is there; offered again, the Task changes nothing |
//! | C3 | a job is taken, its instance leased | the job runs once after the lease |
//! | C4 | code has been called, nothing stored | the call is repeated under the same effect id |
//! | C5 | any time while the statement runs | the step is stored once, now or later |
//! | C6 | a node without lease has been refused | the other node's step stands, once |
//! | C7 | the second node finds a timer gone | it has fired once |
//! | C8 | a message is held for its receiver | the receiver gets it when it waits |
//! | C9 | the second message for a receiver is refused | one is taken, the other still waits |
//! | C10 | a called instance is being stored | caller and called are both there, or neither |
//! | C11 | a model is deployed, not committed | the old one and its start timer stand |
//! | C12 | a signal is thrown, spread, heard by one | everybody hears it once |
//! | C13 | a failure is about to be or being counted | no job without retries and without incident |
//! | C14 | history is being removed | no history without its instance; removal goes on |
//! | C15 | the interpreter has panicked | the instance is untouched |
//! | C16 | – | no point of a node: which commits survive a change of servers is PostgreSQL's, and only a synchronous standby keeps all of them (docs/operations.md) |
//! | C17 | a node with a clock of its own finds a lease | the lease holds by the clock of the database |
//! | C18 | the database refuses the step | nothing has changed; it is done again |
//! | C19 | a state of the layout before is moved on | it goes on as if nothing had been |
//! | C20 | an instance fails again and again | it ends with one incident; others go on |

mod script;
mod stage;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::*;
use crate::bpe::engine::Waiting;
use crate::store::bpe::{definition, history, inbox, instance, snapshot};
use stage::{Ground, completed, count, incidents, settle};

const POINTS: [u32; 19] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18, 19, 20,
];

/// Not a test by itself: what a node does until it is killed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the test below, as a process of its own"]
async fn victim() {
    if let Some(script) = script::Script::given() {
        script.run().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_at_each_point_of_the_table_loses_nothing_and_repeats_nothing() {
    let given = std::env::var("DSF_KILLS").ok();
    let kills: u32 = given.and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut killed = BTreeMap::new();
    let effects = testing::temporary_folder("effects");
    std::fs::create_dir_all(&effects).unwrap();
    for point in POINTS {
        let ground = Ground::new(point, &effects).await;
        for round in 0..kills {
            let subject = prepare(&ground, round).await;
            let ended = kill(&ground, round, subject).await;
            *killed.entry(point).or_insert(0) += u32::from(ended);
            look(&ground, round, subject).await;
            settle(&ground, subject).await;
            conclude(&ground, round, subject).await;
        }
    }
    for (point, times) in &killed {
        println!("C{point}: {times} of {kills} killed");
    }
    assert!(killed.values().all(|times| *times == kills), "{killed:?}");
}

/// Runs the victim; whether it was killed at its point. PostgreSQL still does what it was told last.
async fn kill(ground: &Ground, round: u32, subject: Uuid) -> bool {
    let own = ground.connections().await;
    let name = "bpe::runtime::tests::kill::victim";
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", name])
        .env("DSF_VICTIM_URL", &ground.url)
        .env("DSF_VICTIM_POINT", ground.point.to_string())
        .env("DSF_VICTIM_ROUND", round.to_string())
        .env("DSF_VICTIM_SUBJECT", subject.to_string())
        .env("DSF_VICTIM_EFFECTS", &ground.effects)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while ground
        .connections()
        .await
        .iter()
        .any(|it| !own.contains(it))
    {
        assert!(
            std::time::Instant::now() < end,
            "the dead node's connections stay"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    status.signal().is_some()
}

/// What stands before the node begins; answers what it is all about.
async fn prepare(ground: &Ground, round: u32) -> Uuid {
    let process = match ground.point {
        1 | 2 if round.is_multiple_of(2) => return ground.task("work", Uuid::now_v7()).await,
        1 | 2 | 9 => "message",
        7 => "timed",
        8 => "late",
        10 => "parent",
        11 | 15 => return Uuid::now_v7(),
        12 => {
            for _ in 0..3 {
                ground.begin("listener").await;
            }
            "thrower"
        }
        14 => {
            for _ in 0..6 {
                ground.begin("empty").await;
            }
            return Uuid::nil();
        }
        19 => "many",
        20 => {
            ground.begin("work").await;
            "work"
        }
        _ => "work",
    };
    let instance = ground.begin(process).await;
    let messages = match ground.point {
        1 | 2 | 8 => 1,
        9 => 2,
        _ => 0,
    };
    for _ in 0..messages {
        ground.task(process, instance).await;
    }
    if ground.point == 17 {
        assert!(matches!(
            leased(ground, instance).await,
            instance::Lease::Taken(_)
        ));
    }
    instance
}

/// As another node would lease it.
async fn leased(ground: &Ground, id: Uuid) -> instance::Lease {
    let lease = async |conn: &mut _| instance::lease(conn, id, None, 60.0).await;
    ground.store.read(lease).await.unwrap()
}

async fn known(ground: &Ground, id: Uuid) -> Option<history::Instance> {
    let row = async |conn: &mut _| history::by_id(conn, id).await;
    ground.store.read(row).await.unwrap()
}

/// What the killed node left.
async fn look(ground: &Ground, round: u32, subject: Uuid) {
    let done = completed(&ground.store, subject).await;
    let at_rest = state(&ground.store, subject).await;
    assert_eq!(at_rest.as_ref().and_then(State::flaw), None);
    match ground.point {
        1 if round.is_multiple_of(2) => assert!(known(ground, subject).await.is_none()),
        1 => assert_eq!(count(&done, "m"), 0),
        2 if round.is_multiple_of(2) => assert!(at_rest.is_some()),
        2 => assert_eq!(count(&done, "m"), 1),
        3 | 4 | 18 => assert_eq!(count(&done, "a"), 0),
        6 => assert_eq!(count(&done, "a"), 1),
        7 => assert_eq!(count(&done, "t"), 1),
        10 => {
            let state = at_rest.unwrap();
            let waiting = state.waiting().filter(|it| it.2 == Waiting::Child);
            let children = ground.children(subject).await.len();
            let message = "an orphan, or a caller that waits for nothing";
            assert_eq!(children, waiting.count(), "{message}");
        }
        11 => assert_eq!(ground.models().await, (1, 1)),
        13 | 20 => {
            for job in at_rest.unwrap().jobs() {
                assert_eq!(job.retries == 0, job.incident.is_some());
            }
        }
        14 => ground.no_orphaned_history().await,
        15 => assert!(at_rest.is_none()),
        17 => {
            assert_eq!(count(&done, "a"), 0);
            let lease = leased(ground, subject).await;
            assert!(matches!(lease, instance::Lease::Busy), "it was taken away");
        }
        _ => {}
    }
}

/// How often activities have been completed when all is over.
fn expected(point: u32, round: u32) -> &'static [(&'static str, usize)] {
    match point {
        1 | 2 if !round.is_multiple_of(2) => &[("m", 1), ("b", 1)],
        7 => &[("t", 1), ("b", 1)],
        8 => &[("a", 1), ("m", 1)],
        9 => &[("m", 1), ("b", 1)],
        10 => &[("c", 1)],
        11 | 14 | 15 => &[],
        12 => &[("x", 1)],
        13 | 20 => &[("a", 0), ("b", 0)],
        19 => &[("r", 70), ("r#multiInstanceBody", 1)],
        _ => &[("a", 1), ("b", 1)],
    }
}

/// What is there after another node went on.
async fn conclude(ground: &Ground, round: u32, subject: Uuid) {
    let (store, point) = (&ground.store, ground.point);
    let done = completed(store, subject).await;
    for (activity, times) in expected(point, round) {
        assert_eq!(count(&done, activity), *times, "{activity} at C{point}");
    }
    let row = known(ground, subject).await;
    let over = row.is_none_or(|row| row.outcome.is_some());
    assert_eq!(over, !matches!(point, 13 | 20), "C{point}");
    match point {
        4 => ground.one_effect(subject),
        9 => ground.one_message_is_left().await,
        10 => {
            let children = ground.children(subject).await;
            assert_eq!(children.len(), 1);
            assert_eq!(count(&completed(store, children[0]).await, "d"), 1);
        }
        11 => assert_eq!(ground.models().await, (1, 1)),
        12 => ground.all_have_heard().await,
        13 => assert_eq!(incidents(store, subject).await, 1),
        14 => ground.no_orphaned_history().await,
        20 => {
            assert_eq!(incidents(store, subject).await, 1);
            ground.others_are_done(round).await;
        }
        _ => {}
    }
}
