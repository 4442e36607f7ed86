use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Plugins, wire};
use crate::bpe::engine::{CallKind, FrameId};
use crate::bpe::model::{Target, Targets, Variable, Variables};
use crate::bpe::plugin::package::Program;
use crate::bpe::plugin::runner::Limits;
use crate::bpe::plugin::testing::{
    Answered, Asked, BASE, StandIn, endpoint, organization, ping_pong, searchset, services,
};
use crate::bpe::plugin::{Activity, Delivery, Host, Performance, Performed, ProcessId, Tasks};
use crate::kernel::Clock;
use crate::r4::Resource;

const PEER: &str = "https://fhir.b.example/fhir";

fn answers(request: &Asked) -> Answered {
    let own = organization("a", "Test_Organization");
    let peer = organization("b", "External_Test_Organization");
    let own_endpoint = endpoint("a", "Test_Endpoint", BASE);
    let peer_endpoint = endpoint("b", "External_Test_Endpoint", PEER);
    let path = &request.path;
    let found = if path.starts_with("Endpoint?status=active&address=") {
        searchset(&[own_endpoint, own])
    } else if path.starts_with("Organization?active=true&identifier:not=") {
        searchset(&[peer])
    } else if path.contains("External_Test_Endpoint") {
        searchset(&[peer_endpoint, peer])
    } else {
        searchset(&[own_endpoint, peer_endpoint])
    };
    Answered::json(200, &found.body.unwrap())
}

async fn plugins() -> Plugins {
    let clock = Clock::manual("2026-11-21T08:41:26.5Z".parse::<Timestamp>().unwrap());
    let services = services(&StandIn::start(answers).await);
    Plugins::new(
        &[ping_pong()],
        services,
        "Test_Organization",
        clock,
        Limits::default(),
    )
}

fn activity(process: &str, kind: CallKind, class: &str) -> Activity {
    Activity {
        form_key: None,
        flow: None,
        canceled: false,
        process: ProcessId {
            key: process.to_owned(),
            version: "1.0".to_owned(),
        },
        definition: Uuid::nil(),
        instance: Uuid::nil(),
        business_key: "1d849b98-c394-4087-854e-d5b08fcba75b".to_owned(),
        node: "Node".to_owned(),
        frame: FrameId(7),
        kind,
        class: format!("dev.dsf.bpe.ping.{class}"),
        fields: Variables::new(),
        visible: Variables::new(),
        local: Variables::new(),
        tasks: Tasks {
            start: Some(task(json!([]))),
            current: Vec::new(),
            all: Vec::new(),
        },
        effect: Uuid::nil(),
    }
}

fn task(input: Value) -> Resource {
    let task = json!({
        "resourceType": "Task", "id": "t1", "status": "in-progress", "input": input,
        "requester": { "identifier": { "value": "External_Test_Organization" } },
    });
    Resource::from_value(task).unwrap()
}

fn target() -> Variable {
    Variable::Target(Target {
        organization_identifier: "External_Test_Organization".to_owned(),
        endpoint_identifier: "External_Test_Endpoint".to_owned(),
        endpoint_url: PEER.to_owned(),
        correlation_key: Some("41ef4a5a-4323-4fb9-8c4d-da3748445f98".to_owned()),
    })
}

fn sending(process: &str, kind: CallKind, class: &str, name: &str) -> Activity {
    let mut sending = activity(process, kind, class);
    let canonical = if name == "ping" { "pong" } else { "ping" };
    for (field, value) in [
        (
            "instantiatesCanonical",
            format!("http://dsf.dev/bpe/Process/{canonical}|1.0"),
        ),
        (
            "profile",
            format!("http://dsf.dev/fhir/StructureDefinition/task-{name}|1.0"),
        ),
        ("messageName", name.to_owned()),
    ] {
        sending
            .fields
            .insert(field.to_owned(), Variable::from(value));
    }
    sending.visible.insert("target".to_owned(), target());
    sending
}

fn value<'a>(performance: &'a Performance, name: &str) -> &'a Variable {
    let setting = performance
        .settings
        .iter()
        .find(|setting| setting.name == name);
    setting
        .and_then(|setting| setting.value.as_ref())
        .unwrap_or_else(|| panic!("{performance:?}"))
}

