//! Running instances: leases, loading, and finding the receiver of a message.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Double, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{Epoch, FORGETTABLE, inbox};
use crate::store::Error;
use crate::store::statement::statement;

/// An instance whose lease we hold.
#[derive(Clone, Debug, QueryableByName)]
pub struct Leased {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub definition: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    pub business_key: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub alternative_key: Option<String>,
    /// The call activity that waits for its end.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub caller: Option<Uuid>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub caller_frame: Option<i64>,
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = BigInt)]
    pub rev: i64,
    #[diesel(sql_type = BigInt)]
    pub lease_epoch: Epoch,
    /// The Tasks of the instance as JSON, and the revision at which they and the page were seen. A
    /// statement that waited for somebody's change gets the new row, but sees all else as it was
    /// before.
    #[diesel(sql_type = Nullable<Text>)]
    tasks: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    seen_rev: Option<i64>,
    /// The content of the page that was asked for.
    #[diesel(sql_type = Nullable<Text>)]
    page: Option<String>,
}

/// More Tasks than most instances ever hold; whoever needs more asks for them.
const FEW: usize = 16;

/// The columns of [`Leased`] of a row of `instance` that is being leased, but for the page.
pub(super) const LEASED: &str = "instance.id, instance.definition, instance.business_key,
    instance.alternative_key, instance.caller, instance.caller_frame, instance.state,
    instance.rev, instance.lease_epoch,
    (select json_agg(json_build_object('task', i.task, 'document', i.document, 'scope', i.scope,
            'starts', i.starts) order by i.received)::text
     from (select * from inbox where inbox.instance = instance.id and inbox.status = 'delivered'
           limit 17) i) as tasks,
    (select seen.rev from instance seen where seen.id = instance.id) as seen_rev";

impl Leased {
    /// The Tasks of the instance that are not answered yet, oldest first; `None` where they must be
    /// asked for.
    #[must_use]
    pub fn tasks(&self) -> Option<Vec<inbox::Held>> {
        if self.seen_rev != Some(self.rev) {
            return None;
        }
        let tasks = self.tasks.as_deref().unwrap_or("[]");
        let tasks: Vec<inbox::Held> = serde_json::from_str(tasks).ok()?;
        (tasks.len() <= FEW).then_some(tasks)
    }

    /// The page that was asked for; `Err` where it must be asked for again.
    pub fn page(&self) -> Result<Option<&str>, NotSeen> {
        if self.seen_rev == Some(self.rev) {
            Ok(self.page.as_deref())
        } else {
            Err(NotSeen)
        }
    }
}

/// The instance went on while it was being leased: what else was read is older.
#[derive(Clone, Copy, Debug)]
pub struct NotSeen;

/// Whether an instance could be leased.
#[derive(Clone, Debug)]
pub enum Lease {
    Taken(Box<Leased>),
    /// Somebody else works on it.
    Busy,
    /// It has ended, or never was.
    Gone,
}

/// Takes the lease of an instance and loads it, and a page of it if one is named, in one statement.
///
/// The commit is not waited for on the disk: a lease that a crash of the database forgets makes
/// the holder's next statement match no row, and nothing more.
pub async fn lease(
    conn: &mut AsyncPgConnection,
    id: Uuid,
    page: Option<i64>,
    seconds: f64,
) -> Result<Lease, Error> {
    let mut rows: Vec<Leased> = statement(format!(
        "update instance
         set lease_epoch = lease_epoch + 1, lease_until = now() + make_interval(secs => $2)
         where id = $1 and (lease_until is null or lease_until < now()) and {FORGETTABLE}
         returning {LEASED}, case when $3 is not null then
             (select p.state from page p where p.instance = $1 and p.page = $3) end as page",
    ))
    .bind::<SqlUuid, _>(id)
    .bind::<Double, _>(seconds)
    .bind::<Nullable<BigInt>, _>(page)
    .load(conn)
    .await?;
    if let Some(row) = rows.pop() {
        return Ok(Lease::Taken(Box::new(row)));
    }
    Ok(if runs(conn, id).await? {
        Lease::Busy
    } else {
        Lease::Gone
    })
}

