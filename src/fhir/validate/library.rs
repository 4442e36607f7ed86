//! What resources are judged by: the definitions of the store over those of R4.
//!
//! The library knows the canonical of every StructureDefinition, CodeSystem and ValueSet of the
//! store, but holds only the documents that somebody needed. Judging is pure: where a document is
//! not there yet, it ends with [`Missing`], whoever can reads the document, and it is done again.
//! What was made of documents (snapshots, compiled profiles, code lists) is kept together with the
//! addresses that it depends on, and goes when one of them changes.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::Value;
use uuid::Uuid;

use super::core;
use super::definition::Definition;
use super::profile::{self, Profile};
use super::snapshot::{self, Bases, Failure, Tree};
use super::terminology::{CodeSystem, ValueSet};
use crate::r4::{Resource, ResourceType};

/// The types that a library holds.
pub const KINDS: &[ResourceType] = &[
    ResourceType::StructureDefinition,
    ResourceType::CodeSystem,
    ResourceType::ValueSet,
    ResourceType::Questionnaire,
];

/// These documents are needed first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(pub Vec<Uuid>);

/// A conformance resource of the store, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: Uuid,
    pub kind: ResourceType,
    pub url: String,
    pub version: Option<String>,
}

/// See the module. Later entries stand in front of earlier ones with the same address.
#[derive(Debug, Default)]
pub struct Library {
    entries: HashMap<String, Vec<Entry>>,
    held: RwLock<Held>,
    /// Those that [`Library::only`] made last.
    parts: Mutex<VecDeque<(HashSet<Uuid>, Arc<Self>)>>,
}

/// Most parts that are kept: identities with the same rights share one.
const MOST_PARTS: usize = 8;

/// A profile, or why it cannot be used.
type Compiled = Result<Arc<Profile>, Arc<str>>;

#[derive(Clone, Debug, Default)]
struct Held {
    documents: HashMap<Uuid, Document>,
    profiles: HashMap<String, Kept<Compiled>>,
    snapshots: HashMap<String, Kept<Arc<Tree>>>,
    sets: HashMap<String, Arc<ValueSet>>,
    systems: HashMap<String, Arc<CodeSystem>>,
}

#[derive(Clone, Debug)]
enum Document {
    Structure(Arc<Definition>),
    System(Arc<CodeSystem>),
    Set(Arc<ValueSet>),
    Form(Arc<Value>),
    /// It is gone, or cannot be read for this reason.
    Unreadable(Arc<str>),
}

/// A result, and the addresses it was made from.
#[derive(Clone, Debug)]
struct Kept<T> {
    value: T,
    from: Arc<HashSet<String>>,
}

