//! Jobs on the virtual clock: asynchronous continuations, timers, retries.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::world::{Fault, World};
use crate::bpe::engine::{Failure, Job, JobKind, Trigger, WaitId};

/// Something that is due at a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Timestamp,
    sequence: u64,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Job(usize, WaitId),
    /// A start timer of a definition.
    Start(usize, usize),
}

/// More than any scenario needs; catches models that never come to rest.
const LIMIT: usize = 10_000;

impl World {
    fn jobs(&self) -> impl Iterator<Item = (usize, &Job)> {
        let active = self.running().filter(|(at, _)| self.is_active(*at));
        active.flat_map(|(at, state)| state.jobs().map(move |job| (at, job)))
    }

    /// The next thing to run, up to a time.
    fn next_due(&self, until: Timestamp, timers_only: bool) -> Option<Due> {
        let jobs = self.jobs().filter(|(_, job)| {
            let timer = job.kind == JobKind::Timer && !job.failed;
            job.retries > 0 && job.due <= until && (timer || !timers_only)
        });
        let jobs = jobs.map(|(at, job)| Due {
            at: job.due,
            sequence: self
                .it
                .sequence
                .get(&(at, job.id))
                .copied()
                .unwrap_or(u64::MAX),
            what: What::Job(at, job.id),
        });
        let definitions = self.it.definitions.iter().enumerate();
        let starts = definitions
            .filter(|(_, it)| !it.suspended)
            .flat_map(|(at, definition)| {
                definition
                    .timers
                    .iter()
                    .enumerate()
                    .map(move |(number, timer)| Due {
                        at: timer.schedule.due,
                        sequence: timer.sequence,
                        what: What::Start(at, number),
                    })
            });
        jobs.chain(starts.filter(|due| due.at <= until)).min()
    }

    /// Runs everything that is due, unless the scenario does so by hand.
    pub(super) fn settle(&mut self) -> Result<(), Fault> {
        if self.manual {
            return Ok(());
        }
        self.run_until(self.it.now, false)
    }

    /// Moves the clock; timers fire in the order of their due dates.
    pub(super) fn advance(&mut self, by: &str) -> Result<(), Fault> {
        let until = self.after(by)?;
        self.advance_to(until)
    }

    /// The time after a duration.
    pub(super) fn after(&self, by: &str) -> Result<Timestamp, Fault> {
        let span: Span = by
            .parse()
            .map_err(|_| format!("'{by}' is not a duration"))?;
        let now = self.it.now.to_zoned(TimeZone::UTC);
        let until = now.checked_add(span).map_err(|error| error.to_string())?;
        Ok(until.timestamp())
    }

    /// When the next thing is due that the clock sets off.
    pub(super) fn next_time(&self, until: Timestamp) -> Option<Timestamp> {
        let due = self.next_due(until, self.manual)?;
        Some(due.at.max(self.it.now))
    }

    pub(super) fn advance_to(&mut self, until: Timestamp) -> Result<(), Fault> {
        self.run_until(until, self.manual)?;
        self.it.now = until;
        Ok(())
    }

    fn run_until(&mut self, until: Timestamp, timers_only: bool) -> Result<(), Fault> {
        for _ in 0..LIMIT {
            let Some(due) = self.next_due(until, timers_only) else {
                return Ok(());
            };
            self.it.now = self.it.now.max(due.at);
            self.run_due(due.what)?;
        }
        Err("the jobs never come to an end".to_owned())
    }

    fn run_due(&mut self, what: What) -> Result<(), Fault> {
        match what {
            What::Job(at, job) => self.run_job(at, job),
            What::Start(at, number) if self.ground.is_some() => {
                let definition = &self.it.definitions[at];
                let (id, sequence) = (definition.id, definition.timers[number].sequence);
                let fired = self.ground.as_ref().map(|ground| {
                    ground.set_clock(self.it.now);
                    ground.fire(id, sequence)
                });
                fired.unwrap_or(Ok(()))?;
                self.look()
            }
            What::Start(at, number) => {
                let now = self.it.now;
                let definition = &mut self.it.definitions[at];
                let timer = definition.timers.remove(number);
                let node = timer.node;
                if let Some(schedule) = timer.schedule.next(now) {
                    let next = super::world::StartTimer { schedule, ..timer };
                    definition.timers.push(next);
                }
                self.begin(at, Some(node), None, crate::bpe::model::Variables::new())?;
                Ok(())
            }
        }
    }

    /// A failing job is taken back and counts down its retries.
    fn run_job(&mut self, at: usize, job: WaitId) -> Result<(), Fault> {
        if let Some(ground) = &self.ground {
            ground.set_clock(self.it.now);
            ground.run_job(self.it.instances[at].id, job.0)?;
            return self.look();
        }
        let ran = self.atomically(|world| world.drive(at, Trigger::Job { job }));
        if let Err(message) = ran {
            let failure = Failure {
                activity: String::new(),
                kind: "job".to_owned(),
                message,
            };
            self.drive(at, Trigger::JobFailed { job, failure })?;
        }
        Ok(())
    }

    /// Runs one job of an activity by hand.
    pub(super) fn run_job_of(&mut self, activity: &str, nth: usize) -> Result<(), Fault> {
        let mut found: Vec<_> = self
            .jobs()
            .filter(|(_, job)| {
                job.activity == activity && job.retries > 0 && job.due <= self.it.now
            })
            .map(|(at, job)| (self.it.sequence.get(&(at, job.id)).copied(), at, job.id))
            .collect();
        found.sort_unstable();
        match found.get(nth.saturating_sub(1)) {
            Some(&(_, at, job)) => self.run_job(at, job),
            None => self.run_start_timer(activity),
        }
    }

    fn run_start_timer(&mut self, activity: &str) -> Result<(), Fault> {
        for (at, definition) in self.it.definitions.iter().enumerate() {
            for (number, timer) in definition.timers.iter().enumerate() {
                if definition.graph.node(timer.node).id == activity && !definition.suspended {
                    return self.run_due(What::Start(at, number));
                }
            }
        }
        Err(format!("'{activity}' has no job to run"))
    }

    /// Gives the job of an incident one more try.
    pub(super) fn retry(&mut self, activity: &str) -> Result<(), Fault> {
        let found = self
            .jobs()
            .find(|(_, job)| job.incident.is_some() && job.activity == activity);
        let Some((at, job)) = found.map(|(at, job)| (at, job.id)) else {
            return Err(format!("'{activity}' has no incident"));
        };
        self.drive(at, Trigger::SetRetries { job, retries: 1 })?;
        self.run_job(at, job)
    }
}
