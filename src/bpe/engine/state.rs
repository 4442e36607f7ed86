//! The state of one instance: a tree of frames and what they wait for.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::agenda::Op;
use super::change::{Job, Subscription, UserTask};
use super::page::{CROWD, PageId};
use crate::bpe::model::{FlowIx, NodeIx, Variable, Variables};

/// The layout of the serialised form.
const FORMAT: u16 = 1;
/// The same, and parts may stand on pages of their own, which an older release would overlook.
const PAGED: u16 = 2;

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
    #[serde(deserialize_with = "known_format")]
    format: u16,
    pub instance: InstanceId,
    pub business_key: Option<String>,
    pub suspended: bool,
    /// A BPMN error that nobody catches fails the step instead of ending its path.
    pub strict_errors: bool,
    /// Instances of a parallel multi-instance from which on each stands on a page of its own.
    #[serde(default = "crowd", skip_serializing_if = "is_usual")]
    pub crowd: u32,
    /// A call activity waits for the end of this instance.
    pub(super) called: bool,
    /// The next number of the first page.
    pub(super) next: u64,
    /// The next numbers of the other pages, as far as they are there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) pages: BTreeMap<PageId, u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    last_page: u32,
    pub(super) frames: BTreeMap<FrameId, Frame>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) subscriptions: BTreeMap<WaitId, Subscription>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) jobs: BTreeMap<WaitId, Job>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) tasks: BTreeMap<WaitId, UserTask>,
    /// What is still to be done in the current segment, the next thing last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) agenda: Vec<Op>,
    /// Variables written since conditions were looked at last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) written: Vec<Written>,
}

/// A change that conditional events may react to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Written {
    pub scope: FrameId,
    pub name: String,
    pub how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum How {
    Create,
    Update,
    Delete,
}

/// One entry of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Frame {
    pub parent: FrameId,
    pub node: NodeIx,
    #[serde(default, skip_serializing_if = "is_default")]
    pub role: Role,
    pub phase: Phase,
    /// The flow on which the token came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<FlowIx>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<Waiting>,
    #[serde(default, skip_serializing_if = "Variables::is_empty")]
    pub variables: Variables,
    /// Variables of a user task: gone before the outputs of its activity are mapped.
    #[serde(default, skip_serializing_if = "Variables::is_empty")]
    pub task_variables: Variables,
    /// Loop counter and element: beside the inner instance, not in it.
    #[serde(default, skip_serializing_if = "Variables::is_empty")]
    pub loop_variables: Variables,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<Counters>,
    /// Flows that the end of this node takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub out: Vec<FlowIx>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Record>,
    /// The compensation throw that waits for the end of this frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensates: Option<FrameId>,
    /// A catch event whose event has already happened.
    #[serde(default, skip_serializing_if = "is_default")]
    pub triggered: bool,
    /// Frames directly below.
    #[serde(default, skip_serializing_if = "is_default")]
    pub children: u32,
    /// Each of them stands on a page of its own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub paged: bool,
}

/// A state of another layout is refused, not guessed at.
fn known_format<'de, D: Deserializer<'de>>(from: D) -> Result<u16, D::Error> {
    let format = u16::deserialize(from)?;
    if (FORMAT..=PAGED).contains(&format) {
        return Ok(format);
    }
    let message =
        format!("the state has format {format}; this release reads formats up to {PAGED}");
    Err(D::Error::custom(message))
}

fn crowd() -> u32 {
    CROWD
}

