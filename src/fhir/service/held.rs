//! What was read lately, ready to be shown again.
//!
//! A version never changes, so all that must be asked of the store is whether it is still the
//! current one, and not even that while a [`lease`](super::lease) upholds the last answer. Whether
//! this reader may see it is judged anew each time.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use jiff::Timestamp;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use uuid::Uuid;

use super::ground::Ground;
use super::lease::{Lease, Proof};
use crate::fhir::reference;
use crate::r4::{Resource, ResourceType, json};
use crate::store::fhir::Content;
use crate::store::fhir::resource::Known;

/// Together, in bytes of JSON; with the parsed form for the rules it is some ten times as much.
const MOST: u64 = 2 << 20;
/// One large document must not drive out a hundred small ones.
const LARGEST: usize = 32 << 10;

/// What a version is shown as: resolved literal references are hidden. As a resource, as JSON or both;
/// what is missing is made of the other when somebody wants it.
#[derive(Debug)]
pub struct Shown {
    kind: Option<ResourceType>,
    resource: OnceLock<Resource>,
    json: OnceLock<Bytes>,
}

impl Shown {
    pub fn of(mut resource: Resource) -> Self {
        reference::clean(&mut resource);
        Self {
            kind: resource.resource_type(),
            resource: resource.into(),
            json: OnceLock::new(),
        }
    }

    /// As JSON, which most readers want and which takes a tenth of the memory.
    fn written(resource: Resource) -> Self {
        let shown = Self::of(resource);
        Self {
            kind: shown.kind,
            json: shown.json().into(),
            resource: OnceLock::new(),
        }
    }

    pub fn kind(&self) -> Option<ResourceType> {
        self.kind
    }

    pub fn resource(&self) -> &Resource {
        self.resource.get_or_init(|| self.parsed())
    }

    /// A copy, or the resource itself if nobody else is shown it.
    pub fn into_resource(self: Arc<Self>) -> Resource {
        match Arc::try_unwrap(self) {
            Ok(mut owned) => owned.resource.take().unwrap_or_else(|| owned.parsed()),
            Err(shared) => match shared.resource.get() {
                Some(resource) => resource.clone(),
                None => shared.parsed(),
            },
        }
    }

    /// As compact JSON, written once.
    pub fn json(&self) -> Bytes {
        let json = || Bytes::from(json::write(self.resource(), false));
        self.json.get_or_init(json).clone()
    }

    fn parsed(&self) -> Resource {
        let json = self.json.get().map_or(&b""[..], |json| json);
        let resource = serde_json::from_slice(json)
            .ok()
            .and_then(Resource::from_value);
        // There is JSON where there is no resource, and what was written as JSON parses.
        resource.unwrap_or_else(|| Resource::of_type(self.kind.map_or("", ResourceType::name)))
    }
}

/// One version.
#[derive(Debug)]
pub struct Version {
    pub number: i64,
    pub at: Timestamp,
    /// As it is stored, parsed for the rules.
    pub resource: Resource,
    pub shown: Arc<Shown>,
    /// That it is the current one, as of the last read that could tell.
    current: ArcSwapOption<Current>,
    size: usize,
}

/// What a read had to ask the database about a version.
#[derive(Debug)]
struct Current {
    proof: Proof,
    content: Option<Content>,
}

impl Version {
    /// For readers who come later: this is the current version, and where its content is.
    pub fn prove(&self, proof: Proof, content: Option<Content>) {
        let current = Current { proof, content };
        self.current.store(Some(Arc::new(current)));
    }

    /// Where the content of this version is, if the lease and this generation of the directory
    /// uphold that it is the current one.
    pub fn upheld(&self, lease: &Lease, generation: i64) -> Option<Option<Content>> {
        let current = self.current.load();
        let current = current.as_ref()?;
        lease
            .upholds(&current.proof, generation)
            .then_some(current.content)
    }
}

/// The versions read lately, bounded.
pub struct Held(Cache<Uuid, Arc<Version>, Size>);

#[derive(Clone)]
struct Size;

impl Weighter<Uuid, Arc<Version>> for Size {
    fn weight(&self, _: &Uuid, version: &Arc<Version>) -> u64 {
        version.size as u64
    }
}

impl Held {
    pub fn new() -> Self {
        Self(Cache::with_weighter(500, MOST, Size))
    }

    pub fn get(&self, id: Uuid) -> Option<Arc<Version>> {
        self.0.get(&id)
    }

    /// Exactly this version.
    pub fn version(&self, id: Uuid, known: Known) -> Option<Arc<Version>> {
        self.get(id).filter(|held| (held.number, held.at) == known)
    }

    /// What is shown of a version, which is held unless it is too large.
    pub fn hold(
        &self,
        id: Uuid,
        (number, at): Known,
        resource: Resource,
        size: usize,
    ) -> Arc<Shown> {
        if size > LARGEST {
            return Arc::new(Shown::of(resource));
        }
        let shown = Arc::new(Shown::written(resource.clone()));
        let version = Version {
            number,
            at,
            resource,
            shown: Arc::clone(&shown),
            current: ArcSwapOption::empty(),
            size,
        };
        self.0.insert(id, Arc::new(version));
        shown
    }
}

impl Ground<'_> {
    /// What is shown of a version that was read here. It is held, unless it may be one that this
    /// transaction has written and may still take back.
    pub(super) fn hold(
        &self,
        id: Uuid,
        known: Known,
        resource: Resource,
        size: usize,
    ) -> Arc<Shown> {
        if self.wrote {
            return Arc::new(Shown::of(resource));
        }
        self.service.held.hold(id, known, resource, size)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_held_version_is_shown_as_any_other() {
        let document = r#"{"resourceType":"Task","id":"a","priority":"routine","restriction":{"repetitions":1.50},"owner":{"reference":"Organization/1","identifier":{"value":"ä"}}}"#;
        let resource = || {
            let value: Value = serde_json::from_str(document).expect("JSON");
            Resource::from_value(value).expect("a resource")
        };
        let held = Held::new();
        let (id, at) = (Uuid::from_u128(1), Timestamp::UNIX_EPOCH);
        let shown = held.hold(id, (2, at), resource(), document.len());
        let usual = Shown::of(resource());
        assert_eq!(shown.kind(), Some(ResourceType::Task));
        assert_eq!(shown.json(), usual.json());
        assert_eq!(shown.resource(), usual.resource());
        // Also where it is shown to several at once, or to nobody else.
        assert_eq!(Arc::clone(&shown).into_resource(), *usual.resource());
        let alone = Arc::new(Shown::written(resource()));
        assert_eq!(alone.into_resource(), *usual.resource());
        assert!(held.version(id, (2, at)).is_some());
        assert!(held.version(id, (1, at)).is_none());
        let later = at + jiff::SignedDuration::from_millis(1);
        assert!(held.version(id, (2, later)).is_none());
    }
}
