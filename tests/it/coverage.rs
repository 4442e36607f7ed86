//! No way round the rules: every route and every kind of Bundle entry is asked by those who may
//! nothing. A route or an action that this file does not know fails the test, so a new one cannot be
//! forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::harness::sample::{patient, tag, with, word};
use super::harness::{Client, Launch, Process, Server, World};

/// Each arm of the dispatch in `rest/mod.rs` and `rest/resources.rs`, and how it is asked: `{T}` is
/// a type, `{id}` a resource of it, `{v}` its version.
const ROUTES: &[(&str, &[&str])] = &[
    (r#"[""]"#, &["GET ", "POST ", "PUT "]),
    (r#"["metadata"]"#, &["GET metadata", "POST metadata"]),
    (r#"["ws"]"#, &["GET ws", "POST ws"]),
    (r#"["status"]"#, &["GET status"]),
    (r#"["_history"]"#, &["GET _history"]),
    (
        r#"[name, rest @ ..]"#,
        &["GET Nonsense/{id}", "POST Nonsense"],
    ),
    (r#"("GET", [])"#, &["GET {T}", "HEAD {T}"]),
    (r#"("POST", [])"#, &["POST {T}"]),
    (r#"("PUT", [])"#, &["PUT {T}?_id={id}"]),
    (r#"("DELETE", [])"#, &["DELETE {T}?_id={id}"]),
    (r#"(_, [])"#, &["PATCH {T}"]),
    (r#"("GET", ["_history"])"#, &["GET {T}/_history"]),
    (
        r#"("GET" | "POST", ["$snapshot"]) if is_structure"#,
        &["GET StructureDefinition/$snapshot?url=http://example.org/hidden"],
    ),
    (
        r#"("GET" | "POST", [id, "$snapshot"]) if is_structure"#,
        &[
            "GET StructureDefinition/{id}/$snapshot",
            "POST StructureDefinition/{id}/$snapshot",
        ],
    ),
    (
        r#"(_, ["$snapshot"] | [_, "$snapshot"]) if is_structure"#,
        &["PUT StructureDefinition/{id}/$snapshot"],
    ),
    (r#"("GET", [id])"#, &["GET {T}/{id}", "HEAD {T}/{id}"]),
    (r#"("PUT", [id])"#, &["PUT {T}/{id}"]),
    (r#"("DELETE", [id])"#, &["DELETE {T}/{id}"]),
    (
        r#"("POST", ["$validate"]) if extra.validate"#,
        &[
            "POST {T}/$validate",
            "POST {T}/$validate?mode=create",
            "POST {T}/$validate?profile=http://example.org/hidden",
        ],
    ),
    (
        r#"("GET" | "POST", [id, "$validate"]) if extra.validate"#,
        &[
            "GET {T}/{id}/$validate",
            "POST {T}/{id}/$validate",
            "POST {T}/{id}/$validate?mode=update",
            "POST {T}/{id}/$validate?mode=delete",
        ],
    ),
    (
        r#"(_, ["$validate"]) if extra.validate"#,
        &["GET {T}/$validate"],
    ),
    (
        r#"(_, [_, "$validate"]) if extra.validate"#,
        &["PUT {T}/{id}/$validate"],
    ),
    (
        r#"("POST", ["_search"]) if extra.search_by_post"#,
        &["POST {T}/_search", "POST {T}/_search?_id={id}"],
    ),
    (
        r#"(_, ["_search"]) if extra.search_by_post"#,
        &["GET {T}/_search"],
    ),
    (r#"(_, [_])"#, &["PATCH {T}/{id}"]),
    (r#"("GET", [id, "_history"])"#, &["GET {T}/{id}/_history"]),
    (
        r#"("GET", [id, "_history", version])"#,
        &["GET {T}/{id}/_history/{v}"],
    ),
    (
        r#"("POST", [id, "$permanent-delete"])"#,
        &["POST {T}/{id}/$permanent-delete"],
    ),
    (
        r#"(_, [_, "_history"] | [_, "_history", _])"#,
        &["POST {T}/{id}/_history"],
    ),
    (
        r#"(_, [_, "$permanent-delete"])"#,
        &["GET {T}/{id}/$permanent-delete"],
    ),
];

/// The actions of `bundle/plan.rs`, and entries that make them.
const ACTIONS: &[(&str, &[&str])] = &[
    ("Create", &["POST {T}", "POST {T} if-none-exist"]),
    ("Update", &["PUT {T}/{id}", "PUT {T}?_id={id}"]),
    ("Delete", &["DELETE {T}/{id}", "DELETE {T}?_id={id}"]),
    (
        "Read",
        &[
            "GET {T}/{id}",
            "GET {T}/{id}/_history/1",
            "GET {T}?_id={id}",
            "HEAD {T}/{id}",
        ],
    ),
];

/// The left sides of a `match`, as they are written.
fn arms(source: &str, begin: &str) -> BTreeSet<String> {
    let (_, body) = source.split_once(begin).expect("the match that dispatches");
    let indent = "        ";
    let arms = body.lines().take_while(|line| {
        *line != format!("{}}}", &indent[4..]) && *line != format!("{indent}}}")
    });
    arms.filter_map(|line| line.trim().split_once(" => "))
        .map(|(arm, _)| arm.to_owned())
        .filter(|arm| arm != "_" && arm != "[]")
        .filter(|arm| arm.starts_with('(') || arm.starts_with('['))
        .collect()
}

#[test]
fn every_route_and_every_action_is_known_here() {
    let root = arms(
        include_str!("../../src/fhir/rest/mod.rs"),
        "match segments.as_slice() {\n",
    );
    let typed = arms(
        include_str!("../../src/fhir/rest/resources.rs"),
        "match (self.method(), rest) {\n",
    );
    let found: BTreeSet<String> = root.union(&typed).cloned().collect();
    let known: BTreeSet<String> = ROUTES.iter().map(|(arm, _)| (*arm).to_owned()).collect();
    assert_eq!(found, known, "say in ROUTES how a route is asked");
    let plan = include_str!("../../src/fhir/bundle/plan.rs");
    let (_, body) = plan.split_once("enum Action {\n").unwrap();
    let variants = body.lines().take_while(|line| *line != "}");
    let variants = variants.filter(|line| line.starts_with("    ") && !line.starts_with("     "));
    let name = |line: &str| {
        line.trim()
            .split([' ', '(', ','])
            .next()
            .unwrap()
            .to_owned()
    };
    let found: BTreeSet<String> = variants.map(name).filter(|name| name != "}").collect();
    let known: BTreeSet<String> = ACTIONS
        .iter()
        .map(|(action, _)| (*action).to_owned())
        .collect();
    assert_eq!(found, known, "say in ACTIONS how an action is asked");
}

const TYPES: [&str; 26] = [
    "ActivityDefinition",
    "Binary",
    "Bundle",
    "CodeSystem",
    "DocumentReference",
    "Endpoint",
    "Group",
    "HealthcareService",
    "Library",
    "Location",
    "Measure",
    "MeasureReport",
    "NamingSystem",
    "Organization",
    "OrganizationAffiliation",
    "Patient",
    "Practitioner",
    "PractitionerRole",
    "Provenance",
    "Questionnaire",
    "QuestionnaireResponse",
    "ResearchStudy",
    "StructureDefinition",
    "Subscription",
    "Task",
    "ValueSet",
];

/// A stored resource of each type, or an id that there is not.
async fn stored(local: &Client) -> Vec<(&'static str, String, bool)> {
    let mut stored = Vec::new();
    for kind in TYPES {
        let id = local
            .search(&format!("{kind}?_count=1"))
            .await
            .first()
            .map(|one| one["id"].clone());
        let is_there = id.is_some();
        let id = id.map_or_else(
            || Uuid::new_v4().to_string(),
            |id| id.as_str().unwrap().to_owned(),
        );
        stored.push((kind, id, is_there));
    }
    stored
}

async fn ask(client: &Client, line: &str, kind: &str, id: &str) -> (u16, usize) {
    let line = line
        .replace("{T}", kind)
        .replace("{id}", id)
        .replace("{v}", "1");
    let (method, path) = line.split_once(' ').unwrap();
    let body = match (method, path) {
        ("POST", "") => json!({"resourceType": "Bundle", "type": "transaction"}).to_string(),
        ("POST" | "PUT" | "PATCH", _) if !path.contains('$') || path.contains("$validate") => {
            json!({"resourceType": kind, "id": id, "meta": {"tag": [tag("ALL")]}}).to_string()
        }
        _ => String::new(),
    };
    let answer = client.send(method, path, &[], body).await.unwrap();
    (answer.status, answer.body.len())
}

async fn world() -> (Arc<World>, Server) {
    let mut world = World::new();
    world.employ("powerless", "", "HRP_USER");
    let world = Arc::new(world);
    let server = Launch::of(&world, "local")
        .set("fhir.extra-interactions=validate,search-by-post")
        .start()
        .await;
    let local = server.local();
    let process = Process::deploy(&local).await;
    local.create(&process.task("Test_Organization")).await;
    let hidden = with(&patient(&word()), "meta", json!({"tag": [tag("LOCAL")]}));
    local.create(&hidden).await;
    (world, server)
}

#[tokio::test]
async fn who_may_nothing_gets_nothing_by_any_route() {
    let (_world, server) = world().await;
    let stored = stored(&server.local()).await;
    let there = stored.iter().filter(|(_, _, is_there)| *is_there).count();
    assert!(there >= 9, "too little to ask for: {stored:?}");
    let (powerless, stranger) = (server.client("powerless"), server.client("unknown"));
    for (_, lines) in ROUTES {
        for line in *lines {
            let kinds: Vec<_> = stored
                .iter()
                .filter(|(kind, ..)| line.contains("{T}") || *kind == "StructureDefinition")
                .collect();
            for (kind, id, is_there) in kinds {
                let told = format!("{line} for {kind}/{id}");
                let (status, size) = ask(&stranger, line, kind, id).await;
                assert_eq!((status, size), (403, 0), "a stranger: {told}");
                let (status, _) = ask(&powerless, line, kind, id).await;
                let harmless = match *line {
                    // Nothing is in them but what everybody knows.
                    "GET metadata" => status == 200,
                    "POST " => status == 200,
                    _ => matches!(status, 403..=405) || status == 400 && line.contains('$'),
                };
                assert!(harmless, "{status} for {told}");
                if *is_there && line.contains("{T}") {
                    assert!(matches!(status, 403..=405), "{status} for {told}");
                    let plain =
                        matches!(*line, "GET {T}/{id}" | "PUT {T}/{id}" | "DELETE {T}/{id}");
                    assert!(!plain || status == 403, "{status} for {told}");
                }
            }
        }
    }
    // Nothing is gone.
    for (kind, id, is_there) in &stored {
        if *is_there {
            assert_eq!(
                server.local().get(&format!("{kind}/{id}")).await.status,
                200
            );
        }
    }
}

#[tokio::test]
async fn who_may_nothing_gets_nothing_by_any_entry() {
    let (_world, server) = world().await;
    let stored = stored(&server.local()).await;
    let powerless = server.client("powerless");
    for (_, lines) in ACTIONS {
        for line in *lines {
            for (kind, id, _) in &stored {
                let filled = line.replace("{T}", kind).replace("{id}", id);
                let mut words = filled.split(' ');
                let (method, url) = (words.next().unwrap(), words.next().unwrap());
                let mut request = json!({"method": method, "url": url});
                if words.next().is_some() {
                    request["ifNoneExist"] = json!(format!("_id={id}"));
                }
                let mut entry = json!({"request": request});
                if matches!(method, "POST" | "PUT") {
                    let by_id = method == "PUT" && !url.contains('?');
                    let urn = format!("urn:uuid:{}", Uuid::new_v4());
                    let base = server.world.member("local").base_url();
                    entry["fullUrl"] = json!(if by_id { format!("{base}/{url}") } else { urn });
                    entry["resource"] =
                        json!({"resourceType": kind, "meta": {"tag": [tag("ALL")]}});
                    if by_id {
                        entry["resource"]["id"] = json!(id);
                    }
                }
                for form in ["batch", "transaction"] {
                    let bundle = json!({"resourceType": "Bundle", "type": form, "entry": [entry]});
                    let answer = powerless.post("", &bundle).await;
                    let status = match (form, answer.status) {
                        ("batch", 200) => {
                            let status = answer.json()["entry"][0]["response"]["status"].clone();
                            status.as_str().unwrap()[..3].parse::<u16>().unwrap()
                        }
                        (_, status) => status,
                    };
                    let refused: &[u16] = &[400, 403, 404, 405];
                    assert!(
                        refused.contains(&status) || found_nothing(&answer.json()),
                        "{form} {filled}: {answer}"
                    );
                }
            }
        }
    }
}

/// A search that shows nothing, as what is not there.
fn found_nothing(answer: &Value) -> bool {
    let response = &answer["entry"][0];
    response["resource"]["total"] == 0 || response["response"]["status"] == "404 Not Found"
}
