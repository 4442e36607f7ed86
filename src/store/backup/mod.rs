//! Backups: the schemas of the roles in one file, made and read by PostgreSQL's own `pg_dump` and
//! `pg_restore`. See docs/adr/0017.
//!
//! The event log is left out: its places are transaction numbers of the server it was written on,
//! and a socket that opens after a restore catches up by a search anyway.

mod program;

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use diesel::sql_types::{BigInt, Bool, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use self::program::Program;
use super::{Schema, Settings, Store};

/// Where the former content of a schema waits until the new one is in place.
const FORMER: &str = "before_restore";

/// Why there is no backup, or why it was not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(
        "{program} is not installed (looked in {looked}): install PostgreSQL's client programs \
         (Debian: apt-get install postgresql-client) or name their folder in database.bin-dir"
    )]
    NoProgram { program: String, looked: String },
    #[error("{} exists already: a backup overwrites nothing, name another file", .0.display())]
    Exists(PathBuf),
    #[error("{}: {source}", path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{program} failed: {detail}")]
    Failed { program: String, detail: String },
    #[error("{} holds no schema {schema}: name the roles that it is a backup of with --role", path.display())]
    Absent { path: PathBuf, schema: &'static str },
    #[error(
        "{count} connections of running nodes use schema {schema}: stop every node of the role \
         before you restore"
    )]
    InUse { schema: &'static str, count: i64 },
    #[error(
        "schema {schema} is not empty: say --replace if the backup shall take the place of what \
         is there"
    )]
    NotEmpty { schema: &'static str },
    #[error(transparent)]
    Store(#[from] super::Error),
}

/// Writes the schemas into a new file, all as of the same moment. Nodes may go on meanwhile.
pub async fn write(
    settings: &Settings,
    schemas: &[Schema],
    path: &Path,
) -> Result<u64, BackupError> {
    let blame = |source| BackupError::File {
        path: path.to_owned(),
        source,
    };
    if path.exists() {
        return Err(BackupError::Exists(path.to_owned()));
    }
    let dump = Program::find("pg_dump", settings)?;
    // It gets its name when it is whole. Nobody else may read what is in it.
    let partial = path.with_added_extension("part");
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let file = options.open(&partial).map_err(blame)?;
    let mut arguments = vec!["--format=custom".to_owned()];
    arguments.extend(
        [
            "--no-owner",
            "--no-privileges",
            "--exclude-table-data=fhir.event",
        ]
        .map(str::to_owned),
    );
    arguments.extend(
        schemas
            .iter()
            .map(|schema| format!("--schema={}", schema.name())),
    );
    let out = file.try_clone().map_err(blame)?;
    let outcome = dump.run(&arguments, Some(out)).await;
    if let Err(error) = outcome {
        // Half a backup is none; whether it can be removed changes nothing about that.
        let _ = std::fs::remove_file(&partial);
        return Err(error);
    }
    file.sync_all().map_err(blame)?;
    std::fs::rename(&partial, path).map_err(blame)?;
    Ok(file.metadata().map_err(blame)?.len())
}

/// Puts the schemas of a backup in place, and brings them up to date.
///
/// What was there before is moved aside first and removed last, so that a restore that fails
/// changes nothing.
pub async fn restore(
    settings: &Settings,
    schemas: &[Schema],
    path: &Path,
    replace: bool,
) -> Result<(), BackupError> {
    let program = Program::find("pg_restore", settings)?;
    let content = program.list(path).await?;
    for schema in schemas {
        let name = schema.name();
        if !content
            .lines()
            .any(|line| line.contains(&format!(" SCHEMA - {name} ")))
        {
            return Err(BackupError::Absent {
                path: path.to_owned(),
                schema: name,
            });
        }
        check_target(&Store::connect(settings, *schema)?, replace).await?;
    }
    for schema in schemas {
        set_aside(&Store::connect(settings, *schema)?).await?;
    }
    let mut arguments = [
        "--single-transaction",
        "--exit-on-error",
        "--no-owner",
        "--no-privileges",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.extend(
        schemas
            .iter()
            .map(|schema| format!("--schema={}", schema.name())),
    );
    arguments.push(path.display().to_string());
    let restored = program.run(&arguments, None).await;
    for schema in schemas {
        settle(&Store::connect(settings, *schema)?, restored.is_ok()).await?;
    }
    restored?;
    for schema in schemas {
        let store = Store::open(settings, *schema).await?;
        // Without statistics the first searches would be planned blindly.
        execute(&store, "ANALYZE").await?;
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Target {
    #[diesel(sql_type = BigInt)]
    others: i64,
    #[diesel(sql_type = Bool)]
    is_used: bool,
}

async fn check_target(store: &Store, replace: bool) -> Result<(), BackupError> {
    let schema = store.schema().name();
    let query = "SELECT (SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() \
                 AND datname = current_database() AND starts_with(application_name, 'dsf-' || $1)) AS others, \
                 EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = $1) AS is_used";
    let target: Target = store
        .read(async |conn: &mut AsyncPgConnection| {
            let query = sql_query(query).bind::<Text, _>(schema);
            Ok::<_, super::Error>(query.get_result(conn).await?)
        })
        .await?;
    match target {
        Target { others, .. } if others > 0 => Err(BackupError::InUse {
            schema,
            count: others,
        }),
        Target { is_used: true, .. } if !replace => Err(BackupError::NotEmpty { schema }),
        Target { .. } => Ok(()),
    }
}

/// Makes room for the schema. One that an interrupted restore moved aside is the true one.
async fn set_aside(store: &Store) -> Result<(), BackupError> {
    let name = store.schema().name();
    let former = format!("{name}_{FORMER}");
    let script = format!(
        "DO $$ BEGIN
           IF EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = '{former}') THEN
             DROP SCHEMA IF EXISTS {name} CASCADE;
           ELSIF EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = '{name}') THEN
             ALTER SCHEMA {name} RENAME TO {former};
           END IF;
           CREATE SCHEMA {name};
         END $$"
    );
    execute(store, &script).await
}

/// Removes what was moved aside, or puts it back.
async fn settle(store: &Store, is_restored: bool) -> Result<(), BackupError> {
    let name = store.schema().name();
    let former = format!("{name}_{FORMER}");
    let script = if is_restored {
        format!("DROP SCHEMA IF EXISTS {former} CASCADE")
    } else {
        format!(
            "DO $$ BEGIN
               DROP SCHEMA {name} CASCADE;
               IF EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = '{former}') THEN
                 ALTER SCHEMA {former} RENAME TO {name};
               END IF;
             END $$"
        )
    };
    execute(store, &script).await
}

/// Statements that may take long: a schema is dropped with everything in it.
async fn execute(store: &Store, script: &str) -> Result<(), BackupError> {
    let done = store.on_own_connection(async |conn| {
        conn.batch_execute(script).await?;
        Ok(())
    });
    Ok(done.await?)
}
