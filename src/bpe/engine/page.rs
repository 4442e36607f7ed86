//! Large multi-instances in pages: each instance with everything inside it is a part of the state
//! that can be stored, loaded and left out by itself (`spec/bpmn.md` S-MI-10).
//!
//! The number of a frame or wait says on which page it stands, so whoever has a trigger knows what
//! to load for it. A state without some of its pages moves as well as a whole one as long as a step
//! stays away from them; where it does not, it answers [`Absent`] and nothing has happened.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::change::{Job, Subscription, UserTask};
use super::state::{Frame, FrameId, State, WaitId};
use super::trigger::Trigger;
use crate::bpe::model::{Event, Graph, Kind, NodeIx};

/// Instances of a parallel multi-instance from which on each stands on a page of its own. Below
/// that, writing all of them costs less than a row for each.
pub const CROWD: u32 = 64;

/// A part of a state. The first has everything that is on no page of its own.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct PageId(pub u32);

/// What a step needs that the given state lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// Pages: all of them, since it looks at every instance of a multi-instance.
    Pages,
    /// The values of variables that stand apart.
    Values,
}

/// The content of a page, to be stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Page {
    next: u64,
    frames: BTreeMap<FrameId, Frame>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    subscriptions: BTreeMap<WaitId, Subscription>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    jobs: BTreeMap<WaitId, Job>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tasks: BTreeMap<WaitId, UserTask>,
}

impl PageId {
    pub const FIRST: Self = Self(0);
    /// Bits of a number below those that name its page.
    pub const BITS: u32 = 32;

    fn of(number: u64) -> Self {
        Self(u32::try_from(number >> PageId::BITS).unwrap_or(u32::MAX))
    }

    /// The numbers that belong to it.
    fn numbers(self) -> RangeInclusive<u64> {
        let first = u64::from(self.0) << PageId::BITS;
        first..=first | u64::from(u32::MAX)
    }

    pub(super) fn frames(self) -> RangeInclusive<FrameId> {
        let (first, last) = self.numbers().into_inner();
        FrameId(first)..=FrameId(last)
    }

    pub(super) fn waits(self) -> RangeInclusive<WaitId> {
        let (first, last) = self.numbers().into_inner();
        WaitId(first)..=WaitId(last)
    }

    pub(super) fn first_number(self) -> u64 {
        *self.numbers().start()
    }
}

impl FrameId {
    #[must_use]
    pub fn page(self) -> PageId {
        PageId::of(self.0)
    }
}

impl WaitId {
    #[must_use]
    pub fn page(self) -> PageId {
        PageId::of(self.0)
    }
}

impl Trigger {
    /// The page that it is about.
    #[must_use]
    pub fn page(&self) -> PageId {
        match self {
            Self::Message { subscription, .. } | Self::Signal { subscription, .. } => {
                subscription.page()
            }
            Self::Answer { request, .. } => request.page(),
            Self::Job { job } | Self::JobFailed { job, .. } | Self::SetRetries { job, .. } => {
                job.page()
            }
            Self::Complete { task, .. } | Self::Throw { task, .. } => task.page(),
            Self::Continue { frame, .. } | Self::Child { frame, .. } => frame.page(),
            Self::Set { frame, .. } => frame.unwrap_or(State::ROOT).page(),
            Self::Start(_) | Self::Suspend(_) | Self::Cancel { .. } | Self::Modify { .. } => {
                PageId::FIRST
            }
        }
    }
}

impl State {
    /// Takes all pages but the first out of the state; one that is empty is none.
    pub fn take_pages(&mut self) -> BTreeMap<PageId, Page> {
        let mut pages: BTreeMap<PageId, Page> = BTreeMap::new();
        let numbers = std::mem::take(&mut self.pages);
        let (frame, wait) = (FrameId(1 << PageId::BITS), WaitId(1 << PageId::BITS));
        for (id, frame) in self.frames.split_off(&frame) {
            let page = pages.entry(id.page()).or_default();
            page.frames.insert(id, frame);
        }
        for (id, row) in self.subscriptions.split_off(&wait) {
            let page = pages.entry(id.page()).or_default();
            page.subscriptions.insert(id, row);
        }
        for (id, row) in self.jobs.split_off(&wait) {
            pages.entry(id.page()).or_default().jobs.insert(id, row);
        }
        for (id, row) in self.tasks.split_off(&wait) {
            pages.entry(id.page()).or_default().tasks.insert(id, row);
        }
        for (id, page) in &mut pages {
            let next = numbers.get(id).copied();
            page.next = next.unwrap_or_else(|| id.first_number());
        }
        pages
    }

