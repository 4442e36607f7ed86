//! Processes of the research initiative, end to end over three organisations: models and resources as
//! published, activities in JavaScript (`tests/plugins`), local stand-ins for what hospitals have.
//!
//! The stand-ins: every organisation has a FHIR store inside, a server of its own behind TLS and a
//! password that its engine reaches by a named connection. Data sets, Patients and private keys are
//! there and nowhere else; an evaluation of a measure counts Patients.

use std::sync::Arc;

use openssl::rsa::Rsa;
use serde_json::{Value, json};

use super::harness::organization::{PATIENCE, Request, answer, completed, organization, outputs};
use super::harness::package::Manifest;
use super::harness::sample::{path, tag};
use super::harness::{ORGANIZATION, Organization, Package, Store, World, until};

const PROCESS: &str = "http://medizininformatik-initiative.de/bpe/Process";
const PROFILE: &str = "http://medizininformatik-initiative.de/fhir/StructureDefinition";
const CODES: &str = "http://medizininformatik-initiative.de/fhir/CodeSystem";
const PROJECT: &str = "http://medizininformatik-initiative.de/sid/project-identifier";
const KEY: &str = "http://medizininformatik-initiative.de/sid/test-key";

const MORE: &str = "[capabilities]\nlocal-fhir = \"write\"\nremote-fhir = \"read\"\n\
    fhir-connections = [\"fhir-store\"]\n";

/// An organisation with what stands inside of its network.
struct Site {
    organization: Organization,
    store: Store,
}

impl std::ops::Deref for Site {
    type Target = Organization;

    fn deref(&self) -> &Organization {
        &self.organization
    }
}

