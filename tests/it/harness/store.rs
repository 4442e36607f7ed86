//! A stand-in for a FHIR store of a hospital: a server of its own, behind TLS and a password, that
//! keeps what it is given in memory. It knows `create`, `read`, and searches by identifier or for all.

use std::sync::{Arc, Mutex};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod};
use serde_json::{Value, json};

use super::World;
use super::world::free_port;

/// The connection's name, in `bpe.fhir-connections` and in plugins.
pub const CONNECTION: &str = "fhir-store";
// dsf:changeit
const AUTHORIZATION: &str = "Basic ZHNmOmNoYW5nZWl0";

/// What is in the store, oldest first.
#[derive(Clone, Default)]
struct Content(Arc<Mutex<Vec<Value>>>);

/// The running server; it ends with this.
pub struct Store {
    content: Content,
    /// For the engine: `bpe.fhir-connections=…`.
    pub setting: String,
    server: ServerHandle,
}

impl Store {
    /// A store of `name`, and the file of connections that leads to it.
    pub fn open(world: &World, name: &str) -> Self {
        let content = Content::default();
        let port = free_port();
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
        let key = world.path("server.key");
        acceptor
            .set_private_key_file(key, SslFiletype::PEM)
            .unwrap();
        acceptor
            .set_certificate_chain_file(world.path("server.crt"))
            .unwrap();
        let shared = content.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::new(shared.clone()))
                .app_data(web::PayloadConfig::new(64 << 20))
                .route("/fhir/{type}", web::post().to(create))
                .route("/fhir/{type}", web::get().to(search))
                .route("/fhir/{type}/{id}", web::get().to(read))
        })
        .workers(1)
        .disable_signals()
        .bind_openssl(("127.0.0.1", port), acceptor)
        .unwrap()
        .run();
        let handle = server.handle();
        tokio::spawn(server);
        let file = world.path(&format!("connections-{name}.yaml"));
        let text = format!(
            "{CONNECTION}:\n  base-url: https://localhost:{port}/fhir\n  \
             trusted-root-certificates-file: ca.crt\n  \
             basic-auth: {{ username: dsf, password: changeit }}\n"
        );
        std::fs::write(&file, text).unwrap();
        Self {
            content,
            setting: format!("bpe.fhir-connections={}", file.display()),
            server: handle,
        }
    }

    /// Puts a resource in, as the hospital's own systems do.
    pub fn add(&self, resource: &Value) -> Value {
        self.content.add(resource)
    }

    /// Those of a type with an identifier.
    pub fn with_identifier(&self, kind: &str, identifier: &str) -> Vec<Value> {
        self.content.matches(kind, Some(identifier))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

impl Content {
    fn add(&self, resource: &Value) -> Value {
        let mut all = self.0.lock().unwrap();
        let mut resource = resource.clone();
        resource["id"] = json!((all.len() + 1).to_string());
        resource["meta"]["versionId"] = json!("1");
        all.push(resource.clone());
        resource
    }

    fn matches(&self, kind: &str, identifier: Option<&str>) -> Vec<Value> {
        let is_it = |one: &&Value| {
            let mut identifiers = one["identifier"].as_array().into_iter().flatten();
            let has = |wanted: &str| {
                identifiers.any(|one| {
                    let part = |name: &str| one[name].as_str().unwrap_or_default();
                    format!("{}|{}", part("system"), part("value")) == wanted
                })
            };
            one["resourceType"] == kind && identifier.is_none_or(has)
        };
        let all = self.0.lock().unwrap();
        all.iter().filter(is_it).cloned().collect()
    }
}

/// Nothing for those who do not know the password.
fn refused(request: &HttpRequest) -> Option<HttpResponse> {
    let said = request.headers().get("authorization");
    let knows = said.is_some_and(|said| said == AUTHORIZATION);
    (!knows).then(|| HttpResponse::Unauthorized().finish())
}

async fn create(
    request: HttpRequest,
    content: web::Data<Content>,
    body: web::Bytes,
) -> HttpResponse {
    if let Some(refused) = refused(&request) {
        return refused;
    }
    let resource: Value = serde_json::from_slice(&body).unwrap();
    let stored = content.add(&resource);
    let kind = stored["resourceType"].as_str().unwrap();
    let location = format!("{kind}/{}/_history/1", stored["id"].as_str().unwrap());
    HttpResponse::Created()
        .insert_header(("location", location))
        .content_type("application/fhir+json")
        .body(stored.to_string())
}

async fn search(
    request: HttpRequest,
    content: web::Data<Content>,
    kind: web::Path<String>,
) -> HttpResponse {
    if let Some(refused) = refused(&request) {
        return refused;
    }
    let parameters = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
    let parameters = parameters.unwrap().into_inner();
    let value = |wanted: &str| {
        let found = parameters.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str())
    };
    let found = content.matches(&kind, value("identifier"));
    let shown = match value("_count") {
        Some("0") => &[],
        _ => found.as_slice(),
    };
    let entries: Vec<_> = shown.iter().map(|one| json!({"resource": one})).collect();
    let bundle = json!({
        "resourceType": "Bundle", "type": "searchset", "total": found.len(), "entry": entries,
    });
    HttpResponse::Ok()
        .content_type("application/fhir+json")
        .body(bundle.to_string())
}

async fn read(
    request: HttpRequest,
    content: web::Data<Content>,
    path: web::Path<(String, String)>,
) -> HttpResponse {
    if let Some(refused) = refused(&request) {
        return refused;
    }
    let (kind, id) = path.into_inner();
    let found = content.matches(&kind, None);
    match found.into_iter().find(|one| one["id"] == id.as_str()) {
        Some(resource) => HttpResponse::Ok()
            .content_type("application/fhir+json")
            .body(resource.to_string()),
        None => HttpResponse::NotFound().finish(),
    }
}
