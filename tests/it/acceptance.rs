//! The acceptance suite of spec/bpe.md §12: models and resources of DSF's own test plugin, unchanged,
//! with activities in JavaScript.
//!
//! Where the suite answers forms from inside the process, the test does it here: an instance does one
//! thing at a time, and so could not wait for itself. A Java plugin widens the ActivityDefinition by a
//! modifier; the test does that on the server. What Java objects are for that code here has no use
//! for (contexts of TLS, JKS key stores) is not asked for; docs/plugin-api.md lists it.

use std::fs;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openssl::pkey::PKey;
use openssl::symm::Cipher;
use serde_json::{Value, json};

use super::harness::material::shared;
use super::harness::organization::{
    Request, completed, input_text, organization, outputs, practitioner, text,
};
use super::harness::package::Manifest;
use super::harness::sample::path;
use super::harness::socket::subscribe;
use super::harness::{Listener, Organization, Package, World};

const PROCESS: &str = "http://dsf.dev/bpe/Process/test|2.0";
const TEST: &str = "http://dsf.dev/fhir/CodeSystem/test";

/// Branches of the process with the number of checks that succeed in them; the number of the case in
/// §12.2. Those of people and forms, 22 to 25, are in a test of their own.
const BRANCHES: &[(u8, &str, usize)] = &[
    (1, "Proxy", 7),
    (2, "Api", 23),
    (3, "OrganizationProvider", 18),
    (4, "EndpointProvider", 25),
    (5, "FhirClientProvider", 5),
    (6, "FhirClientConfigProvider", 8),
    (7, "SendTaskTest", 3),
    (8, "FieldInjectionTest", 3),
    (9, "ErrorBoundaryEventTest", 2),
    (10, "ExceptionTest", 1),
    (11, "ContinueSendTest", 3),
    (12, "JsonVariableTest", 3),
    (13, "CompressionServiceTest", 3),
    (14, "CryptoServiceTest", 33),
    (15, "MimeTypeServiceTest", 5),
    (16, "FhirBinaryVariableTest", 4),
    (17, "EnvironmentVariableTest", 3),
    (18, "DsfClientTest", 12),
    (19, "TargetProviderTest", 13),
    (20, "DataLoggerTest", 3),
    (21, "AutowireTest", 2),
];

const NAME: &str = "dsf-bpe-test-plugin-v2";

/// What the published plugin has in a definition class and in annotations of its code.
const MORE: &str = r#"
[capabilities]
local-fhir = "write"
remote-fhir = "read"
fhir-connections = ["*"]
secrets = true

[[setting]]
name = "dev.dsf.bpe.test.env.mandatory"

[[setting]]
name = "dev.dsf.bpe.test.env.optional"
default = "default-value"

[[setting]]
name = "dev.dsf.proxy.url"
"#;

/// The set-up of §12.1, around an engine that says what it logs for sensitive data.
async fn hospital() -> Option<Organization> {
    let package = Package::published(&Manifest {
        name: NAME,
        version: "2.0.0.0",
        api: 2,
        processes: &[("dsfdev_test", "bpmn/test.bpmn")],
        more: MORE,
    })?;
    let world = Arc::new(World::recorded());
    package.add(NAME, "certificates.js", &material(&world));
    package.add(NAME, "documents.js", &documents());
    let connections = world.path("connections.yaml");
    fs::write(&connections, self::connections(&world)).unwrap();
    let keys = [
        "client.proxy=http://proxy:8080",
        "client.proxy-username=proxy_username",
        "client.proxy-password=proxy_password",
        "client.proxy-except=localhost,noproxy:443",
        "log.level=info,dsf::data=debug",
        &format!("bpe.fhir-connections={}", connections.display()),
    ];
    let mut hospital = Organization::closed(&world, "bpe-a", &package, &keys).await;
    hospital.environment = vec![
        ("DEV_DSF_BPE_TEST_ENV_MANDATORY", "test-value"),
        ("DEV_DSF_PROXY_URL", "http://proxy:8080"),
    ];
    hospital.open_mailbox().await;
    hospital.start_engine().await;
    hospital.offers(&[PROCESS]).await;
    widen(&hospital).await;
    Some(hospital)
}

/// A second message, as the modifier of the Java plugin adds it to the ActivityDefinition.
async fn widen(hospital: &Organization) {
    let query = "ActivityDefinition?url=http://dsf.dev/bpe/Process/test&version=2.0";
    let mut definition = hospital.local().search(query).await.remove(0);
    let mut second = definition["extension"][0].clone();
    for part in second["extension"].as_array_mut().unwrap() {
        if part["url"] == "message-name" {
            part["valueString"] = json!("continue-send-test");
        } else if part["url"] == "task-profile" {
            let profile = "http://dsf.dev/fhir/StructureDefinition/task-continue-send-test|2.0";
            part["valueCanonical"] = json!(profile);
        }
    }
    definition["extension"].as_array_mut().unwrap().push(second);
    let answer = hospital.local().put(&path(&definition), &definition).await;
    assert_eq!(answer.status, 200, "{answer}");
}

