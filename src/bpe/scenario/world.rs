//! Everything that is deployed and running in a scenario.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::file::Scenario;
use super::ground::{Floor, Ground};
use super::post::Post;
use super::source;
use super::stub::Stubs;
use crate::bpe::engine::{
    Child, End, Event as Happened, EventKind, FrameId, InstanceId, Next, Request, Schedule, Start,
    State, Step, Trigger, WaitId, start_schedule, step,
};
use crate::bpe::model::{Event, Graph, NodeIx, Variables};
use crate::bpe::{parse, runtime};

/// A definition version.
#[derive(Clone)]
pub(super) struct Definition {
    /// Its row, on a database.
    pub id: Uuid,
    pub version_tag: String,
    pub graph: Arc<Graph>,
    pub version: u32,
    pub deployment: u32,
    pub suspended: bool,
    pub timers: Vec<StartTimer>,
}

#[derive(Clone)]
pub(super) struct StartTimer {
    pub node: NodeIx,
    pub schedule: Schedule,
    /// Place in the order of creation of all jobs.
    pub sequence: u64,
}

#[derive(Clone)]
pub(super) struct Instance {
    pub id: Uuid,
    pub definition: usize,
    /// Empty while a step works on it.
    pub state: Option<State>,
    pub business_key: Option<String>,
    /// The call activity that waits for it.
    pub caller: Option<(usize, FrameId)>,
    /// The request that is being answered.
    pending: Option<WaitId>,
    pub end: Option<End>,
}

/// The part of the world that a failed step takes back.
#[derive(Clone)]
pub(super) struct Contents {
    pub definitions: Vec<Definition>,
    pub instances: Vec<Instance>,
    pub now: Timestamp,
    /// When a job or subscription was first seen: its place in the order of creation.
    pub sequence: HashMap<(usize, WaitId), u64>,
    pub next: u64,
    pub entered: Vec<String>,
    pub completed: Vec<String>,
    pub canceled: Vec<String>,
}

pub(super) struct World {
    pub folder: PathBuf,
    pub stubs: Arc<Stubs>,
    pub manual: bool,
    strict: bool,
    /// What is deployed and running; on a database, a copy of it.
    pub it: Contents,
    pub ground: Option<Ground>,
    /// The way to other organisations, if there are any.
    pub post: Option<Post>,
    pub path: Vec<String>,
}

/// When the clock of a scenario begins.
pub(super) fn clock(scenario: &Scenario) -> Result<Timestamp, String> {
    let clock = scenario.clock.as_deref().unwrap_or("2026-01-01T00:00:00Z");
    clock
        .parse()
        .map_err(|_| format!("clock '{clock}' is not RFC 3339"))
}

/// Why a step of a scenario failed.
pub(super) type Fault = String;

impl World {
    pub(super) fn new(
        scenario: &Scenario,
        folder: PathBuf,
        floor: Option<&Floor>,
    ) -> Result<Self, String> {
        let now = clock(scenario)?;
        let it = Contents {
            definitions: Vec::new(),
            instances: Vec::new(),
            now,
            sequence: HashMap::new(),
            next: 0,
            entered: Vec::new(),
            completed: Vec::new(),
            canceled: Vec::new(),
        };
        let stubs = Arc::new(Stubs::new(scenario.services.clone()));
        let strict = scenario.strict_errors;
        let ground = floor.map(|floor| Ground::new(floor, now, &stubs, strict));
        Ok(Self {
            folder,
            stubs,
            manual: scenario.manual_jobs,
            strict,
            it,
            ground: ground.transpose()?,
            post: None,
            path: Vec::new(),
        })
    }

    /// Deploys models together, or none of them.
    pub(super) fn deploy(&mut self, models: &[String]) -> Result<(), Fault> {
        let mut graphs = Vec::new();
        let mut sources = Vec::new();
        for model in models {
            let own = self.post.as_ref().map(|post| post.organization.as_str());
            let own = own.unwrap_or(source::ORGANIZATION);
            let text = source::model_of(&self.folder.join(model), own)?;
            let parsed = parse::parse(&text).map_err(|problems| {
                let texts: Vec<_> = problems
                    .iter()
                    .map(|problem| format!("{model}:{problem}"))
                    .collect();
                texts.join("\n")
            })?;
            for graph in parsed.graphs {
                let version_tag = graph.version_tag.clone().unwrap_or_default();
                sources.push((graph.key.clone(), version_tag, text.clone()));
                graphs.push(graph);
            }
        }
        self.check_message_starts(&graphs)?;
        if let Some(ground) = &mut self.ground {
            ground.deploy(&sources)?;
            return self.look();
        }
        let deployment = self
            .it
            .definitions
            .iter()
            .map(|it| it.deployment)
            .max()
            .unwrap_or(0)
            + 1;
        for graph in graphs {
            self.add_definition(graph, deployment)?;
        }
        Ok(())
    }

