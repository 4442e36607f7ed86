//! Named FHIR servers for plugins: `bpe.fhir-connections`, the YAML of the Java DSF (spec/bpe.md
//! §10.2). What is wrong with one entry is told in full and harms no other.

mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saphyr::{LoadableYamlNode, Yaml};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::question::OidcProvider;
use super::{Refusal, client_config, fhir, oidc};
use crate::kernel::Secret;
use crate::net::http;

use read::Reader;

/// All connections of a node.
#[derive(Default)]
pub struct Connections(BTreeMap<String, Connection>);

struct Connection {
    base_url: String,
    tests_on_start: bool,
    settings: http::Settings,
    authentication: Authentication,
    client: OnceCell<Ready>,
}

enum Authentication {
    None,
    Basic(String, Secret),
    Bearer(Secret),
    Oidc(Box<Oidc>),
}

/// Tokens of an OpenID provider.
struct Oidc {
    settings: http::Settings,
    provider: OidcProvider,
    tests_on_start: bool,
}

struct Ready {
    http: http::Client,
    oidc: Option<oidc::Client>,
}

impl Connections {
    /// Reads the file; the second part of the answer is what is wrong with it, entry by entry.
    #[must_use]
    pub fn read(path: &Path, proxy: Option<&http::Proxy>) -> (Self, Vec<String>) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                return (
                    Self::default(),
                    vec![format!("{}: {error}", path.display())],
                );
            }
        };
        let folder = path.parent().unwrap_or(Path::new("."));
        let (found, problems) = Self::parse(&text, folder, proxy);
        let named = |problem| format!("{}: {problem}", path.display());
        (found, problems.into_iter().map(named).collect())
    }

    fn parse(text: &str, folder: &Path, proxy: Option<&http::Proxy>) -> (Self, Vec<String>) {
        let documents = match Yaml::load_from_str(text) {
            Ok(documents) => documents,
            Err(error) => return (Self::default(), vec![format!("is no YAML: {error}")]),
        };
        let mut problems = Vec::new();
        let mut found = BTreeMap::new();
        let entries = documents.first().and_then(Yaml::as_mapping);
        for (id, entry) in entries.into_iter().flatten() {
            let id = id.as_str().unwrap_or("?").to_owned();
            if id.starts_with('#') {
                problems.push(format!("{id}: ids that begin with # are reserved"));
                continue;
            }
            match Reader::new(&id, folder).connection(entry, proxy) {
                Ok(connection) => drop(found.insert(id, connection)),
                Err(mut wrong) => problems.append(&mut wrong),
            }
        }
        (Self(found), problems)
    }

    /// Says of those that want it whether they can be reached.
    pub async fn test(&self) {
        for (id, connection) in &self.0 {
            let tested = match &connection.authentication {
                _ if connection.tests_on_start => connection.tested().await,
                Authentication::Oidc(oidc) if oidc.tests_on_start => {
                    connection.opened().await.map(drop)
                }
                _ => continue,
            };
            match tested {
                Ok(()) => tracing::info!(connection = id, "connection works"),
                Err(refusal) => {
                    tracing::error!(connection = id, "connection fails: {}", refusal.message);
                }
            }
        }
    }

    fn find(&self, id: &str) -> Result<&Connection, Refusal> {
        self.0.get(id).ok_or_else(|| {
            Refusal::new(format!("bpe.fhir-connections has no connection named {id}"))
        })
    }

    /// What code may know of a connection, with its secrets if it may have them.
    pub(super) fn described(&self, id: &str, secrets: bool) -> Result<Value, Refusal> {
        let Some(connection) = self.0.get(id) else {
            return Ok(Value::Null);
        };
        let (base, settings) = (&connection.base_url, &connection.settings);
        let mut told = client_config::of(id, base, settings, secrets)?;
        told["startupConnectionTestEnabled"] = json!(connection.tests_on_start);
        let told_secret = |secret: &Secret| secrets.then(|| secret.expose().to_owned());
        let (kind, way) = match &connection.authentication {
            Authentication::None => return Ok(told),
            Authentication::Basic(username, password) => (
                "basicAuthentication",
                json!({ "username": username, "password": told_secret(password) }),
            ),
            Authentication::Bearer(token) => (
                "bearerAuthentication",
                json!({ "token": told_secret(token) }),
            ),
            Authentication::Oidc(oidc) => ("oidcAuthentication", oidc.described(id, secrets)?),
        };
        told[kind] = way;
        Ok(told)
    }

    /// Client, base address, and the value of `Authorization`.
    pub(super) async fn open(
        &self,
        id: &str,
    ) -> Result<(http::Client, String, Option<String>), Refusal> {
        let connection = self.find(id)?;
        let (client, authorization) = connection.opened().await?;
        Ok((client, connection.base_url.clone(), authorization))
    }

    /// The value of `Authorization` in place of one that the server has refused; nothing when there
    /// is no other.
    pub(super) async fn renewed(&self, id: &str, refused: &str) -> Result<Option<String>, Refusal> {
        let connection = self.find(id)?;
        let Some(client) = &connection.ready().await?.oidc else {
            return Ok(None);
        };
        client.forget(refused.trim_start_matches("Bearer ")).await;
        let (_, authorization) = connection.opened().await?;
        Ok(authorization)
    }

    /// What the OpenID provider of a connection says.
    pub(super) async fn oidc(&self, id: &str, wanted: &str) -> Result<Value, Refusal> {
        let ready = self.find(id)?.ready().await?;
        match &ready.oidc {
            Some(client) => client.answer(wanted).await,
            None => Err(Refusal::new(format!(
                "the connection {id} has no oidc-auth"
            ))),
        }
    }
}

