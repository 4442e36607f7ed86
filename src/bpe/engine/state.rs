//! The state of one instance: a tree of frames and what they wait for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::change::{Job, Subscription, UserTask};

/// An instance of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(pub Uuid);

/// One entry of a node: an activity instance. Counted per instance, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FrameId(pub u64);

/// A subscription, job, user task or request. Counted per instance, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WaitId(pub u64);

/// Everything about a running instance. Serialises to JSON with a format number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub(crate) format: u16,
    pub instance: InstanceId,
    pub business_key: Option<String>,
    pub suspended: bool,
    pub(crate) next: u64,
    pub(crate) subscriptions: BTreeMap<WaitId, Subscription>,
    pub(crate) jobs: BTreeMap<WaitId, Job>,
    pub(crate) tasks: BTreeMap<WaitId, UserTask>,
}
