//! `Subscription.criteria`: a search that is waited for instead of run.

use crate::r4::ResourceType;
use crate::store::fhir::search::Condition;

use super::query::{Handling, parse};

/// Criteria that were understood, at least in part.
#[derive(Clone, Debug, PartialEq)]
pub struct Criteria {
    pub kind: ResourceType,
    pub condition: Condition,
    /// Whether every parameter is one of the type.
    pub is_supported: bool,
}

impl Criteria {
    /// `Type?parameters`, also without parameters and behind a base url. A value that cannot be
    /// read is left out, which lets more resources match (`spec/bpe.md` §1.5).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let name = path.rsplit('/').next()?;
        let kind = ResourceType::from_name(name)?;
        if path != name && !path.starts_with("http") {
            return None;
        }
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let query = parse(kind, &pairs, 1, Handling::Lenient).ok()?;
        let is_supported = !query.faults.0.iter().any(super::Fault::is_unsupported);
        Some(Self {
            kind,
            condition: query.condition,
            is_supported,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criteria_name_a_type_and_parameters_that_it_has() {
        let supported = |text| Criteria::parse(text).map(|criteria| criteria.is_supported);
        assert_eq!(supported("Task?status=requested"), Some(true));
        assert_eq!(supported("Task"), Some(true));
        assert_eq!(
            supported("https://h/fhir/Task?status=requested"),
            Some(true)
        );
        assert_eq!(supported("Task?status=nonsense"), Some(true));
        assert_eq!(supported("Task?nonsense=1"), Some(false));
        assert_eq!(supported("Observation?status=final"), None);
        assert_eq!(supported("x/Task?status=requested"), None);
    }
}
