//! Conditions as SQL: fixed fragments and bind parameters.

use std::fmt::Write;

use diesel::pg::Pg;
use diesel::pg::data_types::PgTimestamp;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Integer, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::audience::Audiences;
use super::condition::{Compare, Condition, Edge, Field, Moment, Order, SortKey, Test, Visible};
use crate::r4::ResourceType;

/// PostgreSQL counts microseconds from the year 2000.
const EPOCH: i64 = 946_684_800_000_000;

/// No date covers more microseconds than a leap year.
const LONGEST_SPAN: i64 = 366 * 86_400 * 1_000_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Bind {
    Text(String),
    Texts(Vec<String>),
    Numbers(Vec<i32>),
    Number(i64),
    Moment(i64),
    Id(Uuid),
    Ids(Vec<Uuid>),
}

/// A statement in the making. The table of the searched resources is always called `r`.
#[derive(Debug, Default)]
pub(super) struct Statement {
    pub sql: String,
    pub binds: Vec<Bind>,
}

impl Statement {
    pub(super) fn push(&mut self, fragment: &str) -> &mut Self {
        self.sql.push_str(fragment);
        self
    }

    pub(super) fn bind(&mut self, value: Bind) -> &mut Self {
        self.binds.push(value);
        // Writing to a String cannot fail.
        let _ = write!(self.sql, "${}", self.binds.len());
        self
    }

    /// The type as a literal: a partial index is only used when the planner sees it.
    pub(super) fn kind(&mut self, table: &str, kind: ResourceType) -> &mut Self {
        let _ = write!(
            self.sql,
            "{table}.type = {} AND {table}.deleted IS NULL",
            kind.code()
        );
        self
    }

    pub(super) fn condition(&mut self, condition: &Condition) -> &mut Self {
        match condition {
            Condition::All(parts) => self.joined(parts, " AND ", "true"),
            Condition::Any(parts) => self.joined(parts, " OR ", "false"),
            Condition::Token(tokens) => self.token("r", tokens),
            Condition::Words(tokens) => self.push("r.tokens @> ").bind(Bind::Texts(tokens.clone())),
            Condition::Prefix(parameter, text) => self.prefix(parameter, text),
            Condition::Value(parameter, test) => self.value(parameter, test),
            Condition::Moment(moment) => self.moment(*moment),
            Condition::Id(id) => self.push("r.id = ").bind(Bind::Id(*id)),
            // Targets are looked up first; one that was not found is met by nothing.
            Condition::Target(_) | Condition::Nothing => self.push("false"),
        }
    }

