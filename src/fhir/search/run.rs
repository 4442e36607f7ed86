//! Runs a query: total, matches of the page, included resources.

use std::collections::{BTreeSet, HashSet};

use uuid::Uuid;

use crate::r4::{Resource, ResourceType};
use crate::store::AsyncPgConnection;
use crate::store::Error;
use crate::store::fhir::search::{self, Condition, Hit, Memory, Selection, Totals, Visible};

use super::include::{Include, Reference};
use super::matching::Candidate;
use super::query::Query;
use super::term::whole;

/// The answer to a search.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Of the directory, just before the search.
    pub generation: i64,
    /// All matches that the caller may see.
    pub total: i64,
    pub matches: Vec<Hit>,
    pub includes: Vec<Hit>,
}

/// Runs `query` for a caller who sees `matches` of the searched type, and of the types of includes
/// what `readable` says. Without remembered totals, as in a transaction that has written, matches
/// are counted. Matches may lack their documents, see [`search::fetch`].
pub async fn run(
    conn: &mut AsyncPgConnection,
    query: &Query,
    totals: Option<&Totals>,
    matches: &Visible,
    readable: impl Fn(ResourceType) -> Visible,
) -> Result<Page, Error> {
    let selection = query.selection(matches);
    let memory = totals.map(|totals| Memory { totals, met: &met });
    let mut found = search::run(conn, &selection, memory).await?;
    if !query.includes.is_empty() {
        search::fetch(conn, &mut found.hits, |_| false).await?;
    }
    let mut page = Page {
        generation: found.generation,
        total: found.total,
        matches: found.hits,
        includes: Vec::new(),
    };
    if !page.matches.is_empty() {
        page.includes = included(conn, query, &page.matches, readable).await?;
    }
    Ok(page)
}

impl Query {
    /// What is asked of the store for a caller who sees `matches`.
    pub(super) fn selection(&self, matches: &Visible) -> Selection {
        let nothing = self.count < 1 || self.page < 1 || self.only_total;
        Selection {
            kind: self.kind,
            condition: self.condition.clone(),
            visible: matches.clone(),
            order: self.order.clone(),
            limit: if nothing { 0 } else { i64::from(self.count) },
            offset: i64::from(self.page.max(1) - 1) * i64::from(self.count),
        }
    }
}

/// Whether a document met a condition.
fn met(condition: &Condition, document: &str) -> bool {
    let resource = serde_json::from_str(document)
        .ok()
        .and_then(Resource::from_value);
    resource.is_some_and(|resource| Candidate::new(&resource).meets(condition))
}

async fn included(
    conn: &mut AsyncPgConnection,
    query: &Query,
    matches: &[Hit],
    readable: impl Fn(ResourceType) -> Visible,
) -> Result<Vec<Hit>, Error> {
    let mut found = Vec::new();
    if !query.includes.is_empty() {
        let resources = parsed(matches);
        for include in &query.includes {
            let visible = readable(include.target);
            found.extend(targets(conn, include, &resources, &visible).await?);
        }
    }
    for include in &query.reverse_includes {
        let tokens = include.tokens(matches.iter().map(|hit| hit.id));
        let visible = readable(include.source);
        found.extend(search::by_tokens(conn, include.source, &tokens, &visible).await?);
    }
    let mut seen: HashSet<Uuid> = matches.iter().map(|hit| hit.id).collect();
    found.retain(|hit| seen.insert(hit.id));
    Ok(found)
}

/// Of hits that have their documents. These always parse; one that did not would have no references.
fn parsed(hits: &[Hit]) -> Vec<Resource> {
    hits.iter()
        .filter_map(|hit| {
            Resource::from_value(serde_json::from_str(hit.document.as_deref()?).ok()?)
        })
        .collect()
}

async fn targets(
    conn: &mut AsyncPgConnection,
    include: &Include,
    resources: &[Resource],
    visible: &Visible,
) -> Result<Vec<Hit>, Error> {
    let references: BTreeSet<Reference> = resources
        .iter()
        .flat_map(|resource| include.references(resource))
        .collect();
    let (mut ids, mut canonicals) = (Vec::new(), Vec::new());
    for reference in references {
        match reference {
            Reference::Id(id) => ids.push(id),
            Reference::Canonical(canonical) => canonicals.push(canonical),
        }
    }
    let mut found = Vec::new();
    if !ids.is_empty() {
        found = search::by_references(conn, include.target, ids, visible).await?;
    }
    if !canonicals.is_empty() {
        let tokens: Vec<_> = canonicals
            .iter()
            .map(|c| url_token(include.target, c))
            .collect();
        let hits = search::by_tokens(conn, include.target, &tokens, visible).await?;
        found.extend(hits.into_iter().filter(|hit| is_named(hit, &canonicals)));
    }
    Ok(found)
}

fn url_token(kind: ResourceType, canonical: &str) -> String {
    let url = canonical.split_once('|').map_or(canonical, |(url, _)| url);
    whole(kind, "url", url)
}

/// Whether a canonical names the resource: by url, and by version where it has one.
fn is_named(hit: &Hit, canonicals: &[String]) -> bool {
    let resources = parsed(std::slice::from_ref(hit));
    let Some(resource) = resources.first() else {
        return false;
    };
    let (url, version) = (resource.str("url"), resource.str("version"));
    canonicals
        .iter()
        .any(|canonical| match canonical.split_once('|') {
            Some((wanted, exactly)) => url == Some(wanted) && version == Some(exactly),
            None => url == Some(canonical),
        })
}
