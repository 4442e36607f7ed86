//! The end of a segment: everything it led to is stored, all or nothing.

use std::time::Instant;

use uuid::Uuid;

use super::lease::{Had, Leases};
use super::member::Member;
use super::segment::{Consumed, Segment, Stop};
use super::{Advance, Error, Runtime};
use crate::bpe::engine::{PageId, WaitId};
use crate::store;
use crate::store::bpe::flush::{self, Flush};
use crate::store::bpe::instance::Leased;
use crate::store::bpe::{control, inbox, user_task};

impl Runtime {
    /// Leases an instance, runs work that is about a page of it and stores what came of it.
    pub(super) async fn with_instance<F>(
        &self,
        id: Uuid,
        page: PageId,
        work: F,
    ) -> Result<Advance, Error>
    where
        F: AsyncFnOnce(&mut Segment) -> Result<(), Stop>,
    {
        let leases = Leases::default();
        let leased = match leases.take(self, id, page).await? {
            Had::Taken(leased) => leased,
            Had::Busy => return Ok(Advance::Busy),
            Had::Gone => return Ok(Advance::Stale),
        };
        let first = self.first(&leased, page, &leases).await?;
        self.with_member(first, leases, work).await
    }

    /// A leased instance as a member; where it cannot be read, the lease is given back.
    pub(super) async fn first(
        &self,
        leased: &Leased,
        page: PageId,
        leases: &Leases,
    ) -> Result<Member, Error> {
        match self.loaded(leased, page).await {
            Ok(first) => Ok(first),
            Err(error) => {
                leases.release(self, &[]).await;
                Err(error)
            }
        }
    }

    /// The same for an instance that is loaded or new.
    pub(super) async fn with_member<F>(
        &self,
        first: Member,
        leases: Leases,
        work: F,
    ) -> Result<Advance, Error>
    where
        F: AsyncFnOnce(&mut Segment) -> Result<(), Stop>,
    {
        let done = self.stretch(first, &leases, false, work).await?;
        Ok(done.advance)
    }

    /// The same; if it shall go on and a job of the instance is due when everything is stored, the
    /// lease is kept for that job.
    pub(super) async fn stretch<F>(
        &self,
        first: Member,
        leases: &Leases,
        goes_on: bool,
        work: F,
    ) -> Result<Stretch, Error>
    where
        F: AsyncFnOnce(&mut Segment) -> Result<(), Stop>,
    {
        let began = Instant::now();
        let mut segment = Segment::new(self, first, leases.clone());
        segment.goes_on = goes_on;
        let done = leases.keep(self, work(&mut segment)).await;
        let outcome = match done {
            Some(Ok(())) => self.conclude(&segment).await,
            Some(Err(Stop::Failed(failure))) => Ok((Advance::Failed(failure), None)),
            Some(Err(Stop::Busy)) => Ok((Advance::Busy, None)),
            Some(Err(Stop::Stale)) | None => Ok((Advance::Stale, None)),
            Some(Err(Stop::Broken(error))) => Err(error),
        };
        let mut changed = Vec::new();
        match outcome.as_ref().map(|(advance, _)| advance) {
            Ok(Advance::Done) => {
                changed.extend(moved(&segment).map(|member| member.id));
                self.watch.stepped(changed.len(), began.elapsed());
                self.watch.happened(&segment.events);
                for member in moved(&segment) {
                    if let Some(end) = &member.end {
                        self.watch.ended(member.id, end);
                    }
                }
            }
            Ok(Advance::Stale) => self.watch.conflicted(),
            _ => {}
        }
        leases.release(self, &changed).await;
        let (advance, job) = outcome?;
        let next = segment.members.pop().zip(job);
        Ok(Stretch {
            advance,
            next: next.map(|(member, job)| (member.stored(), job)),
        })
    }

