//! The element table of FHIR R4: which elements each type has, in which order, of which types.
//!
//! The table is `conformance/r4/elements.tsv`, written by `scripts/generate-element-table.py`
//! from the official definitions; that script describes the format. It is read once, at first
//! use. Choices (`value[x]`) are expanded here: each type of a choice is an element of its own.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

static TEXT: &str = include_str!("../../conformance/r4/elements.tsv");

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(TEXT));

/// The primitive types, by what their values look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Primitive {
    Base64Binary,
    Boolean,
    Canonical,
    Code,
    Date,
    DateTime,
    Decimal,
    Id,
    Instant,
    Integer,
    Markdown,
    Oid,
    PositiveInt,
    String,
    Time,
    UnsignedInt,
    Uri,
    Url,
    Uuid,
}

impl Primitive {
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "base64Binary" => Self::Base64Binary,
            "boolean" => Self::Boolean,
            "canonical" => Self::Canonical,
            "code" => Self::Code,
            "date" => Self::Date,
            "dateTime" => Self::DateTime,
            "decimal" => Self::Decimal,
            "id" => Self::Id,
            "instant" => Self::Instant,
            "integer" => Self::Integer,
            "markdown" => Self::Markdown,
            "oid" => Self::Oid,
            "positiveInt" => Self::PositiveInt,
            "string" => Self::String,
            "time" => Self::Time,
            "unsignedInt" => Self::UnsignedInt,
            "uri" => Self::Uri,
            "url" => Self::Url,
            "uuid" => Self::Uuid,
            _ => return None,
        })
    }
}

/// What the content of an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Primitive(Primitive),
    /// Children, described by this block of the table.
    Block(BlockId),
    /// Any resource.
    Resource,
    /// The `div` of a narrative.
    Xhtml,
}

/// A type or nested element of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(u16);

/// One element of a block; of a choice, one type of it.
#[derive(Debug)]
pub struct Element {
    /// As in JSON: `value[x]` of type Coding is `valueCoding`.
    pub name: Cow<'static, str>,
    pub content: Content,
    pub is_list: bool,
    pub is_required: bool,
    /// XML writes it as an attribute of its parent.
    pub is_attribute: bool,
    /// Elements with the same number are types of one choice. Numbers follow schema order.
    pub position: u16,
    /// The name as defined (`value[x]`).
    pub defined_name: &'static str,
    /// The name of its type, or the path of the nested element it is.
    pub type_name: &'static str,
}

/// The kinds of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Resource,
    Complex,
    /// An element with children inside of a type.
    Nested,
}

/// A type or nested element: its elements in schema order.
#[derive(Debug)]
pub struct Block {
    /// `Task`, or a path such as `Task.input`.
    pub name: &'static str,
    pub kind: Kind,
    pub base: &'static str,
    elements: Vec<Element>,
    by_name: Vec<u16>,
}

impl Block {
    /// The elements in schema order.
    #[must_use]
    pub fn elements(&self) -> &[Element] {
        &self.elements
    }

    #[must_use]
    pub fn element(&self, name: &str) -> Option<&Element> {
        self.index_of(name).map(|index| &self.elements[index])
    }

    /// The place of the element with this JSON name in [`Block::elements`].
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        let name_at = |index: &u16| self.elements[usize::from(*index)].name.as_ref();
        let found = self
            .by_name
            .binary_search_by(|index| name_at(index).cmp(name))
            .ok()?;
        Some(usize::from(self.by_name[found]))
    }

    /// For a message: the element that was perhaps meant by another name.
    #[must_use]
    pub fn meant(&self, name: &str) -> String {
        let meant = self.elements.iter().find(|one| is_near(&one.name, name));
        meant.map_or_else(String::new, |one| {
            format!(", perhaps {} is meant", one.name)
        })
    }
}

/// Whether two names differ by case, or by one letter.
fn is_near(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_lowercase(), other.to_lowercase());
    let same =
        |pairs: &mut dyn Iterator<Item = (u8, u8)>| pairs.take_while(|(a, b)| a == b).count();
    let front = same(&mut one.bytes().zip(other.bytes()));
    let back = same(&mut one.bytes().rev().zip(other.bytes().rev()));
    let longer = one.len().max(other.len());
    longer > 3 && longer <= front + back + 1 && one.len().abs_diff(other.len()) <= 1
}

/// All blocks.
#[derive(Debug)]
pub struct Table {
    blocks: Vec<Block>,
    by_name: HashMap<&'static str, BlockId>,
}

/// The table of FHIR R4.
#[must_use]
pub fn table() -> &'static Table {
    &TABLE
}

/// Whether this is the name of an R4 resource type that can be instantiated.
#[must_use]
pub fn is_resource_type(name: &str) -> bool {
    table().resource(name).is_some()
}

