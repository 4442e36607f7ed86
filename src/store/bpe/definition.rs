//! Deployed BPMN models, one row for each content ever deployed.

use diesel::QueryableByName;
use diesel::sql_types::{
    Array, BigInt, Binary, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff_diesel::Timestamp;
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
    /// Counts the models of the key.
    #[diesel(sql_type = Integer)]
    pub version: i32,
    #[diesel(sql_type = BigInt)]
    pub deployment: i64,
}

pub(super) const COLUMNS: &str =
    "id, key, version_tag, plugin, source, suspended, version, deployment";

/// What to deploy.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    pub key: &'a str,
    pub version_tag: &'a str,
    pub plugin: &'a str,
    pub source: &'a str,
    pub sha256: &'a [u8],
}

/// What a deployment has made of a model.
#[derive(Clone, Copy, Debug, QueryableByName)]
pub struct Deployed {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    /// The content is new here.
    #[diesel(sql_type = Bool)]
    pub created: bool,
}

/// A number for what is deployed together.
pub async fn next_deployment(conn: &mut AsyncPgConnection) -> Result<i64, Error> {
    #[derive(QueryableByName)]
    struct Next {
        #[diesel(sql_type = BigInt)]
        next: i64,
    }
    let row: Next = statement("select nextval('creation') as next")
        .get_result(conn)
        .await?;
    Ok(row.next)
}

/// Stores a model unless the same content is there already. The row becomes the newest of its key
/// and version, so that the next start uses it.
pub async fn deploy(
    conn: &mut AsyncPgConnection,
    model: Model<'_>,
    deployment: i64,
) -> Result<Deployed, Error> {
    Ok(statement(
        "insert into definition
             (id, key, version_tag, plugin, source, sha256, deployment, version)
         values ($1, $2, $3, $4, $5, $6, $7,
             (select coalesce(max(version), 0) + 1 from definition where key = $2))
         on conflict (key, version_tag, sha256) do update
             set deployed = clock_timestamp(), plugin = excluded.plugin, suspended = false,
                 deployment = excluded.deployment
         returning id, xmax = 0 as created",
    )
    .bind::<SqlUuid, _>(Uuid::now_v7())
    .bind::<Text, _>(model.key)
    .bind::<Text, _>(model.version_tag)
    .bind::<Text, _>(model.plugin)
    .bind::<Text, _>(model.source)
    .bind::<Binary, _>(model.sha256)
    .bind::<BigInt, _>(deployment)
    .get_result(conn)
    .await?)
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
    .bind::<Array<Text>, _>(loaded)
    .execute(conn)
    .await?;
    Ok(rows)
}

/// The model with this id.
pub async fn by_id(conn: &mut AsyncPgConnection, id: Uuid) -> Result<Option<Definition>, Error> {
    let text = format!("select {COLUMNS} from definition where id = $1");
    let mut rows: Vec<Definition> = statement(text).bind::<SqlUuid, _>(id).load(conn).await?;
    Ok(rows.pop())
}

/// The content deployed last for a process and version, suspended or not.
pub async fn newest(
    conn: &mut AsyncPgConnection,
    key: &str,
    version_tag: &str,
) -> Result<Option<Definition>, Error> {
    let mut rows: Vec<Definition> = statement(format!(
        "select {COLUMNS} from definition
         where key = $1 and version_tag = $2 order by deployed desc limit 1"
    ))
    .bind::<Text, _>(key)
    .bind::<Text, _>(version_tag)
    .load(conn)
    .await?;
    Ok(rows.pop())
}

/// What a call activity asks for beside the key of the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    pub version: Option<i32>,
    pub version_tag: Option<&'a str>,
    pub deployment: Option<i64>,
}

