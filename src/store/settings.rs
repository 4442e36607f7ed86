//! What the store must be told; `config` builds it from the file.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How to reach PostgreSQL and how to treat it.
#[derive(Clone)]
pub struct Settings {
    /// An existing database (`postgresql://…?sslmode=…&sslrootcert=…`). Without it a private
    /// cluster is started in `data_dir`.
    pub url: Option<String>,
    /// Home of the private cluster.
    pub data_dir: PathBuf,
    /// Folder of `postgres` and `initdb`, where they are neither on the PATH nor where Debian puts them.
    pub bin_dir: Option<PathBuf>,
    /// Name of the database within the private cluster.
    pub database: String,
    /// Most connections of one role.
    pub pool_size: usize,
    /// How long a caller waits for a connection before it is told [`super::Error::Busy`].
    pub wait_timeout: Duration,
    /// How long PostgreSQL may take to accept a connection.
    pub connect_timeout: Duration,
    /// How long one statement may run.
    pub statement_timeout: Duration,
}

/// Without the URL: it may hold a password.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("data_dir", &self.data_dir)
            .field("database", &self.database)
            .field("pool_size", &self.pool_size)
            .finish_non_exhaustive()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: None,
            data_dir: PathBuf::from("data/postgres"),
            bin_dir: None,
            database: "dsf".to_owned(),
            pool_size: 10,
            wait_timeout: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
        }
    }
}

/// The schema of a role: its tables, its migrations, its name in PostgreSQL's activity view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    Fhir,
    Bpe,
}

impl Schema {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fhir => "fhir",
            Self::Bpe => "bpe",
        }
    }
}