/// Starts all organisations of a world at once.
async fn started<const N: usize>(
    world: &Arc<World>,
    names: [&'static str; N],
    package: &Package,
    offered: &[&str],
) -> [Site; N] {
    let start = names.map(|name| async move {
        let store = Store::open(world, name);
        let organization = Organization::start(world, name, package, &[&store.setting]).await;
        organization.offers(offered).await;
        Site {
            organization,
            store,
        }
    });
    let all = futures_util::future::join_all(start).await;
    all.try_into().ok().expect("as many as were started")
}

fn coded(system: &str, code: &str, member: &str, value: Value) -> Value {
    json!({"type": {"coding": [{"system": format!("{CODES}/{system}"), "code": code}]}, member: value})
}

fn reference(identifier: &str) -> Value {
    let identifier = json!({"system": ORGANIZATION, "value": identifier});
    json!({"type": "Organization", "identifier": identifier})
}

fn admit_patients(hospital: &Site, count: usize) {
    for _ in 0..count {
        hospital.store.add(&json!({"resourceType": "Patient"}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feasibility_query_counts_the_patients_of_two_hospitals() {
    let Some(package) = Package::published(&Manifest {
        name: "mii-process-feasibility-dsf-v2",
        version: "1.0.0.0",
        api: 1,
        processes: &[
            (
                "medizininformatik-initiativede_feasibilityRequest",
                "bpmn/feasibilityRequest.bpmn",
            ),
            (
                "medizininformatik-initiativede_feasibilityExecute",
                "bpmn/feasibilityExecute.bpmn",
            ),
        ],
        more: MORE,
    }) else {
        return;
    };
    let world = Arc::new(World::research(&[
        ("hrp", "Test_HRP", "HRP"),
        ("dic1", "Test_DIC1", "DIC"),
        ("dic2", "Test_DIC2", "DIC"),
    ]));
    let (request, execute) = (
        format!("{PROCESS}/feasibilityRequest|1.0"),
        format!("{PROCESS}/feasibilityExecute|1.0"),
    );
    let offered = [request.as_str(), execute.as_str()];
    let [hrp, dic1, dic2] = started(&world, ["hrp", "dic1", "dic2"], &package, &offered).await;
    admit_patients(&dic1, 12);
    admit_patients(&dic2, 27);

    let measure = ask_question(&hrp).await;
    let input = json!({"reference": measure});
    let task = hrp
        .ask(
            "hrp",
            &Request {
                process: &request,
                profile: &format!("{PROFILE}/feasibility-task-request|1.0"),
                message: "feasibilityRequestMessage",
                business_key: Some(&uuid::Uuid::new_v4().to_string()),
                inputs: vec![coded(
                    "feasibility",
                    "measure-reference",
                    "valueReference",
                    input,
                )],
            },
        )
        .await;
    let ended = hrp.ended(&task).await;
    assert_eq!(ended["status"], "completed", "{ended:#}");
    let mut counts = Vec::new();
    for output in ended["output"]
        .as_array()
        .expect("a report of each hospital")
    {
        let reference = output["valueReference"]["reference"].as_str().unwrap();
        let report = hrp.local().get(reference).await.json();
        counts.push(report["group"][0]["population"][0]["count"].clone());
    }
    counts.sort_by_key(Value::as_u64);
    assert_eq!(counts, [10, 30], "rounded, so that nobody is recognised");
    for hospital in [&dic1, &dic2] {
        let tasks = hospital.tasks("feasibilityExecuteMessage").await;
        assert_eq!(tasks.len(), 1);
        assert_eq!(tasks[0]["status"], "completed", "{:#}", tasks[0]);
    }
    for task in hrp.tasks("feasibilitySingleDicResultMessage").await {
        assert_eq!(task["status"], "completed", "{task:#}");
    }
}

/// Puts Measure and Library where hospitals can read them; the address of the Measure.
async fn ask_question(hrp: &Organization) -> String {
    let library = "http://example.org/fhir/Library/feasibility";
    let meta = json!({"tag": [tag("ALL")]});
    let cohort = |system: &str, code: &str| {
        let system = format!("http://terminology.hl7.org/CodeSystem/{system}");
        json!({"coding": [{"system": system, "code": code}]})
    };
    hrp.local()
        .create(&json!({
            "resourceType": "Library", "meta": meta, "url": library, "version": "1", "status": "active",
            "type": cohort("library-type", "logic-library"),
            "content": [
                {"contentType": "text/cql", "data": "ZGVmaW5l"},
                {"contentType": "application/json", "data": "e30="},
            ],
        }))
        .await;
    let population = json!({
        "code": cohort("measure-population", "initial-population"),
        "criteria": {"language": "text/cql", "expression": "InInitialPopulation"},
    });
    let measure = json!({
        "resourceType": "Measure", "meta": meta, "version": "1", "status": "active",
        "url": "http://example.org/fhir/Measure/feasibility",
        "library": [library],
        "scoring": cohort("measure-scoring", "cohort"),
        "group": [{"population": [population]}],
    });
    let stored = hrp.local().create(&measure).await;
    format!("{}/{}", world_address(hrp), path(&stored))
}

fn world_address(organization: &Organization) -> String {
    organization.world.member(organization.name).base_url()
}

/// A document with content.
fn document(system: &str, value: &str, text: &str) -> Value {
    let data = base64(text);
    json!({
        "resourceType": "DocumentReference",
        "masterIdentifier": {"system": system, "value": value},
        "identifier": [{"system": system, "value": value}],
        "status": "current",
        "docStatus": "final",
        "content": [{"attachment": {"contentType": "text/csv", "data": data}}],
    })
}

/// The data set of a hospital.
fn store_data_set(hospital: &Site, text: &str) {
    hospital.store.add(&document(PROJECT, "Test_PROJECT", text));
}

/// The data sets that a site has received: in its store, and not in its mailbox.
async fn data_sets(site: &Site) -> Vec<Value> {
    let query = format!("DocumentReference?identifier={PROJECT}|Test_PROJECT");
    assert_eq!(site.local().search(&query).await.len(), 0);
    site.store
        .with_identifier("DocumentReference", &format!("{PROJECT}|Test_PROJECT"))
}

fn base64(text: &str) -> String {
    openssl::base64::encode_block(text.as_bytes())
}

/// A key pair: the public half for everybody, the private one inside.
async fn publish_key(site: &Site) {
    let pair = Rsa::generate(2048).unwrap();
    let private = openssl::pkey::PKey::from_rsa(pair).unwrap();
    let text = |pem: Vec<u8>| String::from_utf8(pem).unwrap();
    let public = text(private.public_key_to_pem().unwrap());
    let private = text(private.private_key_to_pem_pkcs8().unwrap());
    let mut public = document(KEY, "public", &public);
    public["meta"] = json!({"tag": [tag("ALL")]});
    site.local().create(&public).await;
    site.store.add(&document(KEY, "private", &private));
}

#[tokio::test(flavor = "multi_thread")]
async fn data_sets_of_two_hospitals_reach_the_data_management_site() {
    let Some(package) = Package::published(&Manifest {
        name: "mii-process-data-transfer",
        version: "1.0.0.0",
        api: 1,
        processes: &[
            ("medizininformatik-initiativede_dataSend", "bpmn/send.bpmn"),
            (
                "medizininformatik-initiativede_dataReceive",
                "bpmn/receive.bpmn",
            ),
        ],
        more: MORE,
    }) else {
        return;
    };
    let world = Arc::new(World::research(&[
        ("dms", "Test_DMS", "DMS"),
        ("dic1", "Test_DIC1", "DIC"),
        ("dic2", "Test_DIC2", "DIC"),
    ]));
    let (send, receive) = (
        format!("{PROCESS}/dataSend|1.0"),
        format!("{PROCESS}/dataReceive|1.0"),
    );
    let offered = [send.as_str(), receive.as_str()];
    let [dms, dic1, dic2] = started(&world, ["dms", "dic1", "dic2"], &package, &offered).await;
    publish_key(&dms).await;
    store_data_set(&dic1, "id,name\n1,one\n");
    store_data_set(&dic2, "id,name\n2,two\n");

    let mut tasks = Vec::new();
    for hospital in [&dic1, &dic2] {
        let project = json!({"system": PROJECT, "value": "Test_PROJECT"});
        let request = Request {
            process: &send,
            profile: &format!("{PROFILE}/task-data-send-start|1.0"),
            message: "dataSendStart",
            business_key: None,
            inputs: vec![
                coded(
                    "data-transfer",
                    "dms-identifier",
                    "valueReference",
                    reference("Test_DMS"),
                ),
                coded(
                    "data-transfer",
                    "project-identifier",
                    "valueIdentifier",
                    project,
                ),
            ],
        };
        tasks.push((hospital, hospital.ask(hospital.name, &request).await));
    }
    for (hospital, task) in tasks {
        let ended = hospital.ended(&task).await;
        assert_eq!(ended["status"], "completed", "{ended:#}");
        let (code, status) = outputs(&ended).pop().expect("a status");
        assert_eq!(code, "data-set-status");
        assert!(status.contains("receive-ok"), "{status}");
        let left = hospital.local().search("Binary?_count=100").await;
        assert_eq!(left.len(), 0, "what was sent is deleted");
    }
    let received = data_sets(&dms).await;
    let mut texts: Vec<_> = received
        .iter()
        .map(|document| {
            document["content"][0]["attachment"]["data"]
                .as_str()
                .unwrap()
        })
        .collect();
    texts.sort_unstable();
    assert_eq!(
        texts,
        [base64("id,name\n1,one\n"), base64("id,name\n2,two\n")]
    );
    for task in dms.tasks("dataSend").await {
        assert_eq!(task["status"], "completed", "{task:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_set_is_released_sent_merged_and_announced() {
    let Some(package) = Package::published(&Manifest {
        name: "mii-process-data-sharing",
        version: "1.0.0.0",
        api: 1,
        processes: &[
            (
                "medizininformatik-initiativede_coordinateDataSharing",
                "bpmn/coordinate.bpmn",
            ),
            (
                "medizininformatik-initiativede_executeDataSharing",
                "bpmn/execute.bpmn",
            ),
            (
                "medizininformatik-initiativede_mergeDataSharing",
                "bpmn/merge.bpmn",
            ),
        ],
        more: MORE,
    }) else {
        return;
    };
    let world = Arc::new(World::research(&[
        ("hrp", "Test_HRP", "HRP"),
        ("dms", "Test_DMS", "DMS"),
        ("dic1", "Test_DIC1", "DIC"),
    ]));
    let processes = [
        "coordinateDataSharing",
        "executeDataSharing",
        "mergeDataSharing",
    ]
    .map(|name| format!("{PROCESS}/{name}|1.0"));
    let offered = processes.each_ref().map(String::as_str);
    let [hrp, dms, dic] = started(&world, ["hrp", "dms", "dic1"], &package, &offered).await;
    publish_key(&dms).await;
    store_data_set(&dic, "id,name\n1,one\n");

    let key = uuid::Uuid::new_v4().to_string();
    let task = hrp.ask("hrp", &coordination(&processes[0], &key)).await;
    // The hospital releases, but names the wrong project first: its process asks once more.
    for project in ["Another_PROJECT", "Test_PROJECT"] {
        release(&dic, &key, &[("release", json!({"valueString": project}))]).await;
    }
    release(&hrp, &key, &[("release", json!({"valueBoolean": true}))]).await;
    let url = "https://data.example.org/merged";
    let answers = [
        ("data-set-url", json!({"valueUri": url})),
        ("release", json!({"valueString": "Test_PROJECT"})),
    ];
    release(&dms, &key, &answers).await;

    let ended = hrp.ended(&task).await;
    assert_eq!(ended["status"], "completed", "{ended:#}");
    let announced = ("data-set-url".to_owned(), url.to_owned());
    assert_eq!(outputs(&ended), [announced], "nothing is missing");
    let received = data_sets(&dms).await;
    assert_eq!(received.len(), 1);
    let data = &received[0]["content"][0]["attachment"]["data"];
    assert_eq!(*data, base64("id,name\n1,one\n"));
    for (site, message) in [(&dic, "executeDataSharing"), (&dms, "mergeDataSharing")] {
        let tasks = site.tasks(message).await;
        let ended = site.ended(tasks[0]["id"].as_str().unwrap()).await;
        assert_eq!(ended["status"], "completed", "{ended:#}");
    }
}

fn coordination<'a>(process: &'a str, key: &'a str) -> Request<'a> {
    let identifier = |system: &str, value: &str| json!({"system": format!("http://medizininformatik-initiative.de/sid/{system}"), "value": value});
    let input = |code, member, value| coded("data-sharing", code, member, value);
    let project = identifier("project-identifier", "Test_PROJECT");
    let researcher = identifier("researcher-identifier", "Test_Researcher");
    Request {
        process,
        profile: "http://medizininformatik-initiative.de/fhir/StructureDefinition/task-coordinate-data-sharing|1.0",
        message: "coordinateDataSharing",
        business_key: Some(key),
        inputs: vec![
            input("project-identifier", "valueIdentifier", project),
            input(
                "contract-url",
                "valueUrl",
                json!("https://contract.example.org"),
            ),
            input("researcher-identifier", "valueIdentifier", researcher),
            input("dic-identifier", "valueReference", reference("Test_DIC1")),
            input("dms-identifier", "valueReference", reference("Test_DMS")),
        ],
    }
}

/// Answers the open form of a conversation as the organisation itself.
async fn release(site: &Organization, key: &str, answers: &[(&str, Value)]) {
    let form = site.form(key, "in-progress").await;
    let display = form["item"][2]["text"].as_str().unwrap();
    assert!(
        display.contains("Test_PROJECT") && !display.contains("placeholder"),
        "{display}"
    );
    let given = completed(&form, organization(site.identifier()), answers);
    assert!(
        answers
            .iter()
            .all(|(id, value)| answer(&given, id) == value)
    );
    let taken = site.local().put(&path(&form), &given).await;
    assert_eq!(taken.status, 200, "{taken}");
    until("the answer is taken in", PATIENCE, async || {
        site.local().get(&path(&form)).await.json()["status"] == "amended"
    })
    .await;
}
