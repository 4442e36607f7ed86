//! What code is told of the set-up of a client: of a named connection, of the own server (`#local`)
//! and of partners' (`#` and the identifier of an Endpoint), as in spec/bpe.md §6.6.
//!
//! Secrets of named connections are told to those whose `plugin.toml` asks for them. The key that
//! the organisation is known by is told to nobody.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openssl::pkcs12::Pkcs12;
use openssl::stack::Stack;
use openssl::x509::X509;
use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;
use uuid::Uuid;

use super::{Access, Refusal, Session};
use crate::kernel::Secret;
use crate::net::http;
use crate::net::pem::{self, KeyFiles};
use crate::r4::{Node, dsf};

/// What is the same for all kinds of servers.
pub(super) fn of(
    id: &str,
    base_url: &str,
    settings: &http::Settings,
    secrets: bool,
) -> Result<Value, Refusal> {
    let certificate = match (&settings.identity, &settings.pkcs12) {
        (None, None) => Value::Null,
        _ if !secrets => json!({ "keyStore": null, "keyStorePassword": null }),
        (Some(files), _) => packed(files)?,
        (None, Some((path, password))) => {
            let content = std::fs::read(path).map_err(|error| {
                Refusal::new(format!("{} cannot be read: {error}", path.display()))
            })?;
            let password = password.as_ref().map_or("", Secret::expose);
            json!({ "keyStore": STANDARD.encode(content), "keyStorePassword": password })
        }
    };
    let mut told = of_client(settings)?;
    told["fhirServerId"] = json!(id);
    told["baseUrl"] = json!(base_url);
    told["startupConnectionTestEnabled"] = json!(false);
    told["certificateAuthentication"] = certificate;
    for way in [
        "basicAuthentication",
        "bearerAuthentication",
        "oidcAuthentication",
    ] {
        told[way] = Value::Null;
    }
    Ok(told)
}

/// What is the same for FHIR servers and OpenID providers.
pub(super) fn of_client(settings: &http::Settings) -> Result<Value, Refusal> {
    Ok(json!({
        "connectTimeout": millis(settings.connect_timeout),
        "readTimeout": millis(settings.read_timeout),
        "debugLoggingEnabled": settings.logs,
        "trustStore": trust_store(settings)?,
    }))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The certificates of a file or folder as PEM texts; nothing stands for those of the system.
fn trust_store(settings: &http::Settings) -> Result<Value, Refusal> {
    let Some(path) = &settings.server_cas else {
        return Ok(Value::Null);
    };
    let found = pem::certificates(path).map_err(|error| Refusal::new(error.to_string()))?;
    let texts: Result<Vec<String>, _> = found.iter().map(text).collect();
    Ok(json!(
        texts.map_err(|error| Refusal::new(error.to_string()))?
    ))
}

fn text(certificate: &X509) -> Result<String, openssl::error::ErrorStack> {
    Ok(String::from_utf8_lossy(&certificate.to_pem()?).into_owned())
}

/// Certificate and key in one file, under their own password or a new one.
fn packed(files: &KeyFiles) -> Result<Value, Refusal> {
    let pair = files
        .load()
        .map_err(|error| Refusal::new(error.to_string()))?;
    let password = match &files.password {
        Some(password) => password.expose().to_owned(),
        None => Uuid::new_v4().to_string(),
    };
    let store = || {
        let mut chain = pair.chain.iter();
        let mut builder = Pkcs12::builder();
        builder.name("key").pkey(&pair.key);
        if let Some(leaf) = chain.next() {
            builder.cert(leaf);
        }
        let mut others = Stack::new()?;
        for certificate in chain {
            others.push(certificate.clone())?;
        }
        builder.ca(others).build2(&password)?.to_der()
    };
    let store = store().map_err(|error| Refusal::new(error.to_string()))?;
    Ok(json!({ "keyStore": STANDARD.encode(store), "keyStorePassword": password }))
}

impl Session {
    /// Nothing where there is no such server, or the plugin may not use it.
    pub(super) async fn client_config(&self, id: &str) -> Result<Value, Refusal> {
        let (services, capabilities) = (self.services(), self.capabilities());
        match id.strip_prefix('#') {
            None if capabilities.connection(id).is_err() => Ok(Value::Null),
            None => services.connections.described(id, capabilities.secrets),
            // What everybody trusts who names nothing else; that is no secret.
            Some("default") => Ok(json!({ "trustStore": trust_store(&services.outward)? })),
            Some("local") if capabilities.local_fhir == Access::None => Ok(Value::Null),
            Some("local") => of(id, &services.base, &services.own, false),
            Some(_) if capabilities.remote_fhir == Access::None => Ok(Value::Null),
            Some(endpoint) => self.partner_config(id, endpoint).await,
        }
    }

    async fn partner_config(&self, id: &str, endpoint: &str) -> Result<Value, Refusal> {
        let token = format!("{}|{endpoint}", dsf::sid::ENDPOINT);
        let token: String = byte_serialize(token.as_bytes()).collect();
        let query = format!("Endpoint?status=active&identifier={token}");
        let found = self.services().lookups.resources(&query).await?;
        let address = found.first().and_then(|endpoint| endpoint.text("address"));
        address.map_or(Ok(Value::Null), |address| {
            of(id, address, &self.services().own, false)
        })
    }
}
