//! The BPE role as a whole: who we are, which processes there are, then the Tasks.
//!
//! The own FHIR server may start later than we do, also in the same process: everything that
//! needs it is repeated until it answers, and the health check says what it waits for.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::bpe::exchange::{self, Server};
use crate::bpe::plugin::package::{Found, Site, Substitutes, load_all};
use crate::bpe::plugin::service::{Connections, Outfit, Services, Validator};
use crate::bpe::plugin::{Plugins, deploy, own};
use crate::bpe::runtime::{self, Runtime};
use crate::kernel::{Backoff, Clock, Health, Random, Shutdown};
use crate::net::http;
use crate::net::mail::{self, Mailer};
use crate::store::Store;

const BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));

/// What the engine must be told; `config` builds it from the file.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Identifier of the own organisation.
    pub organization: String,
    /// Base address of the own FHIR server.
    pub fhir_base_url: String,
    pub client: http::Settings,
    /// Folder of plugins beside the built-in ones.
    pub plugin_dir: Option<PathBuf>,
    /// YAML file of the FHIR servers that plugins may use by their names.
    pub fhir_connections: Option<PathBuf>,
    pub mail: mail::Settings,
    pub deploy: deploy::Settings,
    pub runtime: runtime::Settings,
}

/// Why the role cannot start, or not yet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Client(#[from] http::Error),
    #[error("[mail] {0}")]
    Mail(#[from] mail::Error),
    #[error("the plugin folder {} cannot be listed: {source}", path.display())]
    PluginFolder {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Own(#[from] own::Error),
    #[error(
        "the own FHIR server belongs to '{server}', but organization.identifier is '{configured}'; \
         correct organization.identifier or bpe.fhir-base-url"
    )]
    OtherOrganization { server: String, configured: String },
    #[error(transparent)]
    Deployment(#[from] deploy::Error),
}

/// Starts the role; returns as soon as its settings are known to be usable. The rest happens on
/// tasks of `shutdown`.
///
/// # Errors
/// When the client certificate or the plugin folder cannot be used.
pub fn start(
    settings: Settings,
    validator: Option<Arc<Validator>>,
    store: Store,
    health: &Health,
    clock: Clock,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let client = http::Client::new(&settings.client)?;
    let server = Arc::new(Server::new(client.clone(), &settings.fhir_base_url));
    let found = packages(&settings, &server)?;
    let services = Arc::new(services(&settings, client, &server, validator)?);
    let plugins = Plugins::new(
        &found.packages,
        Arc::clone(&services),
        &settings.organization,
        clock.clone(),
    );
    let runtime = Runtime::new(
        store,
        Arc::new(plugins),
        clock,
        shutdown.clone(),
        settings.runtime.clone(),
    );
    let starting = Starting {
        settings,
        found,
        server,
        runtime,
        health: health.clone(),
    };
    shutdown.spawn(starting.run(Progress::register(health)));
    shutdown.spawn(async move { services.test_connections().await });
    Ok(())
}

/// What plugin code gets of this node.
fn services(
    settings: &Settings,
    client: http::Client,
    server: &Arc<Server>,
    validator: Option<Arc<Validator>>,
) -> Result<Services, Error> {
    let proxy = settings.client.proxy.as_ref();
    let (connections, problems) = match &settings.fhir_connections {
        Some(path) => Connections::read(path, proxy),
        None => (Connections::default(), Vec::new()),
    };
    for problem in problems {
        tracing::error!("a connection is not used: {problem}");
    }
    Ok(Services::new(Outfit {
        client,
        outward: http::Settings {
            identity: None,
            ..settings.client.clone()
        },
        local: server.clone(),
        connections,
        mailer: Mailer::new(settings.mail.clone())?,
        validator,
    }))
}

/// Reads all plugins; what is wrong with one is told in full and harms no other.
fn packages(settings: &Settings, server: &Server) -> Result<Found, Error> {
    let site = Site {
        substitutes: Substitutes::of_process(&settings.organization),
        base_url: server.base(),
    };
    let folder = settings.plugin_dir.as_deref();
    let found = load_all(folder, &site).map_err(|source| Error::PluginFolder {
        path: settings.plugin_dir.clone().unwrap_or_default(),
        source,
    })?;
    for refused in &found.refused {
        for problem in &refused.problems {
            tracing::error!(plugin = refused.origin, "plugin refused: {problem}");
        }
    }
    for package in &found.packages {
        for warning in &package.warnings {
            tracing::warn!(plugin = package.origin, "{warning}");
        }
    }
    Ok(found)
}

/// What the health check may know of the start.
#[derive(Clone, Default)]
struct Progress(Arc<Mutex<Option<String>>>);

impl Progress {
    fn register(health: &Health) -> Self {
        let progress = Self::default();
        progress.set(Some("has not begun".to_owned()));
        let shared = progress.clone();
        health.register("processes", move || {
            let state = shared
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            async move { state.map_or(Ok(()), Err) }
        });
        progress
    }

    fn set(&self, waits_for: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = waits_for;
    }
}

/// The work of a start.
struct Starting {
    settings: Settings,
    found: Found,
    server: Arc<Server>,
    runtime: Runtime,
    health: Health,
}

impl Starting {
    /// Deploys, then begins to exchange Tasks; repeats what fails until the shutdown.
    async fn run(self, progress: Progress) {
        let shutdown = self.runtime.shutdown().clone();
        let mut failures = 0;
        loop {
            let failed = tokio::select! {
                outcome = self.deploy() => match outcome {
                    Ok(()) => break,
                    Err(error) => error,
                },
                () = shutdown.begun() => return,
            };
            failures += 1;
            // The own FHIR server is usually just starting when the first tries fail.
            if failures > 3 {
                tracing::warn!("processes are not deployed yet: {failed}");
            }
            progress.set(Some(failed.to_string()));
            tokio::select! {
                () = tokio::time::sleep(BACKOFF.delay(failures, &Random::system())) => {}
                () = shutdown.begun() => return,
            }
        }
        exchange::start(
            &self.runtime,
            &self.server,
            &self.settings.organization,
            &self.health,
        );
        progress.set(None);
    }

    async fn deploy(&self) -> Result<(), Error> {
        let own = own::own(self.server.as_ref()).await?;
        if own.organization != self.settings.organization {
            return Err(Error::OtherOrganization {
                server: own.organization,
                configured: self.settings.organization.clone(),
            });
        }
        let report = deploy::deploy(
            self.server.as_ref(),
            self.runtime.store(),
            &self.found,
            &self.settings.deploy,
        )
        .await?;
        for refusal in &report.refusals {
            tracing::error!("{:?} is not deployed: {}", refusal.place, refusal.message);
        }
        let processes: Vec<String> = report
            .processes
            .iter()
            .map(|(id, state)| format!("{id} {}", state.name()))
            .collect();
        tracing::info!("processes: {}", processes.join(", "));
        Ok(())
    }
}
