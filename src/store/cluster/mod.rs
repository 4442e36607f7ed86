//! The private PostgreSQL cluster: made on first use, reachable by a Unix socket of mode 0700 only,
//! started and stopped with this process.
//!
//! What runs on a laptop is what runs in production and in the tests. One cluster serves several
//! databases; whoever needs a tuned or replicated server sets `database.url` instead.

mod binaries;
mod directory;
mod postmaster;
mod refusal;
#[cfg(test)]
mod tests;

use std::path::Path;

use tokio_postgres::NoTls;

use self::binaries::Binaries;
use self::directory::Directory;
use self::postmaster::Postmaster;
use super::Error;
use super::connect::explain;

pub(super) use self::binaries::{major, usual_folders};
pub use self::refusal::Refusal;

/// A running private cluster. Dropping it stops the server; [`Cluster::stop`] also waits for it.
pub struct Cluster {
    postmaster: Postmaster,
    directory: Directory,
}

impl Cluster {
    /// Starts the cluster that lives in `home`; makes it first if the folder is new or empty.
    pub async fn start(home: &Path, bin_dir: Option<&Path>) -> Result<Self, Refusal> {
        Self::start_as(home, bin_dir, true).await
    }

    /// `durable`: whether commits survive a power cut. Only tests do without.
    pub(super) async fn start_as(
        home: &Path,
        bin_dir: Option<&Path>,
        durable: bool,
    ) -> Result<Self, Refusal> {
        let directory = Directory::take(home)?;
        let version = directory.version();
        let binaries = Binaries::find(bin_dir, version.as_deref())?;
        match version {
            Some(found) if found != binaries.major => {
                let (dir, installed) = (directory.data.clone(), binaries.major.clone());
                return Err(Refusal::OtherVersion {
                    dir,
                    found,
                    installed,
                });
            }
            Some(_) => postmaster::stop_orphan(&directory.data).await?,
            None if directory.data.exists() => {
                return Err(Refusal::NotOurs {
                    dir: directory.data.clone(),
                });
            }
            None => {
                tracing::info!(data = %directory.data.display(), "making a database cluster");
                directory.create(&binaries, durable)?;
            }
        }
        let postmaster = Postmaster::start(&binaries, &directory, durable).await?;
        Ok(Self {
            postmaster,
            directory,
        })
    }

    /// The URL of a database of this cluster.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        url(&self.directory.socket, database)
    }

    /// The URL of a database of the cluster in `home`, which another process runs.
    pub(super) fn url_of_running(home: &Path, database: &str) -> Result<String, Refusal> {
        Ok(url(&Directory::socket_of(home)?, database))
    }

    /// Makes the database if it is not there yet.
    pub async fn ensure_database(&self, name: &str) -> Result<(), Error> {
        self.create_database(name, "template1").await
    }

    pub(super) async fn create_database(&self, name: &str, template: &str) -> Result<(), Error> {
        let broken = |error: tokio_postgres::Error| Error::Unreachable(explain(&error));
        let (client, connection) = tokio_postgres::connect(&self.url("postgres"), NoTls)
            .await
            .map_err(broken)?;
        let driver = tokio::spawn(connection);
        let known = client
            .query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name])
            .await
            .map_err(broken)?;
        if known.is_none() {
            let quoted = name.replace('"', "\"\"");
            let create = format!("CREATE DATABASE \"{quoted}\" TEMPLATE \"{template}\"");
            client.batch_execute(&create).await.map_err(broken)?;
        }
        drop(client);
        // It ends with its client; nothing can be done about how.
        let _ = driver.await;
        Ok(())
    }

    /// Stops the server and returns when it is gone.
    pub async fn stop(self) {
        self.postmaster.stop().await;
    }
}

fn url(socket: &Path, database: &str) -> String {
    let socket = socket.to_string_lossy();
    let socket: String = url::form_urlencoded::byte_serialize(socket.as_bytes()).collect();
    format!("postgresql://dsf@{}/{database}", socket.replace('+', "%20"))
}
