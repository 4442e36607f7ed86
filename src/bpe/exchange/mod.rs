//! What the BPE exchanges with FHIR servers: Tasks in, messages and answers out.
//!
//! The connectors keep sockets to the own server and read what was missed; the inbox claims each
//! Task there and hands it to an instance; the outbox delivers what steps have stored; the forms of
//! user tasks are created, and their answers taken in; the reconciler answers Tasks that no instance holds. Nothing is only in memory: whatever is lost
//! is found again on the server or in the database (spec/bpe.md §14.1).

mod connector;
mod forms;
mod inbox;
mod outbox;
mod process;
mod questionnaire;
mod reconcile;
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::bpe::runtime::{Controls, Jobs, Pace, Runtime, StartTimers, work};
use crate::kernel::Health;

pub use connector::{Channel, Connection, Connector};
pub use process::process_of;
pub use server::{Answer, Server, Trouble};

/// Starts everything that moves Tasks, until the runtime's shutdown.
pub fn start(runtime: &Runtime, server: &Arc<Server>, organization: &str, health: &Health) {
    let shutdown = runtime.shutdown();
    let threads = runtime.settings().threads;
    let inbox = inbox::Inbox {
        runtime: runtime.clone(),
        server: Arc::clone(server),
    };
    let outbox = outbox::Outbox {
        runtime: runtime.clone(),
        server: Arc::clone(server),
    };
    shutdown.spawn(work(inbox, shutdown.clone(), threads, Pace::default()));
    // Deliveries wait for other people's servers: they must not wait for each other.
    shutdown.spawn(work(
        outbox,
        shutdown.clone(),
        threads.max(1) * 8,
        Pace::default(),
    ));
    shutdown.spawn(work(
        Jobs(runtime.clone()),
        shutdown.clone(),
        threads,
        Pace::default(),
    ));
    shutdown.spawn(work(
        StartTimers(runtime.clone()),
        shutdown.clone(),
        threads,
        Pace::default(),
    ));
    // People wait for these.
    let soon = Pace {
        idle: std::time::Duration::from_millis(500),
        ..Pace::default()
    };
    shutdown.spawn(work(
        Controls(runtime.clone()),
        shutdown.clone(),
        threads,
        soon,
    ));
    let forms = forms::Forms {
        runtime: runtime.clone(),
        server: Arc::clone(server),
        organization: organization.into(),
    };
    shutdown.spawn(work(forms, shutdown.clone(), threads, Pace::default()));
    for channel in [Channel::Tasks, Channel::Forms] {
        let connector = Connector::new(runtime.clone(), Arc::clone(server), channel);
        let connection = connector.connection();
        health.register(channel.name(), move || {
            let connection = connection.clone();
            async move { connection.trouble() }
        });
        shutdown.spawn(connector.run());
    }
    shutdown.spawn(reconcile::run(runtime.clone(), Arc::clone(server)));
}