#[tokio::test]
async fn only_endpoints_of_partners_become_targets() {
    let select = activity("dsfdev_ping", CallKind::Service, "SelectPingTargets");
    let performance = plugins().await.perform(select).await;
    assert_eq!(performance.outcome, Performed::Done, "{performance:?}");
    let Variable::Targets(Targets { entries }) = value(&performance, "targets") else {
        panic!()
    };
    let [target] = &entries[..] else {
        panic!("{entries:?}")
    };
    assert_eq!(target.endpoint_identifier, "External_Test_Endpoint");
    assert_eq!(target.endpoint_url, PEER);
    assert!(target.correlation_key.is_some());
}

/// Wire 12: the ping as A's server sends it to B's.
#[tokio::test]
async fn a_ping_has_the_form_that_partners_know() {
    let send = sending("dsfdev_ping", CallKind::Send, "SendPing", "ping");
    let Performed::Send(message) = plugins().await.perform(send).await.outcome else {
        panic!()
    };
    assert_eq!(message.address, PEER);
    assert_eq!(message.organization, "External_Test_Organization");
    let code = |system: &str, code: &str| {
        let system = format!("http://dsf.dev/fhir/CodeSystem/{system}");
        json!({ "coding": [{ "system": system, "code": code }] })
    };
    let organization = |value: &str| {
        let system = "http://dsf.dev/sid/organization-identifier";
        json!({ "type": "Organization", "identifier": { "system": system, "value": value } })
    };
    let expected = json!({
        "resourceType": "Task",
        "meta": { "profile": ["http://dsf.dev/fhir/StructureDefinition/task-ping|1.0"] },
        "instantiatesCanonical": "http://dsf.dev/bpe/Process/pong|1.0",
        "status": "requested",
        "intent": "order",
        "authoredOn": "2026-11-21T08:41:26+00:00",
        "requester": organization("Test_Organization"),
        "restriction": { "recipient": [organization("External_Test_Organization")] },
        "input": [
            { "type": code("bpmn-message", "message-name"), "valueString": "ping" },
            { "type": code("bpmn-message", "business-key"),
              "valueString": "1d849b98-c394-4087-854e-d5b08fcba75b" },
            { "type": code("bpmn-message", "correlation-key"),
              "valueString": "41ef4a5a-4323-4fb9-8c4d-da3748445f98" },
            { "type": code("ping", "endpoint-identifier"),
              "valueReference": { "type": "Endpoint", "identifier": {
                  "system": "http://dsf.dev/sid/endpoint-identifier", "value": "Test_Endpoint" } } },
        ],
    });
    assert_eq!(message.task.into_value(), expected);
}

#[tokio::test]
async fn a_refused_ping_is_handled_by_the_code() {
    let send = sending("dsfdev_ping", CallKind::Send, "SendPing", "ping");
    let failure = Delivery::Failed {
        status: Some(403),
        message: "no".to_owned(),
    };
    let performance = plugins().await.delivered(send, failure).await;
    assert_eq!(performance.outcome, Performed::Done);
    assert_eq!(
        value(&performance, "statusCode").as_str(),
        Some("not-allowed")
    );
    assert_eq!(value(&performance, "errorMessage").as_str(), Some("no"));
    assert!(performance.settings.iter().all(|setting| setting.local));
}

#[tokio::test]
async fn a_delivered_pong_is_noted_in_the_start_task() {
    let send = sending("dsfdev_pong", CallKind::Throw, "SendPong", "pong");
    let plugins = plugins().await;
    let performance = plugins.perform(send.clone()).await;
    let Performed::Send(message) = performance.outcome else {
        panic!("{performance:?}")
    };
    assert_eq!(message.task.list("input").count(), 3);
    let performance = plugins.delivered(send, Delivery::Accepted).await;
    assert_eq!(performance.outcome, Performed::Done);
    let [task] = &performance.tasks[..] else {
        panic!("{performance:?}")
    };
    assert_eq!(
        task.get("output").unwrap()[0]["valueCoding"]["code"],
        "pong-send"
    );
}

