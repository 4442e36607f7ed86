//! The SQL of the BPE role: definitions, instances, jobs, the inbox and the outbox.
//!
//! Functions take a connection and do one thing; what must happen together is one statement
//! ([`flush`]). Times are compared with the clock of the database only, so nodes with different
//! clocks agree on leases and due dates.
//!
//! A connection plans a statement once, perhaps while a table is nearly empty and every order of a
//! join looks cheap. So there is but one: `a.id = any (array[b.id])` uses the index of `a` for each
//! row of `b`, and never walks through `a` in the order of its ids as `a.id = b.id` would; nor does
//! a partial index serve for what is said of its column with `|| ''`. A question with `offset 0` is
//! asked for each row by itself. A test looks at every plan.

use diesel::QueryableByName;
use diesel::sql_types::{Double, Nullable};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::store::Error;
use crate::store::statement::statement;

pub mod blob;
pub mod control;
pub mod definition;
pub mod deployment;
pub mod flush;
pub mod history;
pub mod inbox;
pub mod instance;
pub mod job;
pub mod outbox;
pub mod page;
pub mod snapshot;
pub mod steps;
pub mod user_task;

/// The epoch of a lease: counts up whenever somebody takes it, so that a former holder's
/// statements match no row.
pub type Epoch = i64;

/// Seconds until something is due, as a text with the column `seconds` says; negative when overdue,
/// nothing when nothing is.
async fn seconds_until(
    conn: &mut AsyncPgConnection,
    text: impl Into<String>,
) -> Result<Option<f64>, Error> {
    #[derive(QueryableByName)]
    struct Next {
        #[diesel(sql_type = Nullable<Double>)]
        seconds: Option<f64>,
    }
    let next: Next = statement(text).get_result(conn).await?;
    Ok(next.seconds)
}

/// A condition that is always true and makes its statement return before the disk has it. Only for
/// what may be forgotten in a crash of the database, and only outside of a longer transaction.
const FORGETTABLE: &str = "(select set_config('synchronous_commit', 'off', true)) is not null";

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
