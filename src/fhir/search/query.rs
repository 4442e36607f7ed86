//! A whole query string: filters, order, paging, includes and what was not understood.

use crate::r4::ResourceType;
use crate::store::fhir::search::{Condition, Order, SortKey};

use super::fault::{Fault, Faults};
use super::include::{Include, includes, reverse_includes};
use super::parameter::{self, Reading};
use super::registry::{self, Kind};

/// More entries than these are never answered at once (§12, 53).
const MOST: i32 = 5000;

/// Parameters of one search; a person writes a handful.
const MOST_PARAMETERS: usize = 100;

/// Parameters that say how to answer, not what to find; each may be given once.
const SINGLE: &[&str] = &["_sort", "_page", "_count", "_format", "_pretty", "_summary"];
const REPEATED: &[&str] = &["_include", "_revinclude"];

/// What happens with parameters that are not understood (§2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Handling {
    Strict,
    #[default]
    Lenient,
}

/// A search that was understood, at least in part.
#[derive(Clone, Debug)]
pub struct Query {
    pub kind: ResourceType,
    pub(super) condition: Condition,
    pub(super) order: Vec<Order>,
    pub(super) count: i32,
    pub(super) page: i32,
    /// `_summary=count`: no matches and includes, but links as for a page.
    pub(super) only_total: bool,
    pub(super) includes: Vec<Include>,
    pub(super) reverse_includes: Vec<Include>,
    /// What the links repeat, besides `_count` and `_page`.
    pub(super) echo: Vec<(String, String)>,
    /// What was left out, under lenient handling.
    pub faults: Faults,
}

/// Reads decoded names and values; a page that names no count has `page_count` matches. Under
/// strict handling any fault is an error.
///
/// # Errors
/// All that was not understood.
pub fn parse(
    kind: ResourceType,
    pairs: &[(String, String)],
    page_count: i32,
    handling: Handling,
) -> Result<Query, Faults> {
    limited(pairs)?;
    let mut reader = Reader {
        kind,
        pairs,
        echo: Vec::new(),
        faults: Vec::new(),
    };
    let condition = reader.filters();
    let (count, page) = reader.paging(page_count);
    let order = reader.order();
    let includes = reader.includes("_include", &includes(kind));
    let reverse_includes = reader.includes("_revinclude", &reverse_includes(kind));
    let only_total = reader.presentation();
    let Reader { echo, faults, .. } = reader;
    let faults = Faults(faults);
    if handling == Handling::Strict && !faults.is_empty() {
        return Err(faults);
    }
    Ok(Query {
        kind,
        condition,
        order,
        count,
        page,
        only_total,
        includes,
        reverse_includes,
        echo,
        faults,
    })
}

/// The condition of a conditional create, update or delete: parameters that say how to answer are
/// ignored, anything else that is not understood is an error (§4.3).
///
/// # Errors
/// All that was not understood.
pub fn conditions(kind: ResourceType, pairs: &[(String, String)]) -> Result<Condition, Faults> {
    limited(pairs)?;
    let mut reader = Reader {
        kind,
        pairs,
        echo: Vec::new(),
        faults: Vec::new(),
    };
    let condition = reader.filters();
    reader.faults.retain(|fault| !fault.is_repetition());
    if reader.faults.is_empty() {
        Ok(condition)
    } else {
        Err(Faults(reader.faults))
    }
}

/// Too many are an error under any handling.
fn limited(pairs: &[(String, String)]) -> Result<(), Faults> {
    let count = pairs.len();
    if count <= MOST_PARAMETERS {
        return Ok(());
    }
    let text = format!("{count} query parameters, at most {MOST_PARAMETERS} are allowed");
    Err(Faults(vec![Fault::repeated("*", text)]))
}

