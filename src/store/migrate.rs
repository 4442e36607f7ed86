//! Brings a schema up to date: the files of `migrations/<schema>/` in the order of their names.
//!
//! A runner of our own and not diesel's harness: each role keeps its books in its own schema, an
//! edited file is noticed, a database of a newer program is refused, and no blocking thread is
//! needed. Several nodes may start at once: an advisory lock lets one of them work.

use diesel::sql_types::Text;
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use rust_embed::Embed;
use sha2::{Digest, Sha256};

use super::{Error, Schema, Store};

#[derive(Embed)]
#[folder = "migrations/fhir"]
struct FhirFiles;

#[derive(Embed)]
#[folder = "migrations/bpe"]
struct BpeFiles;

/// Why a schema cannot be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    #[error(
        "schema {schema} holds migration {name}, which this program does not know: the database \
         was used by a newer dsf; start that version, or restore a backup from before the update"
    )]
    Newer { schema: &'static str, name: String },
    #[error(
        "migration {name} of schema {schema} differs from the one that was applied; \
         migrations are never edited: restore the file, or start with an empty database"
    )]
    Edited { schema: &'static str, name: String },
    #[error("migration {name} of schema {schema} failed: {cause}")]
    Failed {
        schema: &'static str,
        name: String,
        cause: String,
    },
}

/// One migration and whether the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub name: String,
    pub applied: bool,
}

struct Migration {
    name: String,
    sql: String,
    checksum: String,
}

#[derive(QueryableByName)]
struct Applied {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    checksum: String,
}

/// What is applied and what is pending, in order; changes nothing.
pub async fn status(store: &Store) -> Result<Vec<Step>, Error> {
    let schema = store.schema();
    store
        .read(async |conn| {
            let known = if books_exist(conn, schema).await? {
                applied(conn, schema).await?
            } else {
                Vec::new()
            };
            let step = |migration: Migration| Step {
                applied: known.iter().any(|row| row.name == migration.name),
                name: migration.name,
            };
            Ok(migrations(schema).into_iter().map(step).collect())
        })
        .await
}

/// Applies what is pending, each file in its own transaction.
pub(super) async fn run(conn: &mut AsyncPgConnection, schema: Schema) -> Result<(), Error> {
    // Two keys: a number of ours, and the schema.
    let lock = format!("(1146307653, hashtext('{}'))", schema.name());
    conn.batch_execute(&format!("SELECT pg_advisory_lock{lock}"))
        .await?;
    let outcome = run_locked(conn, schema).await;
    conn.batch_execute(&format!("SELECT pg_advisory_unlock{lock}"))
        .await?;
    outcome
}

async fn run_locked(conn: &mut AsyncPgConnection, schema: Schema) -> Result<(), Error> {
    let name = schema.name();
    conn.batch_execute(&format!(
        "SET client_min_messages = warning;
         CREATE SCHEMA IF NOT EXISTS {name};
         CREATE TABLE IF NOT EXISTS {name}.migration (
             name text PRIMARY KEY, checksum text NOT NULL, applied timestamptz NOT NULL DEFAULT now())"
    ))
    .await?;
    for migration in pending(schema, migrations(schema), &applied(conn, schema).await?)? {
        tracing::info!(
            schema = name,
            migration = migration.name,
            "migrating the database"
        );
        apply(conn, schema, &migration).await?;
    }
    Ok(())
}

async fn apply(
    conn: &mut AsyncPgConnection,
    schema: Schema,
    migration: &Migration,
) -> Result<(), Error> {
    let Migration {
        name,
        sql,
        checksum,
    } = migration;
    let note = format!(
        "INSERT INTO {}.migration (name, checksum) VALUES ('{name}', '{checksum}')",
        schema.name()
    );
    conn.transaction(async |tx| {
        tx.batch_execute(sql).await?;
        tx.batch_execute(&note).await
    })
    .await
    .map_err(|error| {
        let cause = error.to_string();
        MigrationError::Failed {
            schema: schema.name(),
            name: name.clone(),
            cause,
        }
        .into()
    })
}

fn pending(
    schema: Schema,
    known: Vec<Migration>,
    applied: &[Applied],
) -> Result<Vec<Migration>, MigrationError> {
    for row in applied {
        let (schema, name) = (schema.name(), row.name.clone());
        match known.iter().find(|migration| migration.name == row.name) {
            None => return Err(MigrationError::Newer { schema, name }),
            Some(file) if file.checksum != row.checksum => {
                return Err(MigrationError::Edited { schema, name });
            }
            Some(_) => {}
        }
    }
    let is_new = |file: &Migration| !applied.iter().any(|row| row.name == file.name);
    Ok(known.into_iter().filter(is_new).collect())
}

fn migrations(schema: Schema) -> Vec<Migration> {
    match schema {
        Schema::Fhir => files::<FhirFiles>(),
        Schema::Bpe => files::<BpeFiles>(),
    }
}

/// The embedded files in the order of their names.
fn files<F: Embed>() -> Vec<Migration> {
    let mut found: Vec<Migration> = F::iter()
        .filter_map(|path| Some((path.strip_suffix(".sql")?.to_owned(), F::get(&path)?)))
        .map(|(name, file)| Migration {
            name,
            sql: String::from_utf8_lossy(&file.data).into_owned(),
            checksum: format!("{:x}", Sha256::digest(&file.data)),
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

async fn books_exist(conn: &mut AsyncPgConnection, schema: Schema) -> Result<bool, Error> {
    let query = "SELECT tablename::text AS name, '' AS checksum FROM pg_tables \
                 WHERE schemaname = $1 AND tablename = 'migration'";
    let rows: Vec<Applied> = sql_query(query)
        .bind::<Text, _>(schema.name())
        .load(conn)
        .await?;
    Ok(!rows.is_empty())
}

async fn applied(conn: &mut AsyncPgConnection, schema: Schema) -> Result<Vec<Applied>, Error> {
    let query = format!(
        "SELECT name, checksum FROM {}.migration ORDER BY name",
        schema.name()
    );
    Ok(sql_query(query).load(conn).await?)
}
