//! The stored StructureDefinitions as a whole, and a stamp that tells whether they have changed.

use diesel::dsl::{count_star, max};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::tables::resource;
use crate::r4::ResourceType;
use crate::store::Error;

/// Differs whenever a StructureDefinition was written or deleted in between.
pub type Stamp = (i64, Option<PgTimestamp>);

const KIND: i16 = ResourceType::StructureDefinition.code();

pub async fn stamp(conn: &mut AsyncPgConnection) -> Result<Stamp, Error> {
    Ok(resource::table
        .filter(resource::kind.eq(KIND))
        .filter(resource::deleted.is_null())
        .select((count_star(), max(resource::last_updated)))
        .first(conn)
        .await?)
}

pub async fn documents(conn: &mut AsyncPgConnection) -> Result<Vec<String>, Error> {
    Ok(resource::table
        .filter(resource::kind.eq(KIND))
        .filter(resource::deleted.is_null())
        .select(resource::document)
        .load(conn)
        .await?)
}
