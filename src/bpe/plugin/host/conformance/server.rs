//! The servers around the cases: the own one, and a partner's that is also a named connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::bpe::plugin::service::{Connections, Services};
use crate::bpe::plugin::testing::{Answered, Asked, StandIn, endpoint, organization, outfit};
use crate::net::pki::{Authority, Profile};
use crate::store::testing::temporary_folder;

pub(super) struct World {
    pub own: StandIn,
    pub partner: StandIn,
    pub services: Arc<Services>,
}

pub(super) async fn world() -> World {
    let partner = StandIn::start(|_| patient("p1", 1)).await;
    let address = partner.base.clone();
    let tries = AtomicU32::new(0);
    let own = StandIn::start(move |asked| answer(asked, &address, &tries)).await;
    let folder = temporary_folder("connections").join(uuid::Uuid::new_v4().to_string());
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("connections.yaml");
    let base = &partner.base;
    let issued = Authority::new("CA")
        .unwrap()
        .issue(&Profile::client("keyed"));
    issued.unwrap().write(&folder, "keyed").unwrap();
    let text = format!(
        "store:\n  base-url: {base}\n  basic-auth: {{ username: dsf, password: secret }}\n\
         keyed:\n  base-url: {base}\n  cert-auth: {{ certificate-file: keyed.crt, private-key-file: keyed.key }}\n\
         token:\n  base-url: {base}\n  bearer-auth: {{ token: bear }}\n\
         oidc:\n  base-url: {base}\n  connect-timeout: PT5S\n  oidc-auth: {{ base-url: {base}, client-id: dsf, client-secret: hidden, enable-debug-logging: true }}\n"
    );
    std::fs::write(&file, text).unwrap();
    let (connections, problems) = Connections::read(&file, None);
    assert!(problems.is_empty(), "{problems:?}");
    let mut outfit = outfit(&own);
    outfit.connections = connections;
    World {
        services: Arc::new(Services::new(outfit)),
        own,
        partner,
    }
}

fn patient(id: &str, version: u32) -> Answered {
    let meta = json!({ "versionId": version.to_string() });
    Answered::json(
        200,
        &json!({ "resourceType": "Patient", "id": id, "meta": meta }),
    )
}

fn outcome(status: u16, text: &str) -> Answered {
    let issue = json!({ "severity": "error", "code": "processing", "diagnostics": text });
    Answered::json(
        status,
        &json!({ "resourceType": "OperationOutcome", "issue": [issue] }),
    )
}

fn searchset(resources: &[Value]) -> Answered {
    let entries: Vec<_> = resources
        .iter()
        .map(|one| json!({ "resource": one }))
        .collect();
    Answered::json(
        200,
        &json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries }),
    )
}

fn answer(asked: &Asked, partner: &str, tries: &AtomicU32) -> Answered {
    match asked.method.as_str() {
        "GET" => get(asked, partner, tries),
        "POST"
            if asked.path == "Binary" && asked.header("content-type") == Some("refused/type") =>
        {
            outcome(400, "not such content")
        }
        "POST" if asked.path == "Binary" => {
            Answered::empty(201).with("location", "http://own/fhir/Binary/b1/_history/1")
        }
        "POST" if asked.path.ends_with("$check") => outcome(200, "fine"),
        "POST" => {
            let mut created = patient("p1", 1);
            created.status = 201;
            created.with("location", "http://own/fhir/Patient/p1/_history/2")
        }
        "PUT" => {
            let body: Value = serde_json::from_slice(&asked.body).unwrap();
            Answered::json(200, &body)
        }
        _ => Answered::empty(204),
    }
}

fn get(asked: &Asked, partner: &str, tries: &AtomicU32) -> Answered {
    let path = asked.path.as_str();
    let is = |start: &str| path.starts_with(start);
    if is("Endpoint?") || is("Organization?") || is("OrganizationAffiliation?") {
        return directory(path, partner);
    }
    match path {
        "Patient/p1" if asked.header("if-none-match").is_some() => Answered::empty(304),
        "Patient/sometimes" if tries.fetch_add(1, Ordering::Relaxed) < 2 => outcome(500, "later"),
        "Patient/sometimes" => patient("sometimes", 1),
        "Patient?name=a%20b&_count=1" => Answered::json(
            200,
            &json!({ "resourceType": "Bundle", "type": "searchset", "total": 7 }),
        ),
        "Patient?late=yes" => Answered::empty(202).with("content-location", "/fhir/async/1"),
        "async/1" => {
            let found = json!({ "resourceType": "Bundle", "type": "searchset", "total": 3 });
            let entry = json!([{ "resource": found }]);
            Answered::json(
                200,
                &json!({ "resourceType": "Bundle", "type": "batch-response", "entry": entry }),
            )
        }
        "Binary/b1" => binary(asked),
        _ if path.contains("_history?") => {
            Answered::json(200, &json!({ "resourceType": "Bundle", "type": "history" }))
        }
        _ => outcome(404, "it is not here"),
    }
}

fn binary(asked: &Asked) -> Answered {
    let whole: Vec<u8> = b"0123456789"
        .iter()
        .copied()
        .cycle()
        .take(300_000)
        .collect();
    let plain = Answered::empty(200).with("content-type", "text/plain");
    match asked.header("range") {
        Some("bytes=0-9") => {
            let mut part = plain.with("content-range", "bytes 0-9/300000");
            part.status = 206;
            part.body = whole[..10].to_vec();
            part
        }
        _ => Answered {
            body: whole,
            ..plain
        },
    }
}

fn directory(path: &str, partner: &str) -> Answered {
    let own = organization("own", "Test_Organization");
    let own_endpoint = endpoint("own", "Test_Endpoint", "http://own/fhir");
    let member = organization("member", "member");
    let member_endpoint = endpoint("member", "partner", partner);
    let encoded: String = url::form_urlencoded::byte_serialize(partner.as_bytes()).collect();
    if path.starts_with("OrganizationAffiliation?") {
        let affiliation = json!({
            "resourceType": "OrganizationAffiliation", "id": "a1", "active": true,
            "participatingOrganization": { "reference": "Organization/member" },
            "endpoint": [{ "reference": "Endpoint/endpoint-of-member" }],
        });
        searchset(&[affiliation, member, member_endpoint])
    } else if path.contains("unknown") || path.contains("stranger") {
        searchset(&[])
    } else if path.starts_with("Organization?") {
        searchset(&[member])
    } else if path.contains("_include") {
        searchset(&[own_endpoint, own])
    } else if path.contains("%7Cpartner") || path.contains(&encoded) {
        searchset(&[member_endpoint])
    } else {
        searchset(&[])
    }
}
