//! The host interface as code sees it, by the same cases in JavaScript and in Python.

mod detail;
mod server;

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Code, Plugins, Process, wire};
use crate::bpe::engine::{CallKind, FrameId, WaitId};
use crate::bpe::model::{Target, Variable, Variables};
use crate::bpe::plugin::package::{OnFailure, Program};
use crate::bpe::plugin::runner::{Limits, Offer};
use crate::bpe::plugin::service::{Access, Capabilities, Services};
use crate::bpe::plugin::{
    Activity, Delivery, FormMoment, Host, Performance, Performed, ProcessId, Tasks, js, worker,
};
use crate::kernel::Clock;
use crate::r4::Resource;
use server::{World, world};

const JS: &str = include_str!("main.js");
const PYTHON: &str = include_str!("main.py");

fn programs(base: &str) -> [(&'static str, Program, Offer); 2] {
    let plugin = json!({
        "baseUrl": base, "definition": { "name": "conformance" }, "settings": { "limit": "10" },
        "logsData": false, "receivedResponse": "received",
    });
    let js = js::Program {
        entry: "main.js".to_owned(),
        modules: vec![("main.js".to_owned(), JS.to_owned())],
        maps: Arc::default(),
        plugin: plugin.clone(),
    };
    let python = worker::Program {
        entry: "main.py".to_owned(),
        command: Vec::new(),
        files: vec![("main.py".to_owned(), PYTHON.as_bytes().to_vec())],
        plugin,
    };
    let limits = Limits::default();
    let js_offer = js::offer(&js, &limits).unwrap();
    let python_offer = worker::offer(&python, &limits).unwrap();
    [
        ("JavaScript", Program::Js(js), js_offer),
        ("Python", Program::Worker(python), python_offer),
    ]
}

fn process(key: &str) -> ProcessId {
    ProcessId {
        key: key.to_owned(),
        version: "1.0".to_owned(),
    }
}

/// The same code thrice: `may` has all capabilities, `may-not` none, `told-nothing` may use
/// connections whose secrets it is not told.
fn plugins(program: &Program, offer: &Offer, services: &Arc<Services>) -> Plugins {
    let runner = program.runner(
        Limits::default(),
        &json!({ "url": "http://proxy", "except": ["hospital.example"] }),
    );
    let all = Capabilities {
        local_fhir: Access::Write,
        remote_fhir: Access::Read,
        fhir_connections: vec!["*".to_owned()],
        oidc: true,
        mail: true,
        secrets: true,
    };
    let connections_only = Capabilities {
        fhir_connections: vec!["*".to_owned()],
        ..Capabilities::default()
    };
    let made = |capabilities: Capabilities| Process {
        code: Some(Arc::new(Code {
            runner: Arc::clone(&runner),
            shapes: offer
                .activities
                .iter()
                .map(|shape| (shape.key.clone(), shape.clone()))
                .collect(),
            listens: offer.listens,
            capabilities: Arc::new(capabilities),
        })),
        on_failure: OnFailure::FailTask,
    };
    Plugins {
        processes: [
            (process("may"), made(all)),
            (process("may-not"), made(Capabilities::default())),
            (process("told-nothing"), made(connections_only)),
        ]
        .into(),
        services: Arc::clone(services),
        organization: "Test_Organization".to_owned(),
        clock: Clock::manual("2026-11-21T08:41:26Z".parse().unwrap()),
    }
}

fn activity(class: &str, kind: CallKind) -> Activity {
    let task = json!({
        "resourceType": "Task", "id": "t1", "status": "in-progress",
        "input": [
            { "type": { "coding": [{ "system": "http://dsf.dev/fhir/CodeSystem/bpmn-message", "code": "message-name" }] },
              "valueString": "start" },
            { "extension": [{ "url": "http://extension", "valueString": "x" }],
              "type": { "coding": [{ "system": "http://a", "code": "reference" }] },
              "valueReference": { "reference": "Patient/1" } },
        ],
    });
    let text = |text: &str| Variable::from(text);
    let variables = |all: &[(&str, &str)]| -> Variables {
        all.iter()
            .map(|(name, value)| ((*name).to_owned(), text(value)))
            .collect()
    };
    Activity {
        form_key: Some("http://form|1.0".to_owned()),
        flow: None,
        canceled: false,
        process: process("may"),
        definition: Uuid::nil(),
        instance: Uuid::nil(),
        business_key: "key".to_owned(),
        node: "Node".to_owned(),
        frame: FrameId(7),
        kind,
        class: class.to_owned(),
        fields: variables(&[
            ("instantiatesCanonical", "http://p|1.0"),
            ("profile", "http://profile|1.0"),
            ("messageName", "hello"),
        ]),
        visible: variables(&[("given", "g"), ("outer", "o")]),
        local: Variables::new(),
        tasks: Tasks {
            start: Resource::from_value(task),
            current: Vec::new(),
            all: Vec::new(),
        },
        effect: Uuid::nil(),
    }
}

fn setting<'a>(performance: &'a Performance, name: &str) -> Option<&'a Variable> {
    let found = performance
        .settings
        .iter()
        .rev()
        .find(|one| one.name == name);
    found.and_then(|one| one.value.as_ref())
}