impl Library {
    #[must_use]
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut library = Self::default();
        for entry in entries {
            library.add(entry);
        }
        library
    }

    /// A library that holds these resources and needs to load none.
    #[must_use]
    pub fn of<'a>(resources: impl IntoIterator<Item = &'a Resource>) -> Self {
        let mut library = Self::default();
        for resource in resources {
            let id = Uuid::new_v4();
            if let Some(entry) = entry(id, resource) {
                library.add(entry);
                library.put(id, Some(resource));
            }
        }
        library
    }

    /// The same library with these resources of the store only; `None` if that is all of it.
    #[must_use]
    pub fn only(&self, ids: HashSet<Uuid>) -> Option<Arc<Self>> {
        let is_open = |entry: &&Entry| ids.contains(&entry.id);
        let known = || self.entries.values().flatten();
        if known().all(|entry| is_open(&entry)) {
            return None;
        }
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, part)) = parts.iter().find(|(other, _)| *other == ids) {
            return Some(Arc::clone(part));
        }
        let part = Self::new(known().filter(is_open).cloned());
        let documents = self.held().documents.clone().into_iter();
        part.held_mut().documents = documents.filter(|(id, _)| ids.contains(id)).collect();
        let part = Arc::new(part);
        parts.truncate(MOST_PARTS - 1);
        parts.push_front((ids, Arc::clone(&part)));
        Some(part)
    }

    fn add(&mut self, entry: Entry) {
        self.entries
            .entry(entry.url.clone())
            .or_default()
            .push(entry);
    }

    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_mut(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a document over that was [`Missing`]; `None` if it is not there any more.
    pub fn put(&self, id: Uuid, resource: Option<&Resource>) {
        let document = match resource.map(|r| (r.resource_type(), r)) {
            Some((Some(ResourceType::StructureDefinition), resource)) => {
                match Definition::read(resource) {
                    Ok(definition) => Document::Structure(Arc::new(definition)),
                    Err(reason) => Document::Unreadable(reason.into()),
                }
            }
            Some((Some(ResourceType::CodeSystem), resource)) => {
                Document::System(Arc::new(CodeSystem::read(resource)))
            }
            Some((Some(ResourceType::ValueSet), resource)) => {
                Document::Set(Arc::new(ValueSet::read(resource)))
            }
            Some((Some(ResourceType::Questionnaire), resource)) => {
                Document::Form(Arc::new(resource.clone().into_value()))
            }
            _ => Document::Unreadable("it was removed".into()),
        };
        self.held_mut().documents.insert(id, document);
    }

    /// The same library after this resource was written, or deleted if it is `None`.
    #[must_use]
    pub fn changed(&self, id: Uuid, resource: Option<&Resource>) -> Self {
        let mut library = Self {
            entries: self.entries.clone(),
            held: RwLock::new(self.held().clone()),
            parts: Mutex::default(),
        };
        library.change(id, resource);
        library
    }

    /// Takes notice that this resource was written, or deleted if it is `None`.
    pub fn change(&mut self, id: Uuid, resource: Option<&Resource>) {
        let mut urls: HashSet<String> = HashSet::new();
        for (url, list) in &mut self.entries {
            if list.iter().any(|entry| entry.id == id) {
                urls.insert(url.clone());
                list.retain(|entry| entry.id != id);
            }
        }
        let new = resource.and_then(|resource| entry(id, resource));
        urls.extend(new.iter().map(|entry| entry.url.clone()));
        let mut held = self.held_mut();
        held.documents.remove(&id);
        held.forget(&urls);
        drop(held);
        self.parts = Mutex::default();
        if let Some(new) = new {
            self.add(new);
            self.put(id, resource);
        }
    }

    /// The newest entry of this type with this address.
    fn entry(&self, kind: ResourceType, url: &str, version: Option<&str>) -> Option<&Entry> {
        let fits = |entry: &&Entry| {
            entry.kind == kind && (version.is_none() || entry.version.as_deref() == version)
        };
        self.entries.get(url)?.iter().rev().find(fits)
    }

    /// The stored resources of a canonical, newest first.
    #[must_use]
    pub fn ids(&self, kind: ResourceType, canonical: &str) -> Vec<Uuid> {
        let (url, version) = parts(canonical);
        let fits = |entry: &&Entry| {
            entry.kind == kind && (version.is_none() || entry.version.as_deref() == version)
        };
        let entries = self.entries.get(url).into_iter().flatten().rev();
        entries.filter(fits).map(|entry| entry.id).collect()
    }

    fn document(&self, id: Uuid) -> Result<Document, Missing> {
        let document = self.held().documents.get(&id).cloned();
        document.ok_or_else(|| Missing(vec![id]))
    }

    /// The value set of a canonical.
    pub fn value_set(&self, canonical: &str) -> Result<Option<Arc<ValueSet>>, Missing> {
        if let Some(set) = self.held().sets.get(canonical) {
            return Ok(Some(Arc::clone(set)));
        }
        let (url, version) = parts(canonical);
        let set = match self.entry(ResourceType::ValueSet, url, version) {
            Some(entry) => match self.document(entry.id)? {
                Document::Set(set) => Some(set),
                _ => None,
            },
            None => core::value_set(url, version).map(Arc::new),
        };
        if let Some(set) = &set {
            self.held_mut()
                .sets
                .insert(canonical.to_owned(), Arc::clone(set));
        }
        Ok(set)
    }

    /// The stored Questionnaire of a canonical.
    pub fn questionnaire(&self, canonical: &str) -> Result<Option<Arc<Value>>, Missing> {
        let (url, version) = parts(canonical);
        let Some(entry) = self.entry(ResourceType::Questionnaire, url, version) else {
            return Ok(None);
        };
        Ok(match self.document(entry.id)? {
            Document::Form(form) => Some(form),
            _ => None,
        })
    }

    /// The code system of an address, which may carry a version behind `|`.
    pub fn code_system(
        &self,
        system: &str,
        version: Option<&str>,
    ) -> Result<Option<Arc<CodeSystem>>, Missing> {
        let (url, own) = parts(system);
        let canonical = match version {
            Some(version) => Cow::Owned(format!("{url}|{version}")),
            None => Cow::Borrowed(system),
        };
        if let Some(system) = self.held().systems.get(canonical.as_ref()) {
            return Ok(Some(Arc::clone(system)));
        }
        let version = version.or(own);
        let found = match self.entry(ResourceType::CodeSystem, url, version) {
            Some(entry) => match self.document(entry.id)? {
                Document::System(system) => Some(system),
                _ => None,
            },
            None => core::code_system(url, version).map(Arc::new),
        };
        if let Some(found) = &found {
            let mut held = self.held_mut();
            held.systems
                .insert(canonical.into_owned(), Arc::clone(found));
        }
        Ok(found)
    }

    /// The definition behind a canonical, as it is stored or as R4 has it.
    pub fn definition(&self, canonical: &str) -> Result<Option<Arc<Definition>>, Missing> {
        let (url, version) = parts(canonical);
        if let Some(name) = url.strip_prefix(core::STRUCTURE)
            && version.is_none_or(|version| version == core::VERSION)
            && let Some(definition) = core::definition(name)
        {
            return Ok(Some(Arc::new(definition)));
        }
        let Some(entry) = self.entry(ResourceType::StructureDefinition, url, version) else {
            return Ok(None);
        };
        match self.document(entry.id)? {
            Document::Structure(definition) => Ok(Some(definition)),
            _ => Ok(None),
        }
    }

    /// The compiled profile of a canonical; `None` if nobody knows it.
    pub fn profile(&self, canonical: &str) -> Result<Option<Arc<Profile>>, Failure<Missing>> {
        if let Some(name) = core_name(canonical)
            && let Some(profile) = profile::of_core(name)
        {
            return Ok(Some(profile));
        }
        if let Some(kept) = self.held().profiles.get(canonical) {
            return kept
                .value
                .clone()
                .map(Some)
                .map_err(|text| Failure::Broken(text.to_string()));
        }
        let Some(definition) = self.definition(canonical).map_err(Failure::Missing)? else {
            return self.unreadable(canonical);
        };
        let tree = self.snapshot(canonical);
        let made =
            tree.and_then(|tree| profile::compile(&definition, &tree).map_err(Failure::Broken));
        let value = match made {
            Ok(profile) => Ok(Arc::new(profile)),
            Err(Failure::Broken(text)) => Err(Arc::from(text)),
            Err(missing) => return Err(missing),
        };
        let from = self.dependencies(&definition);
        let kept = Kept {
            value: value.clone(),
            from,
        };
        self.held_mut().profiles.insert(canonical.to_owned(), kept);
        value
            .map(Some)
            .map_err(|text| Failure::Broken(text.to_string()))
    }

    /// A profile that is stored but cannot be read is broken, not unknown.
    fn unreadable(&self, canonical: &str) -> Result<Option<Arc<Profile>>, Failure<Missing>> {
        let (url, version) = parts(canonical);
        let entry = self.entry(ResourceType::StructureDefinition, url, version);
        match entry.map(|entry| self.document(entry.id)) {
            Some(Ok(Document::Unreadable(reason))) => {
                Err(Failure::Broken(format!("{canonical}: {reason}")))
            }
            Some(Err(missing)) => Err(Failure::Missing(missing)),
            _ => Ok(None),
        }
    }

    /// The addresses whose change may change the snapshot of a definition.
    fn dependencies(&self, definition: &Definition) -> Arc<HashSet<String>> {
        let mut from = HashSet::from([definition.url.clone()]);
        let named = definition.differential.iter().flat_map(|element| {
            element
                .get("type")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
        });
        let profiles = named.flat_map(|kind| {
            kind.get("profile")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
        });
        let canonicals = profiles.filter_map(Value::as_str);
        let held = self.held();
        for canonical in canonicals.chain(definition.base.as_deref()) {
            from.insert(parts(canonical).0.to_owned());
            if let Some(kept) = held.snapshots.get(canonical) {
                from.extend(kept.from.iter().cloned());
            }
        }
        Arc::new(from)
    }
}

