//! The database server of this process: somebody else's, or a private cluster of ours.

use std::path::Path;

use super::{Cluster, Error, Refusal, Schema, Settings, Store};

/// Where the stores of this process live. Keep it as long as they are used.
pub struct Database {
    settings: Settings,
    cluster: Option<Cluster>,
}

impl Database {
    /// Uses `settings.url`, or starts the private cluster and makes sure its database exists.
    pub async fn open(settings: &Settings) -> Result<Self, Error> {
        let mut settings = settings.clone();
        let mut cluster = None;
        if settings.url.is_none() {
            let private = Cluster::start(&settings.data_dir, settings.bin_dir.as_deref()).await?;
            private.ensure_database(&settings.database).await?;
            settings.url = Some(private.url(&settings.database));
            cluster = Some(private);
        }
        Ok(Self { settings, cluster })
    }

    /// As [`Database::open`], but uses a private cluster that another process runs already. For
    /// commands that work beside a node.
    pub async fn attach(settings: &Settings) -> Result<Self, Error> {
        match Self::open(settings).await {
            Err(Error::Cluster(Refusal::InUse { .. })) => {
                let mut settings = settings.clone();
                let url = Cluster::url_of_running(&settings.data_dir, &settings.database)?;
                settings.url = Some(url);
                Ok(Self {
                    settings,
                    cluster: None,
                })
            }
            opened => opened,
        }
    }

    /// A private cluster in an empty folder whose commits a power cut may lose: for what is thrown
    /// away when it has been looked at.
    pub async fn scratch(home: &Path) -> Result<Self, Error> {
        let mut settings = Settings::default();
        let cluster = Cluster::start_as(home, settings.bin_dir.as_deref(), false).await?;
        cluster.ensure_database(&settings.database).await?;
        settings.url = Some(cluster.url(&settings.database));
        Ok(Self {
            settings,
            cluster: Some(cluster),
        })
    }

    /// Settings for one more database of the private cluster, made if it is not there yet.
    pub async fn another(&self, name: &str) -> Result<Settings, Error> {
        let mut settings = self.settings.clone();
        if let Some(cluster) = &self.cluster {
            cluster.ensure_database(name).await?;
            settings.url = Some(cluster.url(name));
        }
        Ok(settings)
    }

    /// The settings with the URL filled in.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The pool of a role, its schema up to date.
    pub async fn store(&self, schema: Schema) -> Result<Store, Error> {
        Store::open(&self.settings, schema).await
    }

    /// Stops the private cluster, if there is one.
    pub async fn close(self) {
        if let Some(cluster) = self.cluster {
            cluster.stop().await;
        }
    }
}
