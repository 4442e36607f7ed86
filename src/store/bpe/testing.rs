//! Time for tests: the clock of the database cannot be moved, so all that it is compared with is.

use diesel::sql_types::Double;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::store::Error;
use crate::store::statement::statement;

/// Lets seconds pass for all that is to be delivered.
pub async fn pass(conn: &mut AsyncPgConnection, seconds: f64) -> Result<(), Error> {
    statement(
        "update outbox set due = due - make_interval(secs => $1),
             deadline = deadline - make_interval(secs => $1)",
    )
    .bind::<Double, _>(seconds)
    .execute(conn)
    .await?;
    Ok(())
}
