//! The plugins of a running node: deployed at the start, and again whenever their folder changes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Error, Settings};
use crate::bpe::exchange::Server;
use crate::bpe::plugin::deploy::{Kept, State, Wish};
use crate::bpe::plugin::folder::{Folder, Judge};
use crate::bpe::plugin::installed::Installed;
use crate::bpe::plugin::package::{Found, Package, Refused, Site, Substitutes};
use crate::bpe::plugin::runner::Limits;
use crate::bpe::plugin::service::Services;
use crate::bpe::plugin::{Host, Plugins, ProcessId, deploy};
use crate::kernel::{Clock, Shutdown};
use crate::store::Store;

/// Between two looks at the folder: an idle node does nothing more often than once a second.
const LOOK: Duration = Duration::from_secs(1);
/// The same while somebody writes in it: a change counts once it has come to rest.
const WATCH: Duration = Duration::from_millis(100);
/// When to ask the own FHIR server again for what it has refused, or could not answer.
const AGAIN: Duration = Duration::from_secs(30);

/// What an installation works with.
pub(super) struct With {
    pub server: Arc<Server>,
    pub services: Arc<Services>,
    pub judge: Arc<Judge>,
    pub limits: Limits,
    pub clock: Clock,
}

/// The plugins of a node.
pub(super) struct Installation {
    organization: String,
    with: With,
    deploy: deploy::Settings,
    folder: Folder,
    /// What is to be in force.
    found: Found,
    /// The own FHIR server did not take all of it.
    unsettled: bool,
    /// What came of the last deployment.
    in_force: Vec<(ProcessId, State)>,
    /// What the code of packages was told of it.
    announced: Vec<(ProcessId, State)>,
    installed: Arc<Installed>,
}

impl Installation {
    /// Reads all plugins; what is wrong with one is told in full and harms no other.
    pub(super) fn open(settings: &Settings, with: With) -> Result<Self, Error> {
        let path = settings.plugin_dir.as_deref();
        let site = site(&settings.organization, &with.server);
        let mut folder =
            Folder::open(path, &site, &*with.judge).map_err(|source| Error::PluginFolder {
                path: settings.plugin_dir.clone().unwrap_or_default(),
                source,
            })?;
        let found = folder.found();
        tell(&found);
        let plugins = plugins(&found.packages, &with, &settings.organization);
        Ok(Self {
            organization: settings.organization.clone(),
            deploy: settings.deploy.clone(),
            with,
            folder,
            found,
            unsettled: false,
            in_force: Vec::new(),
            announced: Vec::new(),
            installed: Arc::new(Installed::new(plugins)),
        })
    }

    pub(super) fn host(&self) -> Arc<dyn Host> {
        Arc::clone(&self.installed) as Arc<dyn Host>
    }

    /// Brings what was found into force; packages that the own FHIR server refuses are left as
    /// they were, and told.
    pub(super) async fn deploy(
        &mut self,
        store: &Store,
        kept: Kept,
    ) -> Result<Vec<Refused>, deploy::Error> {
        let local = self.with.server.as_ref();
        let wish = Wish {
            found: &self.found,
            settings: &self.deploy,
            kept,
        };
        let report = deploy::deploy(local, store, wish).await?;
        for refused in &report.refused {
            complain(refused);
        }
        for file in &report.changed {
            tracing::warn!(
                file,
                "differs from what the server has under this version; raise the version, or make \
                 the package a draft"
            );
        }
        let processes: Vec<String> = report
            .processes
            .iter()
            .map(|(id, state)| format!("{id} {}", state.name()))
            .collect();
        tracing::info!("processes: {}", processes.join(", "));
        self.unsettled = !report.refused.is_empty();
        self.in_force = report.processes;
        Ok(report.refused)
    }

