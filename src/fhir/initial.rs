//! What is there from the first start on: the resources of `conformance/`, then the Bundle of the
//! organisation (fhir-api §10).
//!
//! Both go through the service as the loader's identity. A digest in the store tells whether the
//! files have changed since they were loaded last; if not, a start writes and asks nothing more.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rust_embed::Embed;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::fhir::bundle::{self, Preference};
use crate::fhir::fault::Fault;
use crate::fhir::search::Handling;
use crate::fhir::service::{Peer, Service};
use crate::r4::bundle::Builder;
use crate::r4::{Node, Resource, json, xml};
use crate::store::fhir::initial as rows;
use crate::store::{self, AsyncPgConnection};

#[derive(Embed)]
#[folder = "conformance"]
struct Files;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the embedded file {name} is broken: {cause}")]
    Embedded { name: String, cause: String },
    #[error("the initial Bundle {path} cannot be read: {cause}; see fhir.initial-bundle")]
    File { path: String, cause: String },
    #[error("the initial Bundle {path} asks for ${{{name}}}, which is not known")]
    Placeholder { path: String, name: String },
    #[error("the initial Bundle {path} is refused: {cause}; correct the file")]
    Refused { path: String, cause: Box<Fault> },
    #[error("the initial resources cannot be stored: {0}")]
    Conformance(Fault),
    #[error(transparent)]
    Store(#[from] store::Error),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    file: String,
    if_none_exist: String,
}

/// Loads what has changed since the last start.
pub async fn load(service: &Arc<Service>, thumbprint: Option<&str>) -> Result<(), Error> {
    let conformance = conformance_digest()?;
    let bundle = match &service.settings().initial_bundle {
        Some(path) => Some((path.display().to_string(), read(path, service, thumbprint)?)),
        None => None,
    };
    let bundle_digest = bundle.as_ref().map(|(_, text)| digest([text.as_bytes()]));
    let known = noted(service).await?;
    if known.0.as_deref() != Some(&conformance) {
        load_conformance(service).await?;
        note(service, "conformance", &conformance).await?;
    }
    if let (Some((path, text)), Some(digest)) = (bundle, bundle_digest)
        && known.1.as_deref() != Some(&digest)
    {
        load_bundle(service, &path, &text).await?;
        note(service, "bundle", &digest).await?;
    }
    Ok(())
}

async fn noted(service: &Service) -> Result<(Option<String>, Option<String>), Error> {
    let noted = service
        .store()
        .read(async |conn: &mut AsyncPgConnection| {
            let conformance = rows::digest(conn, "conformance").await?;
            Ok::<_, store::Error>((conformance, rows::digest(conn, "bundle").await?))
        })
        .await?;
    Ok(noted)
}

async fn note(service: &Service, name: &str, digest: &str) -> Result<(), Error> {
    let write = async |conn: &mut AsyncPgConnection| rows::note(conn, name, digest).await;
    service
        .store()
        .read(write)
        .await
        .map_err(|error: store::Error| error.into())
}

fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    format!("{:x}", hash.finalize())
}

fn embedded(name: &str, cause: impl ToString) -> Error {
    Error::Embedded {
        name: name.to_owned(),
        cause: cause.to_string(),
    }
}

fn file(name: &str) -> Result<Vec<u8>, Error> {
    let found = Files::get(name).map(|file| file.data.into_owned());
    found.ok_or_else(|| embedded(name, "it is missing"))
}

fn index() -> Result<Vec<Line>, Error> {
    let name = "index.json";
    serde_json::from_slice(&file(name)?).map_err(|error| embedded(name, error))
}

/// The resources that a FHIR role holds from its first start.
pub fn built_in() -> Result<Vec<Resource>, Error> {
    let parsed = |line: Line| {
        let parsed = json::parse(&file(&line.file)?);
        parsed.map_err(|error| embedded(&line.file, error))
    };
    index()?.into_iter().map(parsed).collect()
}

fn conformance_digest() -> Result<String, Error> {
    let mut files = Vec::new();
    for line in index()? {
        files.push(file(&line.file)?);
    }
    Ok(digest(files.iter().map(Vec::as_slice)))
}

/// One transaction of conditional creates.
async fn load_conformance(service: &Arc<Service>) -> Result<(), Error> {
    let mut bundle = Builder::new("transaction");
    for line in index()? {
        let parsed = json::parse(&file(&line.file)?);
        let resource = parsed.map_err(|error| embedded(&line.file, error))?;
        let url = format!("urn:uuid:{}", uuid::Uuid::new_v4());
        let request = serde_json::json!({
            "method": "POST",
            "url": resource.type_name(),
            "ifNoneExist": line.if_none_exist,
        });
        bundle.request(Some(&url), Some(resource), request);
    }
    let bundle = bundle.build();
    tracing::info!("loading the conformance resources");
    execute(service, &Peer::BuiltIn, &bundle)
        .await
        .map(drop)
        .map_err(Error::Conformance)
}

async fn load_bundle(service: &Arc<Service>, path: &str, text: &str) -> Result<(), Error> {
    let is_json = text.trim_start().starts_with('{');
    let parsed = if is_json {
        json::parse(text.as_bytes())
    } else {
        xml::parse(text.as_bytes())
    };
    let parsed = parsed.map_err(|error| Error::File {
        path: path.to_owned(),
        cause: error.to_string(),
    })?;
    tracing::info!(path, "loading the initial Bundle");
    let refused = |cause| Error::Refused {
        path: path.to_owned(),
        cause: Box::new(cause),
    };
    let answer = execute(service, &Peer::Loader, &parsed)
        .await
        .map_err(refused)?;
    let failed = answer.list("entry").find_map(|entry| {
        let response = entry.member("response")?;
        let status = response
            .text("status")
            .filter(|status| !status.starts_with('2'))?;
        Some(format!(
            "{status}: {}",
            response.member("outcome").unwrap_or_default()
        ))
    });
    match failed {
        Some(cause) => Err(refused(Fault::bad_request(cause))),
        None => Ok(()),
    }
}

async fn execute(
    service: &Arc<Service>,
    peer: &Peer,
    bundle: &Resource,
) -> Result<Resource, Fault> {
    bundle::execute(service, peer, bundle, Preference::Minimal, Handling::Strict).await
}

/// The file with its `${…}` filled in.
fn read(path: &Path, service: &Service, thumbprint: Option<&str>) -> Result<String, Error> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| Error::File {
        path: shown.clone(),
        cause: error.to_string(),
    })?;
    let settings = service.settings();
    let host = url::Url::parse(&settings.base_url).ok();
    let host = host
        .as_ref()
        .and_then(url::Url::host_str)
        .unwrap_or_default();
    let prefix = "dev.dsf.fhir.server";
    let mut values = HashMap::from([
        (
            format!("{prefix}.organization.identifier.value"),
            settings.organization.as_str(),
        ),
        (
            format!("{prefix}.endpoint.address"),
            settings.base_url.as_str(),
        ),
        (format!("{prefix}.endpoint.identifier.value"), host),
    ]);
    if let Some(thumbprint) = thumbprint {
        values.insert(format!("{prefix}.organization.thumbprint"), thumbprint);
    }
    filled(&text, &values).map_err(|name| Error::Placeholder { path: shown, name })
}

/// Replaces every `${name}`; the error is a name without a value.
fn filled(text: &str, values: &HashMap<String, &str>) -> Result<String, String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, behind)) = after.split_once('}') else {
            break;
        };
        result.push_str(before);
        result.push_str(values.get(name).ok_or_else(|| name.to_owned())?);
        rest = behind;
    }
    result.push_str(rest);
    Ok(result)
}
