//! The rhythm of the workers: look for work when told, when it becomes due, and now and then.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::Error;
use crate::kernel::Shutdown;

/// How long work stays ours without a sign of life. Short, since it is also how long the work of a
/// killed process rests before somebody goes on with it.
pub const LEASE: Duration = Duration::from_secs(6);

/// An item that takes longer gives its slot to others: code that computes without end, or a server
/// that does not answer, must not hold up what has nothing to do with it.
const SLOW: Duration = Duration::from_millis(500);
/// How many items may be in hand without a slot. Each stays in memory and keeps its lease alive.
const MOST_SLOW: usize = 64;

/// How often to look when nobody told us: other nodes' work, and what a crash left behind.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub idle: Duration,
    /// After a failure of the database.
    pub trouble: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(2),
            trouble: Duration::from_secs(1),
        }
    }
}

/// One kind of work.
pub trait Work: Clone + Send + Sync + 'static {
    type Item: Clone + Send + Sync + 'static;

    /// For the log.
    fn name(&self) -> &'static str;

    /// Rings when there may be something.
    fn bell(&self) -> &Notify;

    /// At most so many items, each ours until its lease ends.
    fn take(&self, most: i64) -> impl Future<Output = Result<Vec<Self::Item>, Error>> + Send;

    /// Seconds until the next item is due, if any is known.
    fn next_due(&self) -> impl Future<Output = Result<Option<f64>, Error>> + Send;

    /// Tells the database that an item is still being worked on, every third of [`LEASE`].
    fn extend(&self, item: &Self::Item) -> impl Future<Output = Result<(), Error>> + Send;

    /// Does one item; a failure is logged, and the item comes again when its lease ends.
    fn run(&self, item: Self::Item) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Works until the shutdown begins; items in hand are finished by the shutdown's drain.
pub async fn work<W: Work>(work: W, shutdown: Shutdown, threads: usize, pace: Pace) {
    let slots = Slots {
        quick: Arc::new(Semaphore::new(threads.max(1))),
        slow: Arc::new(Semaphore::new(MOST_SLOW)),
    };
    while !shutdown.is_begun() {
        let wait = match round(&work, &shutdown, &slots).await {
            Ok(wait) => wait.min(pace.idle),
            Err(error) => {
                tracing::warn!(work = work.name(), "{error}; trying again");
                pace.trouble
            }
        };
        tokio::select! {
            () = work.bell().notified() => {}
            () = tokio::time::sleep(wait) => {}
            () = shutdown.begun() => return,
        }
    }
}

/// How many items may be in hand.
struct Slots {
    quick: Arc<Semaphore>,
    slow: Arc<Semaphore>,
}

/// The slot of one item.
struct Slot {
    permit: OwnedSemaphorePermit,
    slow: Arc<Semaphore>,
}

impl Slot {
    /// Makes room for a quick item, if there is room among the slow ones.
    fn is_slow(&mut self) {
        if let Ok(permit) = Arc::clone(&self.slow).try_acquire_owned() {
            self.permit = permit;
        }
    }
}

/// Does one item and keeps it ours meanwhile.
async fn run<W: Work>(work: &W, item: W::Item, mut slot: Slot) -> Result<(), Error> {
    let mut done = std::pin::pin!(work.run(item.clone()));
    tokio::select! {
        outcome = &mut done => return outcome,
        () = tokio::time::sleep(SLOW) => slot.is_slow(),
    }
    loop {
        tokio::select! {
            outcome = &mut done => return outcome,
            () = tokio::time::sleep(LEASE / 3) => {}
        }
        if let Err(error) = work.extend(&item).await {
            // What happens to the item is guarded by its epoch in any case.
            tracing::warn!(work = work.name(), "lease not extended: {error}");
        }
    }
}

