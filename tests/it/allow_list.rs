//! The allow list of a network, from a peer's server to the own one: `plugins/allow-list`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::harness::allow_list::bundle;
use super::harness::organization::{Request, outputs};
use super::harness::sample::{path, tag};
use super::harness::world::Member;
use super::harness::{ORGANIZATION, Organization, Package, World};

const PROCESS: &str = "http://dsf.dev/bpe/Process/downloadAllowList|1.0";
const CODES: &str = "http://dsf.dev/fhir/CodeSystem/allow-list";

/// One who updates the own allow list, and a peer that publishes one.
struct Pair {
    own: Organization,
    peer: Organization,
}

impl Pair {
    async fn start() -> Self {
        let world = Arc::new(World::recorded());
        let package = Package::of_tests("calm");
        let mut peer = Organization::closed(&world, "bpe-b", &package, &[]).await;
        peer.open_mailbox().await;
        let own = Organization::start(&world, "bpe-a", &package, &[]).await;
        own.offers(&[PROCESS]).await;
        Self { own, peer }
    }

    /// Runs the process with a list; the ended Task.
    async fn download(&self, list: &str, more: &[(&str, &str, Value)]) -> Value {
        let input = |code: &str, member: &str, value: &Value| json!({"type": {"coding": [{"system": CODES, "code": code}]}, member: value});
        let reference = json!({"reference": list});
        let mut inputs = vec![input("allow_list", "valueReference", &reference)];
        inputs.extend(
            more.iter()
                .map(|(code, member, value)| input(code, member, value)),
        );
        let request = Request {
            process: PROCESS,
            profile: "http://dsf.dev/fhir/StructureDefinition/task-download-allow-list|1.0",
            message: "downloadAllowListMessage",
            business_key: None,
            inputs,
        };
        let task = self.own.ask("bpe-a", &request).await;
        self.own.ended(&task).await
    }

    /// What a list would change, and the name of all of it.
    async fn looked_at(&self, list: &str) -> (Vec<String>, String) {
        let ended = self
            .download(list, &[("dry-run", "valueBoolean", json!(true))])
            .await;
        assert_eq!(ended["status"], "completed", "{ended:#}");
        let (mut changes, mut name) = (Vec::new(), String::new());
        for (code, text) in outputs(&ended) {
            match code.as_str() {
                "change" => changes.push(text),
                "changes" => name = text,
                other => panic!("a dry run tells no {other}"),
            }
        }
        (changes, name)
    }

    /// Applies a list; where it is kept.
    async fn apply(&self, list: &str, expected: &str) -> String {
        let expected = ("expected-changes", "valueString", json!(expected));
        let ended = self.download(list, &[expected]).await;
        assert_eq!(ended["status"], "completed", "{ended:#}");
        let mut outputs = outputs(&ended).into_iter();
        let (_, kept) = outputs.find(|(code, _)| code == "applied").unwrap();
        let kept: Value = serde_json::from_str(&kept).unwrap();
        kept["reference"].as_str().unwrap().to_owned()
    }

    async fn fails(&self, list: &str, more: &[(&str, &str, Value)], reason: &str) {
        let ended = self.download(list, more).await;
        assert_eq!(ended["status"], "failed", "{ended:#}");
        let mut outputs = outputs(&ended).into_iter();
        let (_, text) = outputs.find(|(code, _)| code == "error").unwrap();
        assert!(text.contains(reason), "{reason} is missing in {text}");
    }

    /// The newcomer as the own server has it.
    async fn newcomer(&self) -> Option<Value> {
        let query = format!("Organization?identifier={ORGANIZATION}|New_Organization");
        self.own.local().search(&query).await.pop()
    }
}

fn newcomer(thumbprint: &str) -> Member {
    Member {
        name: "new",
        identifier: "New_Organization",
        role: Some("DIC"),
        active: true,
        port: 9,
        thumbprint: thumbprint.repeat(128),
    }
}

