//! A FHIR server that answers as a test says, and packages made of texts.

mod stand_in;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::local_fhir::{LocalFhir, Request, Response, Unreachable};

use super::package::{Files, Package, Refused, Site, Substitutes, load};
use super::service::{Connections, Outfit, Services};
use crate::bpe::exchange::Server;
use crate::net::{http, mail};

pub(in crate::bpe) use stand_in::{Answered, Asked, StandIn};

pub(super) const BASE: &str = "https://fhir.a.example/fhir";

type Answers = Box<dyn Fn(&Request) -> Response + Send + Sync>;

pub(super) struct FakeFhir {
    pub requests: Mutex<Vec<Request>>,
    answers: Answers,
}

impl FakeFhir {
    pub(super) fn new(answers: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        Self {
            requests: Mutex::default(),
            answers: Box::new(answers),
        }
    }

    pub(super) fn taken(&self) -> Vec<Request> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }
}

#[async_trait]
impl LocalFhir for FakeFhir {
    fn base_url(&self) -> &str {
        BASE
    }

    async fn request(&self, request: Request) -> Result<Response, Unreachable> {
        let response = (self.answers)(&request);
        self.requests.lock().unwrap().push(request);
        Ok(response)
    }
}

/// Services whose own FHIR server is the stand-in.
pub(super) fn outfit(stand_in: &StandIn) -> Outfit {
    let outward = http::Settings::default();
    let client = http::Client::new(&outward).unwrap();
    let mail = mail::Settings {
        host: None,
        port: None,
        encryption: mail::Encryption::None,
        username: None,
        password: None,
        server_cas: None,
        identity: None,
        signature: None,
        from: "bpe@hospital.example".to_owned(),
        to: vec!["admin@hospital.example".to_owned()],
        cc: Vec::new(),
        reply_to: Vec::new(),
    };
    Outfit {
        local: Arc::new(Server::new(client.clone(), &stand_in.base)),
        client,
        own: outward.clone(),
        outward,
        connections: Connections::default(),
        mailer: Arc::new(mail::Mailer::new(mail).unwrap()),
        validator: None,
    }
}

pub(super) fn services(stand_in: &StandIn) -> Arc<Services> {
    Arc::new(Services::new(outfit(stand_in)))
}

pub(super) fn ok(body: Value) -> Response {
    Response {
        status: 200,
        body: Some(body),
    }
}

pub(super) fn searchset(resources: &[Value]) -> Response {
    let entries: Vec<_> = resources
        .iter()
        .map(|one| json!({ "resource": one }))
        .collect();
    ok(json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries }))
}

pub(super) fn organization(id: &str, identifier: &str) -> Value {
    json!({
        "resourceType": "Organization", "id": id, "active": true,
        "identifier": [
            { "system": "http://dsf.dev/sid/organization-identifier", "value": identifier },
        ],
    })
}

pub(super) fn endpoint(organization: &str, identifier: &str, address: &str) -> Value {
    json!({
        "resourceType": "Endpoint", "id": format!("endpoint-of-{organization}"),
        "status": "active", "address": address,
        "identifier": [{ "system": "http://dsf.dev/sid/endpoint-identifier", "value": identifier }],
        "managingOrganization": { "reference": format!("Organization/{organization}") },
    })
}

pub(super) fn files(texts: &[(&str, &str)]) -> Files {
    let files: BTreeMap<_, _> = texts
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
        .collect();
    Files::memory("test", files)
}

pub(super) fn loaded(files: &Files) -> Result<Package, Refused> {
    let site = Site {
        substitutes: Substitutes {
            organization: "Test_Organization",
            environment: &|_| None,
        },
        base_url: BASE,
    };
    load(files, &site)
}

pub(super) fn ping_pong() -> Package {
    let built_in = Files::built_in();
    let files = built_in
        .iter()
        .find(|files| files.origin == "ping-pong")
        .unwrap();
    loaded(files).unwrap_or_else(|refused| panic!("{refused}"))
}