/// The newest model of a key that fits.
pub async fn called(
    conn: &mut AsyncPgConnection,
    key: &str,
    wanted: Wanted<'_>,
) -> Result<Option<Definition>, Error> {
    let mut rows: Vec<Definition> = statement(format!(
        "select {COLUMNS} from definition
         where key = $1 and ($2 is null or version = $2) and ($3 is null or version_tag = $3)
             and ($4 is null or deployment = $4)
         order by deployed desc limit 1"
    ))
    .bind::<Text, _>(key)
    .bind::<Nullable<Integer>, _>(wanted.version)
    .bind::<Nullable<Text>, _>(wanted.version_tag)
    .bind::<Nullable<BigInt>, _>(wanted.deployment)
    .load(conn)
    .await?;
    Ok(rows.pop())
}

/// The newest model of every key: those whose signals and timers start something.
pub async fn newest_of_all(conn: &mut AsyncPgConnection) -> Result<Vec<Definition>, Error> {
    let rows = statement(format!(
        "select distinct on (key) {COLUMNS} from definition order by key, deployed desc"
    ))
    .load(conn)
    .await?;
    Ok(rows)
}

/// A start timer.
#[derive(Clone, Debug, QueryableByName)]
pub struct StartTimer {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub definition: Uuid,
    #[diesel(sql_type = Text)]
    pub activity: String,
    #[diesel(sql_type = Timestamptz)]
    pub due: Timestamp,
    /// The series it belongs to, as the engine writes it.
    #[diesel(sql_type = Text)]
    pub schedule: String,
    #[diesel(sql_type = BigInt)]
    pub seq: i64,
}

/// Removes the start timers of all other models of a key; how many there were.
pub async fn drop_timers_of_others(
    conn: &mut AsyncPgConnection,
    key: &str,
    newest: Uuid,
) -> Result<usize, Error> {
    Ok(statement(
        "delete from start_timer t using definition d
         where d.id = t.definition and d.key = $1 and d.id <> $2",
    )
    .bind::<Text, _>(key)
    .bind::<SqlUuid, _>(newest)
    .execute(conn)
    .await?)
}

/// Adds a start timer.
pub async fn add_timer(
    conn: &mut AsyncPgConnection,
    definition: Uuid,
    activity: &str,
    (due, schedule): (jiff::Timestamp, &str),
) -> Result<(), Error> {
    statement(
        "insert into start_timer (id, definition, activity, due, schedule)
         values ($1, $2, $3, $4, $5)",
    )
    .bind::<SqlUuid, _>(Uuid::now_v7())
    .bind::<SqlUuid, _>(definition)
    .bind::<Text, _>(activity)
    .bind::<Timestamptz, _>(Timestamp::from(due))
    .bind::<Text, _>(schedule)
    .execute(conn)
    .await?;
    Ok(())
}

/// Start timers that are due by the clock of the database, of models that may start something.
pub async fn due_timers(conn: &mut AsyncPgConnection, most: i64) -> Result<Vec<StartTimer>, Error> {
    let rows = statement(
        "select t.id, t.definition, t.activity, t.due, t.schedule, t.seq
         from start_timer t join definition d on d.id = t.definition
         where t.due <= clock_timestamp() and not d.suspended order by t.due, t.seq limit $1",
    )
    .bind::<BigInt, _>(most)
    .load(conn)
    .await?;
    Ok(rows)
}

/// All start timers, oldest first.
pub async fn timers(conn: &mut AsyncPgConnection) -> Result<Vec<StartTimer>, Error> {
    let rows = statement(
        "select id, definition, activity, due, schedule, seq from start_timer order by seq",
    )
    .load(conn)
    .await?;
    Ok(rows)
}

/// Seconds until the next start timer is due.
pub async fn next_timer(conn: &mut AsyncPgConnection) -> Result<Option<f64>, Error> {
    super::seconds_until(
        conn,
        "select extract(epoch from min(t.due) - clock_timestamp())::float8 as seconds
         from start_timer t join definition d on d.id = t.definition where not d.suspended",
    )
    .await
}
