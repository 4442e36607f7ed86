//! Validation on the way into the store (fhir-conformance §2.1).

use std::sync::Arc;

use serde_json::Value;

use super::ground::{Ground, parsed};
use super::stop::Stop;
use crate::fhir::fault::Fault;
use crate::fhir::settings::Validation;
use crate::fhir::validate::{self, Finding, Library, Missing};
use crate::r4::outcome::Outcome;
use crate::r4::{Resource, ResourceType};
use crate::store::fhir::conformance as rows;

/// Chains of definitions are not longer: each round loads what the one before asked for.
const MOST_ROUNDS: usize = 200;

/// Documents of fewer values are judged in less time than it takes to hand them over.
const MOST_VALUES: u64 = 1_000;

impl Ground<'_> {
    /// The resource, if it is what its profiles say.
    pub async fn validated(&mut self, resource: Resource) -> Result<Resource, Stop> {
        let is_off = self.service.settings().validation == Validation::Off;
        if self.is_trusted || is_off {
            return Ok(resource);
        }
        let (resource, content_type) = with_plain_content_type(resource);
        let library = Arc::clone(self.directory.library());
        let (findings, mut resource) = self.judged(&library, resource, &[]).await?;
        if findings.iter().any(|finding| finding.rule == Finding::CODE) {
            // As the reference, which reads such codes as values of an enumeration.
            let texts: Vec<&str> = errors(&findings)
                .map(|finding| finding.text.as_str())
                .collect();
            return Err(Fault::unparsable(texts.join("; ")).into());
        }
        if errors(&findings).next().is_some() {
            let issues = findings
                .iter()
                .map(|finding| finding.to_issue(None))
                .collect();
            let outcome = Outcome::of(issues).ok_or_else(|| Fault::internal("no finding"))?;
            return Err(Fault::invalid(outcome).into());
        }
        if let Some(content_type) = content_type {
            let members = resource.members_mut();
            members.insert("contentType".to_owned(), Value::String(content_type));
        }
        Ok(resource)
    }

    /// What there is to say of a resource that is not to be stored.
    pub async fn findings(
        &mut self,
        library: &Arc<Library>,
        resource: Resource,
        profiles: &[String],
    ) -> Result<Vec<Finding>, Stop> {
        let (resource, _) = with_plain_content_type(resource);
        let (findings, _) = self.judged(library, resource, profiles).await?;
        Ok(findings)
    }

    /// What there is to say of a resource, by the profiles that it claims and by these; definitions
    /// that are not in the library yet are loaded.
    async fn judged(
        &mut self,
        library: &Arc<Library>,
        resource: Resource,
        profiles: &[String],
    ) -> Result<(Vec<Finding>, Resource), Stop> {
        let mut value = Arc::new(resource.into_value());
        for _ in 0..MOST_ROUNDS {
            let judged = if validate::size(&value) < MOST_VALUES {
                judge(library, &value, profiles)
            } else {
                elsewhere(library, &value, profiles).await?
            };
            match judged {
                Ok(findings) => {
                    let whole = Arc::try_unwrap(value).unwrap_or_else(|value| (*value).clone());
                    let resource = Resource::from_value(whole);
                    let resource = resource.ok_or_else(|| Fault::internal("no resource"))?;
                    return Ok((findings, resource));
                }
                Err(Missing(ids)) => self.stock(library, &ids).await?,
            }
            // Nobody else holds it now.
            Arc::make_mut(&mut value);
        }
        Err(Fault::internal("validation asked for too many definitions").into())
    }

    /// Puts these documents into the library.
    pub async fn stock(&mut self, library: &Library, ids: &[uuid::Uuid]) -> Result<(), Stop> {
        let documents = rows::documents(self.conn().await?, ids).await?;
        for id in ids {
            let document = documents.iter().find(|(found, _)| found == id);
            let resource = document.and_then(|(_, document)| parsed(document));
            library.put(*id, resource.as_ref());
        }
        Ok(())
    }
}

fn errors(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| finding.is_error())
}

fn judge(library: &Library, value: &Value, profiles: &[String]) -> Result<Vec<Finding>, Missing> {
    let profiles: Vec<&str> = profiles.iter().map(String::as_str).collect();
    validate::judge(library, value, &profiles)
}

/// Judges where it disturbs no other request: documents may be large.
async fn elsewhere(
    library: &Arc<Library>,
    value: &Arc<Value>,
    profiles: &[String],
) -> Result<Result<Vec<Finding>, Missing>, Stop> {
    let (library, value, profiles) = (Arc::clone(library), Arc::clone(value), profiles.to_vec());
    let work = tokio::task::spawn_blocking(move || judge(&library, &value, &profiles));
    work.await
        .map_err(|error| Fault::internal(error.to_string()).into())
}

/// The media type of a Binary is judged without `charset` and `boundary` (§2.3); with it comes
/// the one that was given.
fn with_plain_content_type(mut resource: Resource) -> (Resource, Option<String>) {
    if resource.resource_type() != Some(ResourceType::Binary) {
        return (resource, None);
    }
    let given = resource
        .str("contentType")
        .filter(|given| given.contains(';'));
    let Some(given) = given.map(str::to_owned) else {
        return (resource, None);
    };
    let is_kept = |parameter: &&str| {
        let name = parameter.split('=').next().unwrap_or_default().trim();
        !name.eq_ignore_ascii_case("charset") && !name.eq_ignore_ascii_case("boundary")
    };
    let mut parts = given.split(';');
    let essence = parts.next().unwrap_or_default().trim();
    let kept: Vec<&str> = parts.filter(is_kept).map(str::trim).collect();
    let plain = std::iter::once(essence)
        .chain(kept)
        .collect::<Vec<_>>()
        .join("; ");
    resource
        .members_mut()
        .insert("contentType".to_owned(), Value::String(plain));
    (resource, Some(given))
}
