//! The server's own questions to the search: conditions, identifiers, canonicals. No identity
//! filter: these answer what exists, not what somebody may see.

use uuid::Uuid;

use super::stop::Stop;
use crate::fhir::search::{self, registry};
use crate::r4::ResourceType;
use crate::store::AsyncPgConnection;
use crate::store::fhir::search as rows;

/// Nobody asks for more than "none, one or several".
const ENOUGH: i64 = 2;

/// Whether every parameter can be understood, else the words for those that cannot.
pub(crate) fn check(kind: ResourceType, pairs: &[(&str, &str)]) -> Result<(), Vec<String>> {
    match search::conditions(kind, &owned(pairs)) {
        Ok(_) => Ok(()),
        Err(faults) => Err(faults.0.iter().map(ToString::to_string).collect()),
    }
}

/// The first current resources that match; faulty parameters match nothing.
pub(crate) async fn ids(
    conn: &mut AsyncPgConnection,
    kind: ResourceType,
    pairs: &[(&str, &str)],
) -> Result<Vec<Uuid>, Stop> {
    match search::conditions(kind, &owned(pairs)) {
        Ok(condition) => Ok(rows::find_ids(conn, kind, &condition, ENOUGH).await?),
        Err(_) => Ok(Vec::new()),
    }
}

/// Whether a Subscription may have these criteria: `Type?query`, perhaps absolute, or a type.
pub(crate) fn supports(criteria: &str) -> bool {
    let (path, query) = criteria.split_once('?').unwrap_or((criteria, ""));
    let name = path.rsplit('/').next().unwrap_or(path);
    let pairs: Vec<(String, String)> =
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    ResourceType::from_name(name).is_some_and(|kind| search::conditions(kind, &pairs).is_ok())
}

/// Whether resources of this type can be found by an identifier.
pub(crate) fn has_identifier(kind: ResourceType) -> bool {
    registry::find(kind, "identifier").is_some()
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
