use std::sync::Mutex;

use serde_json::{Value, json};

use super::plan::{Known, State, Step, Wanted, plan};
use super::{Kept, Settings, Wish, deploy};
use crate::bpe::plugin::local_fhir::{Request, Response};
use crate::bpe::plugin::package::{Found, Package};
use crate::bpe::plugin::testing::{FakeFhir, ok, ping_pong};
use crate::r4::ResourceType;
use crate::store::{Schema, Store, testing};

fn wanted(package: &Package, state: State) -> Vec<Wanted<'_>> {
    let of = |place: &usize| &package.resources[*place];
    package
        .processes
        .iter()
        .map(|process| Wanted {
            process: process.id.to_string(),
            state,
            resources: process.resources.iter().map(of).collect(),
        })
        .collect()
}

fn known(package: &Package, state: State) -> Known {
    let mut known = Known::default();
    for process in wanted(package, state) {
        for one in &process.resources {
            let place = (one.kind, one.condition.clone());
            known
                .resources
                .entry(place)
                .or_default()
                .push(process.process.clone());
        }
        known.states.insert(process.process, state);
    }
    known
}

/// Wire 11: 17 conditional creations, one for each resource however often it is named, in the
/// order of their types.
#[test]
fn a_first_start_creates_everything_in_order() {
    let package = ping_pong();
    let steps = plan(&wanted(&package, State::Active), &Known::default());
    let bundle = super::bundle::changes(&steps).unwrap();
    let entries = bundle["entry"].as_array().unwrap();
    assert_eq!((&bundle["type"], entries.len()), (&json!("batch"), 17));
    let types: Vec<_> = entries
        .iter()
        .map(|one| one["request"]["url"].as_str().unwrap())
        .collect();
    let expected = [
        vec!["CodeSystem"; 2],
        vec!["ValueSet"; 3],
        vec!["StructureDefinition"; 6],
        vec!["ActivityDefinition"; 3],
        vec!["Task"; 3],
    ];
    assert_eq!(types, expected.concat());
    let request = |condition: &str| {
        let has = |one: &&Value| one["request"]["ifNoneExist"] == condition;
        entries
            .iter()
            .find(has)
            .unwrap_or_else(|| panic!("{condition}"))
    };
    let definition = request("url=http://dsf.dev/bpe/Process/ping&version=1.0");
    assert_eq!(definition["request"]["method"], "POST");
    assert_eq!(definition["resource"]["status"], "active");
    let task = request(
        "identifier=http://dsf.dev/sid/task-identifier|\
         http://dsf.dev/bpe/Process/ping/1.0/task-start-ping&status=draft",
    );
    assert_eq!(task["resource"]["status"], "draft");
}

#[test]
fn each_change_of_state_has_its_operation() {
    let package = ping_pong();
    let verbs = |old: State, new: State| {
        let steps = plan(&wanted(&package, new), &known(&package, old));
        let mut verbs: Vec<_> = steps
            .iter()
            .map(|step| match step {
                Step::Delete(_) => "delete",
                Step::Create(..) => "create",
                Step::Replace(..) => "replace",
                Step::Check(..) => "check",
            })
            .collect();
        verbs.dedup();
        verbs
    };
    assert_eq!(verbs(State::Active, State::Active), ["check"]);
    assert_eq!(verbs(State::Retired, State::Retired), ["check"]);
    assert_eq!(verbs(State::Draft, State::Draft), ["replace"], "unknown");
    assert_eq!(verbs(State::Active, State::Retired), ["replace"]);
    assert_eq!(verbs(State::Excluded, State::Active), ["create"]);
    assert_eq!(verbs(State::Active, State::Excluded), ["delete"]);
    let mut same = known(&package, State::Draft);
    for one in &package.resources {
        let place = (one.kind, one.condition.clone());
        same.digests.insert(place, super::digest(one));
    }
    let steps = plan(&wanted(&package, State::Draft), &same);
    assert!(steps.iter().all(|step| matches!(step, Step::Check(..))));
}

#[test]
fn a_shared_resource_stays_while_one_of_its_processes_does() {
    let package = ping_pong();
    let mut wanted = wanted(&package, State::Active);
    wanted[0].state = State::Excluded;
    wanted[2].state = State::Retired;
    let steps = plan(&wanted, &known(&package, State::Active));
    let step = |kind, part: &str| {
        let names = |step: &&Step<'_>| step.place().0 == kind && step.place().1.contains(part);
        steps.iter().find(names).unwrap()
    };
    // Of ping, pong and autostart; of ping and pong; of ping alone.
    let shared = step(ResourceType::CodeSystem, "/ping&");
    assert!(
        matches!(shared, Step::Check(_, State::Active)),
        "{shared:?}"
    );
    let of_two = step(ResourceType::CodeSystem, "/ping-status&");
    assert!(
        matches!(of_two, Step::Replace(_, State::Retired)),
        "{of_two:?}"
    );
    let alone = step(ResourceType::ActivityDefinition, "/ping&");
    assert!(matches!(alone, Step::Delete(_)), "{alone:?}");
    assert!(matches!(steps[0], Step::Delete(_)), "deletions come first");
}

