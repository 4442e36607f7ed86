//! The server's own questions to the search, as it understands them: conditions, identifiers,
//! canonicals.

use crate::fhir::search::{self, registry};
use crate::r4::ResourceType;

/// The condition, else the words for each parameter that cannot be understood.
pub(crate) fn condition(
    kind: ResourceType,
    pairs: &[(&str, &str)],
) -> Result<search::Condition, Vec<String>> {
    search::conditions(kind, &owned(pairs))
        .map_err(|faults| faults.0.iter().map(ToString::to_string).collect())
}

/// Whether a Subscription may have these criteria: `Type?query`, perhaps absolute, or a type.
pub(crate) fn supports(criteria: &str) -> bool {
    let (path, query) = criteria.split_once('?').unwrap_or((criteria, ""));
    let name = path.rsplit('/').next().unwrap_or(path);
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    ResourceType::from_name(name).is_some_and(|kind| search::conditions(kind, &pairs).is_ok())
}

/// Whether resources of this type can be found by an identifier.
pub(crate) fn has_identifier(kind: ResourceType) -> bool {
    registry::find(kind, "identifier").is_some()
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}