fn is_usual(crowd: &u32) -> bool {
    *crowd == CROWD
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Role {
    #[default]
    Node,
    /// Body of a multi-instance.
    Body,
    /// One instance of a multi-instance.
    Inner,
    /// A finished sub-process whose records are being compensated.
    Revived,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Phase {
    /// On the way to the node.
    Moving,
    AsyncBefore,
    /// The node is done; the flow, if any, is taken by a job.
    AsyncAfter,
    Active,
    /// At a gateway that waits for other tokens.
    Joined,
    Leaving,
    Canceling,
}

/// What an active frame waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Waiting {
    /// An event: a catch event, an event-based gateway, a receive task with a message.
    Event,
    UserTask,
    /// An explicit [`super::Trigger::Continue`].
    Continue,
    /// The end of a called instance.
    Child,
    /// So many compensation handlers.
    Handlers(u32),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Counters {
    pub total: u32,
    pub completed: u32,
    /// The collection as it was at entry, for loops that run one after another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Variable>,
}

/// Something that was completed and can be compensated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub node: NodeIx,
    pub what: Undo,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Undo {
    Handler(NodeIx),
    /// A sub-process with its variables as they were.
    Scope {
        variables: Variables,
        records: Vec<Record>,
    },
}

impl Frame {
    pub(super) fn moving(parent: FrameId, node: NodeIx) -> Self {
        Self {
            parent,
            node,
            role: Role::Node,
            phase: Phase::Moving,
            via: None,
            waits: None,
            variables: Variables::new(),
            task_variables: Variables::new(),
            loop_variables: Variables::new(),
            counters: None,
            out: Vec::new(),
            records: Vec::new(),
            compensates: None,
            triggered: false,
            children: 0,
            paged: false,
        }
    }

    /// A variable of this frame, the innermost first.
    pub(super) fn own_variable(&self, name: &str) -> Option<&Variable> {
        let all = [&self.task_variables, &self.variables, &self.loop_variables];
        all.into_iter().find_map(|variables| variables.get(name))
    }

    /// On the way to a node or away from it: no activity instance yet, or no longer.
    pub(super) fn in_transit(&self) -> bool {
        matches!(
            self.phase,
            Phase::Moving | Phase::AsyncBefore | Phase::AsyncAfter
        )
    }
}

impl State {
    /// The frame of the process itself.
    pub const ROOT: FrameId = FrameId(0);

    /// An instance that has not started; [`super::Trigger::Start`] comes first.
    #[must_use]
    pub fn new(instance: InstanceId) -> Self {
        Self {
            format: FORMAT,
            instance,
            business_key: None,
            suspended: false,
            strict_errors: false,
            crowd: CROWD,
            called: false,
            next: 1,
            pages: BTreeMap::new(),
            last_page: 0,
            frames: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            jobs: BTreeMap::new(),
            tasks: BTreeMap::new(),
            agenda: Vec::new(),
            written: Vec::new(),
        }
    }

    /// A page that nothing stands on yet.
    pub(super) fn new_page(&mut self) -> PageId {
        self.format = PAGED;
        self.last_page += 1;
        PageId(self.last_page)
    }

    #[must_use]
    pub fn job(&self, id: WaitId) -> Option<&Job> {
        self.jobs.get(&id)
    }

    #[must_use]
    pub fn task(&self, id: WaitId) -> Option<&UserTask> {
        self.tasks.get(&id)
    }

    pub fn subscriptions(&self) -> impl Iterator<Item = &Subscription> {
        self.subscriptions.values()
    }

    /// Timers and asynchronous continuations.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values()
    }

    pub fn tasks(&self) -> impl Iterator<Item = &UserTask> {
        self.tasks.values()
    }

    /// Every frame that waits for something outside, oldest first.
    pub fn waiting(&self) -> impl Iterator<Item = (FrameId, NodeIx, Waiting)> {
        self.frames
            .iter()
            .filter_map(|(id, frame)| frame.waits.map(|waits| (*id, frame.node, waits)))
    }

    /// Every entered node that has not ended, oldest first, the process included.
    pub fn active(&self) -> impl Iterator<Item = (FrameId, NodeIx)> {
        let entered = self.frames.iter().filter(|(_, frame)| !frame.in_transit());
        entered.map(|(id, frame)| (*id, frame.node))
    }

    /// The frame around a frame; the process has none.
    #[must_use]
    pub fn parent(&self, frame: FrameId) -> Option<FrameId> {
        (frame != Self::ROOT)
            .then(|| self.frames.get(&frame).map(|found| found.parent))
            .flatten()
    }

    /// Whether nothing but this frame is left directly in the process: what ends it ends the instance.
    #[must_use]
    pub fn is_last(&self, frame: FrameId) -> bool {
        let root = self.frames.get(&Self::ROOT);
        self.parent(frame) == Some(Self::ROOT) && root.is_some_and(|root| root.children == 1)
    }

    /// The scope in which the reaction to a subscription runs.
    #[must_use]
    pub fn receiving_scope(&self, subscription: WaitId) -> Option<FrameId> {
        let found = self.subscriptions.get(&subscription)?;
        let owner = self.frames.get(&found.frame)?;
        Some(if found.scope {
            found.frame
        } else {
            owner.parent
        })
    }

    /// What a frame waits for.
    #[must_use]
    pub fn waits_for(&self, frame: FrameId) -> Option<Waiting> {
        self.frames.get(&frame)?.waits
    }

    /// Whether code said it would wait here, or a receive task without message does.
    #[must_use]
    pub fn is_waiting(&self, frame: FrameId) -> bool {
        self.waits_for(frame) == Some(Waiting::Continue)
    }

    /// A variable as seen from a frame.
    #[must_use]
    pub fn variable(&self, frame: FrameId, name: &str) -> Option<&Variable> {
        let mut at = frame;
        loop {
            let found = self.frames.get(&at)?;
            let local = found.own_variable(name);
            if local.is_some() || at == Self::ROOT {
                return local;
            }
            at = found.parent;
        }
    }

    /// All variables as seen from a frame.
    #[must_use]
    pub fn visible(&self, frame: FrameId) -> Variables {
        let mut all = match self.parent(frame) {
            Some(parent) => self.visible(parent),
            None => Variables::new(),
        };
        all.extend(self.local(frame));
        all
    }

    /// The variables of the frame itself.
    #[must_use]
    pub fn local(&self, frame: FrameId) -> Variables {
        let Some(found) = self.frames.get(&frame) else {
            return Variables::new();
        };
        let mut all = found.loop_variables.clone();
        all.extend(found.variables.clone());
        all.extend(found.task_variables.clone());
        all
    }

    /// Every variable that is stored with the state and its page, for whoever keeps large ones
    /// elsewhere.
    pub fn each_variable(&mut self, change: &mut impl FnMut(PageId, &mut Variable)) {
        for (id, frame) in &mut self.frames {
            let page = id.page();
            let change = &mut |value: &mut Variable| change(page, value);
            let scopes = [
                &mut frame.variables,
                &mut frame.task_variables,
                &mut frame.loop_variables,
            ];
            scopes
                .into_iter()
                .flat_map(Variables::values_mut)
                .for_each(&mut *change);
            if let Some(counters) = &mut frame.counters {
                counters.items.iter_mut().for_each(&mut *change);
            }
            each_recorded(&mut frame.records, change);
        }
    }

    /// The variables of the frame that take part in correlation: those beside it do not.
    #[must_use]
    pub fn correlation_variable(&self, frame: FrameId, name: &str) -> Option<&Variable> {
        self.frames.get(&frame)?.variables.get(name)
    }
}

fn each_recorded(records: &mut [Record], change: &mut impl FnMut(&mut Variable)) {
    for record in records {
        if let Undo::Scope { variables, records } = &mut record.what {
            variables.values_mut().for_each(&mut *change);
            each_recorded(records, change);
        }
    }
}
