//! Timestamps between jiff and PostgreSQL, to the millisecond as FHIR shows them.

use diesel::pg::data_types::PgTimestamp;
use jiff::Timestamp;

/// PostgreSQL counts microseconds from the year 2000.
const EPOCH: i64 = 946_684_800_000_000;

#[must_use]
pub fn to_sql(at: Timestamp) -> PgTimestamp {
    PgTimestamp(at.as_millisecond() * 1000 - EPOCH)
}

/// Times outside of what jiff can hold (before -9999, infinity) become the epoch; none is stored.
#[must_use]
pub fn from_sql(at: PgTimestamp) -> Timestamp {
    Timestamp::from_microsecond(at.0.saturating_add(EPOCH)).unwrap_or(Timestamp::UNIX_EPOCH)
}
