//! Builds the tree of a resource from JSON, element by element of the table.

use serde_json::{Map, Number, Value};

use super::scan::Scanner;
use crate::r4::failure::{Failure, Reading, check_together, excerpt};
use crate::r4::table::{Block, Content, Element, Primitive, Table, table};
use crate::r4::{Resource, lexical, xhtml};

/// Reads a document that is one resource.
pub(super) fn resource(document: &[u8], reading: Reading) -> Result<Resource, Failure> {
    let text = std::str::from_utf8(document)
        .map_err(|error| Failure::new(error.valid_up_to(), "not UTF-8"))?;
    let table = table();
    let mut reader = Reader {
        scanner: Scanner::new(text),
        table,
        element: element_block(table),
        reading,
    };
    let members = reader.resource(true)?;
    if reader.scanner.peek() != 0 || reader.scanner.offset() < text.len() {
        return reader.scanner.unexpected("the end of the document");
    }
    let whole = text.len();
    Resource::from_members(members).ok_or_else(|| Failure::new(whole, "no resourceType"))
}

/// What every primitive may have beside its value: `id` and `extension`.
fn element_block(table: &Table) -> Option<&Block> {
    table.find("Element").map(|id| table.block(id))
}

struct Reader<'a> {
    scanner: Scanner<'a>,
    table: &'static Table,
    element: Option<&'static Block>,
    reading: Reading,
}

impl Reader<'_> {
    /// A resource. `is_root`: errors inside name its type first.
    fn resource(&mut self, is_root: bool) -> Result<Map<String, Value>, Failure> {
        let start = self.scanner.clone();
        let type_name = resource_type(start)?;
        let Some(id) = self.table.resource(&type_name) else {
            return self
                .scanner
                .fail(format!("{} is no resource type of R4", excerpt(&type_name)));
        };
        let mut members = Map::new();
        members.insert("resourceType".to_owned(), Value::String(type_name));
        let block = self.table.block(id);
        self.object(block, members).map_err(|failure| {
            if is_root {
                failure.within(block.name)
            } else {
                failure
            }
        })
    }

    /// An object of this block, added to the members that are known already.
    fn object(
        &mut self,
        block: &'static Block,
        mut members: Map<String, Value>,
    ) -> Result<Map<String, Value>, Failure> {
        let is_resource = !members.is_empty();
        let start = self.scanner.offset();
        self.scanner.open(b'{', "an object")?;
        if self.scanner.close(b'}') {
            return Err(Failure::new(
                start,
                "an empty object, expected at least one element",
            ));
        }
        let (mut present, mut has_extras, mut named) = (Vec::with_capacity(8), false, false);
        loop {
            self.scanner.peek();
            let at = self.scanner.offset();
            let name = self.scanner.name()?;
            if is_resource && name == "resourceType" {
                self.scanner.string("the name of a resource type")?;
                if std::mem::replace(&mut named, true) {
                    return Err(Failure::new(at, "resourceType is given twice"));
                }
            } else {
                let (index, is_extra) = find(block, &name, at)?;
                let element = &block.elements()[index];
                let value = self.member(element, is_extra)?;
                let has_null = value
                    .as_array()
                    .is_some_and(|list| list.contains(&Value::Null));
                if members.insert(name.into_owned(), value).is_some() {
                    return Err(Failure::new(at, "given twice").within(&element.name));
                }
                present.push(index);
                has_extras |= is_extra || has_null;
            }
            if !self.scanner.goes_on(b'}', "',' or '}'")? {
                break;
            }
        }
        if !present.is_sorted() || has_extras {
            members = in_order(block, members, &mut present);
        }
        if has_extras {
            check_extras(block, &members, start)?;
        }
        check_together(block, &present).map_err(|message| Failure::new(start, message))?;
        Ok(members)
    }

    fn member(&mut self, element: &Element, is_extra: bool) -> Result<Value, Failure> {
        let name = element.name.as_ref();
        if !element.is_list {
            return self
                .single(element, is_extra)
                .map_err(|failure| failure.within(name));
        }
        let may_be_null = matches!(element.content, Content::Primitive(_));
        let within = |failure: Failure| failure.within(name);
        self.scanner.open(b'[', "a list").map_err(within)?;
        if self.scanner.close(b']') {
            return self.scanner.fail("an empty list").map_err(within);
        }
        let mut items = Vec::new();
        loop {
            let value = if may_be_null && self.scanner.literal("null") {
                Ok(Value::Null)
            } else {
                self.single(element, is_extra)
            };
            items.push(value.map_err(|failure| failure.at_index(name, items.len()))?);
            if !self.scanner.goes_on(b']', "',' or ']'").map_err(within)? {
                break;
            }
        }
        if items.iter().all(Value::is_null) {
            return self
                .scanner
                .fail("a list of nothing but null")
                .map_err(within);
        }
        Ok(Value::Array(items))
    }

    fn single(&mut self, element: &Element, is_extra: bool) -> Result<Value, Failure> {
        if is_extra {
            return match self.element {
                Some(block) => self.object(block, Map::new()).map(Value::Object),
                None => self.scanner.fail("extensions are not known"),
            };
        }
        match element.content {
            Content::Primitive(primitive) => self.primitive(primitive),
            Content::Block(id) => self
                .object(self.table.block(id), Map::new())
                .map(Value::Object),
            Content::Resource => self.resource(false).map(Value::Object),
            Content::Xhtml => self.narrative(),
        }
    }

    fn primitive(&mut self, primitive: Primitive) -> Result<Value, Failure> {
        let primitive = self.reading.form_of(primitive);
        self.scanner.peek();
        let at = self.scanner.offset();
        let checked = |text: &str| {
            lexical::check(primitive, text).map_err(|expected| {
                Failure::new(at, format!("expected {expected}, found {}", excerpt(text)))
            })
        };
        match primitive {
            Primitive::Boolean if self.scanner.literal("true") => Ok(Value::Bool(true)),
            Primitive::Boolean if self.scanner.literal("false") => Ok(Value::Bool(false)),
            Primitive::Boolean => self.scanner.unexpected("true or false"),
            Primitive::Integer
            | Primitive::UnsignedInt
            | Primitive::PositiveInt
            | Primitive::Decimal => {
                let text = self.scanner.number()?;
                checked(text)?;
                let number = text.parse::<Number>();
                number
                    .map(Value::Number)
                    .map_err(|error| Failure::new(at, error.to_string()))
            }
            _ => {
                let text = self.scanner.string("a string")?;
                checked(&text)?;
                Ok(Value::String(text.into_owned()))
            }
        }
    }

    fn narrative(&mut self) -> Result<Value, Failure> {
        self.scanner.peek();
        let at = self.scanner.offset();
        let text = self.scanner.string("a string")?;
        let div = xhtml::check(&text).map_err(|(_, message)| Failure::new(at, message))?;
        Ok(Value::String(div.into_owned()))
    }
}

