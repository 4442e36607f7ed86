//! Deployed BPMN models, one row for each content ever deployed.

use diesel::QueryableByName;
use diesel::sql_types::{Binary, Bool, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::store::Error;
use crate::store::statement::statement;

/// A deployed model.
#[derive(Clone, Debug, QueryableByName)]
pub struct Definition {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Text)]
    pub key: String,
    #[diesel(sql_type = Text)]
    pub version_tag: String,
    #[diesel(sql_type = Text)]
    pub plugin: String,
    /// The BPMN file, placeholders replaced.
    #[diesel(sql_type = Text)]
    pub source: String,
    #[diesel(sql_type = Bool)]
    pub suspended: bool,
}

/// What to deploy.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    pub key: &'a str,
    pub version_tag: &'a str,
    pub plugin: &'a str,
    pub source: &'a str,
    pub sha256: &'a [u8],
}

/// Stores a model unless the same content is there already; answers the row's id. The row
/// becomes the newest of its key and version, so that the next start uses it.
pub async fn deploy(conn: &mut AsyncPgConnection, model: Model<'_>) -> Result<Uuid, Error> {
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
    }
    let row: Id = statement(
        "insert into definition (id, key, version_tag, plugin, source, sha256)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (key, version_tag, sha256) do update
             set deployed = clock_timestamp(), plugin = excluded.plugin, suspended = false
         returning id",
    )
    .bind::<SqlUuid, _>(Uuid::now_v7())
    .bind::<Text, _>(model.key)
    .bind::<Text, _>(model.version_tag)
    .bind::<Text, _>(model.plugin)
    .bind::<Text, _>(model.source)
    .bind::<Binary, _>(model.sha256)
    .get_result(conn)
    .await?;
    Ok(row.id)
}

/// Sets whether the process may start new instances, in all contents of that version.
pub async fn suspend(
    conn: &mut AsyncPgConnection,
    key: &str,
    version_tag: &str,
    suspended: bool,
) -> Result<(), Error> {
    statement("update definition set suspended = $3 where key = $1 and version_tag = $2")
        .bind::<Text, _>(key)
        .bind::<Text, _>(version_tag)
        .bind::<Bool, _>(suspended)
        .execute(conn)
        .await?;
    Ok(())
}

/// Suspends every process that is not among `loaded` (as `key|version`): no plugin brings it.
pub async fn suspend_others(
    conn: &mut AsyncPgConnection,
    loaded: &[String],
) -> Result<usize, Error> {
    let rows = statement(
        "update definition set suspended = true
         where not suspended and (key || '|' || version_tag) <> all ($1)",
    )
    .bind::<diesel::sql_types::Array<Text>, _>(loaded)
    .execute(conn)
    .await?;
    Ok(rows)
}

/// The model with this id.
pub async fn by_id(conn: &mut AsyncPgConnection, id: Uuid) -> Result<Option<Definition>, Error> {
    let mut rows: Vec<Definition> = statement(
        "select id, key, version_tag, plugin, source, suspended from definition where id = $1",
    )
    .bind::<SqlUuid, _>(id)
    .load(conn)
    .await?;
    Ok(rows.pop())
}

/// The content deployed last for a process and version, suspended or not.
pub async fn newest(
    conn: &mut AsyncPgConnection,
    key: &str,
    version_tag: &str,
) -> Result<Option<Definition>, Error> {
    let mut rows: Vec<Definition> = statement(
        "select id, key, version_tag, plugin, source, suspended from definition
         where key = $1 and version_tag = $2 order by deployed desc limit 1",
    )
    .bind::<Text, _>(key)
    .bind::<Text, _>(version_tag)
    .load(conn)
    .await?;
    Ok(rows.pop())
}
