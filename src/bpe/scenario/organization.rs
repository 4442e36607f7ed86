//! Scenarios of several organisations: each has its own models and mailbox, Tasks travel between
//! them, and all share one virtual clock.
//!
//! A step is done by the organisation that it names; then the Tasks that are on their way are
//! received, one after the other, until none is left. So the order in which things happen is the
//! same at every run.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::file::{Scenario, Step};
use super::post::{Exchange, Member, Place, Post, Postmaster, receiver};
use super::world::{Fault, World};
use super::{Mismatch, Report, expect};
use crate::r4::Resource;
use crate::r4::view::task::Task;

/// More than any scenario needs; catches messages that go round for ever.
const LIMIT: usize = 10_000;

/// All organisations of a scenario.
pub(super) struct Network {
    worlds: Vec<(String, World)>,
    post: Post,
}

impl Network {
    pub(super) fn new(
        scenario: &Scenario,
        folder: &Path,
        postmaster: &dyn Postmaster,
    ) -> Result<Self, String> {
        let now = super::world::clock(scenario)?;
        let members = members(scenario)?;
        let mail = postmaster.mail(&members, &Place { folder, now })?;
        let exchange = Arc::new(Mutex::new(Exchange {
            mail,
            travelling: VecDeque::new(),
            sent: Vec::new(),
            refused: Vec::new(),
            told: Vec::new(),
        }));
        let post = |name: &str| Post {
            organization: name.to_owned(),
            exchange: Arc::clone(&exchange),
        };
        let mut worlds = Vec::new();
        for one in &scenario.organizations {
            let mut own = scenario.clone();
            own.services.clone_from(&one.services);
            let mut world = World::new(&own, folder.to_owned(), None)?;
            world.post = Some(post(&one.name));
            let models = one.models.as_ref().unwrap_or(&scenario.models);
            let told = |error: String| format!("{}: {error}", one.name);
            world.deploy(models).map_err(told)?;
            world.check_services().map_err(told)?;
            worlds.push((one.name.clone(), world));
        }
        Ok(Self {
            worlds,
            post: post(""),
        })
    }

    /// Plays one step, and says whether what is expected of it holds.
    pub(super) fn play(&mut self, step: &Step, report: &mut Report) -> Result<(), Mismatch> {
        {
            let mut exchange = self.post.exchange();
            exchange.sent.clear();
            exchange.refused.clear();
        }
        let (at, step) = self
            .addressed(step)
            .map_err(|error| Mismatch::new("the step says of which organisation it is", error))?;
        let done = self.act(at, &step).and_then(|()| self.deliver());
        report.path = self.path();
        self.check_post(&step)?;
        expect::check(&self.worlds[at].1, &step, done)
    }

    /// The organisation that a step names, and the step as it sees it.
    fn addressed(&self, step: &Step) -> Result<(usize, Step), Fault> {
        let names = || {
            let all: Vec<&str> = self.worlds.iter().map(|(name, _)| name.as_str()).collect();
            all.join(", ")
        };
        let Some(of) = &step.of else {
            return Err(format!("of is missing; it is one of {}", names()));
        };
        let (name, rest) = match of.split_once('/') {
            Some((name, rest)) => (name, Some(rest.to_owned())),
            None => (of.as_str(), None),
        };
        let at = self.worlds.iter().position(|(other, _)| other == name);
        let at = at.ok_or_else(|| format!("'{name}' is none of {}", names()))?;
        let step = Step {
            of: rest,
            ..step.clone()
        };
        Ok((at, step))
    }

    fn act(&mut self, at: usize, step: &Step) -> Result<(), Fault> {
        let Some(by) = &step.advance else {
            let begun = self.post.exchange().travelling.len();
            let done = self.worlds[at].1.step(step);
            if done.is_err() {
                // A step that fails has sent nothing that anybody hears of.
                self.post.exchange().travelling.truncate(begun);
            }
            return done;
        };
        let until = self.worlds[at].1.after(by)?;
        for _ in 0..LIMIT {
            let due = self
                .worlds
                .iter()
                .filter_map(|(_, world)| world.next_time(until));
            let Some(due) = due.min() else {
                return self.advance(until);
            };
            self.advance(due)?;
            self.deliver()?;
        }
        Err("the timers never come to an end".to_owned())
    }

    fn advance(&mut self, until: Timestamp) -> Result<(), Fault> {
        self.post.exchange().mail.set_clock(until);
        for (name, world) in &mut self.worlds {
            let advanced = world.advance_to(until);
            advanced.map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(())
    }

    /// Lets every Task arrive that is on its way.
    fn deliver(&mut self) -> Result<(), Fault> {
        for _ in 0..LIMIT {
            let next = self.post.exchange().travelling.pop_front();
            let Some(task) = next else { return Ok(()) };
            self.receive(&task)?;
        }
        Err("the messages never come to an end".to_owned())
    }

    fn receive(&mut self, task: &Resource) -> Result<(), Fault> {
        let name = receiver(task).unwrap_or_default();
        let world = self.worlds.iter_mut().find(|(other, _)| other == name);
        let Some((_, world)) = world else {
            return Err(format!("'{name}' is no organisation of the scenario"));
        };
        world.receive(task).map_err(|error| {
            let message = Task(task).message_name().unwrap_or_default();
            format!("{name}: the Task '{message}' fails: {error}")
        })
    }

    fn path(&self) -> Vec<String> {
        let lines = self
            .worlds
            .iter()
            .flat_map(|(name, world)| world.path.iter().map(move |line| format!("{name}: {line}")));
        let told = self.post.exchange().told.clone();
        lines.chain(told).collect()
    }

    /// What was sent in the step, and what was refused.
    fn check_post(&self, step: &Step) -> Result<(), Mismatch> {
        let exchange = self.post.exchange();
        let sent = exchange.sent.clone();
        expect::multiset("sent", step.expect.sent.as_ref(), sent)?;
        let refused = exchange.refused.clone();
        expect::multiset("refused", step.expect.refused.as_ref(), refused)
    }
}

fn members(scenario: &Scenario) -> Result<Vec<Member>, String> {
    let all: Vec<&String> = scenario.organizations.iter().map(|one| &one.name).collect();
    let mut members = Vec::new();
    for (at, one) in scenario.organizations.iter().enumerate() {
        if all[..at].contains(&&one.name) {
            return Err(format!("the organization '{}' appears twice", one.name));
        }
        let knows = match &one.knows {
            Some(names) => names.clone(),
            None => all.iter().map(|name| (*name).clone()).collect(),
        };
        if let Some(name) = knows.iter().find(|name| !all.contains(name)) {
            return Err(format!(
                "'{}' knows '{name}', which is none of them",
                one.name
            ));
        }
        members.push(Member {
            name: one.name.clone(),
            knows: knows.into_iter().filter(|name| *name != one.name).collect(),
            role: one.role.clone().unwrap_or_else(|| "DIC".to_owned()),
        });
    }
    Ok(members)
}