/// Extends a lease; `false` when it is no longer ours.
pub async fn renew(
    conn: &mut AsyncPgConnection,
    id: Uuid,
    epoch: Epoch,
    seconds: f64,
) -> Result<bool, Error> {
    let rows = statement(
        "update instance set lease_until = now() + make_interval(secs => $3)
         where id = $1 and lease_epoch = $2",
    )
    .bind::<SqlUuid, _>(id)
    .bind::<BigInt, _>(epoch)
    .bind::<Double, _>(seconds)
    .execute(conn)
    .await?;
    Ok(rows == 1)
}

/// Gives a lease back without any change.
pub async fn release(conn: &mut AsyncPgConnection, id: Uuid, epoch: Epoch) -> Result<(), Error> {
    statement("update instance set lease_until = null where id = $1 and lease_epoch = $2")
        .bind::<SqlUuid, _>(id)
        .bind::<BigInt, _>(epoch)
        .execute(conn)
        .await?;
    Ok(())
}

/// A running instance that a message may be for, with one of its receivers of that name.
#[derive(Clone, Debug, QueryableByName)]
pub struct Candidate {
    #[diesel(sql_type = SqlUuid)]
    pub instance: Uuid,
    /// Whether the key matched the business key, and not the alternative one.
    #[diesel(sql_type = diesel::sql_types::Bool)]
    pub by_business_key: bool,
    /// Nothing waits for the message at the moment when this is absent.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub subscription: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    pub correlation_key: Option<String>,
    /// It stands still and takes nothing in.
    #[diesel(sql_type = diesel::sql_types::Bool)]
    pub suspended: bool,
}

/// All instances of a process and version with a key, and their receivers of a message, or two of
/// many: those with the correlation key, if the message has one.
pub async fn candidates(
    conn: &mut AsyncPgConnection,
    key: &str,
    version_tag: &str,
    business_key: &str,
    (message, correlation_key): (&str, Option<&str>),
) -> Result<Vec<Candidate>, Error> {
    let correlated = match correlation_key {
        Some(_) => "s.correlation_key = $5",
        None => "$5 is null",
    };
    let rows = statement(format!(
        "select i.id as instance, coalesce(i.business_key = $3, false) as by_business_key,
                s.id as subscription, s.correlation_key, i.suspended
         from instance i
         join definition d on d.id = i.definition and d.key = $1 and d.version_tag = $2
         left join lateral (
             select s.id, s.correlation_key from subscription s
             where s.instance = i.id and s.kind = 'message' and s.name = $4 and not i.suspended
                 and {correlated}
             limit 2) s on true
         where i.business_key = $3 or i.alternative_key = $3
         order by i.started, s.id"
    ))
    .bind::<Text, _>(key)
    .bind::<Text, _>(version_tag)
    .bind::<Text, _>(business_key)
    .bind::<Text, _>(message)
    .bind::<Nullable<Text>, _>(correlation_key)
    .load(conn)
    .await?;
    Ok(rows)
}

/// The running instance that a call activity has called.
pub async fn called_by(
    conn: &mut AsyncPgConnection,
    caller: Uuid,
    frame: i64,
) -> Result<Option<Uuid>, Error> {
    #[derive(QueryableByName)]
    struct Called {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
    }
    let mut rows: Vec<Called> =
        statement("select id from instance where caller = $1 and caller_frame = $2")
            .bind::<SqlUuid, _>(caller)
            .bind::<BigInt, _>(frame)
            .load(conn)
            .await?;
    Ok(rows.pop().map(|row| row.id))
}

/// Whether an instance runs.
pub async fn runs(conn: &mut AsyncPgConnection, id: Uuid) -> Result<bool, Error> {
    let rows = statement("select 1 from instance where id = $1")
        .bind::<SqlUuid, _>(id)
        .execute(conn)
        .await?;
    Ok(rows == 1)
}

/// The model of a running instance.
pub async fn definition_of(conn: &mut AsyncPgConnection, id: Uuid) -> Result<Option<Uuid>, Error> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        definition: Uuid,
    }
    let mut rows: Vec<Row> = statement("select definition from instance where id = $1")
        .bind::<SqlUuid, _>(id)
        .load(conn)
        .await?;
    Ok(rows.pop().map(|row| row.definition))
}
