//! The base definitions: data types, primitives and resources.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::{STRUCTURE, VERSION, expanded};
use crate::fhir::validate::definition::{Definition, Element};

const TEXT: &str = include_str!("../../../../conformance/r4/structures.tsv");
pub(super) const SIZE: usize = TEXT.len();

static TABLE: LazyLock<Table> = LazyLock::new(Table::read);

const FHIR_TYPE: &str = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type";

struct Table {
    constraints: Vec<&'static str>,
    /// Header and rows, by type.
    types: HashMap<&'static str, (&'static str, &'static str)>,
}

impl Table {
    fn read() -> Self {
        let mut blocks = TEXT.split("\n=");
        let head = blocks.next().unwrap_or_default();
        let constraints = head
            .lines()
            .filter_map(|line| line.strip_prefix('!'))
            .collect();
        let types = blocks.filter_map(|block| {
            let (header, rows) = block.split_once('\n')?;
            Some((header.split('\t').next()?, (header, rows)))
        });
        Self {
            constraints,
            types: types.collect(),
        }
    }
}

/// The only profile that types of R4 themselves use: a Quantity without comparator.
const SIMPLE: &str = "SimpleQuantity";

fn simple_quantity() -> Option<Definition> {
    let mut definition = definition("Quantity")?;
    definition.url = format!("{STRUCTURE}{SIMPLE}");
    definition.base = Some(format!("{STRUCTURE}Quantity"));
    definition.is_constraint = true;
    let comparator = |element: &&mut Element| element["path"] == "Quantity.comparator";
    let comparator = definition.snapshot.iter_mut().find(comparator)?;
    comparator.insert("max".to_owned(), json!("0"));
    Some(definition)
}

/// The definition of a base type, with its snapshot.
#[must_use]
pub fn definition(type_name: &str) -> Option<Definition> {
    if type_name == SIMPLE {
        return simple_quantity();
    }
    let (header, rows) = TABLE.types.get(type_name)?;
    let mut columns = header.split('\t').skip(1);
    let kind = match columns.next()? {
        "resource" => "resource",
        "complex" => "complex-type",
        _ => "primitive-type",
    };
    let base = columns
        .next()
        .filter(|base| *base != "-" && !base.is_empty());
    Some(Definition {
        url: format!("{STRUCTURE}{type_name}"),
        version: Some(VERSION.to_owned()),
        kind: kind.to_owned(),
        is_abstract: columns.next() == Some("abstract"),
        type_name: type_name.to_owned(),
        base: base.map(|base| format!("{STRUCTURE}{base}")),
        is_constraint: false,
        context: Vec::new(),
        differential: Vec::new(),
        snapshot: rows.lines().map(|row| element(type_name, row)).collect(),
    })
}

fn element(type_name: &str, row: &str) -> Element {
    let mut columns = row.split('\t');
    let mut column = || columns.next().unwrap_or_default();
    let (tail, min, max, types, flags) = (column(), column(), column(), column(), column());
    let (binding, constraints, conditions) = (column(), column(), column());
    let (base, more) = (column(), column());
    let path = match tail {
        "." => type_name.to_owned(),
        _ => format!("{type_name}.{tail}"),
    };
    let min = min.parse::<u32>().unwrap_or_default();
    let mut element = Map::new();
    element.insert("id".to_owned(), json!(path));
    element.insert("path".to_owned(), json!(path));
    let represented = [('A', "xmlAttr"), ('X', "xhtml")];
    if let Some((_, word)) = represented.iter().find(|(flag, _)| flags.contains(*flag)) {
        element.insert("representation".to_owned(), json!([word]));
    }
    if flags.contains('E') {
        element.insert("slicing".to_owned(), by_url());
    }
    element.insert("min".to_owned(), json!(min));
    element.insert("max".to_owned(), json!(max));
    element.insert("base".to_owned(), origin(base, &path, min, max));
    if types.starts_with('#') {
        element.insert("contentReference".to_owned(), json!(types));
    } else if !types.is_empty() {
        element.insert("type".to_owned(), types.split(' ').map(type_of).collect());
    }
    if let Ok(Value::Object(more)) = serde_json::from_str(more) {
        element.extend(more.into_iter().filter(|(name, _)| name != "regex"));
    }
    if !conditions.is_empty() {
        element.insert("condition".to_owned(), conditions.split(' ').collect());
    }
    if !constraints.is_empty() {
        let constraints: Vec<Value> = constraints.split(' ').filter_map(constraint).collect();
        element.insert("constraint".to_owned(), Value::Array(constraints));
    }
    element.insert("isModifier".to_owned(), json!(flags.contains('M')));
    if !flags.contains('s') {
        element.insert("isSummary".to_owned(), json!(flags.contains('S')));
    }
    if let Some(bound) = bound(binding) {
        element.insert("binding".to_owned(), bound);
    }
    element
}