    /// Puts a page back in its place.
    pub fn put_page(&mut self, id: PageId, page: Page) {
        self.pages.insert(id, page.next);
        self.frames.extend(page.frames);
        self.subscriptions.extend(page.subscriptions);
        self.jobs.extend(page.jobs);
        self.tasks.extend(page.tasks);
    }

    /// Whether parts of it can be absent at all.
    #[must_use]
    pub fn is_paged(&self) -> bool {
        self.paged().next().is_some()
    }

    /// Whether no page is absent.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let first = FrameId(1 << PageId::BITS);
        self.paged().all(|(body, frame)| {
            let there = self.frames.range(first..);
            let there = there.filter(|(_, found)| found.parent == body).count();
            there == frame.children as usize
        })
    }

    /// Bodies whose instances are on pages; they are on the first themselves.
    fn paged(&self) -> impl Iterator<Item = (FrameId, &Frame)> {
        let first = self.frames.range(PageId::FIRST.frames());
        first
            .filter(|(_, frame)| frame.paged)
            .map(|(id, frame)| (*id, frame))
    }

    /// The frames directly below, oldest first, as far as they are there.
    pub(super) fn below(&self, parent: FrameId) -> impl DoubleEndedIterator<Item = FrameId> {
        let paged = self.frames.get(&parent).is_some_and(|found| found.paged);
        let (first, last) = parent.page().frames().into_inner();
        let range = if paged {
            FrameId(1 << PageId::BITS)..=FrameId(u64::MAX)
        } else {
            first..=last
        };
        self.frames
            .range(range)
            .filter(move |(id, frame)| frame.parent == parent && **id != Self::ROOT)
            .map(|(id, _)| *id)
    }

    pub(super) fn subscriptions_of(&self, frame: FrameId) -> impl Iterator<Item = &Subscription> {
        let rows = self.subscriptions.range(frame.page().waits());
        rows.map(|(_, row)| row)
            .filter(move |row| row.frame == frame)
    }

    pub(super) fn jobs_of(&self, frame: FrameId) -> impl Iterator<Item = &Job> {
        let rows = self.jobs.range(frame.page().waits());
        rows.map(|(_, row)| row)
            .filter(move |row| row.frame == frame)
    }

    pub(super) fn tasks_of(&self, frame: FrameId) -> impl Iterator<Item = &UserTask> {
        let rows = self.tasks.range(frame.page().waits());
        rows.map(|(_, row)| row)
            .filter(move |row| row.frame == frame)
    }
}

/// Whether the instances of a multi-instance can be looked at one by one. Conditions cannot: any
/// change of a variable may concern each of them.
pub(super) fn separable(graph: &Graph, multi: NodeIx) -> bool {
    let is_conditional = |event: &Event| matches!(event, Event::Conditional(_));
    !graph.iter().any(|(ix, node)| {
        let conditional = match &node.kind {
            Kind::Catch(event) | Kind::Start { event, .. } | Kind::Boundary { event, .. } => {
                is_conditional(event)
            }
            _ => false,
        };
        conditional && is_inside(graph, ix, multi)
    })
}