    fn add_definition(&mut self, graph: Graph, deployment: u32) -> Result<(), Fault> {
        let older = self
            .it
            .definitions
            .iter_mut()
            .filter(|it| it.graph.key == graph.key);
        let mut version = 0;
        for definition in older {
            version = version.max(definition.version);
            definition.timers.clear();
        }
        let mut timers = Vec::new();
        for (node, event) in graph.starts(Graph::ROOT) {
            if let Event::Timer(timer) = event {
                let schedule = start_schedule(timer, self.it.now)
                    .map_err(|error| format!("{}: {error}", graph.node(node).id))?;
                timers.push(StartTimer {
                    node,
                    schedule,
                    sequence: self.it.next,
                });
                self.it.next += 1;
            }
        }
        self.it.definitions.push(Definition {
            id: Uuid::nil(),
            version_tag: graph.version_tag.clone().unwrap_or_default(),
            graph: Arc::new(graph),
            version: version + 1,
            deployment,
            suspended: false,
            timers,
        });
        Ok(())
    }

    /// A start message belongs to one process only.
    fn check_message_starts(&self, graphs: &[Graph]) -> Result<(), Fault> {
        let latest = self.latest().map(|at| &*self.it.definitions[at].graph);
        let all: Vec<_> = latest.chain(graphs).collect();
        for (at, graph) in all.iter().enumerate() {
            for (node, name) in graph.message_starts() {
                let other = all[..at]
                    .iter()
                    .find(|other| other.key != graph.key && other.message_start(name).is_some());
                if let Some(other) = other {
                    let id = &graph.node(node).id;
                    let other = &other.key;
                    return Err(format!("{id}: message '{name}' already starts '{other}'"));
                }
            }
        }
        Ok(())
    }

    /// The newest version of every process.
    pub(super) fn latest(&self) -> impl Iterator<Item = usize> {
        let all = &self.it.definitions;
        (0..all.len()).filter(|&at| {
            !all.iter().any(|other| {
                other.graph.key == all[at].graph.key && other.version > all[at].version
            })
        })
    }

    pub(super) fn latest_of(&self, key: &str) -> Result<usize, Fault> {
        self.latest()
            .find(|&at| self.it.definitions[at].graph.key == key)
            .ok_or_else(|| format!("no process '{key}' is deployed"))
    }

    pub(super) fn running(&self) -> impl Iterator<Item = (usize, &State)> {
        let all = self.it.instances.iter().enumerate();
        all.filter_map(|(at, instance)| instance.state.as_ref().map(|state| (at, state)))
    }

    pub(super) fn graph(&self, instance: usize) -> Arc<Graph> {
        let definition = self.it.instances[instance].definition;
        Arc::clone(&self.it.definitions[definition].graph)
    }

    /// Whether neither the instance nor its definition keeps it from moving.
    pub(super) fn is_active(&self, instance: usize) -> bool {
        self.it.instances[instance]
            .state
            .as_ref()
            .is_some_and(|state| !state.suspended)
    }

    pub(super) fn start(
        &mut self,
        definition: usize,
        start: Start,
        caller: Option<(usize, FrameId)>,
    ) -> Result<usize, Fault> {
        let found = &self.it.definitions[definition];
        if found.suspended {
            return Err(format!("process '{}' is suspended", found.graph.key));
        }
        if let Some(ground) = &self.ground {
            ground.begin(found.id, start)?;
            self.look()?;
            return Ok(self.it.instances.len() - 1);
        }
        let at = self.it.instances.len();
        let mut state = State::new(InstanceId(Uuid::from_u128(at as u128 + 1)));
        state.strict_errors = self.strict;
        let (pending, end, business_key) = (None, None, start.business_key.clone());
        let state = Some(state);
        self.it.instances.push(Instance {
            id: Uuid::nil(),
            definition,
            business_key,
            state,
            caller,
            pending,
            end,
        });
        self.drive(at, Trigger::Start(start))?;
        Ok(at)
    }

    /// Starts the newest version of a process.
    pub(super) fn begin(
        &mut self,
        definition: usize,
        at: Option<NodeIx>,
        business_key: Option<String>,
        variables: Variables,
    ) -> Result<usize, Fault> {
        // Tasks between organisations carry a key; without one the host makes one.
        let made = || Some(format!("key-{}", self.it.instances.len() + 1));
        let business_key = match self.post {
            Some(_) => business_key.or_else(made),
            None => business_key,
        };
        self.start(
            definition,
            Start {
                at,
                business_key,
                variables,
                called: false,
            },
            None,
        )
    }

