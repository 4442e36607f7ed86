//! `dsf auth`: who is this certificate, and who may what, with the configuration and the allow list
//! of a node.

mod explain;
mod matrix;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;

use crate::cli::Configuration;
use crate::config::{Config, Needs};
use crate::fhir::Settings;
use crate::fhir::directory::Directory;
use crate::store::{self, AsyncPgConnection, Database, Schema, Store};

#[derive(Debug, Subcommand)]
pub enum Auth {
    /// Tell who comes with a certificate, why, and what it may do.
    ///
    /// Looks at the client CAs, the revocation lists in files, the allow list in the database and the
    /// role rules. Lists that nodes fetch are not asked.
    #[command(after_help = "\
Exit codes: 0 somebody is admitted, 1 nobody is, or failed.

Examples:
  dsf auth explain --certificate partner.crt --config dsf.toml
  dsf auth explain --certificate partner.crt --json")]
    Explain {
        /// The client certificate (PEM, with its intermediates if the client sends them, or DER).
        #[arg(long, value_name = "FILE")]
        certificate: PathBuf,
        #[command(flatten)]
        configuration: Configuration,
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Print who may what: every organisation of the allow list and every role rule.
    #[command(after_help = "\
Exit codes: 0 printed, 1 failed.

Examples:
  dsf auth matrix --config dsf.toml
  dsf auth matrix --who partner.example.org
  dsf auth matrix --json")]
    Matrix {
        /// Only the organisation or rule with this name.
        #[arg(long, value_name = "NAME")]
        who: Option<String>,
        #[command(flatten)]
        configuration: Configuration,
        /// Print JSON, a row for each type, instead of a table.
        #[arg(long)]
        json: bool,
    },
}

pub fn run(command: &Auth) -> anyhow::Result<ExitCode> {
    let (Auth::Explain { configuration, .. } | Auth::Matrix { configuration, .. }) = command;
    let config = configuration.sources().load(Needs {
        fhir: true,
        bpe: false,
    })?;
    let settings = config.mailbox().context("no FHIR role is configured")?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let directory = runtime.block_on(directory(&config, &settings))?;
    let node = Node {
        config,
        settings,
        directory,
    };
    match command {
        Auth::Explain {
            certificate, json, ..
        } => explain::run(&node, certificate, *json),
        Auth::Matrix { who, json, .. } => matrix::run(&node, who.as_deref(), *json),
    }
}

/// What a node decides by.
struct Node {
    config: Config,
    settings: Settings,
    directory: Directory,
}

/// The allow list of the database, as it is now.
async fn directory(config: &Config, settings: &Settings) -> anyhow::Result<Directory> {
    let database = Database::attach(&config.store()).await?;
    let store = Store::connect(database.settings(), Schema::Fhir)?;
    let directory = store
        .read(async |conn: &mut AsyncPgConnection| {
            Directory::load(conn, &settings.base_url, None).await
        })
        .await;
    database.close().await;
    let directory: Result<Directory, store::Error> = directory;
    directory
        .context("the allow list cannot be read; has the FHIR role been started on this database?")
}