fn result(performance: &Performance) -> Value {
    match setting(performance, "result") {
        Some(Variable::Json(value)) => value.clone(),
        Some(Variable::String(text)) => json!(text),
        other => panic!("{other:?} of {performance:?}"),
    }
}

async fn service(plugins: &Plugins, class: &str) -> Performance {
    plugins.perform(activity(class, CallKind::Service)).await
}

/// Asserts of each language what `check` asserts.
async fn for_each<F>(check: impl Fn(&'static str, Plugins, World) -> F)
where
    F: Future<Output = ()>,
{
    for language in 0..2 {
        let world = world().await;
        let [js, python] = programs(&world.own.base);
        let (name, program, offer) = if language == 0 { js } else { python };
        let plugins = plugins(&program, &offer, &world.services);
        check(name, plugins, world).await;
    }
}

/// Spec/bpe.md §6.5.
#[tokio::test(flavor = "multi_thread")]
async fn variables_tasks_and_targets_are_read_and_written() {
    for_each(async |language, plugins, world| {
        let performance = service(&plugins, "variables").await;
        let expected = json!(["t", -5, 2, "l", null, false, null, "g", "key"]);
        assert_eq!(result(&performance), expected, "{language}");
        let settings: Vec<Value> = performance.settings.iter().map(|one| {
            json!([one.name, one.value.as_ref().map(wire::encode), one.local])
        }).collect();
        assert_eq!(json!(settings[..14]), json!([
            ["text", ["string", "t"], false], ["integer", ["integer", -5], false],
            ["long", ["long", "5000000000"], false], ["double", ["double", 0.5], false],
            ["boolean", ["boolean", true], false], ["bytes", ["bytes", "AH+A/w=="], false],
            ["list", ["list", [["string", "a"], ["string", "b"]]], false],
            ["date", ["date", 1_763_712_000_123_u64], false],
            ["resource", ["resource", { "resourceType": "Patient", "id": "1" }], false],
            ["file", ["json", { "filename": "a.txt", "mimeType": "text/plain", "encoding": null,
                "content": "aGk=" }], false],
            ["json", ["json", { "a": [1, null] }], false], ["here", ["string", "l"], true],
            ["nothing", ["null"], false], ["outer", null, false],
        ]), "{language}");

        let performance = service(&plugins, "targets").await;
        let expected = json!([2, 1, "https://two", null, "key", true]);
        assert_eq!(result(&performance), expected, "{language}");
        assert!(matches!(setting(&performance, "targets"), Some(Variable::Targets(_))));
        assert!(!performance.shown, "{language}");

        let performance = service(&plugins, "task").await;
        let output = json!([{ "type": { "coding": [{ "system": "http://a", "version": "1.0", "code": "code" }] },
            "valueString": "second" }]);
        let input = json!({ "type": { "coding": [{ "system": "http://a", "version": "1", "code": "flag" }] },
            "valueBoolean": true });
        let url = format!("{}/Task/t1", world.own.base);
        let expected = json!(["start", [], "Patient/1", null, 1, input, url, true, false, output]);
        assert_eq!(result(&performance), expected, "{language}");
        assert_eq!(performance.tasks[0].get("output"), Some(&output), "{language}");
        assert!(performance.shown, "{language}: at once, by spec/bpe.md §3.2");
    })
    .await;
}

/// Spec/bpe.md §6.6: helpers and providers.
#[tokio::test(flavor = "multi_thread")]
async fn helpers_and_providers_answer_as_the_process_api_says() {
    for_each(async |language, plugins, world| {
        let found = result(&service(&plugins, "access").await);
        let all = json!([{ "system": "http://dsf.dev/fhir/CodeSystem/read-access-tag", "code": "ALL" }]);
        let has = json!([true, true, false, true, true, false]);
        assert_eq!(found, json!([true, false, has, 3, all]), "{language}");

        let found = result(&service(&plugins, "authorization").await);
        let facts = json!([true, false, false, true, false, true, "LOCAL_ALL_PRACTITIONER", true, 1, 0]);
        assert_eq!(json!(found.as_array().unwrap()[..10]), facts, "{language}");
        let parts = found[10]["extension"][0]["extension"].as_array().unwrap();
        assert_eq!(parts.len(), 5, "{language}: {found}");
        assert_eq!(
            parts[2]["valueCoding"]["extension"][0]["url"],
            "http://dsf.dev/fhir/StructureDefinition/extension-process-authorization-parent-organization-role"
        );

        let found = result(&service(&plugins, "questionnaire").await);
        assert_eq!(found[0], json!(["leaf", "new", "bare"]), "{language}");
        assert_eq!(found[1]["answer"], json!([{ "valueString": "answer" }]), "{language}");
        assert_eq!(found[2], Value::Null, "{language}");
        assert_eq!(found[3]["valueQuantity"]["unit"], "unit", "{language}");
        assert_eq!(found[4]["extension"][1]["url"], "practitioner-role", "{language}");

        let found = result(&service(&plugins, "providers").await);
        let targets = json!([["member", 36]]);
        let (base, partner) = (&world.own.base, &world.partner.base);
        let expected = json!([
            "Test_Organization", "member", null, null, 1, base, "Test_Endpoint", partner, targets,
        ]);
        assert_eq!(found, expected, "{language}");
    })
    .await;
}

/// Spec/bpe.md §6.7: the client of the own server, of partners and of named connections.
#[tokio::test(flavor = "multi_thread")]
async fn clients_speak_to_servers_as_the_plugin_may() {
    for_each(async |language, plugins, world| {
        let found = result(&service(&plugins, "client").await);
        let minimal = json!({ "resourceType": "Patient", "id": "p1", "versionId": "2" });
        let facts = json!([
            "p1",
            minimal,
            true,
            "p1",
            7,
            "history",
            3,
            "OperationOutcome",
            "sometimes",
            false
        ]);
        assert_eq!(json!(found.as_array().unwrap()[..10]), facts, "{language}");
        assert_eq!(found[10], json!([404, "it is not here"]), "{language}");
        for refused in [&found[11], &found[12]] {
            assert!(
                refused[1].as_str().unwrap().contains("is not a path"),
                "{language}: {refused}"
            );
        }
        let asked = world.own.taken();
        let header = |path: &str, name: &str| {
            let found = asked
                .iter()
                .find(|one| one.path == path)
                .unwrap_or_else(|| panic!("{path}"));
            found.header(name).unwrap_or_default().to_owned()
        };
        assert_eq!(
            header("Patient?name=a%20b&_count=1", "prefer"),
            "handling=strict"
        );
        assert_eq!(header("Patient?late=yes", "prefer"), "respond-async");
        assert_eq!(
            header("Patient/p1/_history?_page=2&_count=10", "accept"),
            "application/fhir+json"
        );
        let conditional = asked.iter().find_map(|one| one.header("if-none-exist"));
        assert_eq!(conditional, Some("identifier=a%7Cb"), "{language}");
        let matched = asked.iter().find_map(|one| one.header("if-match"));
        assert_eq!(matched, Some("W/\"1\""), "{language}");
        let tries = asked
            .iter()
            .filter(|one| one.path == "Patient/sometimes")
            .count();
        assert_eq!(tries, 3, "{language}");
        assert!(asked[0].text().contains("Müller"), "{language}");

        let found = result(&service(&plugins, "remote").await);
        assert_eq!(
            json!(found.as_array().unwrap()[..5]),
            json!(["p1", null, true, "p1", "dsf"]),
            "{language}"
        );
        assert!(
            found[5][1]
                .as_str()
                .unwrap()
                .contains("not the address of an active Endpoint")
        );
        assert!(
            found[6][1]
                .as_str()
                .unwrap()
                .contains("remote-fhir = \"write\""),
            "{language}"
        );
        let asked = world.partner.taken();
        assert!(
            asked
                .iter()
                .any(|one| one.header("authorization") == Some("Basic ZHNmOnNlY3JldA=="))
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_content_passes_in_pieces() {
    for_each(async |language, plugins, world| {
        let found = result(&service(&plugins, "binary").await);
        let range = json!({ "size": 300_000, "start": 0, "end": 9 });
        let facts = json!(["b1", "text/plain", range, "0123456789", 300_000]);
        assert_eq!(json!(found.as_array().unwrap()[..5]), facts, "{language}");
        assert_eq!(found[5], json!([404, "it is not here"]), "{language}");
        assert_eq!(found[6][0], 400, "{language}: {found}");
        let asked = world.own.taken();
        let stored = asked
            .iter()
            .find(|one| one.path == "Binary" && one.method == "POST")
            .unwrap();
        assert_eq!(stored.body.len(), 100_003, "{language}");
        assert_eq!(
            stored.header("x-security-context"),
            Some("Organization/1"),
            "{language}"
        );
        assert_eq!(
            stored.header("content-type"),
            Some("text/plain"),
            "{language}"
        );
    })
    .await;
}

/// The sizes are those of spec/bpe.md §12.2, row 13.
#[tokio::test(flavor = "multi_thread")]
async fn services_work_and_need_what_the_plugin_may() {
    for_each(async |language, plugins, _world| {
        let found = result(&service(&plugins, "services").await);
        let text = "Hello compression World!";
        assert_eq!(found[0], json!([44, 63, 80]), "{language}");
        assert_eq!(found[1], json!([text, text, text]), "{language}");
        assert_eq!(found[2], 2 + 32 + 12 + text.len() + 16, "{language}");
        assert_eq!(
            (&found[3], &found[4]),
            (&json!(text), &json!(true)),
            "{language}"
        );
        assert!(
            found[5][1].as_str().unwrap().contains("gzip"),
            "{language}: {found}"
        );
        assert!(
            found[6][1].as_str().unwrap().contains("not one for rsa"),
            "{language}"
        );
        let rest = json!([
            true,
            "application/xml",
            null,
            "10",
            true,
            "conformance",
            36,
            "message-name"
        ]);
        assert_eq!(json!(found.as_array().unwrap()[7..]), rest, "{language}");

        let mut unallowed = activity("unallowed", CallKind::Service);
        unallowed.process = process("may-not");
        let found = result(&plugins.perform(unallowed).await);
        for (at, key) in ["local-fhir = \"read\"", "mail = true", "oidc = true"]
            .iter()
            .enumerate()
        {
            assert!(
                found[at][1].as_str().unwrap().contains(key),
                "{language}: {found}"
            );
        }
        assert_eq!(found[3], Value::Null, "{language}");
    })
    .await;
}

/// Spec/bpe.md §6.2, with row 21 of §14 mended.
#[tokio::test(flavor = "multi_thread")]
async fn errors_lead_where_their_handlers_say() {
    for_each(async |language, plugins, _world| {
        let error = |code: &str, message: &str| Performed::Error {
            code: code.to_owned(),
            message: Some(message.to_owned()),
        };
        let outcome = service(&plugins, "bpmnError").await.outcome;
        assert_eq!(outcome, error("code", "message"), "{language}");
        let handled = service(&plugins, "handledError").await;
        assert_eq!(
            (handled.outcome.clone(), result(&handled)),
            (Performed::Done, json!("code"))
        );
        let outcome = service(&plugins, "translated").await.outcome;
        assert_eq!(outcome, error("translated", "too far"), "{language}");
        let listener = activity(
            "absorbed",
            CallKind::ExecutionListener {
                event: "start".to_owned(),
            },
        );
        let absorbed = plugins.perform(listener).await;
        assert_eq!(
            (absorbed.outcome.clone(), result(&absorbed)),
            (Performed::Done, json!("no"))
        );
        // Only what a service or send task throws may be caught by the model.
        let listener = activity(
            "bpmnError",
            CallKind::ExecutionListener {
                event: "start".to_owned(),
            },
        );
        let outcome = plugins.perform(listener).await.outcome;
        assert!(
            matches!(outcome, Performed::Failed { .. }),
            "{language}: {outcome:?}"
        );
        let missing = service(&plugins, "nothing").await.outcome;
        assert!(matches!(missing, Performed::Failed { .. }), "{language}");
        let fields = result(&service(&plugins, "fields").await);
        assert_eq!(fields["messageName"], "hello", "{language}");
    })
    .await;
}

/// Spec/bpe.md §7.3 and §7.4; sending that the code itself decides on is row 7 of §12.2.
#[tokio::test(flavor = "multi_thread")]
async fn messages_are_sent_as_their_code_says() {
    for_each(async |language, plugins, _world| {
        let mut sending = activity("sender", CallKind::Send);
        let target = Target {
            organization_identifier: "org".to_owned(),
            endpoint_identifier: "end".to_owned(),
            endpoint_url: "https://partner/fhir".to_owned(),
            correlation_key: None,
        };
        sending
            .visible
            .insert("target".to_owned(), Variable::Target(target));
        let Performed::Send(message) = plugins.perform(sending.clone()).await.outcome else {
            panic!("{language}")
        };
        let input = message.task.get("input").unwrap();
        assert_ne!(
            input[1]["valueString"], "key",
            "{language}: a new business key"
        );
        assert_eq!(input[2]["valueString"], "end", "{language}");
        let sent = plugins.delivered(sending.clone(), Delivery::Accepted).await;
        assert_eq!(result(&sent), "sent", "{language}");
        let failed = Delivery::Failed {
            status: Some(403),
            message: "no".to_owned(),
        };
        let handled = plugins.delivered(sending, failed).await;
        assert_eq!(result(&handled), "403 no", "{language}");

        let mut choosing = activity("choosing", CallKind::Throw);
        let Performed::Send(message) = plugins.perform(choosing.clone()).await.outcome else {
            panic!("{language}")
        };
        assert_eq!(message.address, "https://nine", "{language}");
        assert_eq!(
            message.task.get("input").unwrap()[0]["valueString"],
            "other",
            "{language}"
        );
        choosing
            .visible
            .insert("quiet".to_owned(), Variable::Boolean(true));
        assert_eq!(
            plugins.perform(choosing).await.outcome,
            Performed::Done,
            "{language}"
        );
    })
    .await;
}
