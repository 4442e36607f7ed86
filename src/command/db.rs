//! `dsf db`: the tables of each role.

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;

use crate::app;
use crate::cli::{Configuration, Roles};
use crate::command::table::Table;
use crate::config::Needs;
use crate::store::{Database, Store, migrate};

#[derive(Debug, Subcommand)]
pub enum Db {
    /// Bring the tables up to date, as `dsf serve` does at its start.
    #[command(after_help = "\
Exit codes: 0 up to date, 1 failed.

Examples:
  dsf db migrate --config dsf.toml
  dsf db migrate --role fhir")]
    Migrate {
        #[command(flatten)]
        roles: Roles,
        #[command(flatten)]
        configuration: Configuration,
    },
    /// Show which migrations are applied and which are pending; changes nothing.
    #[command(after_help = "\
Exit codes: 0 up to date, 1 something is pending, or failed.

Examples:
  dsf db status --config dsf.toml
  dsf db status --json")]
    Status {
        #[command(flatten)]
        roles: Roles,
        #[command(flatten)]
        configuration: Configuration,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
}

pub fn run(command: &Db) -> anyhow::Result<ExitCode> {
    let (roles, configuration) = match command {
        Db::Migrate {
            roles,
            configuration,
        }
        | Db::Status {
            roles,
            configuration,
            ..
        } => (roles, configuration),
    };
    // The database needs neither certificates nor addresses.
    let config = configuration.sources().load(Needs {
        fhir: false,
        bpe: false,
    })?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let database = Database::open(&config.store()).await?;
        let outcome = match command {
            Db::Migrate { .. } => migrate(&database, roles).await,
            Db::Status { json, .. } => status(&database, roles, *json).await,
        };
        database.close().await;
        outcome
    })
}

async fn migrate(database: &Database, roles: &Roles) -> anyhow::Result<ExitCode> {
    for role in roles.list() {
        let store = database.store(app::schema(role)).await?;
        let steps = migrate::status(&store).await?;
        println!(
            "schema {}: {} migrations applied",
            store.schema().name(),
            steps.len()
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(database: &Database, roles: &Roles, json: bool) -> anyhow::Result<ExitCode> {
    let mut table = Table::new(&["schema", "migration", "state"]);
    let mut current = true;
    for role in roles.list() {
        let store = Store::connect(database.settings(), app::schema(role))?;
        for step in migrate::status(&store).await? {
            current &= step.applied;
            let state = if step.applied { "applied" } else { "pending" };
            table.row([
                store.schema().name().to_owned(),
                step.name,
                state.to_owned(),
            ]);
        }
    }
    table.print(json)?;
    Ok(if current {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