struct Reader<'a> {
    kind: ResourceType,
    pairs: &'a [(String, String)],
    echo: Vec<(String, String)>,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    /// Everything but the control parameters, of which only repetitions are noted: faults come in
    /// the order of the query.
    fn filters(&mut self) -> Condition {
        let mut conditions = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        for (name, value) in self.pairs {
            if SINGLE.contains(&name.as_str()) {
                if seen.iter().filter(|known| *known == name).count() == 1 {
                    let text = format!("More than one query parameter `{name}`");
                    self.faults.push(Fault::repeated(name, text));
                }
                seen.push(name);
                continue;
            }
            if REPEATED.contains(&name.as_str()) || value.trim().is_empty() {
                continue;
            }
            match parameter::read(self.kind, name, value) {
                Reading::Understood(understood) => {
                    conditions.push(understood.condition);
                    self.echo.push((name.clone(), understood.text));
                }
                Reading::Ignored => {}
                Reading::Faulty(fault) if self.faults.contains(&fault) => {}
                Reading::Faulty(fault) => self.faults.push(fault),
            }
        }
        Condition::All(conditions)
    }

    fn first(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.trim().is_empty())
    }

    /// What does not parse is the default, as if it were not there.
    fn paging(&self, page_count: i32) -> (i32, i32) {
        let number = |name, default| {
            self.first(name)
                .and_then(|text| text.parse::<i32>().ok())
                .unwrap_or(default)
                .max(0)
        };
        let (count, page) = (number("_count", page_count), number("_page", 1));
        if count.checked_mul(page).is_none() {
            return (page_count.min(MOST), 1);
        }
        (count.min(MOST), page)
    }

    fn order(&mut self) -> Vec<Order> {
        let Some(text) = self.first("_sort").map(str::to_owned) else {
            return Vec::new();
        };
        let (mut order, mut names, mut echo) = (Vec::new(), Vec::new(), Vec::new());
        for element in text.split(',').filter(|element| !element.is_empty()) {
            let (descending, name) = match element.strip_prefix('-') {
                Some(name) => (true, name),
                None => (false, element.strip_prefix('+').unwrap_or(element)),
            };
            let Some(found) = registry::find(self.kind, name) else {
                let text = format!("_sort query parameter value `{name}` not supported");
                self.faults.push(Fault::control("_sort", text));
                continue;
            };
            if names.contains(&name) {
                let text = format!("More than one _sort query parameter valus `{element}`");
                self.faults.push(Fault::repeated("_sort", text));
                continue;
            }
            names.push(name);
            order.push(Order {
                key: sort_key(found),
                descending,
            });
            echo.push(format!("{}{name}", if descending { "-" } else { "" }));
        }
        if !echo.is_empty() {
            self.echo.push(("_sort".to_owned(), echo.join(",")));
        }
        order
    }

    fn includes(&mut self, name: &str, known: &[Include]) -> Vec<Include> {
        let (mut found, mut seen) = (Vec::new(), Vec::new());
        let values = self
            .pairs
            .iter()
            .filter(|(key, value)| key == name && !value.trim().is_empty());
        for (_, value) in values {
            let Some(include) = known.iter().find(|include| include.is_called(value)) else {
                let text = format!("{name} query parameter value {value} not supported");
                self.faults.push(Fault::control(name, text));
                continue;
            };
            if seen.contains(&value) {
                let text = format!("More than one {name} query parameter value {value}");
                self.faults.push(Fault::repeated(name, text));
                continue;
            }
            seen.push(value);
            found.push(*include);
            self.echo.push((name.to_owned(), value.clone()));
        }
        found
    }

    /// Repeats `_format`, `_pretty`, `_summary` where they say something; answers whether only the
    /// total is wanted.
    fn presentation(&mut self) -> bool {
        let (format, pretty, summary) = (
            self.lower("_format"),
            self.lower("_pretty"),
            self.lower("_summary"),
        );
        let summary = summary
            .filter(|word| ["true", "text", "data", "count", "false"].contains(&word.as_str()));
        let only_total = summary.as_deref() == Some("count");
        for (name, value) in [
            ("_format", format),
            ("_pretty", pretty.filter(|word| word == "true")),
            ("_summary", summary),
        ] {
            if let Some(value) = value {
                self.echo.push((name.to_owned(), value));
            }
        }
        only_total
    }

    fn lower(&self, name: &str) -> Option<String> {
        self.first(name).map(str::to_ascii_lowercase)
    }
}

fn sort_key(parameter: &'static registry::Parameter) -> SortKey {
    match parameter.kind {
        Kind::Id => SortKey::Id,
        Kind::LastUpdated => SortKey::LastUpdated,
        Kind::Date => SortKey::Date(parameter.name),
        _ => SortKey::Value(parameter.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(query: &str) -> Vec<(String, String)> {
        url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect()
    }

    fn faults(kind: ResourceType, query: &str) -> String {
        parse(kind, &pairs(query), 20, Handling::Lenient)
            .expect("lenient")
            .faults
            .to_string()
    }

    #[test]
    fn what_is_not_understood_is_named_as_java_names_it() {
        for (query, text) in [
            (
                "status=waiting",
                "parameter: status, error: UNPARSABLE_VALUE, message: 'FHIRException - Unknown TaskStatus code 'waiting'', value: waiting",
            ),
            (
                "_id=x",
                "parameter: _id, error: UNPARSABLE_VALUE, message: 'IllegalArgumentException - Invalid UUID string: x', value: x",
            ),
            (
                "_sort= status",
                "parameter: _sort, error: UNPARSABLE_VALUE, message: '_sort query parameter value ` status` not supported'",
            ),
            ("status=a|b&status=&_count=x", ""),
            (
                "a=1&status:exact=x",
                "parameter: a, error: UNSUPPORTED_PARAMETER, message: 'Query parameter `a` not supported'; parameter: status:exact, error: UNSUPPORTED_PARAMETER, message: 'Query parameter `status:exact` not supported'",
            ),
            (
                "_sort=status,-status",
                "parameter: _sort, error: UNSUPPORTED_NUMBER_OF_VALUES, message: 'More than one _sort query parameter valus `-status`'",
            ),
        ] {
            assert_eq!(faults(ResourceType::Task, query), text);
        }
    }

    #[test]
    fn strict_handling_refuses_what_lenient_handling_leaves_out() {
        let query = pairs("nonsense=1&status=draft");
        assert!(parse(ResourceType::Task, &query, 20, Handling::Strict).is_err());
        let query = parse(ResourceType::Task, &query, 20, Handling::Lenient).expect("lenient");
        assert_eq!(query.echo, [("status".to_owned(), "draft".to_owned())]);
    }
}
