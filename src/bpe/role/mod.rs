//! The BPE role as a whole: who we are, which processes there are, then the Tasks.
//!
//! The own FHIR server may start later than we do, also in the same process: everything that
//! needs it is repeated until it answers, and the health check says what it waits for.

pub mod notice;
mod plugins;
mod progress;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::bpe::exchange::{self, Server};
use crate::bpe::plugin::deploy::{self, Kept};
use crate::bpe::plugin::folder::Judge;
use crate::bpe::plugin::own;
use crate::bpe::plugin::runner::Limits;
use crate::bpe::plugin::service::{Connections, Outfit, Services, Validator};
use crate::bpe::runtime::{self, Runtime};
use crate::kernel::{Alarm, Backoff, Clock, Health, Random, Shutdown};
use crate::net::http;
use crate::net::mail::{self, Mailer};
use crate::store::Store;

use plugins::{Installation, With};
use progress::Progress;

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
    pub notice: notice::Settings,
    /// What one call of plugin code may use up.
    pub limits: Limits,
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

/// What the rest of the process does for the role.
pub struct Surroundings {
    /// Judges resources for plugin code.
    pub validator: Option<Arc<Validator>>,
    /// Judges the resources of plugins before they are deployed.
    pub judge: Arc<Judge>,
    pub health: Health,
    /// Where errors of the log can be heard.
    pub alarm: Alarm,
    pub clock: Clock,
}

/// Starts the role; returns as soon as its settings are known to be usable. The rest happens on
/// tasks of `shutdown`.
///
/// # Errors
/// When the client certificate or the plugin folder cannot be used.
pub fn start(
    settings: Settings,
    surroundings: Surroundings,
    store: Store,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let Surroundings {
        validator,
        judge,
        health,
        alarm,
        clock,
    } = surroundings;
    let client = http::Client::new(&settings.client)?;
    let server = Arc::new(Server::new(client.clone(), &settings.fhir_base_url));
    let mailer = Arc::new(Mailer::new(settings.mail.clone())?);
    let writer = notice::Writer {
        mailer: Arc::clone(&mailer),
        organization: settings.organization.clone(),
    };
    writer.start(&settings.notice, &alarm, shutdown);
    let services = services(&settings, client, &server, (validator, mailer));
    let services = Arc::new(services);
    let with = With {
        server: Arc::clone(&server),
        services: Arc::clone(&services),
        judge,
        limits: settings.limits,
        clock: clock.clone(),
    };
    let installation = Installation::open(&settings, with)?;
    let runtime = Runtime::new(
        store,
        installation.host(),
        clock,
        shutdown.clone(),
        settings.runtime.clone(),
    );
    let starting = Starting {
        settings,
        installation,
        server,
        runtime,
        health,
    };
    let progress = Progress::register(&starting.health);
    shutdown.spawn(starting.run(progress));
    shutdown.spawn(async move { services.test_connections().await });
    Ok(())
}

/// What plugin code gets of this node.
fn services(
    settings: &Settings,
    client: http::Client,
    server: &Arc<Server>,
    (validator, mailer): (Option<Arc<Validator>>, Arc<Mailer>),
) -> Services {
    let proxy = settings.client.proxy.as_ref();
    let (connections, problems) = match &settings.fhir_connections {
        Some(path) => Connections::read(path, proxy),
        None => (Connections::default(), Vec::new()),
    };
    for problem in problems {
        tracing::error!("a connection is not used: {problem}");
    }
    Services::new(Outfit {
        client,
        own: settings.client.clone(),
        outward: http::Settings {
            identity: None,
            ..settings.client.clone()
        },
        local: server.clone(),
        connections,
        mailer,
        validator,
    })
}

/// The work of a start.
struct Starting {
    settings: Settings,
    installation: Installation,
    server: Arc<Server>,
    runtime: Runtime,
    health: Health,
}

impl Starting {
    /// Deploys, then begins to exchange Tasks; repeats what fails until the shutdown.
    async fn run(mut self, progress: Progress) {
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
        self.installation.announce(&shutdown);
        self.installation
            .follow(self.runtime.store(), &shutdown)
            .await;
    }

    async fn deploy(&mut self) -> Result<(), Error> {
        let own = own::own(self.server.as_ref()).await?;
        if own.organization != self.settings.organization {
            return Err(Error::OtherOrganization {
                server: own.organization,
                configured: self.settings.organization.clone(),
            });
        }
        let store = self.runtime.store();
        self.installation.deploy(store, Kept::Checked).await?;
        Ok(())
    }
}
