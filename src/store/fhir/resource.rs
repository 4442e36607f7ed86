//! One resource: read, read a version, delete. What is written stands in [`super::many`].

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{self, Array, BigInt, Nullable, SmallInt, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use uuid::Uuid;

use super::search::IndexTerms;
use super::tables::{resource, version};
use super::time::{from_sql, to_sql};
use crate::r4::ResourceType;
use crate::store::Error;
use crate::store::statement::statement;

diesel::define_sql_function! {
    fn delete_resource(
        generation: BigInt, id: diesel::sql_types::Uuid, version: BigInt, at: Timestamptz
    ) -> Bool;
}

/// Where the content of a Binary version is, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    pub id: Uuid,
    pub size: i64,
}

impl Content {
    /// What the two columns say; both are NULL where there is none.
    pub(super) fn of(id: Option<Uuid>, size: Option<i64>) -> Option<Self> {
        Some(Self {
            id: id?,
            size: size?,
        })
    }
}

/// One stored version.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: Uuid,
    pub kind: ResourceType,
    pub version: i64,
    pub last_updated: Timestamp,
    /// Set only on the newest version of a deleted resource.
    pub deleted: Option<Timestamp>,
    pub document: String,
    pub access: Vec<String>,
    pub context: Option<Uuid>,
    pub content: Option<Content>,
}

/// What a write stores beside id and version.
#[derive(Clone, Debug)]
pub struct NewRow {
    pub id: Uuid,
    pub kind: ResourceType,
    pub at: Timestamp,
    pub document: String,
    pub access: Vec<String>,
    pub context: Option<Uuid>,
    pub keys: Option<Vec<String>>,
    pub terms: IndexTerms,
    pub content: Option<Content>,
}

/// A row with the generation of the directory at the moment it was read.
#[derive(Debug)]
pub struct Seen<T> {
    pub generation: i64,
    pub found: T,
}

type Fields = (
    Uuid,
    i16,
    i64,
    PgTimestamp,
    Option<PgTimestamp>,
    String,
    Vec<String>,
    Option<Uuid>,
    Option<Uuid>,
    Option<i64>,
);

pub(super) fn row(fields: Fields) -> Option<Row> {
    let (id, kind, version, last_updated, deleted, document, access, context, content, size) =
        fields;
    Some(Row {
        id,
        kind: ResourceType::from_code(kind)?,
        version,
        last_updated: from_sql(last_updated),
        deleted: deleted.map(from_sql),
        document,
        access,
        context,
        content: Content::of(content, size),
    })
}

/// What a read needs of a current version.
#[derive(Clone, Debug)]
pub struct Head {
    pub id: Uuid,
    pub kind: ResourceType,
    pub version: i64,
    pub last_updated: Timestamp,
    pub deleted: Option<Timestamp>,
    pub content: Option<Content>,
    /// `None` where the reader has this version.
    pub document: Option<String>,
}

/// A version that the reader has. Its time tells it from one of the same number that a database has
/// made which was brought back to an earlier state, as a replica is that took over too early.
pub type Known = (i64, Timestamp);

#[derive(QueryableByName)]
struct Told {
    #[diesel(sql_type = BigInt)]
    generation: i64,
    #[diesel(sql_type = Nullable<sql_types::Uuid>)]
    id: Option<Uuid>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    r#type: Option<i16>,
    #[diesel(sql_type = Nullable<BigInt>)]
    version: Option<i64>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_updated: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    deleted: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<sql_types::Uuid>)]
    content: Option<Uuid>,
    #[diesel(sql_type = Nullable<BigInt>)]
    content_size: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    document: Option<String>,
}