impl Table {
    #[must_use]
    pub fn block(&self, id: BlockId) -> &Block {
        &self.blocks[usize::from(id.0)]
    }

    /// The block of a data type, resource type or nested element (`Task.input`).
    #[must_use]
    pub fn find(&self, name: &str) -> Option<BlockId> {
        self.by_name.get(name).copied()
    }

    /// The block of a resource type; `None` for abstract types and everything else.
    #[must_use]
    pub fn resource(&self, name: &str) -> Option<BlockId> {
        let id = self.find(name)?;
        let is_abstract = matches!(name, "Resource" | "DomainResource");
        (self.block(id).kind == Kind::Resource && !is_abstract).then_some(id)
    }

    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    fn read(text: &'static str) -> Self {
        let mut table = Self {
            blocks: Vec::new(),
            by_name: HashMap::new(),
        };
        let lines = || text.lines().filter(|line| !line.starts_with('#'));
        for header in lines().filter_map(|line| line.strip_prefix('=')) {
            let mut columns = header.split('\t');
            let name = columns.next().unwrap_or_default();
            let kind = match columns.next() {
                Some("resource") => Kind::Resource,
                Some("complex") => Kind::Complex,
                Some("element") => Kind::Nested,
                _ => continue,
            };
            let base = columns.next().unwrap_or_default();
            // The table is ours and has some 900 blocks.
            table
                .by_name
                .insert(name, BlockId(table.blocks.len() as u16));
            table.blocks.push(Block {
                name,
                kind,
                base,
                elements: Vec::new(),
                by_name: Vec::new(),
            });
        }
        let mut current = None;
        for line in lines() {
            if let Some(header) = line.strip_prefix('=') {
                current = header.split('\t').next().and_then(|name| table.find(name));
            } else if let Some(id) = current {
                let elements = table.row(line, id);
                table.blocks[usize::from(id.0)].elements.extend(elements);
            }
        }
        for block in &mut table.blocks {
            block.by_name = (0..block.elements.len() as u16).collect();
            let elements = &block.elements;
            block
                .by_name
                .sort_unstable_by_key(|index| elements[usize::from(*index)].name.as_ref());
        }
        table
    }

    fn row(&self, line: &'static str, block: BlockId) -> Vec<Element> {
        let mut columns = line.split('\t');
        let mut column = || columns.next().unwrap_or_default();
        let (marked, min, max, types) = (column(), column(), column(), column());
        let defined_name = marked.trim_start_matches('@');
        let position = self
            .block(block)
            .elements
            .last()
            .map_or(0, |last| last.position + 1);
        let element = |type_name: &'static str| {
            let name = match defined_name.strip_suffix("[x]") {
                Some(stem) => Cow::Owned(format!("{stem}{}", capitalised(type_name))),
                None => Cow::Borrowed(defined_name),
            };
            Some(Element {
                name,
                content: self.content(type_name)?,
                is_list: max == "*",
                is_required: min != "0",
                is_attribute: marked.starts_with('@'),
                position,
                defined_name,
                type_name,
            })
        };
        types.split(' ').filter_map(element).collect()
    }

    fn content(&self, type_name: &str) -> Option<Content> {
        match type_name {
            "Resource" => Some(Content::Resource),
            "xhtml" => Some(Content::Xhtml),
            _ => match Primitive::from_name(type_name) {
                Some(primitive) => Some(Content::Primitive(primitive)),
                None => self.find(type_name).map(Content::Block),
            },
        }
    }
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_knows_choices_content_references_and_attributes() {
        let block = |name| table().block(table().find(name).unwrap());
        let extension = block("Extension");
        assert!(extension.element("url").unwrap().is_attribute);
        assert_eq!(
            extension.element("valueCoding").unwrap().defined_name,
            "value[x]"
        );
        assert!(extension.element("value").is_none());
        let Content::Block(items) = block("Questionnaire.item").element("item").unwrap().content
        else {
            panic!("an item has items")
        };
        assert_eq!(table().block(items).name, "Questionnaire.item");
        assert_eq!(block("Task").elements()[0].name, "id");
        assert!(!block("Task").element("id").unwrap().is_attribute);
        assert_eq!(
            block("Narrative").element("div").unwrap().content,
            Content::Xhtml
        );
    }

    #[test]
    fn every_type_named_in_the_table_is_described_by_it() {
        for line in TEXT.lines().filter(|line| !line.starts_with(['#', '='])) {
            for name in line.split('\t').nth(3).unwrap().split(' ') {
                assert!(table().content(name).is_some(), "{name} in {line}");
            }
        }
        let types = table()
            .blocks()
            .iter()
            .filter(|block| is_resource_type(block.name))
            .count();
        assert_eq!(types, 146);
    }
}
