//! From entries to commands. What fails here fails the whole Bundle, also a batch (fhir-api §6.1).

use crate::fhir::fault::Fault;
use crate::r4::bundle::{self, Entry};
use crate::r4::{Resource, ResourceType};

/// What one entry asks for.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub index: usize,
    pub full_url: Option<String>,
    pub action: Action,
}

#[derive(Clone, Debug)]
pub(super) enum Action {
    Create {
        kind: ResourceType,
        resource: Resource,
        if_none_exist: Option<String>,
    },
    Update {
        kind: ResourceType,
        resource: Resource,
        url: String,
        if_match: Option<String>,
    },
    Delete(String),
    Read {
        url: String,
        without_body: bool,
        if_none_match: Option<String>,
        if_modified_since: Option<String>,
    },
}

/// Entries of one Bundle.
const MOST: usize = 10_000;

/// The commands of a Bundle in the order of its entries.
pub(super) fn commands(bundle: &Resource) -> Result<Vec<Command>, Fault> {
    let count = bundle::entries(bundle).count();
    if count > MOST {
        return Err(Fault::bad_request(format!(
            "Bundle has {count} entries, at most {MOST} are allowed: send it in parts"
        )));
    }
    bundle::entries(bundle)
        .enumerate()
        .map(|(index, entry)| command(index, &entry))
        .collect()
}

fn command(index: usize, entry: &Entry<'_>) -> Result<Command, Fault> {
    let bad = |text: String| Fault::bad_request(format!("Bad bundle request - {text}"));
    let request = entry.request.filter(|request| request.method.is_some());
    let Some(request) = request else {
        let text = "has no request or request has no method";
        return Err(bad(format!("BundleEntry at index {index} {text}")));
    };
    let method = request.method.unwrap_or_default();
    let url = request.url.unwrap_or_default();
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let refused = |how: &str| {
        bad(format!(
            "Request method {method} at index {index} not supported {how} resource"
        ))
    };
    let action = match (method, resource(entry)) {
        ("POST", Some(resource)) => {
            let kind = kind(&resource, index)?;
            if url != kind.name() {
                return Err(bad_type(kind, url, index));
            }
            Action::Create {
                kind,
                resource,
                if_none_exist: owned(request.if_none_exist),
            }
        }
        ("PUT", Some(resource)) => {
            let kind = kind(&resource, index)?;
            if !url.starts_with(kind.name()) {
                return Err(bad_type(kind, url, index));
            }
            let (url, if_match) = (url.to_owned(), owned(request.if_match));
            Action::Update {
                kind,
                resource,
                url,
                if_match,
            }
        }
        (_, Some(_)) => return Err(refused("with")),
        ("DELETE", None) if url.trim().is_empty() => {
            let shown = request.url.unwrap_or("null");
            return Err(bad(format!(
                "Request url {shown} for method DELETE not supported"
            )));
        }
        ("DELETE", None) => Action::Delete(url.to_owned()),
        ("GET" | "HEAD", None) => Action::Read {
            url: url.to_owned(),
            without_body: method == "HEAD",
            if_none_match: owned(request.if_none_match),
            if_modified_since: owned(request.if_modified_since),
        },
        (_, None) => return Err(refused("without")),
    };
    Ok(Command {
        index,
        full_url: owned(entry.full_url),
        action,
    })
}

/// A resource without any element counts as none.
fn resource(entry: &Entry<'_>) -> Option<Resource> {
    let resource = Resource::from_value(entry.resource?.clone())?;
    (resource.members().len() > 1).then_some(resource)
}

fn kind(resource: &Resource, index: usize) -> Result<ResourceType, Fault> {
    resource.resource_type().ok_or_else(|| {
        let name = resource.type_name();
        let text = "not supported by this implementation";
        Fault::bad_request(format!(
            "Resource type {name} at bundle index {index} {text}"
        ))
    })
}

fn bad_type(kind: ResourceType, url: &str, index: usize) -> Fault {
    Fault::bad_request(format!(
        "Non matching resource type {kind} and request url {url} at bundle index {index}"
    ))
}
