//! Snapshots: what a profile says of every element, its base and its differential merged.
//!
//! The work is driven by path, slice name and order; the ids of a differential are not looked at,
//! they are wrong too often (fhir-conformance §1.2). A [`tree::Tree`] holds the elements in their
//! places; [`walk`] leads each element of a differential to its node, unfolding data types on the
//! way; [`merge`] changes the node; [`flat`] writes the tree as a list again.

mod flat;
mod merge;
mod tree;
mod walk;

use std::sync::Arc;

pub use flat::elements;
pub use tree::{Node, Note, Tree, max_of, min_of};

use super::definition::Definition;

/// Longest chain of `baseDefinition`.
const LONGEST_CHAIN: usize = 24;

/// Why there is no snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure<M> {
    /// Something must be loaded first.
    Missing(M),
    /// The profile, or one that it needs, cannot be understood.
    Broken(String),
}

/// Answers with the snapshots that a profile builds on.
pub trait Bases {
    type Missing;

    /// The snapshot of a profile or base type.
    fn snapshot(&self, canonical: &str) -> Result<Arc<Tree>, Failure<Self::Missing>>;
}

/// The snapshot of a definition.
pub fn generate<B: Bases>(definition: &Definition, bases: &B) -> Result<Tree, Failure<B::Missing>> {
    let broken = |text: String| Failure::Broken(format!("{}: {text}", definition.canonical()));
    if definition.differential.is_empty() && !definition.snapshot.is_empty() {
        return Tree::of_snapshot(definition).map_err(broken);
    }
    let Some(base) = &definition.base else {
        return Err(broken(
            "it has neither snapshot nor baseDefinition".to_owned(),
        ));
    };
    if !definition.is_constraint || definition.kind == "logical" {
        let text = "only profiles (derivation constraint) have a generated snapshot";
        return Err(broken(text.to_owned()));
    }
    let base = bases.snapshot(base)?;
    if base.type_name != definition.type_name {
        let text = format!(
            "its type is {}, but its base {} is of type {}",
            definition.type_name, base.url, base.type_name
        );
        return Err(broken(text));
    }
    if base.chain >= LONGEST_CHAIN {
        return Err(broken(format!(
            "more than {LONGEST_CHAIN} profiles build on each other"
        )));
    }
    let mut tree = Tree {
        url: definition.url.clone(),
        version: definition.version.clone(),
        type_name: definition.type_name.clone(),
        chain: base.chain + 1,
        root: base.root.clone(),
        size: base.size,
        notes: Vec::new(),
    };
    walk::apply(&mut tree, &definition.differential, bases).map_err(|failure| match failure {
        Failure::Broken(text) => broken(text),
        missing @ Failure::Missing(_) => missing,
    })?;
    Ok(tree)
}