    /// Tells the code of each package which of its processes are in force. Nobody waits for it: code
    /// that takes its time holds up no Task and no other package.
    pub(super) fn announce(&mut self, shutdown: &Shutdown) {
        for package in &self.found.packages {
            let states = package.processes.iter().filter_map(|process| {
                let mut all = self.in_force.iter();
                all.find(|(id, _)| *id == process.id)
            });
            let states: Vec<_> = states.collect();
            let Some((one, _)) = states.first() else {
                continue;
            };
            let runs = states.iter().filter(|(_, state)| state.runs());
            let keys: Vec<String> = runs.map(|(id, _)| id.key.clone()).collect();
            let (one, plugins) = (one.clone(), self.installed.current());
            let (plugin, begun) = (package.manifest.name.clone(), shutdown.clone());
            shutdown.spawn(async move {
                let told = tokio::select! {
                    told = plugins.deployed(&one, &keys) => told,
                    () = begun.begun() => Ok(()),
                };
                if let Err(why) = told {
                    tracing::error!(plugin, "onProcessesDeployed failed: {why}");
                }
            });
        }
        self.announced = self.in_force.clone();
    }

    /// Follows the folder until the shutdown.
    pub(super) async fn follow(mut self, store: &Store, shutdown: &Shutdown) {
        let mut retry = self.retry();
        loop {
            let pause = if self.folder.is_moving() { WATCH } else { LOOK };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.begun() => return,
            }
            let due = retry.is_some_and(|at| at <= Instant::now());
            if due {
                let site = site(&self.organization, &self.with.server);
                self.folder.again(&site, &*self.with.judge);
            }
            let changed = self.look().await;
            if changed || due {
                let kept = if due { Kept::Checked } else { Kept::Trusted };
                self.change(store, kept).await;
                retry = self.retry();
                // Asking the server again has often led to nothing new.
                if changed || self.in_force != self.announced {
                    self.announce(shutdown);
                }
            }
        }
    }

    /// When to deploy again although the folder has not changed.
    fn retry(&self) -> Option<Instant> {
        self.unsettled.then(|| Instant::now() + AGAIN)
    }

    /// Looks at the folder, off the threads that serve others. Whether anything has changed.
    async fn look(&mut self) -> bool {
        let mut folder = std::mem::take(&mut self.folder);
        let organization = self.organization.clone();
        let (server, judge) = (Arc::clone(&self.with.server), Arc::clone(&self.with.judge));
        let looked = tokio::task::spawn_blocking(move || {
            let site = site(&organization, &server);
            let changed = folder.look(&site, &*judge);
            (folder, changed)
        })
        .await;
        match looked {
            Ok((folder, changed)) => {
                self.folder = folder;
                changed.unwrap_or_else(|error| {
                    tracing::debug!(%error, "the plugin folder cannot be listed");
                    false
                })
            }
            Err(error) => {
                // The node goes on with what is in force; only changes are not seen any more.
                tracing::error!(%error, "looking at the plugin folder failed");
                false
            }
        }
    }

    /// Puts in force what the folder holds now.
    async fn change(&mut self, store: &Store, kept: Kept) {
        let found = self.folder.found();
        tell(&found);
        let before = std::mem::replace(&mut self.found, found);
        // Code of new processes must be there before their first instance, and that of old ones
        // must not change before their model does.
        let both: Vec<Package> = [&self.found.packages[..], &before.packages[..]].concat();
        self.install(&both);
        match self.deploy(store, kept).await {
            Ok(refused) if refused.is_empty() => {}
            Ok(refused) => {
                self.folder.refuse(&before, &refused);
                self.found = self.folder.found();
            }
            Err(error) => {
                tracing::warn!("changed plugins are not deployed yet: {error}");
                self.found = before;
                self.unsettled = true;
                return;
            }
        }
        self.install(&self.found.packages);
    }

    fn install(&self, packages: &[Package]) {
        let plugins = plugins(packages, &self.with, &self.organization);
        self.installed.replace(plugins);
    }
}

fn site<'a>(organization: &'a str, server: &'a Server) -> Site<'a> {
    Site {
        substitutes: Substitutes::of_process(organization),
        base_url: server.base(),
    }
}

fn plugins(packages: &[Package], with: &With, organization: &str) -> Plugins {
    let services = Arc::clone(&with.services);
    Plugins::new(
        packages,
        services,
        organization,
        with.clock.clone(),
        with.limits,
    )
}

/// Says what is wrong or odd with the plugins that were found.
fn tell(found: &Found) {
    for refused in &found.refused {
        complain(refused);
    }
    for package in &found.packages {
        for warning in &package.warnings {
            tracing::warn!(plugin = package.origin, "{warning}");
        }
    }
}

fn complain(refused: &Refused) {
    for problem in &refused.problems {
        tracing::error!(plugin = refused.origin, "plugin refused: {problem}");
    }
}
