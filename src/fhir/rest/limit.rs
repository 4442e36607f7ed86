//! What one client certificate may take: requests a second, requests at a time, connections. Whoever
//! takes more waits or is told 429, and nobody else feels it. The own organisation's certificate is
//! not limited: its engine is what all the others wait for.
//!
//! The count of a connection's certificate stays with the connection, so a request costs an atomic
//! or two.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::fhir::fault::Fault;
use crate::fhir::settings::Limits as Settings;

const SECOND: u64 = 1_000_000_000;
/// Seconds for which the rate may be used up in advance.
const BURST: u64 = 2;
/// How long a request waits for its turn among those of its own certificate.
const PATIENCE: Duration = Duration::from_secs(10);
/// Certificates without a connection are forgotten after this time, when there are this many.
const FORGET: Duration = Duration::from_secs(60);
const MANY: usize = 1024;

/// The counts of all certificates.
pub struct Limits {
    settings: Settings,
    began: Instant,
    clients: Mutex<HashMap<String, Arc<Client>>>,
}

/// The count of one certificate.
pub struct Client {
    /// When the requests so far would have come, had they come at the rate: nanoseconds.
    arrival: AtomicU64,
    turns: Semaphore,
    connections: AtomicU32,
    used: AtomicU64,
    told: AtomicU64,
}

/// What there is too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMuch {
    Connections,
    /// In a second.
    Requests,
    /// Requests at the same time.
    AtWork,
}

/// One connection of a certificate, until it is dropped with the connection.
pub struct Seat {
    client: Arc<Client>,
    is_excess: bool,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.client.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Seat {
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// One connection too many.
    pub fn is_excess(&self) -> bool {
        self.is_excess
    }
}

impl Limits {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            began: Instant::now(),
            clients: Mutex::default(),
        }
    }

    /// The count of a certificate.
    pub fn client(&self, thumbprint: &str) -> Arc<Client> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(thumbprint) {
            return Arc::clone(client);
        }
        let now = self.now();
        if clients.len() >= MANY {
            let old = now.saturating_sub(nanoseconds(FORGET));
            let is_used = |client: &Arc<Client>| {
                Arc::strong_count(client) > 1 || client.used.load(Ordering::Relaxed) > old
            };
            clients.retain(|_, client| is_used(client));
        }
        let client = Arc::new(Client {
            arrival: AtomicU64::new(0),
            turns: Semaphore::new(usize::try_from(self.settings.parallel).unwrap_or(1)),
            connections: AtomicU32::new(0),
            used: AtomicU64::new(now),
            told: AtomicU64::new(0),
        });
        clients.insert(thumbprint.to_owned(), Arc::clone(&client));
        client
    }

    /// Counts a new connection.
    pub fn seat(&self, thumbprint: &str) -> Seat {
        let client = self.client(thumbprint);
        let before = client.connections.fetch_add(1, Ordering::Relaxed);
        Seat {
            client,
            is_excess: before >= self.settings.connections,
        }
    }

    /// Lets a request go on at its rate and in its turn, which lasts as long as the permit.
    pub fn enter<'a>(
        &self,
        client: &'a Client,
        is_excess: bool,
    ) -> Result<SemaphorePermit<'a>, TooMuch> {
        if is_excess {
            return Err(TooMuch::Connections);
        }
        self.count(client)?;
        client.turns.try_acquire().map_err(|_| TooMuch::AtWork)
    }

    /// Waits for a turn, if that is all that was wrong.
    pub async fn wait<'a>(
        &self,
        client: &'a Client,
        what: TooMuch,
    ) -> Result<SemaphorePermit<'a>, Fault> {
        if what == TooMuch::AtWork
            && let Ok(Ok(turn)) = tokio::time::timeout(PATIENCE, client.turns.acquire()).await
        {
            return Ok(turn);
        }
        Err(self.refused(client, what))
    }

    /// Counts a request, unless it comes too early.
    fn count(&self, client: &Client) -> Result<(), TooMuch> {
        let now = self.now();
        client.used.store(now, Ordering::Relaxed);
        let step = SECOND / u64::from(self.settings.rate.max(1));
        let latest = now + BURST * SECOND;
        let next = |arrival: u64| Some(arrival.max(now) + step).filter(|next| *next <= latest);
        let counted = client
            .arrival
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        counted.map(|_| ()).map_err(|_| TooMuch::Requests)
    }

    /// The answer; the log is told once a second.
    fn refused(&self, client: &Client, what: TooMuch) -> Fault {
        let now = self.now();
        let told = client.told.load(Ordering::Relaxed);
        if told == 0 || now.saturating_sub(told) > SECOND {
            client.told.store(now.max(1), Ordering::Relaxed);
            tracing::warn!(?what, "a certificate is slowed down");
        }
        Fault::too_many_requests()
    }

    fn now(&self) -> u64 {
        nanoseconds(self.began.elapsed())
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits::new(Settings {
            rate: 5,
            connections: 2,
            parallel: 1,
        })
    }

    #[tokio::test]
    async fn what_is_too_much_for_one_certificate_is_not_for_another() {
        let limits = limits();
        let (greedy, modest) = (limits.client("greedy"), limits.client("modest"));
        let mut admitted = 0;
        for _ in 0..100 {
            admitted += usize::from(limits.enter(&greedy, false).is_ok());
        }
        // The rate for the time of a burst; the test itself takes less than a second.
        assert!((10..=15).contains(&admitted), "{admitted}");
        let what = limits.enter(&greedy, false).err().unwrap();
        assert_eq!(what, TooMuch::Requests);
        let fault = limits.wait(&greedy, what).await.err().unwrap();
        assert_eq!(fault.status(), 429);
        assert!(
            fault
                .headers()
                .iter()
                .any(|(name, _)| *name == "Retry-After")
        );
        assert!(limits.enter(&modest, false).is_ok());
    }

    #[tokio::test]
    async fn requests_of_one_certificate_wait_for_each_other() {
        let limits = limits();
        let client = limits.client("one");
        let first = limits.enter(&client, false).unwrap();
        assert_eq!(limits.enter(&client, false).err(), Some(TooMuch::AtWork));
        let second = limits.wait(&client, TooMuch::AtWork);
        tokio::pin!(second);
        let early = tokio::time::timeout(Duration::from_millis(20), &mut second).await;
        assert!(early.is_err(), "it waits");
        let other = limits.client("other");
        assert!(limits.enter(&other, false).is_ok(), "others do not");
        drop(first);
        assert!(second.await.is_ok());
    }

    #[test]
    fn a_connection_counts_until_it_is_dropped() {
        let limits = limits();
        let seats = [limits.seat("one"), limits.seat("one")];
        assert!(seats.iter().all(|seat| !seat.is_excess()));
        assert!(limits.seat("one").is_excess());
        assert!(!limits.seat("other").is_excess());
        drop(seats);
        assert!(!limits.seat("one").is_excess());
    }
}
