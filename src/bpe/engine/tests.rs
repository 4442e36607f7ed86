//! Whatever block-structured process runs in whatever order: no token is lost or doubled, and
//! stopping at any point to store the state changes nothing (`spec/bpmn.md` §5.12).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::bpe::parse::parse;

/// A block with one way in and one way out.
#[derive(Clone, Debug)]
pub(in crate::bpe) enum Block {
    User,
    Timer,
    Message,
    Service,
    AsyncService,
    Sequence(Vec<Block>),
    Parallel(Vec<Block>),
    Inclusive(Vec<Block>),
    Exclusive(Vec<Block>),
    SubProcess(Box<Block>),
    Multi {
        count: u8,
        sequential: bool,
        inner: Box<Block>,
    },
}

pub(in crate::bpe) fn block() -> impl Strategy<Value = Block> {
    let leaf = prop_oneof![
        Just(Block::User),
        Just(Block::Timer),
        Just(Block::Message),
        Just(Block::Service),
        Just(Block::AsyncService)
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let several = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            several.clone().prop_map(Block::Sequence),
            several.clone().prop_map(Block::Parallel),
            several.clone().prop_map(Block::Inclusive),
            several.prop_map(Block::Exclusive),
            inner
                .clone()
                .prop_map(|inner| Block::SubProcess(Box::new(inner))),
            (0..3_u8, any::<bool>(), inner).prop_map(|(count, sequential, inner)| {
                Block::Multi {
                    count,
                    sequential,
                    inner: Box::new(inner),
                }
            }),
        ]
    })
}

/// Writes a model, and counts how often each task must run.
#[derive(Default)]
struct Writer {
    xml: String,
    next: u32,
    expected: BTreeMap<String, usize>,
}

impl Writer {
    fn id(&mut self, kind: &str) -> String {
        self.next += 1;
        format!("{kind}{}", self.next)
    }

    fn flow(&mut self, from: &str, to: &str) {
        let id = self.id("f");
        writeln!(
            self.xml,
            r#"<sequenceFlow id="{id}" sourceRef="{from}" targetRef="{to}"/>"#
        )
        .unwrap();
    }

