//! Searches on a real PostgreSQL (`spec/fhir-api.md` §5).

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Candidate, Handling, Page, Totals, Visible, conditions, parse, run, terms};
use crate::r4::{Resource, ResourceType};
use crate::store::fhir::search::testing::{self, find_ids};
use crate::store::fhir::search::tokens_of;
use crate::store::fhir::{directory, resource as rows};
use crate::store::testing::fresh_database;
use crate::store::{Error, Schema, Store};

struct World {
    store: Store,
    totals: Totals,
    resources: Vec<Resource>,
}

fn id(number: u8) -> String {
    Uuid::from_u128(u128::from(number)).to_string()
}

/// A stored resource: its number is its id and the day of its last update.
fn resource(number: u8, mut value: Value) -> Resource {
    value["id"] = json!(id(number));
    value["meta"]["versionId"] = json!("1");
    value["meta"]["lastUpdated"] = json!(format!("2026-01-{number:02}T00:00:00.000Z"));
    Resource::from_value(value).expect("a resource")
}

fn resources() -> Vec<Resource> {
    let organization = format!("Organization/{}", id(1));
    vec![
        resource(
            1,
            json!({"resourceType": "Organization", "name": "Zeta", "alias": ["Ärzte%"],
            "identifier": [{"system": "o", "value": "A"}], "active": true,
            "endpoint": [{"reference": format!("Endpoint/{}", id(2))}],
            "type": [{"coding": [{"system": "t", "code": "x"}]}]}),
        ),
        resource(
            2,
            json!({"resourceType": "Endpoint", "name": "alpha", "status": "active",
            "address": "https://a/fhir", "managingOrganization": {"reference": organization}}),
        ),
        resource(
            3,
            json!({"resourceType": "Endpoint", "name": "beta", "status": "off",
            "address": "https://b/fhir", "managingOrganization": {"reference": organization}}),
        ),
        resource(
            4,
            json!({"resourceType": "Task", "status": "requested", "authoredOn": "2026-05",
            "requester": {"reference": organization, "identifier": {"system": "o", "value": "A"}}}),
        ),
        resource(
            5,
            json!({"resourceType": "Task", "status": "draft",
            "authoredOn": "2026-05-02T10:00:00+02:00",
            "requester": {"identifier": {"system": "o", "value": "B"}},
            "identifier": [{"system": "i", "value": "1"}, {"value": "2"}]}),
        ),
        resource(
            6,
            json!({"resourceType": "Questionnaire", "url": "http://q", "version": "1.0"}),
        ),
        resource(
            7,
            json!({"resourceType": "QuestionnaireResponse", "questionnaire": "http://q|1.0",
            "status": "completed"}),
        ),
    ]
}

impl World {
    async fn new() -> Self {
        let settings = fresh_database().await;
        let store = Store::open(&settings, Schema::Fhir).await.expect("a store");
        let world = Self {
            store,
            totals: Totals::default(),
            resources: resources(),
        };
        for resource in &world.resources {
            world.put(resource, &["ALL"]).await;
        }
        world
    }

    async fn put(&self, resource: &Resource, access: &[&str]) {
        self.store
            .read(async |conn| {
                testing::put(conn, resource, terms(resource), access).await;
                Ok::<_, Error>(())
            })
            .await
            .expect("stored");
    }

    async fn page(&self, kind: ResourceType, query: &str, access: &[&str]) -> Page {
        let query = parse(kind, &pairs(query), 20, Handling::Strict).expect("a good query");
        let visible = Visible::Keys(access.iter().map(ToString::to_string).collect());
        self.store
            .read(async |conn| {
                run(conn, &query, Some(&self.totals), &visible, |_| {
                    visible.clone()
                })
                .await
            })
            .await
            .expect("an answer")
    }

    async fn delete(&self, number: u8, version: i64) {
        let deleted = self.store.read(async |conn| {
            let generation = directory::generation(conn).await?;
            let id = Uuid::from_u128(u128::from(number));
            rows::delete(conn, generation, (id, version), jiff::Timestamp::now()).await
        });
        assert!(deleted.await.expect("an answer"), "the version is current");
    }

    /// The total of a node that remembers nothing.
    async fn counted(&self, kind: ResourceType, query: &str, access: &[&str]) -> i64 {
        let query = parse(kind, &pairs(query), 20, Handling::Strict).expect("a good query");
        let visible = Visible::Keys(access.iter().map(ToString::to_string).collect());
        let page = self
            .store
            .read(async |conn| run(conn, &query, None, &visible, |_| Visible::Nothing).await);
        page.await.expect("an answer").total
    }