/// Looks ahead for the `resourceType` of the object that starts here.
fn resource_type(mut scanner: Scanner<'_>) -> Result<String, Failure> {
    let start = scanner.offset();
    scanner.open(b'{', "a resource as an object")?;
    if !scanner.close(b'}') {
        loop {
            if scanner.name()? == "resourceType" {
                return scanner
                    .string("the name of a resource type")
                    .map(Into::into);
            }
            scanner.skip()?;
            if !scanner.goes_on(b'}', "',' or '}'")? {
                break;
            }
        }
    }
    Err(Failure::new(start, "a resource without resourceType"))
}

/// The element of this name; with it whether the name is that of its `_` companion.
fn find(block: &Block, name: &str, at: usize) -> Result<(usize, bool), Failure> {
    let found = match name.strip_prefix('_') {
        Some(name) => {
            let is_extensible = |index: &usize| {
                let element = &block.elements()[*index];
                matches!(element.content, Content::Primitive(_)) && !element.is_attribute
            };
            block
                .index_of(name)
                .filter(is_extensible)
                .map(|index| (index, true))
        }
        None => block.index_of(name).map(|index| (index, false)),
    };
    found.ok_or_else(|| {
        let shown = excerpt(name);
        let message = match block
            .elements()
            .iter()
            .find(|e| e.defined_name == format!("{name}[x]"))
        {
            Some(choice) => format!(
                "unknown element {shown} in {}, expected {name} with a type, as in {}",
                block.name, choice.name
            ),
            None => format!(
                "unknown element {shown} in {}{}",
                block.name,
                block.meant(name)
            ),
        };
        Failure::new(at, message)
    })
}

/// The members in the order of the definition, each value before its `_` companion.
fn in_order(
    block: &Block,
    members: Map<String, Value>,
    present: &mut [usize],
) -> Map<String, Value> {
    let place = |name: &str| match name.strip_prefix('_') {
        Some(name) => block.index_of(name).map(|index| 2 * index + 1),
        None => block.index_of(name).map(|index| 2 * index),
    };
    let mut sorted: Vec<_> = members.into_iter().collect();
    // `resourceType` is no element and stays first.
    sorted.sort_by_cached_key(|(name, _)| place(name));
    present.sort_unstable();
    sorted.into_iter().collect()
}

/// A list of values and the list of what belongs to them must fit each other.
fn check_extras(block: &Block, members: &Map<String, Value>, at: usize) -> Result<(), Failure> {
    for (name, value) in members {
        if name
            .strip_prefix('_')
            .is_some_and(|name| members.contains_key(name))
        {
            continue;
        }
        let companion = members.get(&format!("_{name}"));
        let (Value::Array(values), Some(Value::Array(extras))) = (value, companion) else {
            if value.as_array().is_some_and(|values| has_gap(values, &[])) {
                return Err(Failure::new(at, "null without an extension").within(name));
            }
            continue;
        };
        if values.len() != extras.len() || has_gap(values, extras) {
            let message = format!("{name} and _{name} of {} do not fit each other", block.name);
            return Err(Failure::new(at, message).within(name));
        }
    }
    Ok(())
}

/// Whether an entry has neither value nor extension.
fn has_gap(values: &[Value], extras: &[Value]) -> bool {
    let is_null = |at: usize| extras.get(at).is_none_or(Value::is_null);
    values
        .iter()
        .enumerate()
        .any(|(at, value)| value.is_null() && is_null(at))
}
