//! What the entries of a Bundle have in common, done for many of them at once: locks, look-ups, reads
//! and writes are few statements, however many entries there are (docs/adr/0041).
//!
//! Entries still run one after the other, and none sees another state than it would alone. What was
//! asked ahead is only used with what the transaction has written since laid over it, and what
//! waits to be written is written before anything else is asked of the database.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use super::condition::Condition;
use super::ground::Ground;
use super::stop::Stop;
use crate::fhir::directory::KINDS;
use crate::fhir::reference;
use crate::fhir::search;
use crate::r4::reference::{Target, references};
use crate::r4::{Resource, ResourceType, logical_id};
use crate::store::fhir::many::{self, Inserted, NewInsert, Replacement};
use crate::store::fhir::search::{Asked, with_tokens};
use crate::store::fhir::{NewRow, Row, resource as rows, unique};

/// Nobody asks for more than "none, one or several".
pub(super) const ENOUGH: i64 = 2;
/// Questions of one statement.
const QUESTIONS: usize = 500;
/// Rows of one statement, read or written.
const ROWS: usize = 200;
/// Documents of one statement that writes, in bytes; one may be larger.
const BYTES: usize = 4 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// Entries run that have something in common; otherwise nothing is kept and nothing waits.
    gathers: bool,
    /// Answers that name all there is.
    found: HashMap<Asked, Vec<Uuid>>,
    written: Written,
    /// Current rows that are about to be asked for.
    rows: HashMap<Uuid, Row>,
    /// Ids whose rows will be asked for, in that order.
    wanted: VecDeque<Uuid>,
    /// Resources that references may point to.
    current: HashSet<(ResourceType, Uuid)>,
    inserts: Vec<NewInsert>,
    replacements: Vec<Replacement>,
    bytes: usize,
}

/// What the transaction has written, by the tokens that it is found by.
#[derive(Debug, Default)]
struct Written {
    /// `None` for what was deleted.
    tokens: HashMap<Uuid, Option<Arc<[Arc<str>]>>>,
    /// Perhaps not any more.
    by_token: HashMap<Arc<str>, Vec<Uuid>>,
    /// Ids that nothing can have named before.
    new: HashSet<Uuid>,
}

impl Written {
    fn insert(&mut self, id: Uuid, tokens: Option<&[String]>) {
        let tokens = tokens.map(|tokens| {
            let shared = tokens.iter().map(|token| Arc::from(token.as_str()));
            shared.collect::<Arc<[Arc<str>]>>()
        });
        for token in tokens.iter().flat_map(|tokens| tokens.iter()) {
            let ids = self.by_token.entry(Arc::clone(token)).or_default();
            if ids.last() != Some(&id) {
                ids.push(id);
            }
        }
        self.tokens.insert(id, tokens);
    }

    /// Whether one of the tokens is a reference to what was created here: nothing else has it.
    fn names_new(&self, tokens: &[String]) -> bool {
        let target = |token: &String| logical_id(token.rsplit_once('/')?.1);
        let mut targets = tokens.iter().filter_map(target);
        !self.new.is_empty() && targets.any(|id| self.new.contains(&id))
    }

