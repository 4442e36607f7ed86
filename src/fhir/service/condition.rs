//! Conditions: `If-None-Exist`, conditional update and delete (fhir-api §4.3, §4.5, §4.7).

use uuid::Uuid;

use super::find;
use super::ground::Ground;
use super::stop::Stop;
use crate::fhir::fault::Fault;
use crate::fhir::search;
use crate::r4::ResourceType;
use crate::store::fhir::unique;

/// A query that is to find one resource.
#[derive(Clone, Debug)]
pub struct Condition {
    /// As the client wrote it.
    pub text: String,
    pairs: Vec<(String, String)>,
}

/// Parameters that shape answers and mean nothing in a condition.
const STANDARD: &[&str] = &[
    "_sort",
    "_include",
    "_revinclude",
    "_page",
    "_count",
    "_format",
    "_pretty",
    "_summary",
];

impl Condition {
    /// A query string without `?`; names and values are percent-decoded.
    #[must_use]
    pub fn of_query(query: &str) -> Self {
        let pairs = url::form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .filter(|(name, _)| !STANDARD.contains(&name.as_str()))
            .collect();
        Self {
            text: query.to_owned(),
            pairs,
        }
    }

    /// The value of `If-None-Exist`: a query with or without `?`, nothing before it but the base
    /// of an absolute URL without a path.
    pub fn of_header(value: &str) -> Result<Self, Fault> {
        let bad = || Fault::bad_request(format!("Bad If-None-Exist header value '{value}'"));
        let query = match value.split_once('?') {
            Some((before, query)) => {
                let path = url::Url::parse(before).map(|url| url.path().to_owned());
                if !before.is_empty() && !path.is_ok_and(|path| path.len() <= 1) {
                    return Err(bad());
                }
                query
            }
            None => value,
        };
        if query.trim().is_empty() {
            return Err(bad());
        }
        Ok(Self {
            text: value.to_owned(),
            ..Self::of_query(query)
        })
    }
}

impl Condition {
    /// As the search understands it; `None` where it does not.
    pub(crate) fn parsed(&self, kind: ResourceType) -> Option<search::Condition> {
        search::conditions(kind, &self.pairs).ok()
    }

    /// The same for all that ask for the same, in whatever order.
    pub(crate) fn sorted(&self) -> String {
        let mut sorted: Vec<&(String, String)> = self.pairs.iter().collect();
        sorted.sort_unstable();
        format!("{sorted:?}")
    }
}

/// What a condition found.
pub(crate) enum Match {
    None,
    One(Uuid),
    Several,
}

impl Ground<'_> {
    /// The current resources that meet a condition; `bad` words the fault for a parameter that
    /// cannot be understood. For local identities whoever may see them. For partners only what
    /// they may see: otherwise a condition would tell them what is hidden (auth-config §11.1 row 3).
    pub async fn matching(
        &mut self,
        kind: ResourceType,
        condition: &Condition,
        bad: impl Fn(String) -> Fault,
    ) -> Result<Match, Stop> {
        let pairs: Vec<(&str, &str)> = condition
            .pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        find::condition(kind, &pairs).map_err(|problems| {
            let s = if problems.len() == 1 { "" } else { "s" };
            bad(format!(
                ", unsupported query parameter{s} {}",
                problems.join("; ")
            ))
        })?;
        // Two who ask for the same thing at once must not both find nothing.
        if self.conn.is_none() {
            return Err(Stop::NeedsConnection);
        }
        let lock = condition.sorted();
        if self.progress.locks(kind, Some(lock.clone())) {
            unique::lock_conditions(self.conn().await?, &[(kind, lock)]).await?;
        }
        let ids = if self.identity.is_local() {
            self.ids(kind, &pairs).await?
        } else {
            self.visible_ids(kind, &condition.pairs).await?
        };
        Ok(match ids.as_slice() {
            [] => Match::None,
            [id] => Match::One(*id),
            _ => Match::Several,
        })
    }
}
