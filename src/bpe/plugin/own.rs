//! Which organisation we are: the FHIR server knows, by the address of our endpoint.

use serde_json::Value;
use url::form_urlencoded::byte_serialize;

use super::local_fhir::{LocalFhir, Request, Unreachable};
use crate::r4::identifier::values_in_system;
use crate::r4::{Node, Resource, dsf};

/// The own organisation and its endpoint, by the values of their identifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    pub organization: String,
    pub endpoint: String,
}

/// Why we do not know who we are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error("the own FHIR server does not say which organisation is ours: {0}")]
    Refused(String),
    #[error(
        "the own FHIR server has {endpoints} active Endpoints with address {address} and \
         {organizations} active Organizations for them; exactly one of each is needed"
    )]
    Ambiguous {
        address: String,
        endpoints: usize,
        organizations: usize,
    },
}

/// Asks for the own organisation (spec/bpe.md §5.7). The caller repeats it while it is
/// [`Error::Unreachable`].
///
/// # Errors
/// When no answer comes, or it does not name one organisation.
pub async fn own(local: &dyn LocalFhir) -> Result<Own, Error> {
    let address: String = byte_serialize(local.base_url().as_bytes()).collect();
    let path = format!("Endpoint?status=active&address={address}&_include=Endpoint:organization");
    let request = Request {
        prefer: Some("handling=strict".to_owned()),
        ..Request::get(path)
    };
    let response = local.request(request).await?;
    if !response.is_success() {
        return Err(Error::Refused(response.explanation()));
    }
    let found = resources(response.body.as_ref());
    let endpoints = identifiers(&found, "Endpoint", dsf::sid::ENDPOINT);
    let active: Vec<_> = found
        .iter()
        .filter(|one| one.get("active") != Some(&Value::Bool(false)))
        .cloned()
        .collect();
    let organizations = identifiers(&active, "Organization", dsf::sid::ORGANIZATION);
    match (&endpoints[..], &organizations[..]) {
        ([endpoint], [organization]) => Ok(Own {
            organization: organization.clone(),
            endpoint: endpoint.clone(),
        }),
        _ => Err(Error::Ambiguous {
            address: local.base_url().to_owned(),
            endpoints: endpoints.len(),
            organizations: organizations.len(),
        }),
    }
}

/// The resources of a searchset.
pub(super) fn resources(bundle: Option<&Value>) -> Vec<Resource> {
    let entries = bundle.into_iter().flat_map(|bundle| bundle.items("entry"));
    entries
        .filter_map(|entry| Resource::from_value(entry.member("resource")?.clone()))
        .collect()
}

fn identifiers(resources: &[Resource], type_name: &str, system: &str) -> Vec<String> {
    resources
        .iter()
        .filter(|one| one.type_name() == type_name)
        .filter_map(|one| values_in_system(one, system).next().map(str::to_owned))
        .collect()
}