    /// Stores what came of a segment; with it comes the job that the lease was kept for.
    async fn conclude(&self, segment: &Segment) -> Result<(Advance, Option<WaitId>), Error> {
        let mut flushes = Vec::new();
        let mut forms = Vec::new();
        for member in moved(segment) {
            flushes.push(member.flush(&self.settings)?);
            let changes = member.user_tasks(&self.settings);
            if !changes.is_empty() {
                forms.push((member.id, changes));
            }
        }
        if let Some(first) = flushes.first_mut() {
            first.received.clone_from(&segment.consumed.received);
            first.sent = segment.consumed.sent;
        }
        let next = match (segment.members.as_slice(), flushes.as_mut_slice()) {
            ([member], [flush]) if segment.goes_on => {
                let next = member.due(self.clock.now());
                if next.is_some() {
                    flush.lease_seconds = self.settings.lease.as_secs_f64();
                }
                next
            }
            _ => None,
        };
        let sends = flushes.iter().any(|flush| !flush.outbox.is_empty());
        self.watch.storing();
        if !self.store_all(flushes, &forms, &segment.consumed).await? {
            return Ok((Advance::Stale, None));
        }
        if sends {
            self.bells.outbox.notify_one();
        }
        if !forms.is_empty() || segment.consumed.user_task.is_some() {
            self.bells.forms.notify_one();
        }
        // A job that is done next needs nobody else to look.
        let jobs = segment.members.iter().map(|it| it.gathered.job_count());
        if jobs.sum::<usize>() > usize::from(next.is_some()) {
            self.bells.jobs.notify_one();
        }
        for member in &segment.members {
            if member.gathered.awaits_messages() {
                self.wake_held(member).await?;
            }
        }
        Ok((Advance::Done, next))
    }

    /// The step of one instance is stored by one statement, with those of other instances that are
    /// ready at the same moment. Several that belong together, and those with user tasks, need a
    /// transaction of their own.
    async fn store_all(
        &self,
        mut flushes: Vec<Flush>,
        forms: &[(Uuid, user_task::Changes)],
        consumed: &Consumed,
    ) -> Result<bool, Error> {
        let Consumed {
            fired,
            control,
            user_task: form,
            ..
        } = consumed;
        let is_alone = forms.is_empty() && fired.is_none() && control.is_none() && form.is_none();
        if is_alone
            && flushes.len() == 1
            && let Some(one) = flushes.pop()
        {
            return Ok(self.steps.run(one).await?);
        }
        let stored = self
            .store
            .write(async |conn| {
                let mut ours = match fired {
                    Some(fired) => flush::fire(conn, fired).await?,
                    None => true,
                };
                if let Some(control) = control {
                    ours = ours && control::settle(conn, *control, "done").await?;
                }
                if let Some(form) = form {
                    ours = ours && user_task::settle(conn, form).await?;
                }
                if !ours || !flush::run_all(conn, &flushes).await? {
                    return Err(NotStored::Lost);
                }
                for (instance, changes) in forms {
                    user_task::change(conn, *instance, changes).await?;
                }
                Ok(())
            })
            .await;
        match stored {
            Ok(()) => Ok(true),
            Err(NotStored::Lost) => Ok(false),
            Err(NotStored::Store(error)) => Err(error.into()),
        }
    }

    /// Messages that came too early may have a receiver now.
    async fn wake_held(&self, member: &Member) -> Result<(), Error> {
        let keys: Vec<String> = [&member.business_key, &member.alternative_key]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        let woken = self
            .store
            .read(async |conn| inbox::wake_held(conn, &keys).await)
            .await?;
        if woken > 0 {
            self.bells.inbox.notify_one();
        }
        Ok(())
    }
}

/// What became of a segment.
pub(super) struct Stretch {
    pub advance: Advance,
    /// The instance as it is stored, still leased, and its job that is due.
    pub next: Option<(Member, WaitId)>,
}

/// What a segment changed: an instance that began and ended in it is stored, too, for its history.
fn moved(segment: &Segment) -> impl Iterator<Item = &Member> {
    segment.members.iter().filter(|member| member.moved)
}

/// Why the transaction of a segment was given up.
enum NotStored {
    /// One of the instances is no longer ours.
    Lost,
    Store(store::Error),
}

impl From<store::Error> for NotStored {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}