    /// Those that have all these tokens; a token names its type.
    fn with_tokens(&self, tokens: &[String]) -> Vec<Uuid> {
        let lists: Option<Vec<&Vec<Uuid>>> = tokens
            .iter()
            .map(|token| self.by_token.get(token.as_str()))
            .collect();
        let shortest = lists.and_then(|lists| lists.into_iter().min_by_key(|ids| ids.len()));
        let has_all = |id: &Uuid| {
            let own = self.tokens.get(id).and_then(Option::as_ref);
            own.is_some_and(|own| {
                let has = |token: &String| own.iter().any(|one| **one == **token);
                tokens.iter().all(has)
            })
        };
        let mut ids: Vec<Uuid> = shortest.into_iter().flatten().copied().collect();
        ids.retain(has_all);
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

impl Ahead {
    /// What is known to have these tokens; `None` if that must be asked.
    fn find(&self, asked: &Asked) -> Option<Vec<Uuid>> {
        let found = match self.found.get(asked) {
            Some(found) => found.as_slice(),
            None if self.written.names_new(&asked.tokens) => &[],
            None => return None,
        };
        let mut ids: Vec<Uuid> = found
            .iter()
            .filter(|id| !self.written.tokens.contains_key(*id))
            .copied()
            .collect();
        ids.extend(self.written.with_tokens(&asked.tokens));
        Some(ids)
    }

    /// Takes notice of a create with an id of its own.
    pub fn made(&mut self, id: Uuid, tokens: &[String]) {
        if self.gathers {
            self.written.new.insert(id);
        }
        self.wrote(id, Some(tokens));
    }

    /// Takes notice of a write; `None` of a delete.
    pub fn wrote(&mut self, id: Uuid, tokens: Option<&[String]>) {
        if self.gathers {
            self.written.insert(id, tokens);
            self.rows.remove(&id);
        }
    }

    pub fn is_current(&self, kind: ResourceType, id: Uuid) -> bool {
        self.current.contains(&(kind, id))
    }

    /// Ids to read together with this one: those that come next.
    fn with_next(&mut self, id: Uuid) -> Vec<Uuid> {
        let mut ids = vec![id];
        while ids.len() < ROWS
            && let Some(next) = self.wanted.pop_front()
        {
            let is_known = self.rows.contains_key(&next) || ids.contains(&next);
            if !is_known && !self.written.tokens.contains_key(&next) {
                ids.push(next);
            }
        }
        ids
    }

    fn is_full(&self) -> bool {
        self.inserts.len() + self.replacements.len() >= ROWS || self.bytes >= BYTES
    }
}

impl Ground<'_> {
    /// From here on what entries have in common is done together.
    pub(crate) fn gather(&mut self) {
        self.progress.ahead.gathers = true;
    }

    /// Locks conditions, and looks up what they find. A condition that cannot be understood is left
    /// to its own entry.
    pub(crate) async fn look_ahead(
        &mut self,
        conditions: &[(ResourceType, Condition)],
    ) -> Result<(), Stop> {
        // What partners find depends on what they may see.
        if !self.identity.is_local() {
            return Ok(());
        }
        let texts = conditions.iter().map(|(kind, one)| (*kind, one.sorted()));
        let progress = &mut self.progress;
        let new: Vec<(ResourceType, String)> = texts
            .filter(|(kind, text)| progress.locks(*kind, Some(text.clone())))
            .collect();
        if !new.is_empty() {
            unique::lock_conditions(self.conn().await?, &new).await?;
        }
        let parsed: Vec<(ResourceType, search::Condition)> = conditions
            .iter()
            .filter_map(|(kind, condition)| Some((*kind, condition.parsed(*kind)?)))
            .collect();
        for some in parsed.chunks(QUESTIONS) {
            let targets: Vec<Asked> = some.iter().flat_map(|(_, one)| one.asked()).collect();
            self.with_tokens(&targets, None).await?;
            let mut asked = Vec::new();
            for (kind, condition) in some {
                let settled = self.settled(condition).await?;
                asked.extend(settled.words().map(|tokens| Asked {
                    kind: *kind,
                    tokens: tokens.to_vec(),
                }));
            }
            self.with_tokens(&asked, Some(ENOUGH)).await?;
        }
        Ok(())
    }

    /// Ids whose current rows will be asked for, in this order.
    pub(crate) fn want(&mut self, ids: impl IntoIterator<Item = Uuid>) {
        self.progress.ahead.wanted.extend(ids);
    }

    /// The current row, also of a deleted resource.
    pub(super) async fn current_row(
        &mut self,
        kind: ResourceType,
        id: Uuid,
    ) -> Result<Option<Row>, Stop> {
        let ahead = &mut self.progress.ahead;
        if let Some(row) = ahead.rows.remove(&id) {
            return Ok(Some(row).filter(|row| row.kind == kind));
        }
        if ahead.wanted.is_empty() {
            return Ok(rows::current(self.conn().await?, kind, id).await?);
        }
        let ids = ahead.with_next(id);
        let found = rows::current_all(self.conn().await?, &ids).await?;
        let known = &mut self.progress.ahead.rows;
        known.extend(found.into_iter().map(|row| (row.id, row)));
        Ok(known.remove(&id).filter(|row| row.kind == kind))
    }

    /// What each question finds, the answers that are not known yet by one statement.
    pub(super) async fn with_tokens(
        &mut self,
        asked: &[Asked],
        limit: Option<i64>,
    ) -> Result<Vec<Vec<Uuid>>, Stop> {
        let ahead = &self.progress.ahead;
        let mut answers: Vec<Option<Vec<Uuid>>> = asked.iter().map(|one| ahead.find(one)).collect();
        let is_open = |(_, answer): &(&Asked, &Option<Vec<Uuid>>)| answer.is_none();
        let open: Vec<Asked> = asked
            .iter()
            .zip(&answers)
            .filter(is_open)
            .map(|(one, _)| one.clone())
            .collect();
        if !open.is_empty() {
            let found = with_tokens(self.conn().await?, &open, limit).await?;
            let ahead = &mut self.progress.ahead;
            let unanswered = answers.iter_mut().filter(|answer| answer.is_none());
            for ((one, ids), answer) in open.into_iter().zip(found).zip(unanswered) {
                let is_all = limit.is_none_or(|limit| (ids.len() as u64) < limit.unsigned_abs());
                if ahead.gathers && is_all {
                    ahead.found.insert(one, ids.clone());
                }
                *answer = Some(ids);
            }
        }
        Ok(answers.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// The condition without what it refers to.
    pub(super) async fn settled(
        &mut self,
        condition: &search::Condition,
    ) -> Result<search::Condition, Stop> {
        let found = self.with_tokens(&condition.asked(), None).await?;
        Ok(condition.settled(&found))
    }

    /// Looks together at what the references point to that are still to be checked.
    pub(crate) async fn look_at_targets(&mut self) -> Result<(), Stop> {
        let base_url = self.base_url();
        let resources = self.progress.unchecked.values();
        let ids: HashSet<Uuid> = resources
            .flat_map(|resource| targets(resource, base_url))
            .filter(|target| !self.progress.written.contains(target))
            .map(|(_, id)| id)
            .collect();
        let ids: Vec<Uuid> = ids.into_iter().collect();
        for some in ids.chunks(QUESTIONS) {
            let current = rows::current_among(self.conn().await?, some).await?;
            self.progress.ahead.current.extend(current);
        }
        Ok(())
    }

    /// Stores now, or soon together with others; the ends of both are one.
    pub(super) async fn store_new(&mut self, insert: NewInsert) -> Result<(), Stop> {
        self.progress.ahead.bytes += size(&insert.row);
        self.progress.ahead.inserts.push(insert);
        self.flush_if_full().await
    }

    /// As [`Self::store_new`], for the version after one that is stored.
    pub(super) async fn store_next(&mut self, next: Replacement) -> Result<(), Stop> {
        self.progress.ahead.bytes += size(&next.row);
        self.progress.ahead.replacements.push(next);
        self.flush_if_full().await
    }

    async fn flush_if_full(&mut self) -> Result<(), Stop> {
        let ahead = &self.progress.ahead;
        if ahead.gathers && !ahead.is_full() {
            return Ok(());
        }
        self.flush().await
    }

    /// Writes what waits.
    pub(super) async fn flush(&mut self) -> Result<(), Stop> {
        let ahead = &mut self.progress.ahead;
        if ahead.inserts.is_empty() && ahead.replacements.is_empty() {
            return Ok(());
        }
        let inserts = std::mem::take(&mut ahead.inserts);
        let replacements = std::mem::take(&mut ahead.replacements);
        ahead.bytes = 0;
        let conn = self.conn.as_deref_mut().ok_or(Stop::NeedsConnection)?;
        if !inserts.is_empty() {
            let outcomes = many::insert_all(conn, &inserts).await?;
            if outcomes.iter().any(|one| *one != Inserted::Stored) {
                return Err(Stop::Stale);
            }
        }
        if !replacements.is_empty() && !many::update_all(conn, &replacements).await? {
            return Err(Stop::Stale);
        }
        Ok(())
    }
}

fn size(row: &NewRow) -> usize {
    row.document.len()
}

/// The resources of this server, in no version, that a resource points to; not those that the
/// directory holds.
fn targets(resource: &Resource, base_url: &str) -> Vec<(ResourceType, Uuid)> {
    let target = |found: &crate::r4::reference::Found<'_>| match reference::target(
        found.location.carrier,
        found.value,
        base_url,
    ) {
        Target::Internal(literal) if literal.version.is_none() => {
            let kind = ResourceType::from_name(literal.type_name)?;
            let id = logical_id(literal.id)?;
            (!KINDS.contains(&kind)).then_some((kind, id))
        }
        _ => None,
    };
    references(resource).iter().filter_map(target).collect()
}
