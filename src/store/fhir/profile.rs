//! The stored StructureDefinitions as a whole.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::tables::resource;
use crate::r4::ResourceType;
use crate::store::Error;

const KIND: i16 = ResourceType::StructureDefinition.code();

pub async fn documents(conn: &mut AsyncPgConnection) -> Result<Vec<String>, Error> {
    Ok(resource::table
        .filter(resource::kind.eq(KIND))
        .filter(resource::deleted.is_null())
        .select(resource::document)
        .load(conn)
        .await?)
}