impl Told {
    fn head(self) -> Option<Head> {
        Some(Head {
            id: self.id?,
            kind: ResourceType::from_code(self.r#type?)?,
            version: self.version?,
            last_updated: from_sql(self.last_updated?),
            deleted: self.deleted.map(from_sql),
            content: Content::of(self.content, self.content_size),
            document: self.document,
        })
    }
}

/// The current versions that there are, also of deleted resources, of these ids, each with the
/// version that the reader has.
pub async fn heads(
    conn: &mut AsyncPgConnection,
    asked: &[(Uuid, Option<Known>)],
) -> Result<Seen<Vec<Head>>, Error> {
    let ids: Vec<Uuid> = asked.iter().map(|(id, _)| *id).collect();
    let known = || asked.iter().map(|(_, known)| *known);
    let versions: Vec<Option<i64>> = known().map(|known| Some(known?.0)).collect();
    let times: Vec<Option<PgTimestamp>> = known().map(|known| Some(to_sql(known?.1))).collect();
    let told: Vec<Told> = statement("SELECT * FROM heads_of($1, $2, $3)")
        .bind::<Array<sql_types::Uuid>, _>(ids)
        .bind::<Array<Nullable<BigInt>>, _>(versions)
        .bind::<Array<Nullable<Timestamptz>>, _>(times)
        .load(conn)
        .await?;
    Ok(Seen {
        generation: told.iter().map(|told| told.generation).max().unwrap_or(0),
        found: told.into_iter().filter_map(Told::head).collect(),
    })
}

/// The same of one.
pub async fn head(
    conn: &mut AsyncPgConnection,
    id: Uuid,
    known: Option<Known>,
) -> Result<Seen<Option<Head>>, Error> {
    let Seen { generation, found } = heads(conn, &[(id, known)]).await?;
    let found = found.into_iter().next();
    Ok(Seen { generation, found })
}

/// The current versions that there are, also of deleted resources; locks nothing.
pub async fn current_all(conn: &mut AsyncPgConnection, ids: &[Uuid]) -> Result<Vec<Row>, Error> {
    let found: Vec<Fields> = resource::table
        .filter(resource::id.eq_any(ids))
        .select((
            resource::id,
            resource::kind,
            resource::version,
            resource::last_updated,
            resource::deleted,
            resource::document,
            resource::access,
            resource::context,
            resource::content,
            resource::content_size,
        ))
        .load(conn)
        .await?;
    Ok(found.into_iter().filter_map(row).collect())
}

/// The same of one.
pub async fn current(
    conn: &mut AsyncPgConnection,
    kind: ResourceType,
    id: Uuid,
) -> Result<Option<Row>, Error> {
    let found = current_all(conn, &[id]).await?;
    Ok(found.into_iter().find(|row| row.kind == kind))
}

/// Which of these are current resources, and of which type.
pub async fn current_among(
    conn: &mut AsyncPgConnection,
    ids: &[Uuid],
) -> Result<Vec<(ResourceType, Uuid)>, Error> {
    let found: Vec<(i16, Uuid)> = resource::table
        .filter(resource::id.eq_any(ids))
        .filter(resource::deleted.is_null())
        .select((resource::kind, resource::id))
        .load(conn)
        .await?;
    let known = |(kind, id)| Some((ResourceType::from_code(kind)?, id));
    Ok(found.into_iter().filter_map(known).collect())
}

/// A superseded version.
pub async fn superseded(
    conn: &mut AsyncPgConnection,
    kind: ResourceType,
    id: Uuid,
    number: i64,
) -> Result<Option<Row>, Error> {
    let found: Option<Fields> = version::table
        .filter(version::id.eq(id))
        .filter(version::number.eq(number))
        .filter(version::kind.eq(kind.code()))
        .select((
            version::id,
            version::kind,
            version::number,
            version::last_updated,
            diesel::dsl::sql::<Nullable<Timestamptz>>("NULL::timestamptz"),
            version::document,
            version::access,
            version::context,
            version::content,
            version::content_size,
        ))
        .first(conn)
        .await
        .optional()?;
    Ok(found.and_then(row))
}

/// Marks version `base` as deleted; `false` when it is not the current one any more, or the directory
/// is not at `generation`.
pub async fn delete(
    conn: &mut AsyncPgConnection,
    generation: i64,
    (id, base): (Uuid, i64),
    at: Timestamp,
) -> Result<bool, Error> {
    Ok(
        diesel::select(delete_resource(generation, id, base, to_sql(at)))
            .get_result(conn)
            .await?,
    )
}

/// Removes every version for good.
pub async fn remove(conn: &mut AsyncPgConnection, id: Uuid) -> Result<(), Error> {
    diesel::delete(version::table.filter(version::id.eq(id)))
        .execute(conn)
        .await?;
    diesel::delete(resource::table.filter(resource::id.eq(id)))
        .execute(conn)
        .await?;
    Ok(())
}
