//! The composition root: the only place where the parts of a process meet.
//!
//! Logging first, then the status listener, then the roles; at the end everything in the
//! opposite order. No global state: whatever a part needs is handed to it here.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;

#[cfg(feature = "fhir")]
use crate::config::watch;
use crate::config::{Config, Needs, Sources};
use crate::kernel::{Alarm, Clock, Health, Shutdown, telemetry};
use crate::net::http;
use crate::store::{self, Database, Schema, Store};

/// How long accepted requests and running jobs may take to finish after the end has begun.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a process may be; one may be both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// The mailbox that partners reach.
    #[cfg(feature = "fhir")]
    Fhir,
    /// The engine that runs the processes.
    #[cfg(feature = "bpe")]
    Bpe,
}

impl Role {
    /// The roles this program was built with.
    #[must_use]
    pub fn all() -> Vec<Self> {
        <Self as clap::ValueEnum>::value_variants().to_vec()
    }

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// The tables that belong to a role.
#[must_use]
pub fn schema(role: Role) -> Schema {
    if role.name() == Schema::Fhir.name() {
        Schema::Fhir
    } else {
        Schema::Bpe
    }
}

/// What the configuration must hold for these roles.
#[must_use]
pub fn needs(roles: &[Role]) -> Needs {
    let named = |name: &str| roles.iter().any(|role| role.name() == name);
    Needs {
        fhir: named("fhir"),
        bpe: named("bpe"),
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot start logging: {0}")]
    Telemetry(#[from] telemetry::Error),
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] std::io::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("this program was built without the {0} role")]
    NotBuiltIn(&'static str),
    #[error(transparent)]
    Client(#[from] http::Error),
    #[cfg(feature = "bpe")]
    #[error(transparent)]
    Bpe(#[from] crate::bpe::role::Error),
    #[cfg(feature = "fhir")]
    #[error(transparent)]
    Fhir(#[from] crate::fhir::Error),
    #[error(
        "cannot listen on {address} for health checks ({key}): {source}; \
         choose another address with {key} or stop the process that has it"
    )]
    StatusListener {
        address: SocketAddr,
        key: &'static str,
        source: std::io::Error,
    },
}

/// Runs the given roles until a signal asks for the end, and ends them in order.
///
/// # Errors
/// When a part cannot start; what has started by then is ended again.
pub async fn serve(sources: Sources, config: Config, roles: &[Role]) -> Result<(), Error> {
    let alarm = telemetry::init(&config.telemetry())?;
    for warning in config.roles.warnings() {
        tracing::warn!("{warning}");
    }
    let shutdown = Shutdown::new();
    shutdown.on_signals().map_err(Error::Signals)?;
    let database = Database::open(&config.store()).await?;
    let process = Process {
        alarm,
        shutdown: shutdown.clone(),
    };
    let started = start(&sources, &config, roles, &database, &process).await;
    if started.is_ok() {
        shutdown.begun().await;
    }
    if let Err(unfinished) = shutdown.drain(PATIENCE).await {
        tracing::warn!(%unfinished, "ended with work left");
    }
    database.close().await;
    tracing::info!("ended");
    started
}

/// What all parts of a process share.
struct Process {
    #[cfg_attr(
        not(feature = "bpe"),
        expect(dead_code, reason = "engines write mails about errors")
    )]
    alarm: Alarm,
    shutdown: Shutdown,
}

async fn start(
    sources: &Sources,
    config: &Config,
    roles: &[Role],
    database: &Database,
    process: &Process,
) -> Result<(), Error> {
    let shutdown = &process.shutdown;
    let health = Health::new();
    for role in roles {
        let store = database.store(schema(*role)).await?;
        watch_database(*role, &store, &health);
        if schema(*role) == Schema::Fhir {
            start_fhir(sources, config, store, shutdown).await?;
        } else {
            start_bpe(config, store, &health, process)?;
        }
    }
    start_status(config, roles, &health, shutdown).await?;
    let names: Vec<_> = roles.iter().map(|role| role.name()).collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        organization = config.organization.identifier,
        roles = names.join(", "),
        "started"
    );
    Ok(())
}

#[cfg(feature = "fhir")]
async fn start_fhir(
    sources: &Sources,
    config: &Config,
    store: Store,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let Some(settings) = config.mailbox() else {
        return Ok(());
    };
    let client = config
        .client
        .as_ref()
        .map(crate::config::keys::Client::http)
        .unwrap_or_default();
    let client = http::Client::new(&client)?;
    let roles = config.roles.clone();
    let running =
        crate::fhir::start(settings, roles, store, client, Clock::system(), shutdown).await?;
    let (sources, config, begun) = (sources.clone(), config.clone(), shutdown.clone());
    shutdown.spawn(async move {
        let changed = |roles| running.service.set_roles(roles);
        tokio::select! {
            () = watch::roles(&sources, &config, changed) => {}
            () = begun.begun() => {}
        }
    });
    Ok(())
}

#[cfg(feature = "bpe")]
fn start_bpe(
    config: &Config,
    store: Store,
    health: &Health,
    process: &Process,
) -> Result<(), Error> {
    let Some(settings) = config.engine() else {
        return Ok(());
    };
    let surroundings = crate::bpe::role::Surroundings {
        validator: crate::command::validate::judging(),
        judge: std::sync::Arc::new(crate::command::plugin::judged),
        health: health.clone(),
        alarm: process.alarm.clone(),
        clock: Clock::system(),
    };
    crate::bpe::role::start(settings, surroundings, store, &process.shutdown)?;
    Ok(())
}

#[cfg(not(feature = "fhir"))]
async fn start_fhir(_: &Sources, _: &Config, _: Store, _: &Shutdown) -> Result<(), Error> {
    Err(Error::NotBuiltIn("fhir"))
}

#[cfg(not(feature = "bpe"))]
fn start_bpe(_: &Config, _: Store, _: &Health, _: &Process) -> Result<(), Error> {
    Err(Error::NotBuiltIn("bpe"))
}

/// A role is well as long as it gets a connection.
fn watch_database(role: Role, store: &Store, health: &Health) {
    let store = store.clone();
    health.register(format!("{} database", role.name()), move || {
        let store = store.clone();
        async move {
            let connected = store.read(async |_| Ok::<(), store::Error>(())).await;
            connected.map_err(|error| error.to_string())
        }
    });
}

async fn start_status(
    config: &Config,
    roles: &[Role],
    health: &Health,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    for (key, address) in status_addresses(config, roles) {
        let listener =
            TcpListener::bind(address)
                .await
                .map_err(|source| Error::StatusListener {
                    address,
                    key,
                    source,
                })?;
        shutdown.spawn(health.clone().serve(listener, shutdown.clone()));
    }
    Ok(())
}

/// Where a process with these roles answers health checks, each address once, and the keys that
/// say so. The BPE role may have its own, because it may share host and file with a FHIR process.
#[must_use]
pub fn status_addresses(config: &Config, roles: &[Role]) -> Vec<(&'static str, SocketAddr)> {
    let needs = needs(roles);
    let common = ("status.listen", config.status.listen);
    let of_bpe = config
        .bpe
        .status_listen
        .map(|address| ("bpe.status-listen", address));
    let fhir = needs.fhir.then_some(common);
    let bpe = needs.bpe.then_some(of_bpe.unwrap_or(common));
    let mut addresses: Vec<_> = fhir.into_iter().chain(bpe).collect();
    addresses.dedup_by_key(|(_, address)| *address);
    addresses
}
