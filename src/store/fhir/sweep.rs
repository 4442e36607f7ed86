//! What nobody needs any more: old events, old idempotency keys, content without an owner.

use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::store::Error;

/// Removes what is past its time; meant to run every now and then on any node.
pub async fn run(conn: &mut AsyncPgConnection) -> Result<(), Error> {
    for statement in [
        "DELETE FROM event WHERE at < now() - interval '7 days'",
        "DELETE FROM idempotency WHERE at < now() - interval '30 days'",
        "DELETE FROM content c WHERE c.created < now() - interval '1 day' \
         AND NOT EXISTS (SELECT 1 FROM resource r WHERE r.content = c.id) \
         AND NOT EXISTS (SELECT 1 FROM version v WHERE v.content = c.id)",
    ] {
        diesel::sql_query(statement).execute(conn).await?;
    }
    Ok(())
}