/// Cases 5 and 6: one connection to the own server, with a certificate; one that needs the proxy.
fn connections(world: &World) -> String {
    let base = world.member("bpe-a").base_url();
    format!(
        "dsf-fhir-server:\n  base-url: {base}\n  test-connection-on-startup: true\n  \
         trusted-root-certificates-file: ca.crt\n  \
         cert-auth: {{ certificate-file: bpe-a.crt, private-key-file: bpe-a.key }}\n\
         via-proxy:\n  base-url: https://via-proxy/fhir\n"
    )
}

/// Case 14: keys and certificates of this world, as a module.
fn material(world: &World) -> String {
    let read = |file: &str| fs::read_to_string(world.path(file)).unwrap();
    let key = PKey::private_key_from_pem(read("bpe-a.key").as_bytes()).unwrap();
    let locked = key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"password");
    let locked = String::from_utf8(locked.unwrap()).unwrap();
    let parts = json!({
        "ca": read("ca.crt"), "client": read("bpe-a.crt"), "key": read("bpe-a.key"),
        "lockedKey": locked, "otherKey": read("bpe-b.key"), "server": read("server.crt"),
        "expired": read("expired.crt"), "rogue": read("rogue.crt"),
    });
    format!("export const material = {parts};\n")
}

/// Case 15: the attachments of the published documents with their types, as a module. The content
/// is cut where the host stops to look; the file with lines of JSON is not among those at hand.
fn documents() -> String {
    let published = format!("data/plugins/{NAME}/fhir/Bundle");
    let folder = shared(&published).unwrap().join(published);
    let read = |name: &str| {
        let file = format!("DocumentReference-with-Attachment-{name}.xml");
        fs::read_to_string(folder.join(file)).unwrap()
    };
    let within = |text: &str, start: &str, end: &str| {
        let (_, rest) = text.rsplit_once(start).unwrap();
        rest.split_once(end).unwrap().0.to_owned()
    };
    let binary = |text: &str| {
        let mut data = within(text, "<data value=\"", "\"");
        data.truncate(80_000);
        json!([within(text, "<contentType value=\"", "\""), data])
    };
    let coded = |text: &str| json!(["application/fhir+xml", STANDARD.encode(text)]);
    let report = read("MeasureReport");
    let resource = within(&report, "<resource>", "</resource>");
    let lines = STANDARD.encode("{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
    let all = json!({
        "bundle": coded(&report), "csv": binary(&read("CSV")), "measureReport": coded(&resource),
        "ndJson": ["application/x-ndjson", lines], "zip": binary(&read("ZIP")),
    });
    format!("export const documents = {all};\n")
}

async fn start(hospital: &Organization, branch: &str, key: Option<&str>) -> String {
    let request = Request {
        process: PROCESS,
        profile: "http://dsf.dev/fhir/StructureDefinition/task-test|2.0",
        message: "start",
        business_key: key,
        inputs: vec![text(TEST, "test-activity", branch)],
    };
    hospital.ask("bpe-a", &request).await
}

/// What is wrong with a branch that is over, by the assertions of §12.1.
fn verdict(task: &Value, checks: usize) -> Vec<String> {
    let mut wrong = Vec::new();
    if task["status"] != "completed" || task["meta"]["versionId"] != "3" {
        let (status, version) = (&task["status"], &task["meta"]["versionId"]);
        wrong.push(format!(
            "{status} in version {version}: {:?}",
            outputs(task)
        ));
    }
    if input_text(task, "business-key")
        .parse::<uuid::Uuid>()
        .is_err()
    {
        wrong.push("no business key of its own".to_owned());
    }
    let (good, bad): (Vec<_>, Vec<_>) = outputs(task)
        .into_iter()
        .partition(|(code, _)| code == "test-method-succeeded");
    wrong.extend(
        bad.into_iter()
            .map(|(code, text)| format!("{code}: {text}")),
    );
    if good.len() != checks {
        wrong.push(format!("{} of {checks} checks: {good:?}", good.len()));
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn every_branch_without_people_ends_with_all_its_checks() {
    let Some(hospital) = hospital().await else {
        return;
    };
    let mut tasks = Vec::new();
    for (case, branch, checks) in BRANCHES {
        tasks.push((case, branch, *checks, start(&hospital, branch, None).await));
    }
    let mut wrong = Vec::new();
    for (case, branch, checks, id) in tasks {
        let task = hospital.ended(&id).await;
        let found = verdict(&task, checks);
        wrong.extend(
            found
                .iter()
                .map(|text| format!("case {case} {branch}: {text}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let continued = hospital.tasks("continue-send-test").await;
    assert_eq!(continued.len(), 1);
    assert_eq!(
        continued[0]["status"], "completed",
        "case 11: both Tasks end"
    );
    let log = hospital.engine().log();
    assert!(log.contains("a resource: {"), "case 20: it is in the log");
    assert!(log.contains("connection works"), "case 6: tested on start");
}

/// §12.1: what is deployed, and the three frames that somebody sees who listens to Tasks of a profile.
#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_is_deployed_as_published_and_its_tasks_can_be_watched() {
    let Some(hospital) = hospital().await else {
        return;
    };
    let local = hospital.local();
    for (query, count) in [
        (
            "ActivityDefinition?url=http://dsf.dev/bpe/Process/test&version=2.0",
            1,
        ),
        (
            "CodeSystem?url=http://dsf.dev/fhir/CodeSystem/test&version=2.0",
            1,
        ),
        (
            "ValueSet?url=http://dsf.dev/fhir/ValueSet/test&version=2.0",
            1,
        ),
        (
            "StructureDefinition?url=http://dsf.dev/fhir/StructureDefinition/task-test&version=2.0",
            1,
        ),
        (
            "Questionnaire?url=http://dsf.dev/fhir/Questionnaire/test&version=2.0",
            1,
        ),
    ] {
        assert_eq!(local.search(query).await.len(), count, "{query}");
    }
    let criteria = "Task?_profile:below=http://dsf.dev/fhir/StructureDefinition/task-test";
    let subscription = subscribe(&local, criteria).await;
    let mut socket = Listener::bound(&local, &subscription).await;
    let task = start(&hospital, "FieldInjectionTest", None).await;
    for (version, status) in [("1", "requested"), ("2", "in-progress"), ("3", "completed")] {
        let frame = socket.event().await;
        assert_eq!(
            (&frame["id"], &frame["status"]),
            (&json!(task), &json!(status))
        );
        assert_eq!(frame["meta"]["versionId"], version);
    }
    assert!(socket.is_silent().await);
}

/// Cases 22 to 25: forms for everybody, for a role, for a person, for several persons.
#[tokio::test(flavor = "multi_thread")]
async fn forms_are_answered_by_those_whom_the_model_names() {
    let Some(hospital) = hospital().await else {
        return;
    };
    let cases = [
        ("QuestionnaireTest", json!([])),
        ("QuestionnaireTestRole", json!(["DIC_USER"])),
        ("QuestionnaireTestIdentifier", json!(["dic-user@test.org"])),
        (
            "QuestionnaireTestIdentifierMulti",
            json!(["dic-user@test.org", "foo@invalid", "bar@invalid"]),
        ),
    ];
    for (branch, admitted) in cases {
        let key = uuid::Uuid::new_v4().to_string();
        let task = start(&hospital, branch, Some(&key)).await;
        let form = hospital.form(&key, "in-progress").await;
        let parts = form["extension"][0]["extension"].as_array();
        let named: Vec<_> = parts
            .into_iter()
            .flatten()
            .map(|part| match &part["valueCoding"]["code"] {
                Value::Null => part["valueIdentifier"]["value"].clone(),
                code => code.clone(),
            })
            .collect();
        assert_eq!(json!(named), admitted, "{branch}");
        assert_eq!(form["author"]["identifier"]["value"], "Test_Organization");
        answer(&hospital, branch, &form).await;
        let ended = hospital.ended(&task).await;
        assert_eq!(verdict(&ended, 17), Vec::<String>::new(), "{branch}");
        let amended = hospital.form(&key, "amended").await;
        assert!(amended["authored"].is_string() && amended["author"].is_object());
    }
}

/// As the local organisation where nobody is named, else first as one who is not admitted.
async fn answer(hospital: &Organization, branch: &str, form: &Value) {
    let code = json!({ "system": "http://test.com/fhir/CodeSystem/answers", "code": "given" });
    let quantity =
        json!({ "value": 12.5, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg" });
    let answers = [
        ("string-example", json!({"valueString": "an answer"})),
        ("text-example", json!({"valueString": "a longer answer"})),
        ("integer-example", json!({"valueInteger": 42})),
        ("decimal-example", json!({"valueDecimal": 3.25})),
        ("boolean-example", json!({"valueBoolean": true})),
        ("date-example", json!({"valueDate": "2026-11-21"})),
        ("time-example", json!({"valueTime": "09:41:26"})),
        (
            "date-time-example",
            json!({"valueDateTime": "2026-11-21T09:41:26+01:00"}),
        ),
        (
            "reference-example",
            json!({"valueReference": {"reference": "http://test.com/fhir/Patient/1"}}),
        ),
        ("url-example", json!({"valueUri": "http://test.com/foo"})),
        ("choice-example", json!({ "valueCoding": code })),
        ("quantity-example", json!({ "valueQuantity": quantity })),
    ];
    let by = |author| completed(form, author, &answers);
    let mailbox = hospital.mailbox();
    if branch == "QuestionnaireTest" {
        let given = by(organization(hospital.identifier()));
        let taken = hospital.local().put(&path(form), &given).await;
        assert_eq!(taken.status, 200, "{branch}: {taken}");
        return;
    }
    let refused = by(practitioner("uac-user@test.org"));
    let refusal = mailbox.client("uac-user").put(&path(form), &refused).await;
    assert_eq!(refusal.status, 403, "{branch}: {refusal}");
    assert_eq!(
        mailbox.client("uac-user").get(&path(form)).await.status,
        403
    );
    let given = by(practitioner("dic-user@test.org"));
    let taken = mailbox.client("dic-user").put(&path(form), &given).await;
    assert_eq!(taken.status, 200, "{branch}: {taken}");
}