#[tokio::test]
async fn a_pong_to_an_endpoint_of_somebody_else_is_a_bpmn_error() {
    let reference = json!({ "type": "Endpoint", "identifier": { "value": "Test_Endpoint" } });
    let coding = json!({
        "system": "http://dsf.dev/fhir/CodeSystem/ping", "code": "endpoint-identifier",
    });
    let mut select = activity("dsfdev_pong", CallKind::Service, "SelectPongTarget");
    let input = json!([{ "type": { "coding": [coding] }, "valueReference": reference }]);
    select.tasks.start = Some(task(input));
    let performance = plugins().await.perform(select).await;
    let Performed::Error { code, message } = &performance.outcome else {
        panic!("{performance:?}")
    };
    assert_eq!(code, "target_not_allowed");
    assert!(
        message
            .as_ref()
            .unwrap()
            .contains("is not an active endpoint of")
    );
    assert_eq!(performance.tasks.len(), 1, "what was changed before holds");
}

#[tokio::test]
async fn without_code_a_message_goes_out_and_its_failure_is_for_the_runtime() {
    let mut send = sending("dsfdev_ping", CallKind::Send, "SendPing", "ping");
    send.class = "org.example.NotRegistered".to_owned();
    let plugins = plugins().await;
    let performance = plugins.perform(send.clone()).await;
    assert!(
        matches!(performance.outcome, Performed::Send(_)),
        "{performance:?}"
    );
    let failure = Delivery::Failed {
        status: None,
        message: "no answer".to_owned(),
    };
    let Performed::Failed { message, .. } = plugins.delivered(send.clone(), failure).await.outcome
    else {
        panic!()
    };
    assert_eq!(message, "no answer");
    send.visible.clear();
    let Performed::Failed { message, .. } = plugins.perform(send).await.outcome else {
        panic!()
    };
    assert!(message.contains("target"), "{message}");
}

#[tokio::test]
async fn a_new_business_key_is_the_same_when_the_call_is_repeated() {
    let send = sending(
        "dsfdev_pingAutostart",
        CallKind::Send,
        "SendStartPing",
        "startPing",
    );
    let plugins = plugins().await;
    let mut keys = Vec::new();
    for _ in 0..2 {
        let performance = plugins.perform(send.clone()).await;
        let Performed::Send(message) = performance.outcome else {
            panic!("{performance:?}")
        };
        keys.push(message.task.get("input").unwrap()[1]["valueString"].clone());
    }
    assert_eq!(keys[0], keys[1]);
    assert_ne!(keys[0], json!(send.business_key));
}

#[tokio::test]
async fn code_that_never_ends_is_a_failure_of_that_call_alone() {
    let mut package = ping_pong();
    let code = package.code.as_mut().unwrap();
    let Program::Js(program) = &mut code.program else {
        panic!()
    };
    program.modules[0]
        .1
        .push_str("\nactivities['dev.dsf.bpe.ping.LogPing'] = () => { for (;;) {} };");
    let limits = Limits {
        compute: Duration::from_millis(800),
        ..Limits::default()
    };
    let services = services(&StandIn::start(answers).await);
    let plugins = Plugins::new(
        &[package],
        services,
        "Test_Organization",
        Clock::system(),
        limits,
    );
    let endless = plugins
        .perform(activity("dsfdev_pong", CallKind::Service, "LogPing"))
        .await;
    let Performed::Failed { kind, .. } = endless.outcome else {
        panic!("{endless:?}")
    };
    assert_eq!(kind, "TimeLimitExceeded");
    let mut fine = activity("dsfdev_ping", CallKind::Service, "LogPong");
    fine.visible.insert("target".to_owned(), target());
    assert_eq!(plugins.perform(fine).await.outcome, Performed::Done);
}

#[test]
fn variables_keep_their_types_on_the_way() {
    for variable in [
        Variable::Null,
        Variable::Boolean(true),
        Variable::Integer(-3),
        Variable::Long(i64::MAX),
        Variable::Double(f64::NEG_INFINITY),
        Variable::Double(2.0),
        Variable::from("text"),
        Variable::Bytes(vec![0, 127, 128, 255]),
        Variable::Date("2026-11-21T08:00:00.123Z".parse().unwrap()),
        Variable::List(vec![Variable::from("a"), Variable::Integer(1)]),
        Variable::Json(json!({ "a": [1, null] })),
        target(),
    ] {
        assert_eq!(wire::decode(&wire::encode(&variable)).unwrap(), variable);
    }
}