/// Starts what there is; answers how long to sleep if nobody rings.
async fn round<W: Work>(work: &W, shutdown: &Shutdown, slots: &Slots) -> Result<Duration, Error> {
    loop {
        // Only take what can run now: an item in a queue of ours would let its lease run out.
        let Ok(first) = Arc::clone(&slots.quick).acquire_owned().await else {
            return Ok(Duration::MAX);
        };
        // Where there is always more to do, no round would ever end.
        if shutdown.is_begun() {
            return Ok(Duration::ZERO);
        }
        let mut permits = vec![first];
        while let Ok(more) = Arc::clone(&slots.quick).try_acquire_owned() {
            permits.push(more);
        }
        let most = permits.len();
        let items = work.take(i64::try_from(most).unwrap_or(i64::MAX)).await?;
        let found = items.len();
        for (item, permit) in items.into_iter().zip(permits) {
            let work = work.clone();
            let slow = Arc::clone(&slots.slow);
            shutdown.spawn(async move {
                if let Err(error) = run(&work, item, Slot { permit, slow }).await {
                    tracing::warn!(work = work.name(), "{error}");
                }
            });
        }
        // Somebody who rang meanwhile has more, and it need not be asked when that is due.
        if found < most && work.bell().notified().now_or_never().is_none() {
            break;
        }
    }
    let seconds = work
        .next_due()
        .await?
        .unwrap_or(f64::MAX)
        .clamp(0.0, 3600.0);
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Always more than can be done.
    #[derive(Clone, Default)]
    struct Endless {
        bell: Arc<Notify>,
        done: Arc<AtomicUsize>,
    }

    impl Work for Endless {
        type Item = ();

        fn name(&self) -> &'static str {
            "endless"
        }

        fn bell(&self) -> &Notify {
            &self.bell
        }

        async fn take(&self, most: i64) -> Result<Vec<()>, Error> {
            Ok((0..most).map(|_| ()).collect())
        }

        async fn next_due(&self) -> Result<Option<f64>, Error> {
            Ok(None)
        }

        async fn extend(&self, (): &()) -> Result<(), Error> {
            Ok(())
        }

        async fn run(&self, (): ()) -> Result<(), Error> {
            tokio::task::yield_now().await;
            self.done.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_node_that_is_never_idle_ends_when_it_shall() {
        let (endless, shutdown) = (Endless::default(), Shutdown::new());
        let working = tokio::spawn(work(endless.clone(), shutdown.clone(), 2, Pace::default()));
        while endless.done.load(Ordering::Relaxed) < 100 {
            tokio::task::yield_now().await;
        }
        shutdown.begin();
        let ended = tokio::time::timeout(Duration::from_secs(10), working).await;
        ended.expect("it ends").expect("it does not panic");
    }

    /// Two items; the first ends when the second has run.
    #[derive(Clone, Default)]
    struct Stuck {
        bell: Arc<Notify>,
        taken: Arc<AtomicUsize>,
        freed: Arc<Notify>,
        over: Arc<Notify>,
    }

    impl Work for Stuck {
        type Item = usize;

        fn name(&self) -> &'static str {
            "stuck"
        }

        fn bell(&self) -> &Notify {
            &self.bell
        }

        async fn take(&self, _: i64) -> Result<Vec<usize>, Error> {
            let next = self.taken.fetch_add(1, Ordering::Relaxed);
            Ok((next < 2).then_some(next).into_iter().collect())
        }

        async fn next_due(&self) -> Result<Option<f64>, Error> {
            Ok(None)
        }

        async fn extend(&self, _: &usize) -> Result<(), Error> {
            Ok(())
        }

        async fn run(&self, item: usize) -> Result<(), Error> {
            if item == 0 {
                self.freed.notified().await;
                self.over.notify_one();
            } else {
                self.freed.notify_one();
            }
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_takes_long_does_not_hold_up_the_rest() {
        let (stuck, shutdown) = (Stuck::default(), Shutdown::new());
        let pace = Pace {
            idle: Duration::from_millis(10),
            ..Pace::default()
        };
        let working = tokio::spawn(work(stuck.clone(), shutdown.clone(), 1, pace));
        let over = tokio::time::timeout(Duration::from_secs(30), stuck.over.notified()).await;
        over.expect("the second item has run");
        shutdown.begin();
        working.await.expect("it does not panic");
    }
}
