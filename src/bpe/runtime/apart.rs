//! Variables of many kilobytes stand beside the state, not in it: the state is written at every
//! step, a research data set need not be (`spec/bpmn.md` §5.4). Nor is it read before a step asks
//! for it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Error;
use crate::bpe::engine::{Page, PageId, State};
use crate::bpe::model::{Variable, Variables};
use crate::store::Store;
use crate::store::bpe::blob::{self, Blob};
use crate::store::bpe::page;

/// Bytes from which on a value stands apart.
const LARGE: usize = 4096;

/// A state to be stored: its first page, the others, and the large values taken out of them.
pub(super) struct Split {
    pub state: State,
    pub pages: BTreeMap<PageId, Page>,
    /// Those that are there; each has left its key.
    pub blobs: BTreeMap<String, String>,
    /// Of all large values.
    pub keys: BTreeSet<String>,
}

pub(super) fn split(state: &State) -> Split {
    let mut state = state.clone();
    let (mut blobs, mut keys) = (BTreeMap::new(), BTreeSet::new());
    state.each_variable(&mut |page, value| {
        if let Some((key, content)) = apart(page, value) {
            blobs.insert(key.clone(), content);
            *value = Variable::Apart(key);
        }
        if let Variable::Apart(key) = value {
            keys.insert(key.clone());
        }
    });
    Split {
        pages: state.take_pages(),
        state,
        blobs,
        keys,
    }
}

/// The key and text of a large value. What cannot be written apart is written in its place, and
/// fails there in words. Pages do not share: what one of them leaves out, others may have.
fn apart(page: PageId, value: &Variable) -> Option<(String, String)> {
    if weight(value) < LARGE || matches!(value, Variable::Apart(_)) {
        return None;
    }
    let content = serde_json::to_string(value).ok()?;
    let digest = Sha256::digest(&content);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = match page {
        PageId::FIRST => digest,
        PageId(page) => format!("{page}/{digest}"),
    };
    Some((key, content))
}

/// The keys of the values that stand apart and are not there.
pub(super) fn missing(state: &mut State) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    state.each_variable(&mut |_, value| {
        if let Variable::Apart(key) = value {
            keys.insert(key.clone());
        }
    });
    keys
}

/// Puts the large values of a state back into it.
pub(super) async fn fill(store: &Store, instance: Uuid, state: &mut State) -> Result<(), Error> {
    let missing = missing(state);
    if missing.is_empty() {
        return Ok(());
    }
    let wanted: Vec<String> = missing.into_iter().collect();
    let blobs: Vec<Blob> = store
        .read(async |conn| blob::read(conn, instance, &wanted).await)
        .await?;
    let mut values: BTreeMap<String, Variable> = BTreeMap::new();
    for blob in blobs {
        values.insert(blob.digest, understood(instance, &blob.content)?);
    }
    let mut lost = None;
    state.each_variable(&mut |_, value| {
        if let Variable::Apart(key) = value {
            match values.get(key) {
                Some(found) => *value = found.clone(),
                None => lost = Some(key.clone()),
            }
        }
    });
    match lost {
        Some(key) => Err(Error::State {
            id: instance,
            problem: format!("its value {key} is missing"),
        }),
        None => Ok(()),
    }
}

/// The state of a running instance with everything that belongs to it, to look at; nothing when the
/// instance does not run.
///
/// # Errors
/// When the database cannot be read, or the stored state not be understood.
pub async fn whole_state(store: &Store, instance: Uuid) -> Result<Option<State>, Error> {
    let found = store
        .read(async |conn| page::whole(conn, instance).await)
        .await?;
    let Some((first, pages)) = found else {
        return Ok(None);
    };
    let mut state: State = understood(instance, &first)?;
    for row in pages {
        state.put_page(page_id(row.page), understood(instance, &row.state)?);
    }
    fill(store, instance, &mut state).await?;
    Ok(Some(state))
}

/// The database finds the page of a job by the same rule.
const _: () = assert!(PageId::BITS == page::BITS);

pub(super) fn page_id(number: i64) -> PageId {
    PageId(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Stored text as what it stands for.
pub(super) fn understood<T: serde::de::DeserializeOwned>(
    instance: Uuid,
    text: &str,
) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::State {
        id: instance,
        problem: error.to_string(),
    })
}

/// Something as text to be stored.
pub(super) fn written(instance: Uuid, part: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(part).map_err(|error| Error::State {
        id: instance,
        problem: error.to_string(),
    })
}

/// About how many bytes a value takes as text; cheap, and exact enough.
fn weight(value: &Variable) -> usize {
    let map = |entries: &Variables| -> usize {
        let all = entries.iter();
        all.map(|(name, value)| name.len() + weight(value)).sum()
    };
    match value {
        Variable::String(text) | Variable::Apart(text) => text.len(),
        Variable::Bytes(bytes) => bytes.len() * 4,
        Variable::List(items) => items.iter().map(weight).sum(),
        Variable::Map(entries) => map(entries),
        Variable::Json(json) => json_weight(json),
        Variable::Resource(json) => json_weight(json),
        Variable::Targets(targets) => targets.entries.len() * 200,
        _ => 16,
    }
}

fn json_weight(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(json_weight).sum(),
        Value::Object(entries) => {
            let all = entries.iter();
            all.map(|(name, value)| name.len() + json_weight(value))
                .sum()
        }
        _ => 8,
    }
}
