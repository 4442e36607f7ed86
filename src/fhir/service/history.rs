//! History of a resource, a type or everything (fhir-api §4.12).

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;

use super::ground::{Ground, parsed};
use super::stop::Stop;
use super::stored::Stored;
use super::{Peer, Service};
use crate::fhir::audit::Act;
use crate::fhir::authorize::{AccessFilter, Operation, admit};
use crate::fhir::fault::Fault;
use crate::r4::ResourceType;
use crate::r4::datetime::{DateTime, Precision};
use crate::store::fhir::history::{self, Bound, Query, Visible};

/// Whose history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Everything,
    Type(ResourceType),
    Instance(ResourceType, Uuid),
}

/// What the client asks for.
#[derive(Clone, Debug)]
pub struct History {
    pub scope: Scope,
    pub since: Vec<String>,
    pub at: Vec<String>,
    /// Entries on a page, and the page, from 1; no entries if either is 0.
    pub count: usize,
    pub page: usize,
}

/// One entry: a version, or a deletion.
#[derive(Debug)]
pub struct Entry {
    pub kind: ResourceType,
    pub id: Uuid,
    pub version: i64,
    pub at: Timestamp,
    pub stored: Option<Stored>,
}

/// A page of a history.
#[derive(Debug)]
pub struct Page {
    pub total: i64,
    pub entries: Vec<Entry>,
}

impl History {
    /// The bounds on time, and the words for the parameters that cannot be understood.
    #[must_use]
    pub fn bounds(&self) -> (Vec<Bound>, Vec<String>) {
        let (mut bounds, mut problems) = (Vec::new(), Vec::new());
        // A form decoder makes a blank of `+`.
        for value in &self.since {
            match since(&value.replace(' ', "+")) {
                Ok(bound) => bounds.push(bound),
                Err(message) => problems.push(problem("_since", message, value)),
            }
        }
        for value in &self.at {
            match at(&value.replace(' ', "+")) {
                Some(more) => bounds.extend(more),
                None => problems.push(problem("_at", "Not a date", value)),
            }
        }
        (bounds, problems)
    }
}

fn problem(name: &str, message: &str, value: &str) -> String {
    format!("parameter: {name}, error: UNPARSABLE_VALUE, message: '{message}', value: {value}")
}

/// An instant, with no prefix but `eq`.
fn since(value: &str) -> Result<Bound, &'static str> {
    let (prefix, text) = prefixed(value);
    if prefix != "eq" {
        return Err("Not instant");
    }
    let date = DateTime::parse(text).filter(|date| date.precision >= Precision::Minute);
    date.and_then(|date| date.start(&TimeZone::system()))
        .map(Bound::From)
        .ok_or("Not instant")
}

/// Prefix, in either case, and date.
fn prefixed(value: &str) -> (&'static str, &str) {
    let prefixes = ["eq", "ne", "gt", "lt", "ge", "le"];
    let is_head = |prefix: &&str| {
        value
            .get(..2)
            .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
    };
    match prefixes.into_iter().find(is_head) {
        Some(prefix) => (prefix, &value[2..]),
        None => ("eq", value),
    }
}

/// Any date with a prefix, compared with the time of the version.
fn at(value: &str) -> Option<Vec<Bound>> {
    let (prefix, text) = prefixed(value);
    let range = DateTime::parse(text)?.range(&TimeZone::system())?;
    Some(match prefix {
        "ne" => vec![Bound::Outside(range.start, range.end)],
        "gt" => vec![Bound::From(range.end)],
        "lt" => vec![Bound::Before(range.start)],
        "ge" => vec![Bound::From(range.start)],
        "le" => vec![Bound::Before(range.end)],
        _ => vec![Bound::From(range.start), Bound::Before(range.end)],
    })
}

impl Service {
    pub async fn history(&self, peer: &Peer, asked: &History) -> Result<Page, Fault> {
        self.look(peer, async |ground| ground.history(asked).await)
            .await
    }
}

impl Ground<'_> {
    async fn history(&mut self, asked: &History) -> Result<Page, Stop> {
        let (kinds, id) = match asked.scope {
            Scope::Everything => (ResourceType::ALL.to_vec(), None),
            Scope::Type(kind) => (vec![kind], None),
            Scope::Instance(kind, id) => (vec![kind], Some(id)),
        };
        let admitted = kinds
            .iter()
            .any(|kind| admit(&self.identity, Operation::History, *kind).is_allowed());
        if !admitted {
            return Err(Fault::denied("history", None).into());
        }
        let query = Query {
            id,
            visible: self.visible(&kinds).await?,
            bounds: asked.bounds().0,
            limit: i64::try_from(asked.count).unwrap_or(i64::MAX),
            offset: i64::try_from(asked.page.saturating_sub(1).saturating_mul(asked.count))
                .unwrap_or(i64::MAX),
        };
        let (total, lines) = history::run(self.conn().await?, &query).await?;
        let entry = |line: history::Line| {
            let stored = line.document.as_deref().and_then(parsed).map(|resource| {
                Stored::shown(line.id, line.version, line.at, resource, line.content)
            });
            Entry {
                kind: line.kind,
                id: line.id,
                version: line.version,
                at: line.at,
                stored,
            }
        };
        let entries: Vec<Entry> = lines.into_iter().map(entry).collect();
        self.allowed = None;
        for seen in entries.iter().filter(|entry| entry.stored.is_some()) {
            self.saw(Act::History, seen.kind, (seen.id, seen.version));
        }
        Ok(Page { total, entries })
    }

    /// What may be seen of these types; types that are seen by the same keys go together.
    async fn visible(&mut self, kinds: &[ResourceType]) -> Result<Vec<Visible>, Stop> {
        let mut groups: BTreeMap<(Vec<String>, bool), Vec<ResourceType>> = BTreeMap::new();
        for kind in kinds {
            match self.filter(Operation::History, *kind).await? {
                AccessFilter::Nothing => {}
                AccessFilter::Keys(keys) => groups.entry((keys, false)).or_default().push(*kind),
                AccessFilter::KeysOrContext(keys) => {
                    groups.entry((keys, true)).or_default().push(*kind);
                }
            }
        }
        let visible = |((keys, context), kinds)| Visible {
            kinds,
            keys,
            context,
        };
        Ok(groups.into_iter().map(visible).collect())
    }
}
