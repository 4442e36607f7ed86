//! What plugins have put on the own FHIR server, and in which state each process was last.

use diesel::QueryableByName;
use diesel::sql_types::{Array, Binary, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::store::Error;
use crate::store::statement::statement;

/// A resource on the server that a process brought.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct DeployedResource {
    /// `key|version`.
    #[diesel(sql_type = Text)]
    pub process: String,
    #[diesel(sql_type = Text)]
    pub resource_type: String,
    /// The search that finds it.
    #[diesel(sql_type = Text)]
    pub condition: String,
    /// SHA-256 of what was put there.
    #[diesel(sql_type = Binary)]
    pub digest: Vec<u8>,
}

/// The state of a process after the last deployment.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct DeployedProcess {
    #[diesel(sql_type = Text)]
    pub process: String,
    #[diesel(sql_type = Text)]
    pub state: String,
}

pub async fn resources(conn: &mut AsyncPgConnection) -> Result<Vec<DeployedResource>, Error> {
    Ok(
        statement("select process, resource_type, condition, digest from plugin_resource")
            .load(conn)
            .await?,
    )
}

pub async fn processes(conn: &mut AsyncPgConnection) -> Result<Vec<DeployedProcess>, Error> {
    Ok(statement("select process, state from process_state")
        .load(conn)
        .await?)
}

/// Forgets the resources of these processes.
pub async fn forget_resources(
    conn: &mut AsyncPgConnection,
    processes: &[String],
) -> Result<(), Error> {
    statement("delete from plugin_resource where process = any ($1)")
        .bind::<Array<Text>, _>(processes)
        .execute(conn)
        .await?;
    Ok(())
}

/// Notes resources that are on the server.
pub async fn note_resources(
    conn: &mut AsyncPgConnection,
    rows: &[DeployedResource],
) -> Result<(), Error> {
    let column = |of: fn(&DeployedResource) -> &str| -> Vec<String> {
        rows.iter().map(|row| of(row).to_owned()).collect()
    };
    let digests: Vec<Vec<u8>> = rows.iter().map(|row| row.digest.clone()).collect();
    statement(
        "insert into plugin_resource (process, resource_type, condition, digest)
         select * from unnest($1::text[], $2::text[], $3::text[], $4::bytea[])
         on conflict (process, resource_type, condition) do update set digest = excluded.digest",
    )
    .bind::<Array<Text>, _>(column(|row| &row.process))
    .bind::<Array<Text>, _>(column(|row| &row.resource_type))
    .bind::<Array<Text>, _>(column(|row| &row.condition))
    .bind::<Array<Binary>, _>(digests)
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes the state of a process.
pub async fn note_process(
    conn: &mut AsyncPgConnection,
    process: &str,
    state: &str,
) -> Result<(), Error> {
    statement(
        "insert into process_state (process, state) values ($1, $2)
         on conflict (process) do update set state = excluded.state",
    )
    .bind::<Text, _>(process)
    .bind::<Text, _>(state)
    .execute(conn)
    .await?;
    Ok(())
}