impl Bases for Library {
    type Missing = Missing;

    fn snapshot(&self, canonical: &str) -> Result<Arc<Tree>, Failure<Missing>> {
        let above = Vec::new();
        Below {
            library: self,
            above,
        }
        .snapshot(canonical)
    }
}

impl Library {
    /// The snapshot of a definition that is not stored.
    pub fn snapshot_of(&self, definition: &Definition) -> Result<Tree, Failure<Missing>> {
        self.snapshot_and_bases(definition).0
    }

    /// The same, and the canonicals whose snapshots it was made from.
    pub fn snapshot_and_bases(
        &self,
        definition: &Definition,
    ) -> (Result<Tree, Failure<Missing>>, Vec<String>) {
        let above = vec![definition.canonical(), definition.url.clone()];
        let below = Below {
            library: self,
            above,
        };
        let asked = Asked {
            below,
            canonicals: RefCell::default(),
        };
        let tree = snapshot::generate(definition, &asked);
        (tree, asked.canonicals.into_inner())
    }

    /// The library as if these had never been stored.
    #[must_use]
    pub fn without(&self, ids: &HashSet<Uuid>) -> Self {
        let entries = self.entries.values().flatten();
        let library = Self::new(entries.filter(|entry| !ids.contains(&entry.id)).cloned());
        library.held_mut().documents = self.held().documents.clone();
        library
    }
}