    fn node(&mut self, kind: &str, attributes: &str) -> String {
        let id = self.id("n");
        writeln!(self.xml, r#"<{kind} id="{id}" {attributes}/>"#).unwrap();
        id
    }

    /// First and last node of a block that is entered so many times.
    fn block(&mut self, block: &Block, times: usize) -> (String, String) {
        let leaf = match block {
            Block::User => self.node("userTask", ""),
            Block::Message => self.node("receiveTask", r#"messageRef="m""#),
            Block::Timer => {
                let id = self.id("n");
                let timer = "<timerEventDefinition><timeDuration>PT1H</timeDuration>\
                             </timerEventDefinition>";
                let open = format!(r#"<intermediateCatchEvent id="{id}">"#);
                writeln!(self.xml, "{open}{timer}</intermediateCatchEvent>").unwrap();
                id
            }
            Block::Service => self.node("serviceTask", r#"camunda:class="c""#),
            Block::AsyncService => {
                let attributes = r#"camunda:class="c" camunda:asyncBefore="true""#;
                self.node("serviceTask", attributes)
            }
            Block::Sequence(blocks) => {
                let ends: Vec<_> = blocks
                    .iter()
                    .map(|block| self.block(block, times))
                    .collect();
                for pair in ends.windows(2) {
                    self.flow(&pair[0].1, &pair[1].0);
                }
                return (ends[0].0.clone(), ends[ends.len() - 1].1.clone());
            }
            Block::Parallel(blocks) => return self.branches("parallelGateway", blocks, times),
            Block::Inclusive(blocks) => return self.branches("inclusiveGateway", blocks, times),
            Block::Exclusive(blocks) => return self.exclusive(blocks, times),
            Block::SubProcess(inner) => self.scope(inner, times, ""),
            Block::Multi {
                count,
                sequential,
                inner,
            } => {
                let open = format!(
                    r#"<multiInstanceLoopCharacteristics isSequential="{sequential}">
                    <loopCardinality>{count}</loopCardinality></multiInstanceLoopCharacteristics>"#
                );
                self.scope(inner, times * usize::from(*count), &open)
            }
        };
        let scope = matches!(block, Block::SubProcess(_) | Block::Multi { .. });
        if !scope {
            self.expected.insert(leaf.clone(), times);
        }
        (leaf.clone(), leaf)
    }

    fn branches(&mut self, kind: &str, blocks: &[Block], times: usize) -> (String, String) {
        let (fork, join) = (self.node(kind, ""), self.node(kind, ""));
        for block in blocks {
            let (first, last) = self.block(block, times);
            self.flow(&fork, &first);
            self.flow(&last, &join);
        }
        (fork, join)
    }

    /// The first branch is the default and the only one taken.
    fn exclusive(&mut self, blocks: &[Block], times: usize) -> (String, String) {
        let default = self.id("f");
        let attribute = format!(r#"default="{default}""#);
        let fork = self.node("exclusiveGateway", &attribute);
        let join = self.node("exclusiveGateway", "");
        for (at, block) in blocks.iter().enumerate() {
            let (first, last) = self.block(block, if at == 0 { times } else { 0 });
            if at == 0 {
                let flow = format!(
                    r#"<sequenceFlow id="{default}" sourceRef="{fork}" targetRef="{first}"/>"#
                );
                self.xml.push_str(&flow);
            } else {
                let id = self.id("f");
                let flow = format!(
                    r#"<sequenceFlow id="{id}" sourceRef="{fork}" targetRef="{first}">
                    <conditionExpression>${{false}}</conditionExpression></sequenceFlow>"#
                );
                self.xml.push_str(&flow);
            }
            self.flow(&last, &join);
        }
        (fork, join)
    }

    fn scope(&mut self, inner: &Block, times: usize, characteristics: &str) -> String {
        let id = self.id("n");
        writeln!(self.xml, r#"<subProcess id="{id}">{characteristics}"#).unwrap();
        self.contents(inner, times);
        self.xml.push_str("</subProcess>");
        id
    }

    fn contents(&mut self, inner: &Block, times: usize) {
        let (start, end) = (self.node("startEvent", ""), self.node("endEvent", ""));
        let (first, last) = self.block(inner, times);
        self.flow(&start, &first);
        self.flow(&last, &end);
    }
}

/// The file of a process `p`, and how often each of its leaves must be completed.
pub(in crate::bpe) fn source(block: &Block) -> (String, BTreeMap<String, usize>) {
    let mut writer = Writer::default();
    writer.contents(block, 1);
    let source = format!(
        r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"
        xmlns:camunda="http://camunda.org/schema/1.0/bpmn"><message id="m" name="m"/>
        <process id="p" isExecutable="true">{}</process></definitions>"#,
        writer.xml
    );
    (source, writer.expected)
}

fn compile(block: &Block) -> (Graph, BTreeMap<String, usize>) {
    let (source, expected) = source(block);
    (parse(&source).unwrap().graphs.remove(0), expected)
}

/// Everything that may happen to a waiting instance next.
pub(in crate::bpe) fn possible(state: &State) -> Vec<Trigger> {
    let jobs = state.jobs().map(|job| Trigger::Job { job: job.id });
    let tasks = state.tasks().map(|task| Trigger::Complete {
        task: task.id,
        variables: Variables::new(),
        local: Variables::new(),
    });
    let events = state.subscriptions().filter_map(|row| match row.kind {
        SubscriptionKind::Message => Some(Trigger::Message {
            subscription: row.id,
            variables: Variables::new(),
            local: Variables::new(),
        }),
        SubscriptionKind::Signal => Some(Trigger::Signal {
            subscription: row.id,
            variables: Variables::new(),
        }),
        SubscriptionKind::Conditional => None,
    });
    jobs.chain(tasks).chain(events).collect()
}

/// A state as the database has it. A node is killed whenever it has stored one, and loads for the
/// next step no more than that turns out to need. While code is asked nothing is stored.
#[derive(Default)]
struct Shelf {
    first: String,
    pages: BTreeMap<PageId, String>,
    /// The state while code is asked, and the pages of the database that are in it.
    open: Option<(State, BTreeSet<PageId>)>,
}

impl Shelf {
    fn store(&mut self, mut state: State, seen: &BTreeSet<PageId>) {
        self.pages.retain(|id, _| !seen.contains(id));
        for (id, page) in state.take_pages() {
            self.pages.insert(id, serde_json::to_string(&page).unwrap());
        }
        self.first = serde_json::to_string(&state).unwrap();
    }

    /// Adds the pages that are wanted and not there.
    fn load(
        &self,
        state: &mut State,
        seen: &mut BTreeSet<PageId>,
        wanted: impl Fn(PageId) -> bool,
    ) {
        for (id, text) in self.pages.iter().filter(|(id, _)| wanted(**id)) {
            if seen.insert(*id) {
                state.put_page(*id, serde_json::from_str(text).unwrap());
            }
        }
    }

    fn whole(&self) -> State {
        let mut state = serde_json::from_str(&self.first).unwrap();
        self.load(&mut state, &mut BTreeSet::new(), |_| true);
        state
    }

    /// Runs one step on the page that it is about, or on all if it asks for them.
    fn step(&mut self, graph: &Graph, trigger: &Trigger) -> (Next, Change) {
        let stored = || (serde_json::from_str(&self.first).unwrap(), BTreeSet::new());
        let (mut state, mut seen) = self.open.take().unwrap_or_else(stored);
        let page = trigger.page();
        self.load(&mut state, &mut seen, |id| id == page);
        let on = |state| step(graph, state, trigger.clone(), Timestamp::UNIX_EPOCH);
        let done = match on(state.clone()) {
            Err(Halt::Absent(Absent::Pages)) => {
                self.load(&mut state, &mut seen, |_| true);
                on(state).unwrap()
            }
            other => other.unwrap(),
        };
        match done.next {
            Next::Request(_) => self.open = Some((done.state, seen)),
            _ => self.store(done.state, &seen),
        }
        (done.next, done.changes)
    }
}

/// Runs to the end, choosing among what can happen by the given numbers; returns how often
/// each node was completed.
fn play(graph: &Graph, choices: &[usize], crowd: u32) -> BTreeMap<String, usize> {
    let mut completed = BTreeMap::new();
    let mut new = State::new(InstanceId(Uuid::nil()));
    new.crowd = crowd;
    let mut shelf = Shelf::default();
    shelf.store(new, &BTreeSet::new());
    let mut trigger = Trigger::Start(Start::default());
    for at in 0..100_000 {
        let (next, changes) = shelf.step(graph, &trigger);
        for event in changes.history {
            assert_ne!(event.kind, EventKind::Canceled);
            if event.kind == EventKind::Completed {
                *completed.entry(event.activity).or_default() += 1;
            }
        }
        let choice = choices
            .get(at % choices.len().max(1))
            .copied()
            .unwrap_or_default();
        trigger = match next {
            Next::End(End::Completed { .. }) => return completed,
            Next::End(other) => panic!("{other:?}"),
            Next::Request(request) => Trigger::Answer {
                request: request.id,
                answer: Answer::done(Vec::new()),
            },
            Next::Wait => {
                let state = shelf.whole();
                assert_eq!(state.flaw(), None);
                let all = possible(&state);
                assert!(!all.is_empty(), "a token is stuck: {state:#?}");
                all[choice % all.len()].clone()
            }
        };
    }
    panic!("the process does not end");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn no_token_is_lost_or_doubled(
        block in block(),
        choices in prop::collection::vec(0..16_usize, 1..12),
        crowd in prop_oneof![Just(1_u32), Just(CROWD)],
    ) {
        let (graph, expected) = compile(&block);
        let completed = play(&graph, &choices, crowd);
        for (id, times) in expected {
            prop_assert_eq!(completed.get(&id).copied().unwrap_or_default(), times, "{}", id);
        }
    }
}