/// The list of a network with one more member, as an allow-list server has it.
fn list(world: &World, newcomer: Member) -> Value {
    let mut members = world.members.clone();
    members.push(newcomer);
    let mut list = bundle(world.parent, &members);
    list["meta"] = json!({"tag": [tag("ALL")]});
    list["identifier"] = json!({"system": CODES, "value": "allow_list"});
    list
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_a_peer_is_looked_at_applied_and_taken_back() {
    let pair = Pair::start().await;
    let world = &pair.own.world;
    let stored = pair.peer.local().create(&list(world, newcomer("a"))).await;
    let at = format!("{}/{}", world.member("bpe-b").base_url(), path(&stored));

    let (changes, name) = pair.looked_at(&at).await;
    let [organization, endpoint, affiliation] = changes.as_slice() else {
        panic!("{changes:?}")
    };
    assert_eq!(organization, "added Organization New_Organization");
    assert_eq!(endpoint, "added Endpoint New_Endpoint");
    assert!(
        affiliation.starts_with("added OrganizationAffiliation "),
        "{affiliation}"
    );
    assert!(pair.newcomer().await.is_none(), "only looked at");

    let other = (
        "expected-changes",
        "valueString",
        json!("1-0000000000000000"),
    );
    pair.fails(&at, &[other], &format!("but {name}")).await;
    assert!(pair.newcomer().await.is_none(), "not what was expected");

    let first = pair.apply(&at, &name).await;
    assert!(first.ends_with("/_history/1"), "{first}");
    assert_eq!(
        pair.looked_at(&at).await.0,
        [""; 0],
        "nothing is left to change"
    );

    // The list goes on: another certificate, and out of the network.
    let mut next = list(world, newcomer("b"));
    let affiliation = next["entry"].as_array_mut().unwrap().pop().unwrap();
    let mut gone = affiliation["request"].clone();
    gone["method"] = json!("DELETE");
    next["entry"]
        .as_array_mut()
        .unwrap()
        .push(json!({"request": gone}));
    next["id"] = stored["id"].clone();
    let answer = pair.peer.local().put(&path(&stored), &next).await;
    assert_eq!(answer.status, 200, "{answer}");
    let (changes, name) = pair.looked_at(&at).await;
    let [changed, removed] = changes.as_slice() else {
        panic!("{changes:?}")
    };
    assert!(
        changed.starts_with("changed Organization New_Organization: thumbprints aaa"),
        "{changed}"
    );
    assert!(
        removed.starts_with("removed OrganizationAffiliation "),
        "{removed}"
    );
    let second = pair.apply(&at, &name).await;
    assert!(second.ends_with("/_history/2"), "{second}");

    // Back to what was applied first, from the own history.
    let own = world.member("bpe-a").base_url();
    let before = format!("{own}/{first}");
    let (changes, name) = pair.looked_at(&before).await;
    assert_eq!(changes.len(), 2, "{changes:?}");
    pair.apply(&before, &name).await;
    let newcomer = pair.newcomer().await.unwrap().to_string();
    assert!(newcomer.contains(&"a".repeat(128)), "{newcomer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_none_changes_nothing() {
    let pair = Pair::start().await;
    let world = &pair.own.world;
    let base = world.member("bpe-b").base_url();

    let mut strange = list(world, newcomer("a"));
    let patient = json!({"resourceType": "Patient", "meta": {"tag": [tag("ALL")]}});
    let request = json!({"method": "POST", "url": "Patient"});
    let entry = json!({"fullUrl": "urn:uuid:5f6b1c1e-0f50-4f2c-9f0e-0a6a0a0a0a0a", "resource": patient, "request": request});
    strange["entry"].as_array_mut().unwrap().push(entry);
    let stored = pair.peer.local().create(&strange).await;
    let at = format!("{base}/{}", path(&stored));
    pair.fails(&at, &[], "wants POST Patient: an allow list holds")
        .await;
    assert!(pair.newcomer().await.is_none(), "not a part of it either");

    // Of somebody who is no partner.
    let elsewhere = "https://localhost:9/fhir/Bundle/5f6b1c1e-0f50-4f2c-9f0e-0a6a0a0a0a0a";
    pair.fails(elsewhere, &[], "is not the address of an active Endpoint")
        .await;
}
