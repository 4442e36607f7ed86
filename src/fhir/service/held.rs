//! What was read lately, ready to be shown again.
//!
//! A version never changes, so all that must be asked of the store is whether it is still the
//! current one; whether this reader may see it is judged anew each time.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jiff::Timestamp;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use uuid::Uuid;

use crate::fhir::reference;
use crate::r4::{Resource, json};
use crate::store::fhir::resource::Known;

/// Together, in bytes of JSON; parsed it is some ten times as much.
const MOST: u64 = 2 << 20;
/// One large document must not drive out a hundred small ones.
const LARGEST: usize = 32 << 10;

/// What a version is shown as: resolved literal references are hidden.
#[derive(Debug)]
pub struct Shown {
    pub resource: Resource,
    json: OnceLock<Bytes>,
}

impl Shown {
    pub fn of(mut resource: Resource) -> Self {
        reference::clean(&mut resource);
        Self {
            resource,
            json: OnceLock::new(),
        }
    }

    /// As compact JSON, written once.
    pub fn json(&self) -> Bytes {
        let json = || Bytes::from(json::write(&self.resource, false));
        self.json.get_or_init(json).clone()
    }
}

/// One version, parsed.
#[derive(Debug)]
pub struct Version {
    pub number: i64,
    pub at: Timestamp,
    /// As it is stored, for the rules.
    pub resource: Resource,
    pub shown: Arc<Shown>,
    size: usize,
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
        let shown = Arc::new(Shown::of(resource.clone()));
        let version = Version {
            number,
            at,
            resource,
            shown: Arc::clone(&shown),
            size,
        };
        self.0.insert(id, Arc::new(version));
        shown
    }
}
