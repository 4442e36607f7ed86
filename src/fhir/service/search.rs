//! Search: what the caller may see of what matches (fhir-api §5).

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::ground::{Ground, parsed};
use super::held::Shown;
use super::stop::Stop;
use super::stored::Stored;
use super::{Peer, Service};
use crate::fhir::audit::Act;
use crate::fhir::authorize::{AccessFilter, Operation};
use crate::fhir::fault::Fault;
use crate::fhir::search::{self, Handling, Hit, Query, Visible};
use crate::r4::ResourceType;

/// The answer to a search.
#[derive(Debug)]
pub struct Found {
    pub query: Query,
    pub total: i64,
    pub matches: Vec<Stored>,
    pub includes: Vec<Stored>,
}

impl Found {
    /// The words for the parameters that were left out under lenient handling.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        (!self.query.faults.is_empty()).then(|| self.query.faults.to_string())
    }
}

impl Service {
    /// What identity and type alone decide, before a form is read.
    pub async fn admit_search(&self, peer: &Peer, kind: ResourceType) -> Result<(), Fault> {
        self.attempt(peer, async |ground| {
            ground.admit(Operation::Search, kind, "search")
        })
        .await
    }

    pub async fn search(
        &self,
        peer: &Peer,
        kind: ResourceType,
        pairs: &[(String, String)],
        handling: Handling,
    ) -> Result<Found, Fault> {
        self.look(peer, async |ground| {
            ground.search(kind, pairs, handling).await
        })
        .await
    }
}

impl Ground<'_> {
    pub async fn search(
        &mut self,
        kind: ResourceType,
        pairs: &[(String, String)],
        handling: Handling,
    ) -> Result<Found, Stop> {
        self.admit(Operation::Search, kind, "search")?;
        let page_count = self.service.settings().page_count;
        let page_count = i32::try_from(page_count).unwrap_or(i32::MAX);
        let query = search::parse(kind, pairs, page_count, handling)
            .map_err(|faults| Fault::bad_request(faults.to_string()))?;
        let matches = visible(self.filter(Operation::Search, kind).await?);
        let includes = pairs.iter().any(|(name, _)| name.contains("include"));
        let mut readable = HashMap::new();
        for kind in ResourceType::ALL.iter().filter(|_| includes) {
            readable.insert(*kind, visible(self.filter(Operation::Read, *kind).await?));
        }
        let may_see = |kind| readable.get(&kind).cloned().unwrap_or(Visible::Nothing);
        let totals = Some(self.service.totals()).filter(|_| !self.wrote);
        let page = search::run(self.conn().await?, &query, totals, &matches, may_see).await?;
        if page.generation != self.directory.generation() && !self.wrote {
            return Err(Stop::Stale);
        }
        let found = Found {
            query,
            total: page.total,
            matches: self.stored(page.matches).await?,
            includes: self.stored(page.includes).await?,
        };
        self.allowed = None;
        for seen in found.matches.iter().chain(&found.includes) {
            self.saw(Act::Search, seen.kind, (seen.id, seen.version));
        }
        Ok(found)
    }
}

impl Ground<'_> {
    /// The first resources that match among those which this identity may see; two are enough to
    /// tell one from several.
    pub async fn visible_ids(
        &mut self,
        kind: ResourceType,
        pairs: &[(String, String)],
    ) -> Result<Vec<Uuid>, Stop> {
        let mut pairs = pairs.to_vec();
        pairs.push(("_count".to_owned(), "2".to_owned()));
        let query = search::parse(kind, &pairs, 2, Handling::Strict)
            .map_err(|faults| Fault::bad_request(faults.to_string()))?;
        let seen = visible(self.filter(Operation::Search, kind).await?);
        let page = search::run(self.conn().await?, &query, None, &seen, |_| {
            Visible::Nothing
        })
        .await?;
        if page.generation != self.directory.generation() && !self.wrote {
            return Err(Stop::Stale);
        }
        Ok(page.matches.iter().map(|hit| hit.id).collect())
    }
}

impl Ground<'_> {
    /// The versions that were found. What was shown lately is neither fetched nor parsed again: that
    /// this caller may see it, the search has told.
    async fn stored(&mut self, mut hits: Vec<Hit>) -> Result<Vec<Stored>, Stop> {
        let held = &self.service.held;
        let version = |hit: &Hit| held.version(hit.id, (hit.version, hit.last_updated));
        let mut shown: HashMap<Uuid, Arc<Shown>> = hits
            .iter()
            .filter_map(|hit| Some((hit.id, Arc::clone(&version(hit)?.shown))))
            .collect();
        let has = |hit: &Hit| shown.contains_key(&hit.id);
        search::fetch(self.conn().await?, &mut hits, has).await?;
        let stored = hits.into_iter().filter_map(|hit| {
            let known = (hit.version, hit.last_updated);
            let shown = match (shown.remove(&hit.id), hit.document) {
                (Some(shown), _) => shown,
                (None, document) => {
                    let document = document?;
                    // What we stored always parses.
                    self.hold(hit.id, known, parsed(&document)?, document.len())
                }
            };
            Some(Stored::held(
                (hit.id, hit.version),
                hit.last_updated,
                shown,
                hit.content,
            ))
        });
        Ok(stored.collect())
    }
}

fn visible(filter: AccessFilter) -> Visible {
    match filter {
        AccessFilter::Nothing => Visible::Nothing,
        AccessFilter::Keys(keys) => Visible::Keys(keys),
        AccessFilter::KeysOrContext(keys) => Visible::KeysOrContext(keys),
    }
}
