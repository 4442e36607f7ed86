//! Which initial data was loaded last, so that an unchanged start writes nothing.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::tables::initial_data;
use crate::store::Error;

/// The digest noted for this part.
pub async fn digest(conn: &mut AsyncPgConnection, name: &str) -> Result<Option<String>, Error> {
    Ok(initial_data::table
        .filter(initial_data::name.eq(name))
        .select(initial_data::digest)
        .first(conn)
        .await
        .optional()?)
}

pub async fn note(conn: &mut AsyncPgConnection, name: &str, digest: &str) -> Result<(), Error> {
    diesel::insert_into(initial_data::table)
        .values((initial_data::name.eq(name), initial_data::digest.eq(digest)))
        .on_conflict(initial_data::name)
        .do_update()
        .set(initial_data::digest.eq(digest))
        .execute(conn)
        .await?;
    Ok(())
}
