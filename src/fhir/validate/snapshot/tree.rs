//! The elements of a snapshot in their places.

use serde_json::{Value, json};

use crate::fhir::validate::definition::{Definition, Element};
use crate::r4::Node as _;

/// Most elements of one snapshot: nobody needs more, and hostile profiles end here.
pub const MOST_NODES: usize = 50_000;
/// Most steps of a path.
pub const DEEPEST: usize = 48;
/// Slices of slices of slices …
const DEEPEST_SLICE: usize = 8;

/// The snapshot of one profile or type.
#[derive(Clone, Debug)]
pub struct Tree {
    pub url: String,
    pub version: Option<String>,
    pub type_name: String,
    /// How many profiles lie below.
    pub chain: usize,
    pub root: Node,
    pub size: usize,
    pub notes: Vec<Note>,
}

/// What an element of the differential says that whoever stores the profile should hear about.
#[derive(Clone, Debug)]
pub struct Note {
    /// Its place in the differential.
    pub index: usize,
    /// With the names of slices.
    pub path: String,
    pub is_sliced: bool,
    pub types: Vec<String>,
    /// The members of given values: `fixedCode`.
    pub given: Vec<String>,
    /// The value set that the base requires, and the one that is required instead.
    pub bound: Option<(String, String)>,
}

/// An element, its children, and its slices.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// The last step of its path.
    pub name: String,
    /// The definition without id, path and slice name.
    pub element: Element,
    pub slice: Option<String>,
    pub children: Vec<Self>,
    pub slices: Vec<Self>,
    /// Its least number is what its slices ask for together.
    pub is_raised: bool,
}

/// One step of the way to an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub name: String,
    pub slice: Option<String>,
}

impl Node {
    pub fn new(name: &str, mut element: Element) -> Self {
        for name in ["id", "path", "sliceName"] {
            element.shift_remove(name);
        }
        Self {
            name: name.to_owned(),
            element,
            ..Self::default()
        }
    }

    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    pub fn child_mut(&mut self, name: &str) -> Option<&mut Self> {
        self.children.iter_mut().find(|child| child.name == name)
    }

    /// A slice, or a slice of a slice: `a/b`.
    pub fn slice_mut(&mut self, name: &str) -> Option<&mut Self> {
        let direct = self
            .slices
            .iter()
            .position(|s| s.slice.as_deref() == Some(name));
        match direct {
            Some(index) => self.slices.get_mut(index),
            None => {
                let (outer, _) = name.rsplit_once('/')?;
                self.slice_mut(outer)?
                    .slices
                    .iter_mut()
                    .find(|slice| slice.slice.as_deref() == Some(name))
            }
        }
    }

    /// The node at the end of these steps below this one.
    pub fn at_mut(&mut self, steps: &[Step]) -> Option<&mut Self> {
        let mut node = self;
        for step in steps {
            node = node.child_mut(&step.name)?;
            if let Some(slice) = &step.slice {
                node = node.slice_mut(slice)?;
            }
        }
        Some(node)
    }

    pub fn at_path(&self, path: &str) -> Option<&Self> {
        path.split('.')
            .skip(1)
            .try_fold(self, |node, name| node.child(name))
    }

    /// What all slices ask for together.
    pub fn least_of_slices(&self) -> u32 {
        let numbers = self.slices.iter().map(|slice| min_of(&slice.element));
        numbers.fold(0, u32::saturating_add)
    }

    /// How many nodes are here and below.
    pub fn size(&self) -> usize {
        let below = self.children.iter().chain(&self.slices);
        1 + below.map(Self::size).sum::<usize>()
    }

    /// The types by code, without the extensions of the code.
    pub fn types(&self) -> impl Iterator<Item = &Value> {
        self.element.items("type")
    }
}

impl Tree {
    /// Takes a snapshot over as it is given.
    pub fn of_snapshot(definition: &Definition) -> Result<Self, String> {
        if definition.snapshot.len() > MOST_NODES {
            return Err(format!("its snapshot has more than {MOST_NODES} elements"));
        }
        let mut elements = definition.snapshot.iter();
        let first = elements.next().cloned().unwrap_or_default();
        let mut root = Node::new(&definition.type_name, first);
        let mut at: Vec<Step> = Vec::new();
        for element in elements {
            let path = element.text("path").unwrap_or_default();
            at = steps(&at, path, element.text("sliceName"))?;
            place(&mut root, &at, element).ok_or_else(|| {
                format!("the parent of element {path} is missing in its snapshot")
            })?;
        }
        let size = root.size();
        Ok(Self {
            url: definition.url.clone(),
            version: definition.version.clone(),
            type_name: definition.type_name.clone(),
            chain: 0,
            root,
            size,
            notes: Vec::new(),
        })
    }
}

fn place(root: &mut Node, at: &[Step], element: &Element) -> Option<()> {
    let (last, before) = at.split_last()?;
    let parent = root.at_mut(before)?;
    let mut node = Node::new(&last.name, element.clone());
    match &last.slice {
        None => parent.children.push(node),
        Some(slice) => {
            node.slice = Some(slice.clone());
            let unsliced = parent.child_mut(&last.name)?;
            let outer = slice.rsplit_once('/').map(|(outer, _)| outer.to_owned());
            match outer.and_then(|outer| unsliced.slice_mut(&outer).map(|_| outer)) {
                Some(outer) => unsliced.slice_mut(&outer)?.slices.push(node),
                None => unsliced.slices.push(node),
            }
        }
    }
    Some(())
}

/// The way to an element, given the way to the one before: what they share of their paths, they
/// share of their slices.
pub fn steps(before: &[Step], path: &str, slice: Option<&str>) -> Result<Vec<Step>, String> {
    let names: Vec<&str> = path.split('.').skip(1).collect();
    if names.len() > DEEPEST {
        return Err(format!(
            "the path {} … has more than {DEEPEST} steps",
            &names[0]
        ));
    }
    if slice.is_some_and(|slice| slice.matches('/').count() > DEEPEST_SLICE) {
        return Err(format!(
            "at {path} slices lie more than {DEEPEST_SLICE} deep in slices"
        ));
    }
    let mut shared = true;
    let mut steps: Vec<Step> = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        let is_last = index + 1 == names.len();
        let old = before.get(index).filter(|old| old.name == *name);
        shared &= old.is_some();
        let slice = match old {
            _ if is_last => slice.map(str::to_owned),
            Some(old) if shared => old.slice.clone(),
            _ => None,
        };
        steps.push(Step {
            name: (*name).to_owned(),
            slice,
        });
    }
    Ok(steps)
}

/// The number of an element's `max`; `None` for any number.
pub fn max_of(element: &Element) -> Option<u32> {
    element.text("max").and_then(|max| max.parse().ok())
}

pub fn min_of(element: &Element) -> u32 {
    let min = element
        .get("min")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    u32::try_from(min).unwrap_or(u32::MAX)
}

/// The slicing that a choice gets when one of its types is named in a path.
pub fn by_type() -> Value {
    json!({
        "discriminator": [{ "type": "type", "path": "$this" }],
        "ordered": false,
        "rules": "open",
    })
}
