//! What of an instance is in memory: a step reads the first page of its state, the page that its
//! trigger is about, and whatever else it turns out to need (ADR 36).

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::apart::{self, Split, page_id, understood, written};
use super::member::Member;
use super::segment::{Segment, Stop};
use super::{Error, Runtime};
use crate::bpe::engine::{Absent, Page, PageId, State};
use crate::store::bpe::blob::Blob;
use crate::store::bpe::flush::{Blobs, Own};
use crate::store::bpe::{inbox, page};

/// What the database has of an instance, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The texts of its pages.
    pages: BTreeMap<PageId, String>,
    /// The keys of its large values.
    keys: BTreeSet<String>,
    /// It has pages that were not read.
    lacks_pages: bool,
    lacks_values: bool,
    /// Its Tasks were not read.
    pub lacks_tasks: bool,
}

/// A state as it is stored, as far as it differs from what is known.
pub(super) struct Difference {
    pub state: String,
    pub pages: Option<page::Pages>,
    pub blobs: Option<Blobs>,
}

impl Known {
    /// Of a state without its other pages and large values.
    pub(super) fn first(state: &mut State) -> Self {
        let keys = apart::missing(state);
        Self {
            lacks_values: !keys.is_empty(),
            lacks_pages: state.is_paged(),
            keys,
            ..Self::default()
        }
    }

    /// Of a state that has just been stored.
    pub(super) fn stored(self, instance: Uuid, state: &State) -> Self {
        let Split { pages, keys, .. } = apart::split(state);
        let texts = pages
            .iter()
            .filter_map(|(id, page)| Some((*id, written(instance, page).ok()?)));
        Self {
            pages: texts.collect(),
            keys,
            ..self
        }
    }

    /// Whether a step may come to something that is not there.
    pub(super) fn is_partial(&self) -> bool {
        self.lacks_pages || self.lacks_values
    }

    pub(super) fn difference(&self, instance: Uuid, state: &State) -> Result<Difference, Error> {
        let Split {
            state,
            pages,
            blobs,
            keys,
        } = apart::split(state);
        let mut changed = page::Pages::default();
        for (id, page) in &pages {
            let text = written(instance, page)?;
            if self.pages.get(id) != Some(&text) {
                changed.put.push(page::Row {
                    page: i64::from(id.0),
                    state: text,
                });
            }
        }
        let gone = self.pages.keys().filter(|id| !pages.contains_key(id));
        changed.gone = gone.map(|id| i64::from(id.0)).collect();
        let new = blobs.into_iter();
        let new = new.filter(|(key, _)| !self.keys.contains(key));
        let new = new.map(|(digest, content)| Blob { digest, content });
        let blobs = Blobs {
            new: new.collect(),
            gone: self.keys.difference(&keys).cloned().collect(),
        };
        let same_pages = changed.put.is_empty() && changed.gone.is_empty();
        let same_blobs = blobs.new.is_empty() && blobs.gone.is_empty();
        Ok(Difference {
            state: written(instance, &state)?,
            pages: (!same_pages).then_some(changed),
            blobs: (!same_blobs).then_some(blobs),
        })
    }
}

impl Member {
    /// Adds a page of the state, unless it is there.
    pub(super) fn put_page(&mut self, id: PageId, text: &str) -> Result<(), Error> {
        let Some(state) = &mut self.state else {
            return Ok(());
        };
        if self.known.pages.contains_key(&id) {
            return Ok(());
        }
        let page: Page = understood(self.id, text)?;
        state.put_page(id, page);
        self.known.pages.insert(id, text.to_owned());
        Ok(())
    }

    /// Notes what stands on the pages that were added.
    pub(super) fn note_pages(&mut self) {
        let Some(state) = &mut self.state else {
            return;
        };
        let missing = apart::missing(state);
        self.had_tasks = self.had_tasks || state.tasks().next().is_some();
        self.known.lacks_values = self.known.lacks_values || !missing.is_empty();
        self.known.keys.extend(missing);
    }

    /// Reads one page, or all.
    pub(super) async fn read_pages(
        &mut self,
        runtime: &Runtime,
        one: Option<PageId>,
    ) -> Result<(), Error> {
        let Own::Continue { rev, epoch } = self.own else {
            return Ok(());
        };
        let (id, wanted) = (self.id, one.map(|page| i64::from(page.0)));
        let rows = runtime
            .store
            .read(async |conn| page::read(conn, id, (rev, epoch), wanted).await)
            .await?;
        for row in rows {
            self.put_page(page_id(row.page), &row.state)?;
        }
        self.note_pages();
        Ok(())
    }
}

impl Segment {
    /// Gets what a step of a member has found missing.
    pub(super) async fn get(&mut self, at: usize, absent: Absent) -> Result<(), Stop> {
        match absent {
            Absent::Pages => self.all_pages(at).await,
            Absent::Values => self.all_values(at).await,
        }
    }

    /// The page of a frame or wait.
    pub(super) async fn page(&mut self, at: usize, page: PageId) -> Result<(), Stop> {
        let member = &mut self.members[at];
        if page != PageId::FIRST && member.known.lacks_pages {
            member.read_pages(&self.runtime, Some(page)).await?;
        }
        Ok(())
    }

    pub(super) async fn all_pages(&mut self, at: usize) -> Result<(), Stop> {
        let member = &mut self.members[at];
        if !member.known.lacks_pages {
            return Ok(());
        }
        member.read_pages(&self.runtime, None).await?;
        member.known.lacks_pages = false;
        // Somebody else has gone on with the instance.
        if member.state.as_ref().is_some_and(|it| !it.is_complete()) {
            return Err(Stop::Stale);
        }
        Ok(())
    }

    pub(super) async fn all_values(&mut self, at: usize) -> Result<(), Stop> {
        let member = &mut self.members[at];
        if let Some(state) = &mut member.state
            && member.known.lacks_values
        {
            apart::fill(&self.runtime.store, member.id, state).await?;
            member.known.lacks_values = false;
        }
        Ok(())
    }

    /// The Tasks of a member: few come with the instance, many are read when they are needed.
    pub(super) async fn all_tasks(&mut self, at: usize) -> Result<(), Stop> {
        let member = &mut self.members[at];
        if member.known.lacks_tasks {
            let id = member.id;
            let ask = async |conn: &mut _| inbox::of_instance(conn, id).await;
            member.tasks.join(self.runtime.store.read(ask).await?);
            member.known.lacks_tasks = false;
        }
        Ok(())
    }
}