    /// The numbers of the matches, and those of the included resources.
    async fn found(&self, kind: ResourceType, query: &str) -> (Vec<u8>, Vec<u8>) {
        let page = self.page(kind, query, &["ALL"]).await;
        let numbers = |hits: &[super::Hit]| -> Vec<u8> {
            hits.iter().map(|hit| hit.id.as_bytes()[15]).collect()
        };
        assert_eq!(
            page.total,
            i64::try_from(page.matches.len()).expect("few"),
            "{query}"
        );
        (numbers(&page.matches), numbers(&page.includes))
    }
}

fn pairs(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

const CASES: &[(ResourceType, &str, &[u8])] = &[
    (ResourceType::Organization, "name=ärzte", &[1]),
    (ResourceType::Organization, "name=%25", &[]),
    (
        ResourceType::Organization,
        "name:contains=ETA&active=true",
        &[1],
    ),
    (ResourceType::Organization, "name:exact=zeta", &[]),
    (ResourceType::Organization, "type=t|", &[1]),
    (ResourceType::Organization, "type:not=x", &[]),
    (ResourceType::Organization, "type:not=y", &[1]),
    (ResourceType::Endpoint, "status:not=off", &[2]),
    (ResourceType::Endpoint, "address=https://b/fhir", &[3]),
    (ResourceType::Endpoint, "address:below=https://", &[2, 3]),
    (
        ResourceType::Endpoint,
        "organization:identifier=o|A",
        &[2, 3],
    ),
    (ResourceType::Endpoint, "organization:identifier=|A", &[]),
    (ResourceType::Task, "requester:identifier=A", &[4]),
    (ResourceType::Task, "requester:identifier=o|B", &[5]),
    (ResourceType::Task, "identifier=i|1", &[5]),
    (ResourceType::Task, "identifier=|2", &[5]),
    (ResourceType::Task, "identifier=|1", &[]),
    (ResourceType::Task, "identifier:not=1", &[5]),
    (ResourceType::Task, "authored-on=2026-05", &[4, 5]),
    (ResourceType::Task, "authored-on=2026-05-02T08:00:00Z", &[5]),
    (
        ResourceType::Task,
        "authored-on=ne2026-05-02T08:00:00Z",
        &[4],
    ),
    (
        ResourceType::Task,
        "authored-on=gt2026-05-02T08:00:00Z",
        &[4],
    ),
    (
        ResourceType::Task,
        "_lastUpdated=gt2026-01-04T00:00:00Z",
        &[5],
    ),
    (
        ResourceType::Task,
        "_lastUpdated=2026-01-04T00:00:00Z&status=requested",
        &[4],
    ),
    (
        ResourceType::Task,
        "_id=00000000-0000-0000-0000-000000000005",
        &[5],
    ),
    (ResourceType::Questionnaire, "url=http://q|1.0", &[6]),
    (ResourceType::Questionnaire, "url=http://q|2", &[]),
    (
        ResourceType::QuestionnaireResponse,
        "questionnaire=http://q",
        &[7],
    ),
];

#[tokio::test]
async fn sql_and_memory_agree_on_what_a_query_finds() {
    let world = World::new().await;
    for (kind, query, expected) in CASES {
        assert_eq!(
            world.found(*kind, query).await.0,
            *expected,
            "{kind}?{query}"
        );
        let condition = conditions(*kind, &pairs(query)).expect("a good query");
        let mut met = Vec::new();
        for resource in world
            .resources
            .iter()
            .filter(|r| r.resource_type() == Some(*kind))
        {
            let candidate = Candidate::new(resource);
            let wanted = candidate.wanted(&condition);
            let targets = world
                .store
                .read(async |conn| tokens_of(conn, wanted.clone()).await)
                .await;
            let candidate = candidate.with_targets(targets.expect("tokens"));
            if candidate.meets(&condition) {
                met.extend(resource.id().map(str::to_owned));
            }
        }
        let expected: Vec<String> = expected.iter().map(|number| id(*number)).collect();
        assert_eq!(met, expected, "{kind}?{query} in memory");
        let ids = world
            .store
            .read(async |conn| find_ids(conn, *kind, &condition, 9).await)
            .await;
        let ids: Vec<String> = ids.expect("ids").iter().map(Uuid::to_string).collect();
        assert_eq!(ids, expected, "{kind}?{query} without filter");
    }
}

#[tokio::test]
async fn pages_are_sorted_and_bring_what_they_include() {
    let world = World::new().await;
    for (kind, query, matches, includes) in [
        (ResourceType::Endpoint, "_sort=-name", &[3, 2][..], &[][..]),
        (
            ResourceType::Endpoint,
            "_sort=organization,-_lastUpdated",
            &[3, 2],
            &[],
        ),
        (ResourceType::Task, "_sort=-authored-on", &[5, 4], &[]),
        (
            ResourceType::Endpoint,
            "_include=Endpoint:organization",
            &[2, 3],
            &[1],
        ),
        (
            ResourceType::Organization,
            "_include=Organization:endpoint",
            &[1],
            &[2],
        ),
        (
            ResourceType::Organization,
            "_include=Organization:endpoint&_revinclude=Endpoint:organization",
            &[1],
            &[2, 3],
        ),
        (
            ResourceType::QuestionnaireResponse,
            "_include=QuestionnaireResponse:questionnaire",
            &[7],
            &[6],
        ),
        (
            ResourceType::Task,
            "_include=Task:requester:Organization&status=requested",
            &[4],
            &[1],
        ),
    ] {
        assert_eq!(
            world.found(kind, query).await,
            (matches.to_vec(), includes.to_vec()),
            "{query}"
        );
    }
    let page = world
        .page(
            ResourceType::Endpoint,
            "_count=1&_page=2&_sort=name",
            &["ALL"],
        )
        .await;
    assert_eq!(
        (
            page.total,
            page.matches.len(),
            page.matches[0].id.as_bytes()[15]
        ),
        (2, 1, 3)
    );
    let page = world
        .page(ResourceType::Endpoint, "_page=9", &["ALL"])
        .await;
    assert_eq!((page.total, page.matches.len()), (2, 0));
}

#[tokio::test]
async fn totals_are_those_of_the_caller_and_of_this_moment() {
    let world = World::new().await;
    let hidden = resource(9, json!({"resourceType": "Task", "status": "requested"}));
    let total = async |access: &[&str]| {
        let first = world
            .page(ResourceType::Task, "status=requested", access)
            .await;
        // The second answer comes from the remembered total.
        let second = world
            .page(ResourceType::Task, "status=requested", access)
            .await;
        assert_eq!((first.total, first.matches), (second.total, second.matches));
        first.total
    };
    assert_eq!((total(&["ALL"]).await, total(&["LOCAL"]).await), (1, 0));
    world.put(&hidden, &["LOCAL"]).await;
    assert_eq!((total(&["ALL"]).await, total(&["LOCAL"]).await), (1, 1));
    assert_eq!((total(&["ALL", "LOCAL"]).await, total(&[]).await), (2, 0));
}

#[tokio::test]
async fn hostile_text_is_data() {
    let world = World::new().await;
    let long = "a".repeat(4000);
    for text in [
        "'",
        "' OR '1'='1",
        "\\",
        "$1",
        "\u{1f600}",
        "\0",
        "x','y",
        "%",
        long.as_str(),
    ] {
        for parameter in [
            "name",
            "name:contains",
            "name:exact",
            "identifier",
            "type:not",
        ] {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair(parameter, text)
                .finish();
            let expected = i64::from(
                (parameter == "type:not" && text != "\0")
                    || (parameter == "name:contains" && text == "%"),
            );
            let page = world
                .page(ResourceType::Organization, &query, &["ALL"])
                .await;
            assert_eq!(page.total, expected, "{query}");
        }
    }
}

/// One thing that happens to a Task: what it becomes, or its end.
fn step(number: usize) -> (u8, Option<(&'static str, &'static [&'static str])>) {
    let task = u8::try_from(number * 7 % 5 + 20).expect("small");
    let status = ["requested", "draft", "requested", "completed"][number % 4];
    let access: &[&str] = [&["ALL"][..], &["LOCAL"], &["LOCAL", "ORG:a"]][number % 3];
    let ends = number % 11 == 10;
    (task, (!ends).then_some((status, access)))
}

/// ADR 15: whatever happens between two searches.
#[tokio::test]
async fn a_total_that_is_carried_forward_is_the_one_that_would_be_counted() {
    let world = World::new().await;
    let mut versions = std::collections::HashMap::<u8, i64>::new();
    for number in 0..60 {
        let (mut task, next) = step(number);
        // What was deleted stays so; another one takes its place.
        while versions.get(&task) == Some(&0) {
            task += 5;
        }
        let version = versions.get(&task).copied().unwrap_or(0);
        match next {
            Some((status, access)) => {
                let value = json!({"resourceType": "Task", "status": status});
                let mut value = Value::from(resource(task % 27 + 1, value).members().clone());
                value["id"] = json!(id(task));
                let task_now = Resource::from_value(value).expect("a resource");
                world.put(&task_now, access).await;
                versions.insert(task, version + 1);
            }
            None if version > 0 => {
                world.delete(task, version).await;
                versions.insert(task, 0);
            }
            None => {}
        }
        if number % 3 == 1 {
            continue;
        }
        for (query, access) in [
            ("status=requested", "ALL"),
            ("", "LOCAL"),
            ("status:not=draft", "ORG:a"),
        ] {
            let carried = world.page(ResourceType::Task, query, &[access]).await.total;
            let counted = world.counted(ResourceType::Task, query, &[access]).await;
            assert_eq!(carried, counted, "{query} for {access} after {number}");
        }
    }
}
