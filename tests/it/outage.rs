//! The partner-outage matrix of design §5: nothing lost, nothing twice, each row a test.
//!
//! | row | test |
//! |---|---|
//! | partner down for ten minutes | [`a_partner_that_is_down_gets_the_message_once_when_it_is_back`]: the line is cut for some seconds, over several tries. Ten minutes, and more than the hour of the deadline, pass in `bpe::exchange::tests` of the library, where time is moved |
//! | down for longer than the deadline | [`a_partner_that_stays_away_fails_the_task_at_the_deadline`], with a deadline of two seconds |
//! | own FHIR server down | `user_task`, and [`messages_that_come_while_the_engine_cannot_reach_its_mailbox_are_not_lost`] |
//! | answer lost after the commit, reply before the receiver waits | [`a_lost_answer_doubles_nothing_and_an_early_reply_waits_for_its_receiver`] |
//! | duplicates | [`a_message_sent_twice_is_taken_once`], [`a_process_that_is_started_twice_with_the_same_words_runs_once`] |
//! | reordering | [`messages_of_one_conversation_are_taken_in_whatever_order_they_come`] |

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::harness::organization::{PATIENCE, Request, input_text, outputs};
use super::harness::{Organization, Package, World, until};

const TALK: &str = "http://example.org/bpe/Process/talk|1.0";
const LISTEN: &str = "http://example.org/bpe/Process/listen|1.0";

/// The one who asks, with mailbox and engine, and the partner with a mailbox behind a line; the
/// test speaks for the partner's engine.
struct Pair {
    asker: Organization,
    partner: Organization,
}

impl Pair {
    async fn start(keys: &[&str]) -> Self {
        let world = Arc::new(World::recorded());
        let package = Package::of_tests("exchange");
        let mut partner = Organization::on_line(&world, "bpe-b", &package).await;
        // An engine that comes and goes puts the process there.
        partner.start_engine().await;
        partner.offers(&[LISTEN]).await;
        partner.stop_engine();
        let asker = Organization::start(&world, "bpe-a", &package, keys).await;
        asker.offers(&[TALK]).await;
        Self { asker, partner }
    }

    async fn talk(&self, key: &str) -> String {
        self.asker.ask("bpe-a", &message("talk", key)).await
    }

    /// The questions at the partner, once there are some.
    async fn questions(&self, key: &str) -> Vec<Value> {
        let asked = async || {
            let mut all = self.partner.tasks("question").await;
            all.retain(|task| input_text(task, "business-key") == key);
            all
        };
        until("the question is asked", PATIENCE, async || {
            !asked().await.is_empty()
        })
        .await;
        asked().await
    }

    /// The partner says something; the id of the Task.
    async fn say(&self, name: &str, key: &str) -> String {
        self.asker.ask("bpe-b", &message(name, key)).await
    }

    async fn is_over(&self, talk: &str) {
        let ended = self.asker.ended(talk).await;
        assert_eq!(ended["status"], "completed", "{ended:#}");
    }
}