    fn joined(&mut self, parts: &[Condition], between: &str, empty: &str) -> &mut Self {
        if parts.is_empty() {
            return self.push(empty);
        }
        self.push("(");
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                self.push(between);
            }
            self.condition(part);
        }
        self.push(")")
    }

    /// Containment where one token is asked for: the planner knows how frequent it is.
    pub(super) fn token(&mut self, table: &str, tokens: &[String]) -> &mut Self {
        let operator = if tokens.len() == 1 {
            ".tokens @> "
        } else {
            ".tokens && "
        };
        self.push(table)
            .push(operator)
            .bind(Bind::Texts(tokens.to_vec()))
    }

    /// As a range, which an index has.
    fn prefix(&mut self, parameter: &str, text: &str) -> &mut Self {
        let value = first_value(parameter);
        self.push("(").push(&value).push(" >= ").text(text);
        if let Some(end) = successor(text) {
            self.push(" AND ").push(&value).push(" < ").text(&end);
        }
        self.push(")")
    }

    fn value(&mut self, parameter: &str, test: &Test) -> &mut Self {
        // `->` of a parameter without value is NULL, which yields no element.
        let _ = write!(
            self.sql,
            "EXISTS (SELECT 1 FROM jsonb_array_elements_text(r.terms -> '{parameter}') v WHERE "
        );
        self.test(test).push(")")
    }

    fn test(&mut self, test: &Test) -> &mut Self {
        match test {
            Test::Equals(text) => self.push("v = ").text(text),
            Test::StartsWith(text) => self.push("starts_with(v, ").text(text).push(")"),
            Test::Contains(text) => self.push("strpos(v, ").text(text).push(") > 0"),
            Test::Code(text) => self.push("substr(v, strpos(v, '|') + 1) = ").text(text),
            Test::Not(inner) => self.push("NOT (").test(inner).push(")"),
        }
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.bind(Bind::Text(text.to_owned()))
    }

    fn moment(&mut self, moment: Moment) -> &mut Self {
        let operator = match moment.compare {
            Compare::Less => " < ",
            Compare::LessOrEqual => " <= ",
            Compare::Greater => " > ",
            Compare::GreaterOrEqual => " >= ",
        };
        match moment.field {
            Field::LastUpdated => self
                .push("r.last_updated")
                .push(operator)
                .bind(Bind::Moment(moment.at)),
            Field::Date(parameter) => self.date(parameter, moment, operator),
        }
    }

    /// The index has the first edge; a bound on the last one is therefore also put to the first,
    /// wide enough to lose nothing.
    fn date(&mut self, parameter: &str, moment: Moment, operator: &str) -> &mut Self {
        let (first, last) = (date_edge(parameter, 0), date_edge(parameter, 1));
        if moment.edge == Edge::First {
            return self
                .push(&first)
                .push(operator)
                .bind(Bind::Number(moment.at));
        }
        let wide = match moment.compare {
            Compare::Less | Compare::LessOrEqual => moment.at,
            Compare::Greater | Compare::GreaterOrEqual => moment.at.saturating_sub(LONGEST_SPAN),
        };
        self.push("(")
            .push(&first)
            .push(operator)
            .bind(Bind::Number(wide));
        self.push(" AND ")
            .push(&last)
            .push(operator)
            .bind(Bind::Number(moment.at))
            .push(")")
    }

    pub(super) fn visible(&mut self, visible: &Visible) -> &mut Self {
        match visible {
            Visible::Everything => self.push("true"),
            Visible::Nothing => self.push("false"),
            Visible::Keys(keys) => self.push("r.access && ").bind(Bind::Texts(keys.clone())),
            Visible::KeysOrContext(keys) => self
                .push("(r.access && ")
                .bind(Bind::Texts(keys.clone()))
                .push(" OR EXISTS (SELECT 1 FROM resource c WHERE c.id = r.context")
                .push(" AND c.deleted IS NULL AND c.access && ")
                .bind(Bind::Texts(keys.clone()))
                .push("))"),
        }
    }

    /// Rows of the audiences that were found; a security context is looked at row by row.
    pub(super) fn seen(&mut self, audiences: &Audiences, visible: &Visible) -> &mut Self {
        let context = matches!(visible, Visible::KeysOrContext(_));
        self.push(if context { "(" } else { "" })
            .push("r.audience = ");
        match audiences.seen.as_slice() {
            [only] => self.bind(Bind::Number(i64::from(*only))).push("::integer"),
            seen => self
                .push("ANY(")
                .bind(Bind::Numbers(seen.to_vec()))
                .push(")"),
        };
        if context {
            self.push(" OR EXISTS (SELECT 1 FROM resource c WHERE c.id = r.context")
                .push(" AND c.deleted IS NULL AND c.access && ")
                .bind(Bind::Texts(visible.keys().to_vec()))
                .push("))");
        }
        self
    }

    /// Ends with the id, so that pages never overlap.
    pub(super) fn order(&mut self, order: &[Order]) -> &mut Self {
        let by_time = [Order {
            key: SortKey::LastUpdated,
            descending: false,
        }];
        let order = if order.is_empty() { &by_time } else { order };
        for Order { key, descending } in order {
            let expression = match key {
                SortKey::Id => "r.id".to_owned(),
                SortKey::LastUpdated => "r.last_updated".to_owned(),
                SortKey::Date(parameter) => date_edge(parameter, 0),
                SortKey::Value(parameter) => first_value(parameter),
            };
            self.push(&expression);
            self.push(if *descending { " DESC, " } else { ", " });
        }
        // In the direction of the last key, as the indexes have it.
        let descending = order.last().is_some_and(|last| last.descending);
        self.push(if descending { "r.id DESC" } else { "r.id" })
    }

    pub(super) fn into_query(self) -> BoxedSqlQuery<'static, Pg, SqlQuery> {
        self.binds.into_iter().fold(
            sql_query(self.sql).into_boxed::<Pg>(),
            |query, bind| match bind {
                Bind::Text(value) => query.bind::<Text, _>(value),
                Bind::Texts(value) => query.bind::<Array<Text>, _>(value),
                Bind::Numbers(value) => query.bind::<Array<Integer>, _>(value),
                Bind::Number(value) => query.bind::<BigInt, _>(value),
                Bind::Moment(at) => {
                    query.bind::<Timestamptz, _>(PgTimestamp(at.saturating_sub(EPOCH)))
                }
                Bind::Id(value) => query.bind::<SqlUuid, _>(value),
                Bind::Ids(value) => query.bind::<Array<SqlUuid>, _>(value),
            },
        )
    }
}

/// In the form that the indexes have.
fn date_edge(parameter: &str, edge: u8) -> String {
    format!("((r.terms -> '{parameter}' -> {edge})::bigint)")
}

fn first_value(parameter: &str) -> String {
    format!("((r.terms -> '{parameter}' ->> 0) COLLATE \"C\")")
}

/// The first text, by code points, behind all that begin with this one; `None` if there is none.
fn successor(text: &str) -> Option<String> {
    let mut chars: Vec<char> = text.chars().collect();
    while let Some(last) = chars.pop() {
        // A step behind a surrogate's place is none: those are no characters.
        let next = (u32::from(last) + 1..=0x10_FFFF).find_map(char::from_u32);
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_text_of_its_length_or_shorter() {
        assert_eq!(successor("ab").as_deref(), Some("ac"));
        assert_eq!(successor("a\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(successor("\u{D7FF}").as_deref(), Some("\u{E000}"));
        assert_eq!(successor("\u{10FFFF}"), None);
    }
}
