//! Bundles: the allow list of a hundred organisations, and transactions that grow.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::copies::admin;
use crate::harness::sample::{patient, word};
use crate::harness::world::Member;
use crate::harness::{Client, allow_list};
use crate::{Stage, count};

const MEMBERS: u16 = 100;

pub async fn run(stage: &Stage) {
    let database = stage.database("bundles").await;
    let server = stage.launch(&database).start().await;
    let local = server.local();
    println!("{:<58} {:>8}", "", "ms");
    growing(&local).await;

    let mut members: Vec<Member> = (0..MEMBERS).map(member).collect();
    line(
        "allow list of 100 organisations, new",
        posted(&local, &members).await,
    );
    line("the same, nothing changed", posted(&local, &members).await);
    line(
        "the same, each changed",
        changed(&local, &mut members).await,
    );
    let versions = count("VERSIONS", 1000);
    age(database.url.as_deref().unwrap(), versions).await;
    let text = format!("the same, each changed, after {versions} earlier versions");
    line(&text, changed(&local, &mut members).await);
    let text = format!("the same, nothing changed, after {versions} earlier versions");
    line(&text, posted(&local, &members).await);
}

fn line(what: &str, time: Duration) {
    println!("{what:<58} {:>8.1}", time.as_secs_f64() * 1e3);
}

/// The middle one of three.
fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Transactions of creates, conditional ones among them.
async fn growing(local: &Client) {
    for entries in [10, 100, 1_000, 5_000] {
        let mut times = Vec::new();
        for _ in 0..3 {
            let entry = |_| {
                let word = word();
                let condition = format!("identifier=http://example.org/sid/it|{word}");
                let urn = format!("urn:uuid:{}", uuid::Uuid::new_v4());
                json!({"fullUrl": urn, "resource": patient(&word),
                    "request": {"method": "POST", "url": "Patient", "ifNoneExist": condition}})
            };
            let entries: Vec<Value> = (0..entries).map(entry).collect();
            times.push(sent(local, entries).await);
        }
        let time = middle(times);
        let each = time / entries;
        let text = format!("transaction of {entries} creates, {each:.0?} each");
        line(&text, time);
    }
}

async fn sent(local: &Client, entries: Vec<Value>) -> Duration {
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    let begun = Instant::now();
    let answer = local.post("", &bundle).await;
    assert_eq!(answer.status, 200, "{answer}");
    begun.elapsed()
}

fn member(index: u16) -> Member {
    let kept = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    Member {
        name: "member",
        identifier: kept(format!("Member_{index}_Organization")),
        role: Some("DIC"),
        active: true,
        port: 20_000 + index,
        thumbprint: format!("{index:0128x}"),
    }
}

async fn posted(local: &Client, members: &[Member]) -> Duration {
    let bundle = allow_list::bundle("Bench_Parent", members);
    sent(local, bundle["entry"].as_array().unwrap().clone()).await
}

/// Every organisation has a new certificate.
async fn changed(local: &Client, members: &mut [Member]) -> Duration {
    let mut times = Vec::new();
    for _ in 0..3 {
        for member in &mut *members {
            let number = u128::from_str_radix(&member.thumbprint, 16).unwrap();
            member.thumbprint = format!("{:0128x}", number + 1_000_000);
        }
        times.push(posted(local, members).await);
    }
    middle(times)
}

/// Gives each resource of the allow list so many earlier versions.
async fn age(url: &str, versions: usize) {
    let admin = admin(url).await;
    let earlier = format!(
        "INSERT INTO fhir.version (id, version, type, last_updated, document, access) \
         SELECT id, i, type, last_updated - i * interval '1 s', document, access \
         FROM fhir.resource, generate_series(1, {versions}) i \
         WHERE id IN (SELECT id FROM fhir.resource WHERE document LIKE '%Member\\_%') \
         ON CONFLICT DO NOTHING; \
         UPDATE fhir.resource SET version = version + {versions}, document = replace(document, \
         '\"versionId\":\"' || version || '\"', '\"versionId\":\"' || version + {versions} || '\"') \
         WHERE document LIKE '%Member\\_%'; \
         UPDATE fhir.directory SET generation = generation + 1"
    );
    admin.batch_execute(&earlier).await.unwrap();
    let vacuum = [
        "VACUUM ANALYZE fhir.resource",
        "VACUUM ANALYZE fhir.version",
    ];
    for statement in vacuum {
        admin.batch_execute(statement).await.unwrap();
    }
}