/// Remembers what was asked for.
struct Asked<'a> {
    below: Below<'a>,
    canonicals: RefCell<Vec<String>>,
}

impl Bases for Asked<'_> {
    type Missing = Missing;

    fn snapshot(&self, canonical: &str) -> Result<Arc<Tree>, Failure<Missing>> {
        self.canonicals.borrow_mut().push(canonical.to_owned());
        self.below.snapshot(canonical)
    }
}

/// The library while snapshots are made: those above must not be asked for again.
struct Below<'a> {
    library: &'a Library,
    above: Vec<String>,
}

impl Bases for Below<'_> {
    type Missing = Missing;

    fn snapshot(&self, canonical: &str) -> Result<Arc<Tree>, Failure<Missing>> {
        if let Some(kept) = self.library.held().snapshots.get(canonical) {
            return Ok(Arc::clone(&kept.value));
        }
        let definition = self
            .library
            .definition(canonical)
            .map_err(Failure::Missing)?;
        let Some(definition) = definition else {
            return Err(Failure::Broken(format!(
                "its base {canonical} is not known"
            )));
        };
        let own = definition.canonical();
        if self
            .above
            .iter()
            .any(|above| *above == own || above == canonical)
        {
            return Err(Failure::Broken(format!(
                "it builds on itself by {canonical}"
            )));
        }
        if self.above.len() > MOST_ABOVE {
            return Err(Failure::Broken(format!(
                "more than {MOST_ABOVE} profiles build on each other"
            )));
        }
        let mut above = self.above.clone();
        above.push(own);
        let below = Below {
            library: self.library,
            above,
        };
        let tree = Arc::new(snapshot::generate(&definition, &below)?);
        let kept = Kept {
            value: Arc::clone(&tree),
            from: self.library.dependencies(&definition),
        };
        self.library
            .held_mut()
            .snapshots
            .insert(canonical.to_owned(), kept);
        Ok(tree)
    }
}

/// Longest chain of definitions that need each other's snapshot.
const MOST_ABOVE: usize = 32;

impl Held {
    /// Drops everything that was made from these addresses.
    fn forget(&mut self, urls: &HashSet<String>) {
        let is_named = |canonical: &String| urls.contains(parts(canonical).0);
        self.sets.retain(|canonical, _| !is_named(canonical));
        self.systems.retain(|canonical, _| !is_named(canonical));
        // What is broken may be whole again when anything is there that was not.
        self.profiles
            .retain(|_, kept| kept.value.is_ok() && kept.from.is_disjoint(urls));
        self.snapshots.retain(|_, kept| kept.from.is_disjoint(urls));
    }
}

/// The entry of a resource that a library holds.
#[must_use]
pub fn entry(id: Uuid, resource: &Resource) -> Option<Entry> {
    let kind = resource
        .resource_type()
        .filter(|kind| KINDS.contains(kind))?;
    Some(Entry {
        id,
        kind,
        url: resource.str("url")?.to_owned(),
        version: resource.str("version").map(str::to_owned),
    })
}

fn parts(canonical: &str) -> (&str, Option<&str>) {
    match canonical.split_once('|') {
        Some((url, version)) => (url, Some(version)),
        None => (canonical, None),
    }
}

/// The name of a base type in a canonical.
fn core_name(canonical: &str) -> Option<&str> {
    let (url, version) = parts(canonical);
    let name = url.strip_prefix(core::STRUCTURE)?;
    version
        .is_none_or(|version| version == core::VERSION)
        .then_some(name)
}