    /// One trigger to quiescence, whatever it asks for on the way. Requests of a segment
    /// that is already being served are left to whoever serves them.
    pub(super) fn drive(&mut self, at: usize, trigger: Trigger) -> Result<(), Fault> {
        if let Some(ground) = &self.ground {
            ground.trigger(self.it.instances[at].id, trigger)?;
            return self.look();
        }
        let graph = self.graph(at);
        let outer = self.it.instances[at].pending;
        let mut trigger = trigger;
        loop {
            let Some(state) = self.it.instances[at].state.take() else {
                return Err("the instance has ended".to_owned());
            };
            let done = step(&graph, state, trigger, self.it.now);
            let done = done.map_err(|failure| failure.to_string())?;
            match self.absorb(at, done)? {
                Some(request) if Some(request.id) != outer => {
                    self.it.instances[at].pending = Some(request.id);
                    let answer = self.serve(at, &request)?;
                    self.it.instances[at].pending = outer;
                    if self.it.instances[at].end.is_some() {
                        return Ok(());
                    }
                    trigger = Trigger::Answer {
                        request: request.id,
                        answer,
                    };
                }
                _ => return Ok(()),
            }
        }
    }

    /// Keeps what a step left; the end of a called instance is news for its caller.
    fn absorb(&mut self, at: usize, step: Step) -> Result<Option<Request>, Fault> {
        self.record(step.changes.history);
        let jobs = step.changes.jobs.put.keys();
        let subscriptions = step.changes.subscriptions.put.keys();
        let tasks = step.changes.tasks.put.keys();
        let all = jobs.chain(subscriptions).chain(tasks);
        let mut seen: Vec<_> = all.copied().collect();
        seen.sort();
        for id in seen {
            let next = self.it.next;
            self.it.sequence.entry((at, id)).or_insert(next);
            self.it.next += 1;
        }
        match step.next {
            Next::Wait => self.it.instances[at].state = Some(step.state),
            Next::Request(request) => {
                self.it.instances[at].state = Some(step.state);
                return Ok(Some(request));
            }
            Next::End(end) => {
                self.it.instances[at].end = Some(end.clone());
                if let Some((caller, frame)) = self.it.instances[at].caller
                    && self.is_calling(caller, frame)
                {
                    self.drive(
                        caller,
                        Trigger::Child {
                            frame,
                            child: Child::Ended(end),
                        },
                    )?;
                }
            }
        }
        Ok(None)
    }

    fn record(&mut self, events: Vec<Happened>) {
        for event in events {
            let (word, list) = match event.kind {
                EventKind::Entered => ("entered", &mut self.it.entered),
                EventKind::Completed => ("completed", &mut self.it.completed),
                EventKind::Canceled => ("canceled", &mut self.it.canceled),
                _ => continue,
            };
            self.path.push(format!("{word} {}", event.activity));
            list.push(event.activity);
        }
    }

    /// Copies what the database holds now.
    pub(super) fn look(&mut self) -> Result<(), Fault> {
        let Some(ground) = &self.ground else {
            return Ok(());
        };
        let found = ground.look()?;
        self.record(found.happened);
        let definitions: Vec<_> = found.definitions.into_iter().map(definition).collect();
        let all = found.instances;
        let place = |id: Uuid| all.iter().position(|it| it.id == id);
        let instances = all.iter().filter_map(|it| {
            Some(Instance {
                id: it.id,
                definition: definitions.iter().position(|one| one.id == it.definition)?,
                state: it.state.clone(),
                business_key: it.business_key.clone(),
                caller: it.caller.and_then(|(id, frame)| Some((place(id)?, frame))),
                pending: None,
                end: it.end.clone(),
            })
        });
        let sequence = found
            .sequence
            .into_iter()
            .filter_map(|((id, wait), seq)| Some(((place(id)?, WaitId(wait)), seq)));
        (self.it.instances, self.it.sequence) = (instances.collect(), sequence.collect());
        self.it.definitions = definitions;
        Ok(())
    }

    /// Whether the call activity still waits and is not being cancelled.
    fn is_calling(&self, caller: usize, frame: FrameId) -> bool {
        use crate::bpe::engine::Waiting;
        let state = self.it.instances[caller].state.as_ref();
        state.is_some_and(|state| {
            state
                .waiting()
                .any(|(id, _, waits)| id == frame && waits == Waiting::Child)
        })
    }

    /// Does something completely or not at all.
    pub(super) fn atomically<T>(
        &mut self,
        action: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let before = self.it.clone();
        if let Some(ground) = &self.ground {
            ground.set_clock(self.it.now);
        }
        let done = action(self);
        if done.is_err() {
            self.it = before;
            // What a database keeps back is for the database to say.
            self.look()?;
        }
        done
    }
}

fn definition((found, timers): (runtime::Definition, Vec<StartTimer>)) -> Definition {
    Definition {
        id: found.id,
        version_tag: found.process.version,
        graph: found.graph,
        version: u32::try_from(found.version).unwrap_or_default(),
        deployment: 0,
        suspended: found.suspended,
        timers,
    }
}
