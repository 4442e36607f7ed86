//! Leads each element of a differential to its node.

use serde_json::json;

use super::merge::{merge, restrict_to};
use super::tree::{MOST_NODES, Node, Note, Step, Tree, by_type, max_of, min_of, steps};
use super::{Bases, Failure};
use crate::fhir::validate::core::{STRUCTURE, by_url};
use crate::fhir::validate::definition::Element;
use crate::r4::Node as _;

/// Most elements of one differential.
const MOST_STEPS: usize = 20_000;

/// Merges a differential into the tree of the base.
pub fn apply<B: Bases>(
    tree: &mut Tree,
    differential: &[Element],
    bases: &B,
) -> Result<(), Failure<B::Missing>> {
    if differential.len() > MOST_STEPS {
        let text = format!("its differential has more than {MOST_STEPS} elements");
        return Err(Failure::Broken(text));
    }
    let mut at: Vec<Step> = Vec::new();
    for (index, element) in differential.iter().enumerate() {
        let Some(path) = element.text("path") else {
            return Err(Failure::Broken("an element without path".to_owned()));
        };
        if path.split('.').next() != Some(&tree.type_name) {
            let text = format!("element {path} is not of type {}", tree.type_name);
            return Err(Failure::Broken(text));
        }
        let wanted = steps(&at, path, element.text("sliceName")).map_err(Failure::Broken)?;
        let before = std::mem::replace(&mut at, reach(tree, &wanted, bases)?);
        if is_late(tree, &before, &at) {
            let text = format!(
                "element {path} stands behind {}, which follows it in its base",
                shown(tree, &before)
            );
            return Err(Failure::Broken(text));
        }
        let (url, shown) = (tree.url.clone(), shown(tree, &at));
        let root_type = at.is_empty().then(|| tree.type_name.clone());
        if let Some(node) = tree.root.at_mut(&at) {
            let base = required(&node.element);
            merge(node, element, &url)
                .map_err(|text| Failure::Broken(format!("element {path}: {text}")))?;
            let note = note(node, element, base, root_type);
            tree.notes.extend(note.map(|note| Note {
                index,
                path: shown,
                ..note
            }));
        }
        if tree.size > MOST_NODES {
            let text = format!("its snapshot has more than {MOST_NODES} elements");
            return Err(Failure::Broken(text));
        }
    }
    raise(&mut tree.root);
    Ok(())
}

/// Elements come in the order of the base, parents first; slices in any.
fn is_late(tree: &mut Tree, before: &[Step], at: &[Step]) -> bool {
    let shared = before.iter().zip(at).take_while(|(old, new)| old == new);
    let shared = shared.count();
    let (Some(old), Some(new)) = (before.get(shared), at.get(shared)) else {
        return at.len() < before.len();
    };
    let Some(parent) = tree.root.at_mut(&at[..shared]) else {
        return false;
    };
    let place = |step: &Step| parent.children.iter().position(|one| one.name == step.name);
    place(new) < place(old)
}

fn shown(tree: &Tree, at: &[Step]) -> String {
    at.iter()
        .fold(tree.type_name.clone(), |path, step| match &step.slice {
            Some(slice) => format!("{path}.{}:{slice}", step.name),
            None => format!("{path}.{}", step.name),
        })
}

/// The value set that an element requires.
fn required(element: &Element) -> Option<String> {
    let binding = element.get("binding")?;
    let is_required = binding.text("strength") == Some("required");
    is_required.then(|| binding.text("valueSet").map(str::to_owned))?
}

/// What there is to note of an element after it was merged into its node.
fn note(
    node: &Node,
    element: &Element,
    base: Option<String>,
    root_type: Option<String>,
) -> Option<Note> {
    let is_given = |name: &&String| name.starts_with("fixed") || name.starts_with("pattern");
    let given: Vec<String> = element.keys().filter(is_given).cloned().collect();
    let bound = base
        .zip(required(element))
        .filter(|(base, own)| base != own);
    if given.is_empty() && bound.is_none() {
        return None;
    }
    let types = node.types().filter_map(|kind| kind.text("code"));
    Some(Note {
        index: 0,
        path: String::new(),
        is_sliced: node.element.contains_key("slicing"),
        types: types.map(str::to_owned).chain(root_type).collect(),
        given,
        bound,
    })
}

/// An element occurs at least as often as its slices together.
fn raise(node: &mut Node) {
    let least = node.least_of_slices();
    if min_of(&node.element) < least && max_of(&node.element).is_none_or(|max| max >= least) {
        node.element.insert("min".to_owned(), json!(least));
        node.is_raised = true;
    }
    node.children
        .iter_mut()
        .chain(&mut node.slices)
        .for_each(raise);
}

