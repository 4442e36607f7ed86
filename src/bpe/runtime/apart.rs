//! Variables of many kilobytes stand beside the state, not in it: the state is written at every
//! step, a research data set need not be (`spec/bpmn.md` §5.4).

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Error;
use crate::bpe::engine::State;
use crate::bpe::model::{Variable, Variables};
use crate::store::Store;
use crate::store::bpe::blob::{self, Blob};

/// Bytes from which on a value stands apart.
const LARGE: usize = 4096;

/// A state to be stored, and the large values taken out of it.
pub(super) struct Split {
    pub state: State,
    pub blobs: BTreeMap<String, String>,
}

/// Takes large values out; each leaves its digest.
pub(super) fn split(state: &State) -> Split {
    let mut state = state.clone();
    let mut blobs = BTreeMap::new();
    state.each_variable(&mut |value| {
        if let Some((digest, content)) = apart(value) {
            blobs.insert(digest.clone(), content);
            *value = Variable::Apart(digest);
        }
    });
    Split { state, blobs }
}

/// The digests of the large values of a state.
pub(super) fn digests(state: &mut State) -> BTreeSet<String> {
    let mut digests = BTreeSet::new();
    state.each_variable(&mut |value| digests.extend(apart(value).map(|(digest, _)| digest)));
    digests
}

/// The digest and text of a large value. What cannot be written apart is written in its place, and
/// fails there in words.
fn apart(value: &Variable) -> Option<(String, String)> {
    if weight(value) < LARGE {
        return None;
    }
    let content = serde_json::to_string(value).ok()?;
    let digest = Sha256::digest(&content);
    let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some((digest, content))
}

/// A state as it was before it was split, and the digests that the database has.
pub(super) async fn join(
    store: &Store,
    instance: Uuid,
    text: &str,
) -> Result<(State, BTreeSet<String>), Error> {
    let unreadable = |error: serde_json::Error| Error::State {
        id: instance,
        problem: error.to_string(),
    };
    let mut state: State = serde_json::from_str(text).map_err(unreadable)?;
    let mut digests = BTreeSet::new();
    state.each_variable(&mut |value| {
        if let Variable::Apart(digest) = value {
            digests.insert(digest.clone());
        }
    });
    if digests.is_empty() {
        return Ok((state, digests));
    }
    let wanted: Vec<String> = digests.iter().cloned().collect();
    let blobs: Vec<Blob> = store
        .read(async |conn| blob::read(conn, instance, &wanted).await)
        .await?;
    let mut values = BTreeMap::new();
    for blob in blobs {
        let value: Variable = serde_json::from_str(&blob.content).map_err(unreadable)?;
        values.insert(blob.digest, value);
    }
    let mut missing = None;
    state.each_variable(&mut |value| {
        if let Variable::Apart(digest) = value {
            match values.get(digest) {
                Some(found) => *value = found.clone(),
                None => missing = Some(digest.clone()),
            }
        }
    });
    match missing {
        Some(digest) => Err(Error::State {
            id: instance,
            problem: format!("its value {digest} is missing"),
        }),
        None => Ok((state, digests)),
    }
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