fn is_inside(graph: &Graph, node: NodeIx, scope: NodeIx) -> bool {
    let mut at = node;
    while at != Graph::ROOT {
        at = graph.node(at).parent;
        if at == scope {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::super::{Answer, End, Halt, InstanceId, Next, Outcome, Start, step};
    use super::*;
    use crate::bpe::model::Variables;
    use crate::bpe::parse::parse;

    /// Receivers of which each stands on a page of its own, and a message that interrupts them all.
    fn graph(task: &str, condition: &str) -> Graph {
        let name = task.split(' ').next().unwrap();
        let source = format!(
            r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"
            xmlns:camunda="http://camunda.org/schema/1.0/bpmn"><message id="m" name="stop"/>
            <process id="p" isExecutable="true"><startEvent id="s"/>
            <sequenceFlow id="f1" sourceRef="s" targetRef="wait"/>
            <{task} id="wait"><multiInstanceLoopCharacteristics>
                <loopCardinality>70</loopCardinality>{condition}
            </multiInstanceLoopCharacteristics></{name}>
            <boundaryEvent id="stop" attachedToRef="wait">
                <messageEventDefinition messageRef="m"/></boundaryEvent>
            <sequenceFlow id="f2" sourceRef="stop" targetRef="e2"/><endEvent id="e2"/>
            <sequenceFlow id="f3" sourceRef="wait" targetRef="e"/><endEvent id="e"/>
            </process></definitions>"#
        );
        parse(&source).unwrap().graphs.remove(0)
    }

    fn run(graph: &Graph, state: State, trigger: Trigger) -> Result<(State, Next), Halt> {
        let done = step(graph, state, trigger, Timestamp::UNIX_EPOCH)?;
        Ok((done.state, done.next))
    }

    fn begun(graph: &Graph) -> (State, BTreeMap<PageId, Page>) {
        let state = State::new(InstanceId(Uuid::nil()));
        let (mut state, _) = run(graph, state, Trigger::Start(Start::default())).unwrap();
        let pages = state.take_pages();
        (state, pages)
    }

    fn go_on(page: &Page) -> Trigger {
        Trigger::Continue {
            frame: *page.frames.keys().next().unwrap(),
            settings: Answer::done(Vec::new()).settings,
            outcome: Outcome::Done,
        }
    }

    fn counter(state: &State, name: &str) -> String {
        let body = state.paged().next().unwrap().0;
        format!("{:?}", state.variable(body, name).unwrap())
    }

    #[test]
    fn one_of_many_is_completed_on_its_own_page() {
        let graph = graph("receiveTask", "");
        let (mut state, pages) = begun(&graph);
        assert_eq!(pages.len(), 70);
        let first = serde_json::to_string(&state).unwrap();
        assert!(first.len() < 1000, "{first}");
        for (at, (id, page)) in pages.into_iter().enumerate() {
            let trigger = go_on(&page);
            assert_eq!(trigger.page(), id);
            state.put_page(id, page);
            let (next, left) = run(&graph, state, trigger).unwrap();
            state = next;
            assert!(state.take_pages().is_empty());
            if at < 69 {
                assert_eq!(left, Next::Wait);
                let active = counter(&state, "nrOfActiveInstances");
                assert_eq!(active, format!("Integer({})", 69 - at));
            } else {
                assert!(matches!(left, Next::End(End::Completed { .. })));
            }
        }
    }

    #[test]
    fn whatever_concerns_all_asks_for_all() {
        let two = "<completionCondition>${nrOfCompletedInstances == 2}</completionCondition>";
        let graph = graph("receiveTask", two);
        let (state, pages) = begun(&graph);
        let stop = state.subscriptions().next().unwrap().id;
        let all = |mut state: State, pages: &BTreeMap<PageId, Page>| {
            for (id, page) in pages {
                state.put_page(*id, page.clone());
            }
            state
        };
        let absent = Err(Halt::Absent(Absent::Pages));

        let interruption = Trigger::Message {
            subscription: stop,
            variables: Variables::new(),
            local: Variables::new(),
        };
        assert!(!state.is_complete());
        assert_eq!(run(&graph, state.clone(), interruption.clone()), absent);
        let (_, left) = run(&graph, all(state.clone(), &pages), interruption).unwrap();
        assert!(matches!(left, Next::End(End::Completed { .. })));

        let mut rest = pages.clone();
        let (id, page) = rest.pop_first().unwrap();
        let trigger = go_on(&page);
        let mut one = state.clone();
        one.put_page(id, page);
        let (mut one, _) = run(&graph, one, trigger).unwrap();
        one.take_pages();
        let (id, page) = rest.pop_last().unwrap();
        let trigger = go_on(&page);
        one.put_page(id, page);
        assert_eq!(run(&graph, one.clone(), trigger.clone()), absent);
        let (_, left) = run(&graph, all(one, &rest), trigger).unwrap();
        assert!(matches!(left, Next::End(End::Completed { .. })));
    }

    #[test]
    fn a_state_half_way_asks_for_the_pages_on_which_it_goes_on() {
        let graph = graph(r#"serviceTask camunda:class="c""#, "");
        let state = State::new(InstanceId(Uuid::nil()));
        let (whole, next) = run(&graph, state, Trigger::Start(Start::default())).unwrap();
        let Next::Request(request) = next else {
            panic!("{next:?}");
        };
        let answer = Trigger::Answer {
            request: request.id,
            answer: Answer::done(Vec::new()),
        };
        let mut part = whole.clone();
        let page = part.take_pages().remove(&request.id.page()).unwrap();
        part.put_page(request.id.page(), page);
        let absent = Err(Halt::Absent(Absent::Pages));
        assert_eq!(run(&graph, part, answer.clone()), absent);
        let (_, next) = run(&graph, whole, answer).unwrap();
        assert!(matches!(next, Next::Request(_)));
    }
}