/// How extensions are sliced where nothing else is said.
pub(in crate::fhir::validate) fn by_url() -> Value {
    json!({
        "discriminator": [{ "type": "value", "path": "url" }],
        "description": "Extensions are always sliced by (at least) url",
        "rules": "open",
    })
}

fn origin(column: &str, path: &str, min: u32, max: &str) -> Value {
    let mut parts = column.split(' ');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(path), Some(min), Some(max)) => {
            json!({ "path": path, "min": min.parse::<u32>().unwrap_or_default(), "max": max })
        }
        _ => json!({ "path": path, "min": min, "max": max }),
    }
}

fn type_of(column: &str) -> Value {
    let (column, is_hierarchy) = match column.strip_suffix('~') {
        Some(column) => (column, true),
        None => (column, false),
    };
    let (column, targets) = listed(column, '(', ')');
    let (code, profiles) = listed(column, '<', '>');
    let mut kind = Map::new();
    if let Some((named, system)) = code.strip_prefix('^').and_then(|c| c.split_once('=')) {
        let extension = json!([{ "url": FHIR_TYPE, "valueUrl": named }]);
        kind.insert("extension".to_owned(), extension);
        let code = format!("http://hl7.org/fhirpath/System.{system}");
        kind.insert("code".to_owned(), json!(code));
    } else {
        kind.insert("code".to_owned(), json!(code));
    }
    if is_hierarchy {
        let url = format!("{STRUCTURE}structuredefinition-hierarchy");
        let extension = json!([{ "url": url, "valueBoolean": true }]);
        kind.insert("extension".to_owned(), extension);
    }
    for (name, urls) in [("profile", profiles), ("targetProfile", targets)] {
        if !urls.is_empty() {
            kind.insert(
                name.to_owned(),
                urls.split(',')
                    .map(|url| expanded(url).into_owned())
                    .collect(),
            );
        }
    }
    Value::Object(kind)
}

/// What stands before and between the brackets.
fn listed(column: &str, open: char, close: char) -> (&str, &str) {
    match column
        .strip_suffix(close)
        .and_then(|column| column.split_once(open))
    {
        Some((before, between)) => (before, between),
        None => (column, ""),
    }
}

fn constraint(number: &str) -> Option<Value> {
    let row = TABLE.constraints.get(number.parse::<usize>().ok()?)?;
    let mut columns = row.split('\t');
    let mut column = || columns.next().unwrap_or_default();
    let (key, severity, source, expression, human) =
        (column(), column(), column(), column(), column());
    let mut constraint = json!({ "key": key, "severity": severity, "human": human });
    if let Value::Object(members) = &mut constraint {
        if !expression.is_empty() {
            members.insert("expression".to_owned(), json!(expression));
        }
        if !source.is_empty() {
            members.insert("source".to_owned(), json!(expanded(source)));
        }
    }
    Some(constraint)
}

fn bound(column: &str) -> Option<Value> {
    let strength = match column.chars().next()? {
        'r' => "required",
        'e' => "extensible",
        'p' => "preferred",
        _ => "example",
    };
    let mut binding = json!({ "strength": strength });
    if let (Value::Object(members), true) = (&mut binding, column.len() > 1) {
        members.insert("valueSet".to_owned(), json!(expanded(&column[1..])));
    }
    Some(binding)
}