fn message<'a>(name: &'a str, key: &'a str) -> Request<'a> {
    let profile = match name {
        "talk" => "http://example.org/fhir/StructureDefinition/task-talk|1.0",
        "first" => "http://example.org/fhir/StructureDefinition/task-first|1.0",
        _ => "http://example.org/fhir/StructureDefinition/task-second|1.0",
    };
    Request {
        process: TALK,
        profile,
        message: name,
        business_key: Some(key),
        inputs: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_that_is_down_gets_the_message_once_when_it_is_back() {
    let pair = Pair::start(&[]).await;
    pair.partner.line().cut();
    let talk = pair.talk("down").await;
    pair.asker.task_when(&talk, "in-progress").await;
    until("several tries have failed", PATIENCE, async || {
        pair.asker
            .engine()
            .log()
            .matches("message not delivered")
            .count()
            >= 3
    })
    .await;
    pair.partner.line().mend();
    assert_eq!(pair.questions("down").await.len(), 1);
    pair.say("first", "down").await;
    pair.say("second", "down").await;
    pair.is_over(&talk).await;
    assert_eq!(pair.questions("down").await.len(), 1, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_that_stays_away_fails_the_task_at_the_deadline() {
    let pair = Pair::start(&["bpe.send-deadline=2s"]).await;
    pair.partner.line().cut();
    let talk = pair.talk("away").await;
    let ended = pair.asker.ended(&talk).await;
    assert_eq!(ended["status"], "failed", "{ended:#}");
    let (code, reason) = outputs(&ended).remove(0);
    assert_eq!(code, "error");
    // The text of spec/bpe.md §3.5.
    let start = format!(
        "Task {LISTEN} send failed [recipient: External_Test_Organization, endpoint: \
         External_Test_Endpoint, businessKey: away, message: question, error: "
    );
    assert!(reason.starts_with(&start), "{reason}");
    pair.partner.line().mend();
    assert!(pair.partner.tasks("question").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_come_while_the_engine_cannot_reach_its_mailbox_are_not_lost() {
    let mut pair = Pair::start(&[]).await;
    let talk = pair.talk("own").await;
    pair.questions("own").await;
    // Closed and open again: the socket of the engine is gone, and what came meanwhile was told to
    // nobody (spec/bpe.md §2.6).
    pair.asker.stop_mailbox();
    pair.asker.open_mailbox().await;
    let (first, second) = (
        pair.say("first", "own").await,
        pair.say("second", "own").await,
    );
    pair.is_over(&talk).await;
    for id in [first, second] {
        assert_eq!(pair.asker.ended(&id).await["status"], "completed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_doubles_nothing_and_an_early_reply_waits_for_its_receiver() {
    let pair = Pair::start(&[]).await;
    pair.partner.line().withhold_answers();
    let talk = pair.talk("lost").await;
    // The partner has the question and answers at once; the asker does not know that it was heard.
    pair.questions("lost").await;
    let first = pair.say("first", "lost").await;
    let second = pair.say("second", "lost").await;
    pair.partner.line().cut();
    pair.partner.line().mend();
    pair.is_over(&talk).await;
    for id in [first, second] {
        assert_eq!(
            pair.asker.ended(&id).await["status"],
            "completed",
            "held, not failed"
        );
    }
    assert_eq!(pair.questions("lost").await.len(), 1, "no double");
}

/// The same request twice is one Task; the same message in two Tasks finds its receiver once
/// (spec/bpe.md §3.5, §14 #18).
#[tokio::test(flavor = "multi_thread")]
async fn a_message_sent_twice_is_taken_once() {
    let pair = Pair::start(&["bpe.message-grace=2s"]).await;
    let talk = pair.talk("twice").await;
    pair.questions("twice").await;
    let first = pair.asker.request("bpe-b", &message("first", "twice"));
    let partner = pair.asker.mailbox().client("bpe-b");
    let key = [("idempotency-key", "4d5f8d0c-6a0a-4c4e-9a55-0f4a5c1a7b11")];
    let mut ids = Vec::new();
    for _ in 0..2 {
        let stored = partner.post_with("Task", &key, &first).await;
        assert!(matches!(stored.status, 200 | 201), "{stored}");
        ids.push(stored.json()["id"].clone());
    }
    assert_eq!(ids[0], ids[1], "one Task");

    // As a peer that knows no such header does it: the second Task has no receiver.
    let again = pair.say("first", "twice").await;
    let refused = pair.asker.ended(&again).await;
    assert_eq!(refused["status"], "failed", "{refused:#}");
    assert_eq!(outputs(&refused)[0].1, "Unable to correlate Task");
    assert_eq!(
        pair.asker.task(&talk).await["status"],
        "in-progress",
        "undisturbed"
    );

    // As it does it when it had no answer: word for word what it said before. Not even where the
    // message is awaited once more is that one of its own.
    let second = pair.asker.request("bpe-b", &message("second", "twice"));
    let mut said = Vec::new();
    for _ in 0..2 {
        let stored = partner.create(&second).await;
        said.push(stored["id"].as_str().unwrap().to_owned());
    }
    pair.is_over(&talk).await;
    assert_ne!(said[0], said[1]);
    is_taken_once(&pair, &said).await;
    let once = pair.asker.ended(ids[0].as_str().unwrap()).await;
    assert_eq!(once["status"], "completed", "{once:#}");
}

/// Of Tasks that say the same one is completed, and each of the others names it.
async fn is_taken_once(pair: &Pair, said: &[String]) {
    let mut taken = Vec::new();
    let mut named = Vec::new();
    for id in said {
        let task = pair.asker.ended(id).await;
        match task["status"].as_str() {
            Some("completed") => taken.push(format!("Duplicate of Task/{id}")),
            _ => named.push(outputs(&task).remove(0).1),
        }
    }
    assert_eq!(taken, named);
}

/// The same for the message that starts a process: two Tasks of a peer that had no answer start one
/// instance. What is said again later, or without a business key, starts another (§12.3 N2).
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_started_twice_with_the_same_words_runs_once() {
    let pair = Pair::start(&["bpe.message-grace=2s"]).await;
    let ourselves = pair.asker.mailbox().client("bpe-a");
    let start = pair.asker.request("bpe-a", &message("talk", "start"));
    let mut said = Vec::new();
    for _ in 0..2 {
        let stored = ourselves.create(&start).await;
        said.push(stored["id"].as_str().unwrap().to_owned());
    }
    pair.questions("start").await;
    pair.say("first", "start").await;
    pair.say("second", "start").await;
    is_taken_once(&pair, &said).await;
    assert_eq!(pair.questions("start").await.len(), 1, "one instance");

    let mut keyless = message("talk", "");
    keyless.business_key = None;
    let keyless = pair.asker.request("bpe-a", &keyless);
    for _ in 0..2 {
        let id = ourselves.create(&keyless).await["id"].clone();
        pair.asker
            .task_when(id.as_str().unwrap(), "in-progress")
            .await;
    }
    until("both ask", PATIENCE, async || {
        pair.partner.tasks("question").await.len() == 3
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_one_conversation_are_taken_in_whatever_order_they_come() {
    let pair = Pair::start(&[]).await;
    let talk = pair.talk("order").await;
    pair.questions("order").await;
    let second = pair.say("second", "order").await;
    pair.asker.task_when(&second, "in-progress").await;
    // Long enough that it is looked at once more, and held.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(pair.asker.task(&second).await["status"], "in-progress");
    let first = pair.say("first", "order").await;
    pair.is_over(&talk).await;
    for id in [first, second] {
        assert_eq!(pair.asker.ended(&id).await["status"], "completed");
    }
}