/// Makes the way to a node: unfolds types, adds slices. The steps as they are in the tree, where
/// `valueString` is a slice of `value[x]`.
fn reach<B: Bases>(
    tree: &mut Tree,
    wanted: &[Step],
    bases: &B,
) -> Result<Vec<Step>, Failure<B::Missing>> {
    let mut at: Vec<Step> = Vec::new();
    for step in wanted {
        unfold(tree, &at, bases)?;
        let mut size = 0;
        let Some(parent) = tree.root.at_mut(&at) else {
            return Err(Failure::Broken(format!(
                "element {} has no parent",
                step.name
            )));
        };
        let step = settle(parent, step).ok_or_else(|| {
            let within = at.iter().map(|step| step.name.as_str());
            let within = within.fold(tree.type_name.clone(), |path, name| path + "." + name);
            Failure::Broken(format!("there is no element {} in {within}", step.name))
        })?;
        let parent = tree.root.at_mut(&at);
        if let Some(node) = parent.and_then(|parent| parent.child_mut(&step.name)) {
            size = cut(node, &step).map_err(Failure::Broken)?;
        }
        tree.size += size;
        at.push(step);
    }
    Ok(at)
}

/// The step as the tree names it; `None` when there is no such element.
fn settle(parent: &Node, step: &Step) -> Option<Step> {
    if parent.child(&step.name).is_some() {
        return Some(step.clone());
    }
    let choice = parent.children.iter().find(|child| {
        let stem = child.name.strip_suffix("[x]");
        stem.is_some_and(|stem| step.name.starts_with(stem) && step.name.len() > stem.len())
    })?;
    Some(Step {
        name: choice.name.clone(),
        slice: Some(step.slice.clone().unwrap_or_else(|| step.name.clone())),
    })
}

/// Adds the slice of this step to its element unless it is there; how many nodes came along.
fn cut(node: &mut Node, step: &Step) -> Result<usize, String> {
    let Some(slice) = &step.slice else {
        return Ok(0);
    };
    if node.slice_mut(slice).is_some() {
        return Ok(0);
    }
    if !node.element.contains_key("slicing") {
        let slicing = match node.name.as_str() {
            "extension" | "modifierExtension" => by_url(),
            name if name.ends_with("[x]") => by_type(),
            _ => {
                return Err(format!(
                    "slice {slice} of {}, which is not sliced",
                    node.name
                ));
            }
        };
        node.element.insert("slicing".to_owned(), slicing);
    }
    let outer = slice.rsplit_once('/').map(|(outer, _)| outer.to_owned());
    let from = match outer {
        Some(outer) if node.slice_mut(&outer).is_some() => match node.slice_mut(&outer) {
            Some(outer) => outer,
            None => node,
        },
        _ => node,
    };
    let mut new = Node {
        slices: Vec::new(),
        children: Vec::new(),
        slice: Some(slice.clone()),
        ..from.clone_head()
    };
    new.element.shift_remove("slicing");
    new.element.insert("min".to_owned(), json!(0));
    if let Some(stem) = from.name.strip_suffix("[x]")
        && let Some(type_name) = slice.strip_prefix(stem)
    {
        restrict_to(&mut new, type_name);
    }
    from.slices.push(new);
    Ok(1)
}

/// Gives a node the children of its type, of its content reference, or of what it is a slice of.
fn unfold<B: Bases>(tree: &mut Tree, at: &[Step], bases: &B) -> Result<(), Failure<B::Missing>> {
    let Some(node) = tree.root.at_mut(at) else {
        return Ok(());
    };
    if !node.children.is_empty() {
        return Ok(());
    }
    let (element, name) = (node.element.clone(), node.name.clone());
    let children = match unsliced(tree, at) {
        Some(children) => children,
        None => match element.text("contentReference") {
            Some(reference) => {
                let path = reference.rsplit('#').next().unwrap_or_default();
                let target = tree.root.at_path(path);
                target
                    .map(|target| target.children.clone())
                    .unwrap_or_default()
            }
            None => of_type(&element, &name, bases)?,
        },
    };
    tree.size += children.iter().map(Node::size).sum::<usize>();
    if tree.size > MOST_NODES {
        let text = format!("its snapshot has more than {MOST_NODES} elements");
        return Err(Failure::Broken(text));
    }
    if let Some(node) = tree.root.at_mut(at) {
        node.children = children;
    }
    Ok(())
}

/// The children of the element that this is a slice of, if they are spelled out.
fn unsliced(tree: &mut Tree, at: &[Step]) -> Option<Vec<Node>> {
    let (last, before) = at.split_last()?;
    last.slice.as_ref()?;
    let children = &tree.root.at_mut(before)?.child(&last.name)?.children;
    (!children.is_empty()).then(|| children.clone())
}

fn of_type<B: Bases>(
    element: &Element,
    name: &str,
    bases: &B,
) -> Result<Vec<Node>, Failure<B::Missing>> {
    let mut types = element.items("type");
    let (Some(only), None) = (types.next(), types.next()) else {
        let text = format!("{name} has children, but not exactly one type");
        return Err(Failure::Broken(text));
    };
    let mut profiles = only.texts("profile");
    let canonical = match (profiles.next(), profiles.next()) {
        (Some(profile), None) => profile.to_owned(),
        _ => format!("{STRUCTURE}{}", only.text("code").unwrap_or_default()),
    };
    Ok(bases.snapshot(&canonical)?.root.children.clone())
}

impl Node {
    /// The element alone.
    fn clone_head(&self) -> Self {
        Self {
            name: self.name.clone(),
            element: self.element.clone(),
            ..Self::default()
        }
    }
}
