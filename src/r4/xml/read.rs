//! Builds the tree of a resource from XML, element by element of the table.

use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::QName;
use quick_xml::{Reader as Events, XmlVersion};
use serde_json::{Map, Number, Value};

use super::NAMESPACE;
use crate::r4::failure::{Failure, MAX_DEPTH, Reading, check_together, excerpt};
use crate::r4::table::{Block, Content, Element, Primitive, Table, table};
use crate::r4::{Resource, lexical, xhtml};

/// Reads a document that is one resource; with it come the names of what was left out.
pub(super) fn resource(
    document: &[u8],
    reading: Reading,
) -> Result<(Resource, Vec<String>), Failure> {
    let text = std::str::from_utf8(document)
        .map_err(|error| Failure::new(error.valid_up_to(), "not UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut events = Events::from_str(text);
    events.config_mut().expand_empty_elements = true;
    let mut reader = Reader {
        events,
        text,
        table: table(),
        depth: 0,
        reading,
        left_out: Vec::new(),
    };
    let Step::Open(start) = reader.next()? else {
        return Err(Failure::new(
            text.len(),
            "expected a resource, found no element",
        ));
    };
    let members = reader.resource(&start, true)?;
    match reader.next()? {
        Step::End => match Resource::from_members(members) {
            Some(resource) => Ok((resource, reader.left_out)),
            None => Err(Failure::new(text.len(), "no resource type")),
        },
        _ => Err(reader.failure("expected the end of the document")),
    }
}

/// The next thing that matters: comments and white space do not.
enum Step<'a> {
    Open(BytesStart<'a>),
    Close,
    End,
}

struct Reader<'a> {
    events: Events<&'a [u8]>,
    text: &'a str,
    table: &'static Table,
    depth: usize,
    reading: Reading,
    /// What lenient reading does not keep.
    left_out: Vec<String>,
}

/// All occurrences of one element.
struct Slot {
    index: usize,
    values: Vec<Value>,
    extras: Vec<Value>,
}

impl<'a> Reader<'a> {
    fn offset(&self) -> usize {
        usize::try_from(self.events.buffer_position()).unwrap_or(usize::MAX)
    }

    fn failure(&self, message: impl Into<String>) -> Failure {
        Failure::new(self.offset(), message)
    }

    fn next(&mut self) -> Result<Step<'a>, Failure> {
        loop {
            let at = self.offset();
            let fail = |message: &str| Err(Failure::new(at, message));
            match self.events.read_event() {
                Ok(Event::Start(start)) => return Ok(Step::Open(start)),
                Ok(Event::End(_)) => return Ok(Step::Close),
                Ok(Event::Eof) if self.depth > 0 => return fail("ends inside of an element"),
                Ok(Event::Eof) => return Ok(Step::End),
                Ok(Event::Text(text)) if is_blank(&text.xml10_content()) => {}
                Ok(Event::Comment(_) | Event::PI(_)) => {}
                Ok(Event::Decl(declaration)) => {
                    let encoding = declaration.encoding().and_then(Result::ok);
                    if encoding.is_some_and(|name| !name.eq_ignore_ascii_case("utf-8")) {
                        return fail("expected the encoding UTF-8");
                    }
                }
                Ok(Event::DocType(_)) if self.leaves_out(|| "document type".to_owned()) => {}
                Ok(Event::DocType(_)) => return fail("a document type is not allowed"),
                Ok(Event::GeneralRef(_)) => return fail("an entity is not allowed here"),
                Ok(Event::Text(_) | Event::CData(_))
                    if self.depth > 0 && self.leaves_out(|| "text".to_owned()) => {}
                Ok(Event::Text(_) | Event::CData(_) | Event::Empty(_)) => {
                    return fail("text between elements, expected it in a value attribute");
                }
                Err(error) => return Err(Failure::new(at, format!("broken XML: {error}"))),
            }
        }
    }

    /// Notes what is not kept, if reading is lenient.
    fn leaves_out(&mut self, what: impl FnOnce() -> String) -> bool {
        let is_lenient = self.reading == Reading::Lenient;
        if is_lenient {
            self.left_out.push(what());
        }
        is_lenient
    }

    /// The name of an element. Lenient reading looks at no prefix.
    fn name<'s>(&self, start: &'s BytesStart<'_>) -> &'s str {
        let name = start.name().0;
        match name.rsplit_once(':') {
            Some((_, local)) if self.reading == Reading::Lenient => local,
            _ => name,
        }
    }

    /// Passes over an element up to its end.
    fn skip(&mut self) -> Result<(), Failure> {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.next()? {
                Step::Open(_) => depth += 1,
                Step::Close => depth -= 1,
                Step::End => return Err(self.failure("ends inside of an element")),
            }
        }
        Ok(())
    }

    fn enter(&mut self) -> Result<(), Failure> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.failure(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(())
    }

    fn resource(
        &mut self,
        start: &BytesStart<'_>,
        is_root: bool,
    ) -> Result<Map<String, Value>, Failure> {
        let name = self.name(start);
        let Some(id) = self.table.resource(name) else {
            return Err(self.failure(format!("{} is no resource type of R4", excerpt(name))));
        };
        let block = self.table.block(id);
        let mut members = Map::new();
        members.insert("resourceType".to_owned(), Value::String(name.to_owned()));
        let within = |failure: Failure| {
            if is_root {
                failure.within(name)
            } else {
                failure
            }
        };
        let has_namespace = start.attributes().flatten().any(|a| a.key.0 == "xmlns");
        if is_root && !has_namespace && self.reading == Reading::Strict {
            return Err(within(
                self.failure(format!("expected xmlns=\"{NAMESPACE}\"")),
            ));
        }
        self.object(start, block, members).map_err(within)
    }

    /// The attributes and children of an element, added to the members that are known already.
    fn object(
        &mut self,
        start: &BytesStart<'_>,
        block: &'static Block,
        mut members: Map<String, Value>,
    ) -> Result<Map<String, Value>, Failure> {
        self.enter()?;
        let at = self.offset();
        let mut slots = self.attributes(start, block)?;
        while let Step::Open(child) = self.next()? {
            let name = self.name(&child);
            let Some(index) = child_index(block, name) else {
                if self.leaves_out(|| format!("{}.{name}", block.name)) {
                    self.skip()?;
                    continue;
                }
                let shown = excerpt(name);
                let meant = block.meant(name);
                return Err(
                    self.failure(format!("unknown element {shown} in {}{meant}", block.name))
                );
            };
            self.child(&child, &block.elements()[index], index, &mut slots)?;
        }
        self.depth -= 1;
        slots.retain(|slot| !slot.values.is_empty());
        slots.sort_by_key(|slot| slot.index);
        let is_empty = slots.is_empty() && members.is_empty();
        if is_empty && !self.leaves_out(|| format!("empty {}", block.name)) {
            return Err(Failure::new(at, "an empty element, expected a child"));
        }
        let present: Vec<_> = slots.iter().map(|slot| slot.index).collect();
        check_together(block, &present).map_err(|message| Failure::new(at, message))?;
        for slot in slots {
            slot.into_members(block, &mut members);
        }
        Ok(members)
    }

    /// The children of an object that XML writes as attributes.
    fn attributes(
        &mut self,
        start: &BytesStart<'_>,
        block: &'static Block,
    ) -> Result<Vec<Slot>, Failure> {
        let mut slots = Vec::new();
        for (name, value) in self.plain_attributes(start)? {
            let index = block
                .index_of(&name)
                .filter(|index| block.elements()[*index].is_attribute);
            let is_kept = index.is_some() && !value.is_empty();
            if !is_kept && self.leaves_out(|| format!("{}.{name}", block.name)) {
                continue;
            }
            let Some(index) = index else {
                let shown = excerpt(&name);
                return Err(self.failure(format!("unknown attribute {shown} in {}", block.name)));
            };
            let value = self
                .value(&block.elements()[index], &value)
                .map_err(|failure| failure.within(&name))?;
            slots.push(Slot {
                index,
                values: vec![value],
                extras: vec![Value::Null],
            });
        }
        Ok(slots)
    }

    /// The attributes that are not about namespaces.
    fn plain_attributes(
        &mut self,
        start: &BytesStart<'_>,
    ) -> Result<Vec<(String, String)>, Failure> {
        let mut plain = Vec::new();
        for attribute in start.attributes() {
            let at = self.offset();
            let broken = |error: String| Failure::new(at, format!("broken XML: {error}"));
            let attribute = attribute.map_err(|error| broken(error.to_string()))?;
            if attribute.value.contains('<') {
                return Err(broken("'<' in an attribute".to_owned()));
            }
            // Only the entities of XML: FHIR has no others outside of narratives.
            let value =
                attribute.normalized_value_with(XmlVersion::Implicit1_0, 1, resolve_xml_entity);
            let value = value.map_err(|error| broken(error.to_string()))?;
            match attribute.key.0 {
                "xmlns" if value != NAMESPACE && !self.leaves_out(|| format!("xmlns {value}")) => {
                    let found = excerpt(&value);
                    let message = format!("expected the namespace {NAMESPACE}, found {found}");
                    return Err(self.failure(message));
                }
                "xmlns" => {}
                name if name.starts_with("xmlns:") || name.starts_with("xsi:") => {}
                name => plain.push((name.to_owned(), value.into_owned())),
            }
        }
        Ok(plain)
    }

    fn child(
        &mut self,
        start: &BytesStart<'_>,
        element: &'static Element,
        index: usize,
        slots: &mut Vec<Slot>,
    ) -> Result<(), Failure> {
        let name = element.name.as_ref();
        let place = match slots.iter().rposition(|slot| slot.index == index) {
            Some(place) => place,
            None => {
                slots.push(Slot {
                    index,
                    values: Vec::new(),
                    extras: Vec::new(),
                });
                slots.len() - 1
            }
        };
        let count = slots[place].values.len();
        if !element.is_list && count > 0 {
            if self.leaves_out(|| format!("second {name}")) {
                return self.skip();
            }
            return Err(self.failure("given twice, expected one").within(name));
        }
        // A list is a level of its own in JSON.
        self.depth += usize::from(element.is_list);
        let (value, extra) = self.content(start, element).map_err(|failure| {
            if element.is_list {
                failure.at_index(name, count)
            } else {
                failure.within(name)
            }
        })?;
        self.depth -= usize::from(element.is_list);
        let is_empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
        if !is_empty || !extra.is_null() {
            slots[place].values.push(value);
            slots[place].extras.push(extra);
        }
        Ok(())
    }

    /// The value of an element, and what a primitive has beside it.
    fn content(
        &mut self,
        start: &BytesStart<'_>,
        element: &'static Element,
    ) -> Result<(Value, Value), Failure> {
        let value = match element.content {
            Content::Primitive(_) => return self.primitive(start, element),
            Content::Block(id) => {
                Value::Object(self.object(start, self.table.block(id), Map::new())?)
            }
            Content::Resource => Value::Object(self.wrapped(start)?),
            Content::Xhtml => self.narrative(start)?,
        };
        Ok((value, Value::Null))
    }

    /// The one resource inside of an element.
    fn wrapped(&mut self, start: &BytesStart<'_>) -> Result<Map<String, Value>, Failure> {
        if let Some((name, _)) = self.plain_attributes(start)?.first()
            && !self.leaves_out(|| format!("attribute {name}"))
        {
            return Err(self.failure(format!("unknown attribute {}", excerpt(name))));
        }
        let Step::Open(child) = self.next()? else {
            if self.leaves_out(|| "an element without its resource".to_owned()) {
                return Ok(Map::new());
            }
            return Err(self.failure("expected a resource"));
        };
        let members = self.resource(&child, false)?;
        match self.next()? {
            Step::Close => Ok(members),
            _ => Err(self.failure("expected one resource only")),
        }
    }

    fn primitive(
        &mut self,
        start: &BytesStart<'_>,
        element: &Element,
    ) -> Result<(Value, Value), Failure> {
        self.enter()?;
        let at = self.offset();
        let (mut value, mut extra) = (Value::Null, Map::new());
        for (name, text) in self.plain_attributes(start)? {
            match name.as_str() {
                "value"
                    if text.is_empty() && self.leaves_out(|| format!("empty {}", element.name)) => {
                }
                "value" => value = self.value(element, &text)?,
                "id" if !text.is_empty() => {
                    lexical::check(Primitive::String, &text).map_err(|expected| {
                        let found = excerpt(&text);
                        self.failure(format!("id: expected {expected}, found {found}"))
                    })?;
                    extra.insert(name, Value::String(text));
                }
                _ if self.leaves_out(|| format!("{}.{name}", element.name)) => {}
                _ => {
                    let shown = excerpt(&name);
                    let message = format!("attribute {shown}, expected value or id");
                    return Err(self.failure(message));
                }
            }
        }
        let extensions = self.extensions()?;
        self.depth -= 1;
        if !extensions.is_empty() {
            extra.insert("extension".to_owned(), Value::Array(extensions));
        }
        let extra = if extra.is_empty() {
            Value::Null
        } else {
            Value::Object(extra)
        };
        let is_empty = value.is_null() && extra.is_null();
        if is_empty && !self.leaves_out(|| format!("empty {}", element.name)) {
            return Err(Failure::new(at, "expected a value attribute"));
        }
        Ok((value, extra))
    }

    /// The extensions of a primitive, up to its end.
    fn extensions(&mut self) -> Result<Vec<Value>, Failure> {
        let mut extensions = Vec::new();
        while let Step::Open(child) = self.next()? {
            let block = self
                .table
                .find("Extension")
                .filter(|_| self.name(&child) == "extension");
            let Some(block) = block else {
                if self.leaves_out(|| child.name().0.to_owned()) {
                    self.skip()?;
                    continue;
                }
                let shown = excerpt(child.name().0);
                return Err(self.failure(format!("element {shown}, expected extension")));
            };
            let index = extensions.len();
            self.depth += 1;
            let extension = self.object(&child, self.table.block(block), Map::new());
            self.depth -= 1;
            let extension = extension.map_err(|failure| failure.at_index("extension", index))?;
            if !extension.is_empty() {
                extensions.push(Value::Object(extension));
            }
        }
        Ok(extensions)
    }

    fn value(&self, element: &Element, text: &str) -> Result<Value, Failure> {
        let Content::Primitive(primitive) = element.content else {
            return Err(self.failure("expected elements, found a value"));
        };
        lexical::check(self.reading.form_of(primitive), text).map_err(|expected| {
            self.failure(format!("expected {expected}, found {}", excerpt(text)))
        })?;
        match primitive {
            Primitive::Boolean => Ok(Value::Bool(text == "true")),
            Primitive::Integer
            | Primitive::UnsignedInt
            | Primitive::PositiveInt
            | Primitive::Decimal => {
                // JSON has no plus sign before a number.
                let number = text.strip_prefix('+').unwrap_or(text).parse::<Number>();
                number
                    .map(Value::Number)
                    .map_err(|error| self.failure(error.to_string()))
            }
            _ => Ok(Value::String(text.to_owned())),
        }
    }

    /// The `div` as it is written, from its start tag to its end tag.
    fn narrative(&mut self, start: &BytesStart<'_>) -> Result<Value, Failure> {
        let after = self.offset();
        let from = self.text[..after]
            .rfind(&format!("<{}", start.name().0))
            .unwrap_or(after);
        if !self.text[..after].ends_with("/>") {
            let end = self.events.read_to_end(QName(start.name().0));
            end.map_err(|error| self.failure(format!("broken XML: {error}")))?;
        } else if !matches!(self.next()?, Step::Close) {
            return Err(self.failure("expected the end of the narrative"));
        }
        let div = &self.text[from..self.offset()];
        let checked = xhtml::check(div);
        let div = checked.map_err(|(at, message)| Failure::new(from + at, message))?;
        Ok(Value::String(div.into_owned()))
    }
}

impl Slot {
    fn into_members(self, block: &Block, members: &mut Map<String, Value>) {
        let element = &block.elements()[self.index];
        let mut add = |name: String, mut values: Vec<Value>| {
            if values.iter().all(Value::is_null) {
                return;
            }
            let single = if element.is_list { None } else { values.pop() };
            members.insert(name, single.unwrap_or(Value::Array(values)));
        };
        add(element.name.as_ref().to_owned(), self.values);
        add(format!("_{}", element.name), self.extras);
    }
}

/// The child element of this name. Only a narrative, which is not FHIR, may have a prefix.
fn child_index(block: &Block, name: &str) -> Option<usize> {
    let is_child = |index: &usize| !block.elements()[*index].is_attribute;
    let is_narrative = |index: &usize| block.elements()[*index].content == Content::Xhtml;
    match name.split_once(':') {
        Some((_, local)) => block.index_of(local).filter(is_narrative),
        None => block.index_of(name).filter(is_child),
    }
}

fn is_blank(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
}
