//! `dsf db`: the tables of each role.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;

use crate::app;
use crate::cli::{Configuration, Roles};
use crate::command::table::Table;
use crate::config::Needs;
use crate::store::{Database, Schema, Store, backup, migrate};

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
    /// Write everything the roles have stored into a new file; nodes may go on meanwhile.
    ///
    /// Needs PostgreSQL's pg_dump, of the server's version or a newer one. The file holds
    /// everything, personal data included, and can be read by its owner only.
    #[command(after_help = "\
Exit codes: 0 written, 1 failed; then there is no file.

Examples:
  dsf db backup dsf-2026-11-21.backup --config dsf.toml
  dsf db backup mailbox.backup --role fhir")]
    Backup {
        /// The file to write; it must not exist.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        roles: Roles,
        #[command(flatten)]
        configuration: Configuration,
    },
    /// Put what a backup holds in place, and bring it up to date. All nodes must be stopped.
    ///
    /// Needs PostgreSQL's pg_restore. If it fails, nothing has changed.
    #[command(after_help = "\
Exit codes: 0 restored, 1 failed; then everything is as before.

Examples:
  dsf db restore dsf-2026-11-21.backup --config dsf.toml             into an empty database
  dsf db restore dsf-2026-11-21.backup --config dsf.toml --replace   over what is there")]
    Restore {
        /// A file that `dsf db backup` has written.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        roles: Roles,
        #[command(flatten)]
        configuration: Configuration,
        /// Give up what is in the database now.
        #[arg(long)]
        replace: bool,
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
        }
        | Db::Backup {
            roles,
            configuration,
            ..
        }
        | Db::Restore {
            roles,
            configuration,
            ..
        } => (roles, configuration),
    };
    let config = configuration.sources().load(Needs::NOTHING)?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let settings = config.store();
        let database = match command {
            // Beside a node, if need be.
            Db::Status { .. } | Db::Backup { .. } => Database::attach(&settings).await?,
            Db::Migrate { .. } | Db::Restore { .. } => Database::open(&settings).await?,
        };
        let outcome = match command {
            Db::Migrate { .. } => migrate(&database, roles).await,
            Db::Status { json, .. } => status(&database, roles, *json).await,
            Db::Backup { file, .. } => write_backup(&database, roles, file).await,
            Db::Restore { file, replace, .. } => restore(&database, roles, file, *replace).await,
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

fn schemas(roles: &Roles) -> Vec<Schema> {
    roles.list().into_iter().map(app::schema).collect()
}

fn names(schemas: &[Schema]) -> String {
    let names: Vec<_> = schemas.iter().map(|schema| schema.name()).collect();
    names.join(", ")
}

/// Writes the schemas that are there: a database may serve one role only.
async fn write_backup(database: &Database, roles: &Roles, file: &Path) -> anyhow::Result<ExitCode> {
    let mut schemas = Vec::new();
    for schema in self::schemas(roles) {
        let store = Store::connect(database.settings(), schema)?;
        if migrate::status(&store)
            .await?
            .iter()
            .any(|step| step.applied)
        {
            schemas.push(schema);
        }
    }
    anyhow::ensure!(
        !schemas.is_empty(),
        "the database holds nothing of these roles: check database.url and --role"
    );
    let size = backup::write(database.settings(), &schemas, file).await?;
    println!(
        "{}: {size} bytes, schemas {}",
        file.display(),
        names(&schemas)
    );
    Ok(ExitCode::SUCCESS)
}

async fn restore(
    database: &Database,
    roles: &Roles,
    file: &Path,
    replace: bool,
) -> anyhow::Result<ExitCode> {
    let schemas = schemas(roles);
    backup::restore(database.settings(), &schemas, file, replace).await?;
    println!(
        "restored schemas {} from {}",
        names(&schemas),
        file.display()
    );
    Ok(ExitCode::SUCCESS)
}
