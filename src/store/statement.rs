//! SQL in words of its own, prepared once per connection.
//!
//! Diesel prepares what [`diesel::sql_query`] is given anew for every execution, because it cannot
//! know how many different texts there will be: one more round trip, and parsing and planning each
//! time, which for the large statements takes longer than running them. Only texts of a bounded
//! number may become a [`Statement`].

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, BoxedSqlQuery, Query, QueryFragment, QueryId, SqlQuery};
use diesel::result::QueryResult;
use diesel::serialize::ToSql;
use diesel::sql_types::{HasSqlType, Untyped};

/// A text with its parameters.
#[must_use = "a statement does nothing until it is run"]
pub(in crate::store) struct Statement<'a>(BoxedSqlQuery<'a, Pg, SqlQuery>);

pub(super) fn statement<'a>(text: impl Into<String>) -> Statement<'a> {
    Statement(diesel::sql_query(text).into_boxed())
}

impl<'a> From<BoxedSqlQuery<'a, Pg, SqlQuery>> for Statement<'a> {
    fn from(query: BoxedSqlQuery<'a, Pg, SqlQuery>) -> Self {
        Self(query)
    }
}

impl<'a> Statement<'a> {
    /// The next parameter.
    pub fn bind<T, V>(self, value: V) -> Self
    where
        Pg: HasSqlType<T>,
        T: Send + 'a,
        V: ToSql<T, Pg> + Send + 'a,
    {
        Self(self.0.bind::<T, V>(value))
    }
}

impl QueryFragment<Pg> for Statement<'_> {
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk_ast(pass)
    }

    fn is_safe_to_cache_prepared(&self, _backend: &Pg) -> QueryResult<bool> {
        Ok(true)
    }
}

impl QueryId for Statement<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Statement<'_> {
    type SqlType = Untyped;
}