impl Oidc {
    fn described(&self, id: &str, secrets: bool) -> Result<Value, Refusal> {
        let provider = &self.provider;
        let mut told = client_config::of_client(&self.settings)?;
        told["id"] = json!(id);
        told["baseUrl"] = json!(provider.base_url);
        told["startupConnectionTestEnabled"] = json!(self.tests_on_start);
        told["discoveryPath"] = json!(provider.discovery_path);
        told["clientId"] = json!(provider.client_id);
        told["clientSecret"] = json!(secrets.then_some(&provider.client_secret));
        told["requiredAudiences"] = json!(provider.required_audiences);
        told["verifyAuthorizedPartyEnabled"] =
            json!(provider.verify_authorized_party != Some(false));
        Ok(told)
    }
}

impl Connection {
    async fn ready(&self) -> Result<&Ready, Refusal> {
        self.client
            .get_or_try_init(async || {
                let oidc = match &self.authentication {
                    Authentication::Oidc(oidc) => {
                        let http = http::Client::new(&oidc.settings)?;
                        Some(oidc::Client::new(http, oidc.provider.clone()))
                    }
                    _ => None,
                };
                let http = http::Client::new(&self.settings)?;
                Ok(Ready { http, oidc })
            })
            .await
    }

    async fn opened(&self) -> Result<(http::Client, Option<String>), Refusal> {
        let ready = self.ready().await?;
        let authorization = match (&self.authentication, &ready.oidc) {
            (Authentication::Basic(name, password), _) => {
                let pair = STANDARD.encode(format!("{name}:{}", password.expose()));
                Some(format!("Basic {pair}"))
            }
            (Authentication::Bearer(token), _) => Some(format!("Bearer {}", token.expose())),
            (_, Some(client)) => Some(format!("Bearer {}", client.token().await?)),
            _ => None,
        };
        Ok((ready.http.clone(), authorization))
    }

    async fn tested(&self) -> Result<(), Refusal> {
        let (client, authorization) = self.opened().await?;
        let server = fhir::Server {
            client,
            base: self.base_url.clone(),
            authorization,
            connection: None,
        };
        let headers = [("accept", Some("application/fhir+json"))];
        let request = server.request(http::Method::GET, "metadata", &headers)?;
        fhir::told(&server.client.send(&request).await?).map(drop)
    }
}