/// Answers as a server that has nothing missing but this one resource.
fn server(missing: &'static str, refused: &'static str) -> FakeFhir {
    FakeFhir::new(move |request: &Request| -> Response {
        let entries = request.body.as_ref().unwrap()["entry"].as_array().unwrap();
        let answers: Vec<_> = entries
            .iter()
            .map(|entry| {
                let request = &entry["request"];
                let is = |text: &str| !text.is_empty() && request.to_string().contains(text);
                match request["method"].as_str().unwrap() {
                    "GET" => json!({
                        "resource": { "resourceType": "Bundle", "total": u8::from(!is(missing)) },
                        "response": { "status": "200 OK" },
                    }),
                    _ if is(refused) => json!({ "response": {
                        "status": "403 Forbidden",
                        "outcome": { "issue": [{ "diagnostics": "not you" }] },
                    } }),
                    "POST" => json!({ "response": { "status": "201 Created" } }),
                    _ => json!({ "response": { "status": "200 OK" } }),
                }
            })
            .collect();
        ok(json!({ "resourceType": "Bundle", "type": "batch-response", "entry": answers }))
    })
}

/// Wires 01, 02 and 17, with a database: a start, the next one, a process retired, a plugin gone.
#[tokio::test]
async fn a_deployment_is_remembered_by_the_next_one() {
    let settings = testing::fresh_database().await;
    let store = Store::open(&settings, Schema::Bpe).await.unwrap();
    let found = Found {
        packages: vec![ping_pong()],
        ..Found::default()
    };
    let methods: Mutex<Vec<Vec<String>>> = Mutex::default();
    let wished = async |server: FakeFhir, wish: Wish<'_>| {
        let report = deploy(&server, &store, wish).await.unwrap();
        let sent = server.taken().into_iter().map(|request| {
            let body = request.body.unwrap();
            let entries = body["entry"].as_array().unwrap();
            let first = entries[0]["request"]["method"].as_str().unwrap();
            format!("{} {first}, {}", entries.len(), request.prefer.unwrap())
        });
        methods.lock().unwrap().push(sent.collect());
        report
    };
    let run = async |server: FakeFhir, found: &Found, settings: &Settings| {
        let kept = Kept::Checked;
        let wish = Wish {
            found,
            settings,
            kept,
        };
        wished(server, wish).await
    };

    let active = Settings::default();
    let first = run(server("", "Process/pong"), &found, &active).await;
    assert!(first.processes.is_empty(), "a package is taken as a whole");
    let told = first.refused[0].to_string();
    assert!(told.contains("fhir/ActivityDefinition/pong.json"), "{told}");
    assert!(told.contains("403 Forbidden: not you"), "{told}");
    run(server("", ""), &found, &active).await;
    run(server("CodeSystem/ping-status&", ""), &found, &active).await;
    let mut altered = Found {
        packages: vec![ping_pong()],
        ..Found::default()
    };
    let members = altered.packages[0].resources[0].resource.members_mut();
    members.insert("title".to_owned(), json!("changed without a new version"));
    for kept in [Kept::Checked, Kept::Checked, Kept::Trusted] {
        let (found, settings) = (&altered, &active);
        let wish = Wish {
            found,
            settings,
            kept,
        };
        let report = wished(server("", ""), wish).await;
        assert_eq!(report.changed, ["ping-pong/fhir/CodeSystem/ping.json"]);
        assert_eq!(report.processes.len(), 3);
    }
    let retired = Settings {
        retired: vec!["dsfdev_pong|1.0".to_owned()],
        ..Settings::default()
    };
    let report = run(server("", ""), &found, &retired).await;
    assert!(
        report
            .processes
            .iter()
            .any(|(_, state)| *state == State::Retired)
    );
    run(server("", ""), &Found::default(), &active).await;

    assert_eq!(
        *methods.lock().unwrap(),
        [
            vec!["17 POST, return=minimal"],
            // Of a refused package nothing is known: all is created, if it is not there.
            vec!["17 POST, return=minimal"],
            vec!["17 GET, return=representation", "1 POST, return=minimal"],
            vec!["17 GET, return=representation"],
            vec!["17 GET, return=representation"],
            vec![],
            vec!["15 GET, return=representation", "2 PUT, return=minimal"],
            vec!["17 DELETE, return=minimal"],
        ]
    );
}
