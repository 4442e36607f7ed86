//! The statement of a search: its total, counted or carried forward, and one page.

use super::audience::Audiences;
use super::condition::{Condition, Selection, Visible};
use super::list::is_by_time;
use super::run::COLUMNS;
use super::sql::{Bind, Statement};
use super::totals::{Key, Total};
use crate::r4::ResourceType;

/// With more changed resources than these a total is counted anew,
pub(super) const CHANGES: i64 = 200;
/// or with larger ones.
pub(super) const CHANGED_BYTES: i64 = 4 << 20;

/// The parts of the statement. All are written for the same parameters.
pub(super) struct Page<'a> {
    selection: &'a Selection,
    binds: Vec<Bind>,
    /// Rows that meet the condition, whoever may see them.
    matching: String,
    /// Rows of the audiences, which implies the type.
    seen: String,
    /// Whether there is no condition.
    is_bare: bool,
    /// Merged from a list for each of the audiences, which are this parameter.
    lists: Option<usize>,
}

impl<'a> Page<'a> {
    pub(super) fn new(
        selection: &'a Selection,
        condition: &Condition,
        audiences: &Audiences,
    ) -> Self {
        let mut statement = Statement::default();
        // The audiences say which type it is; with the type, too, PostgreSQL would look through all
        // that has it. An index for one type is only used when it is named.
        let by_type = !audiences.others
            || condition.has_ranges()
            || !selection.order.iter().all(|order| order.key.is_common());
        if by_type {
            statement.kind("r", selection.kind);
        } else {
            statement.push("r.deleted IS NULL");
        }
        statement.push(" AND ").condition(condition);
        let matching = std::mem::take(&mut statement.sql);
        statement.seen(audiences, &selection.visible);
        // What is seen through a security context is in no list.
        let context = matches!(selection.visible, Visible::KeysOrContext(_));
        let lists = (audiences.make_lists() && is_by_time(&selection.order) && !context)
            .then_some(statement.binds.len());
        Self {
            selection,
            matching,
            seen: statement.sql,
            binds: statement.binds,
            is_bare: condition.is_empty(),
            lists,
        }
    }

    /// What the total belongs to.
    pub(super) fn key(&self) -> Key {
        (
            format!("{} AND {}", self.matching, self.seen),
            self.binds.clone(),
        )
    }

    /// Whether there are few texts like this one, so that it is worth preparing: no condition, one
    /// order.
    pub(super) fn is_usual(&self) -> bool {
        self.is_bare && self.selection.order.len() < 2
    }

    /// Without a condition the index of audiences has all there is to know.
    fn filter(&self, with_type: bool) -> String {
        if self.is_bare && !with_type {
            return format!("r.deleted IS NULL AND {}", self.seen);
        }
        format!("{} AND {}", self.matching, self.seen)
    }
}

/// One line for each hit, or a single one without; the first has the changes since `known`, or the
/// total.
pub(super) fn paged(page: &Page<'_>, known: Option<&Total>) -> Statement {
    let mut statement = Statement {
        sql: String::new(),
        binds: page.binds.clone(),
    };
    statement.push("SELECT pg_current_snapshot()::text AS snapshot, ");
    match known {
        Some(known) => statement.changes(page.selection.kind, known),
        None => statement
            .push("(SELECT count(*) FROM resource r WHERE ")
            .push(&page.filter(false))
            .push(") AS total, NULL::text AS changes, "),
    };
    statement
        .push("p.* FROM (VALUES (1)) one LEFT JOIN LATERAL (SELECT row_number() OVER () AS number, r.* FROM (SELECT ")
        .push(COLUMNS)
        .push(" FROM ");
    if page.lists.is_some() {
        statement.lists(page);
    } else {
        statement.push("resource r WHERE ").push(&page.filter(true));
        statement
            .push(" ORDER BY ")
            .order(&page.selection.order)
            .window(page.selection);
    }
    // One row on the left: the join keeps the order of the right.
    statement.push(") r) p ON true");
    statement
}

impl Statement {
    /// What changed since a total was counted.
    fn changes(&mut self, kind: ResourceType, known: &Total) -> &mut Self {
        self.push("NULL::bigint AS total, CASE WHEN coalesce(p.number, 1) = 1 THEN changes_since(")
            .push(&kind.code().to_string())
            .push("::smallint, ")
            .bind(Bind::Text(known.snapshot.clone()))
            .push(", ")
            .bind(Bind::Number(CHANGES))
            .push(", ")
            .bind(Bind::Number(CHANGED_BYTES))
            .push(") END AS changes, ")
    }

    /// The page from the beginnings of one list for each audience.
    fn lists(&mut self, page: &Page<'_>) -> &mut Self {
        let Selection {
            order,
            limit,
            offset,
            ..
        } = page.selection;
        let audiences = page.lists.unwrap_or_default();
        let condition = &page.matching;
        self.push(&format!(
            "(SELECT r.id FROM unnest(${audiences}) a CROSS JOIN LATERAL (\
             SELECT r.id, r.last_updated FROM resource r WHERE {condition} AND r.audience = a ORDER BY "
        ));
        self.order(order)
            .push(" LIMIT ")
            .bind(Bind::Number(limit.saturating_add(*offset)))
            .push(") r ORDER BY ")
            .order(order)
            .window(page.selection)
            .push(") l JOIN resource r ON r.id = l.id ORDER BY ")
            .order(order)
    }

    fn window(&mut self, selection: &Selection) -> &mut Self {
        self.push(" LIMIT ")
            .bind(Bind::Number(selection.limit))
            .push(" OFFSET ")
            .bind(Bind::Number(selection.offset))
    }
}
