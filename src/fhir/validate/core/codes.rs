//! The code systems and value sets of R4.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::{VERSION, expanded};
use crate::fhir::validate::terminology::{CodeSystem, Filter, Part, ValueSet};

const TEXT: &str = include_str!("../../../../conformance/r4/codes.tsv");
pub(super) const SIZE: usize = TEXT.len();

static TABLE: LazyLock<Table> = LazyLock::new(Table::read);

struct Table {
    systems: HashMap<String, &'static str>,
    sets: HashMap<String, &'static str>,
}

impl Table {
    fn read() -> Self {
        let (mut systems, mut sets) = (HashMap::new(), HashMap::new());
        for block in TEXT.split("\n=").skip(1) {
            let mut columns = block.lines().next().unwrap_or_default().split('\t');
            let (kind, url) = (columns.next(), columns.next().unwrap_or_default());
            let table = if kind == Some("C") {
                &mut systems
            } else {
                &mut sets
            };
            table.insert(expanded(url).into_owned(), block);
        }
        Self { systems, sets }
    }
}

/// The code system with this address, if it is one of R4 (or of this version).
#[must_use]
pub fn code_system(url: &str, version: Option<&str>) -> Option<CodeSystem> {
    let block = TABLE.systems.get(url)?;
    let (header, codes) = block.split_once('\n')?;
    let columns: Vec<&str> = header.split('\t').collect();
    let column = |index: usize| columns.get(index).copied().unwrap_or_default();
    if version.is_some_and(|version| version != column(2) && version != VERSION) {
        return None;
    }
    let mut system = CodeSystem::new(url, column(3) == "complete", column(4) == "sensitive");
    for code in codes.trim_end_matches('\n').split('\t') {
        let (depth, code) = code.split_at_checked(1)?;
        let depth = u8::from_str_radix(depth, 36).unwrap_or_default();
        system.add(code, usize::from(depth));
    }
    Some(system)
}

/// As [`code_system`].
#[must_use]
pub fn value_set(url: &str, version: Option<&str>) -> Option<ValueSet> {
    let block = TABLE.sets.get(url)?;
    let mut lines = block.lines();
    let own = lines.next()?.split('\t').nth(2).unwrap_or_default();
    if version.is_some_and(|version| version != own && version != VERSION) {
        return None;
    }
    let mut set = ValueSet::new(url);
    for line in lines {
        let mut columns = line.split('\t');
        let sign = columns.next();
        let part = part(columns);
        if sign == Some("-") {
            set.exclude.push(part);
        } else {
            set.include.push(part);
        }
    }
    Some(set)
}

fn part(mut columns: std::str::Split<'static, char>) -> Part {
    let mut column = || columns.next().unwrap_or_default();
    let (system, version, sets, filters) = (column(), column(), column(), column());
    let some = |text: &str| (!text.is_empty()).then(|| expanded(text).into_owned());
    let sets = sets.split(' ').filter(|word| !word.is_empty());
    let codes: HashSet<Box<str>> = columns.map(Into::into).collect();
    Part {
        system: some(system),
        version: some(version),
        sets: sets.map(|url| expanded(url).into_owned()).collect(),
        filters: filters.split(' ').filter_map(filter).collect(),
        codes: (!codes.is_empty()).then_some(codes),
        ..Part::default()
    }
}

fn filter(column: &str) -> Option<Filter> {
    let mut parts = column.splitn(3, ',');
    let property = parts.next().filter(|property| !property.is_empty())?;
    Some(Filter::new(property, parts.next()?, parts.next()?))
}
