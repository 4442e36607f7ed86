//! Hears what other nodes, and this one, changed: PostgreSQL's NOTIFY on one connection of its own.
//!
//! A notification is a hint, the table is the truth: hints are lost while the connection is down
//! and when a listener is slow. Both are told as [`Signal::Reread`], which is also the first signal
//! of every listener, so that whoever obeys it misses nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast};

use diesel::sql_query;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tokio::task::JoinHandle;

use super::connect::Connector;
use super::{Error, Store};

/// How many hints a listener may lag behind.
const BACKLOG: usize = 1024;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What a listener hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Something changed; the payload of the NOTIFY.
    Hint(Arc<str>),
    /// Hints may have been lost: look into the table.
    Reread,
    /// The hub is gone; nothing more will come.
    Closed,
}

/// One listening connection for any number of listeners. Dropping it ends them.
pub struct Hub {
    channels: Arc<Channels>,
    task: JoinHandle<()>,
}

/// A subscription to one channel.
pub struct Listener {
    receiver: broadcast::Receiver<Signal>,
    begun: bool,
}

#[derive(Default)]
struct Channels {
    senders: Mutex<HashMap<&'static str, broadcast::Sender<Signal>>>,
    added: Notify,
}

impl Hub {
    /// Connects in the background, again and again if need be.
    #[must_use]
    pub fn start(store: &Store) -> Self {
        let channels = Arc::new(Channels::default());
        let task = tokio::spawn(run(store.connector().clone(), Arc::clone(&channels)));
        Self { channels, task }
    }

    /// Subscribes to a channel of NOTIFY.
    #[must_use]
    pub fn listen(&self, channel: &'static str) -> Listener {
        let receiver = self.channels.subscribe(channel);
        self.channels.added.notify_one();
        Listener {
            receiver,
            begun: false,
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.task.abort();
        self.channels.lock().clear();
    }
}

impl Listener {
    /// The next signal; waits for it. Safe to drop and call again.
    pub async fn next(&mut self) -> Signal {
        if !self.begun {
            self.begun = true;
            return Signal::Reread;
        }
        match self.receiver.recv().await {
            Ok(signal) => signal,
            Err(RecvError::Lagged(_)) => Signal::Reread,
            Err(RecvError::Closed) => Signal::Closed,
        }
    }
}

impl Channels {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<&'static str, broadcast::Sender<Signal>>> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subscribe(&self, channel: &'static str) -> broadcast::Receiver<Signal> {
        let mut senders = self.lock();
        senders
            .entry(channel)
            .or_insert_with(|| broadcast::channel(BACKLOG).0)
            .subscribe()
    }

    fn names(&self) -> Vec<&'static str> {
        self.lock().keys().copied().collect()
    }

    fn tell(&self, channel: &str, signal: Signal) {
        if let Some(sender) = self.lock().get(channel) {
            // Nobody listening at the moment is fine.
            let _ = sender.send(signal);
        }
    }
}

async fn run(connector: Connector, channels: Arc<Channels>) {
    let mut pause = FIRST_PAUSE;
    loop {
        match connector.connect().await {
            Ok(mut conn) => {
                pause = FIRST_PAUSE;
                if let Err(error) = relay(&mut conn, &channels).await {
                    tracing::warn!(%error, "the listening connection to the database broke");
                }
            }
            Err(error) => tracing::warn!(%error, "cannot listen to the database"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Passes hints on until the connection ends.
async fn relay(conn: &mut AsyncPgConnection, channels: &Channels) -> Result<(), Error> {
    let mut known = Vec::new();
    loop {
        for channel in channels.names() {
            if !known.contains(&channel) {
                sql_query(format!("LISTEN \"{channel}\""))
                    .execute(conn)
                    .await?;
                known.push(channel);
                // From here on nothing is lost; what happened before stands in the table.
                channels.tell(channel, Signal::Reread);
            }
        }
        let mut notifications = std::pin::pin!(conn.notifications_stream());
        tokio::select! {
            () = channels.added.notified() => {}
            hint = notifications.next() => match hint {
                Some(Ok(hint)) => {
                    channels.tell(&hint.channel, Signal::Hint(hint.payload.into()));
                }
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Error::Unreachable("closed by the server".to_owned())),
            }
        }
    }
}
