//! What must hold after a step.

use toml::Value;
use toml::value::Table;

use super::Mismatch;
use super::file::{Expect, Step};
use super::value;
use super::world::{Fault, World};
use crate::bpe::engine::{
    End, FrameId, JobKind, State, Subscription, SubscriptionKind, Waiting, timestamp,
};
use crate::bpe::model::{Variable, Variables};

type Held = Result<(), Mismatch>;

pub(super) fn check(world: &World, step: &Step, done: Result<(), Fault>) -> Held {
    let expect = &step.expect;
    match (&expect.error, done) {
        (None, Ok(())) => {}
        (None, Err(error)) => return Err(Mismatch::new("the step succeeds", error)),
        (Some(text), Ok(())) => {
            return Err(Mismatch::new(
                format!("the step fails with '{text}'"),
                "it succeeded",
            ));
        }
        (Some(text), Err(error)) if !error.contains(text.as_str()) => {
            return Err(Mismatch::new(
                format!("the step fails with '{text}'"),
                error,
            ));
        }
        (Some(_), Err(_)) => {}
    }
    instances(world, expect)?;
    waits(world, expect)?;
    variables(world, step)?;
    by_activity(
        &expect.local,
        "local",
        |activity| locals(world, activity),
        covers,
    )?;
    by_activity(
        &expect.tasks,
        "tasks",
        |activity| tasks(world, activity),
        covers,
    )?;
    history(world, expect)
}

fn instances(world: &World, expect: &Expect) -> Held {
    let running = world.running().count();
    if let Some(ended) = expect.ended
        && ended != (running == 0)
    {
        return Err(Mismatch::new(
            format!("ended = {ended}"),
            format!("{running} instances"),
        ));
    }
    match expect.instances {
        Some(count) if count != running => Err(Mismatch::new(
            format!("instances = {count}"),
            running.to_string(),
        )),
        _ => Ok(()),
    }
}

pub(super) fn multiset(name: &str, expected: Option<&Vec<String>>, found: Vec<String>) -> Held {
    let Some(expected) = expected else {
        return Ok(());
    };
    let (mut left, mut right) = (expected.clone(), found);
    left.sort();
    right.sort();
    if left == right {
        return Ok(());
    }
    Err(Mismatch::new(
        format!("{name} = {left:?}"),
        format!("{right:?}"),
    ))
}

fn waits(world: &World, expect: &Expect) -> Held {
    let mut waiting = Vec::new();
    for (at, state) in world.running() {
        let graph = world.graph(at);
        let outside = state.waiting().filter(|(_, _, waits)| is_outside(*waits));
        waiting.extend(outside.map(|(_, node, _)| graph.node(node).id.clone()));
    }
    multiset("waiting", expect.waiting.as_ref(), waiting)?;
    let subscribed = |kind, name: fn(&Subscription) -> String| {
        let all = world.running().flat_map(|(_, state)| state.subscriptions());
        all.filter(|row| row.kind == kind)
            .map(name)
            .collect::<Vec<_>>()
    };
    let messages = subscribed(SubscriptionKind::Message, |row| row.name.clone());
    multiset("messages", expect.messages.as_ref(), messages)?;
    let signals = subscribed(SubscriptionKind::Signal, |row| row.name.clone());
    multiset("signals", expect.signals.as_ref(), signals)?;
    let conditions = subscribed(SubscriptionKind::Conditional, |row| row.activity.clone());
    multiset("conditions", expect.conditions.as_ref(), conditions)?;
    jobs(world, expect)
}

pub(super) fn is_outside(waits: Waiting) -> bool {
    matches!(
        waits,
        Waiting::Event | Waiting::UserTask | Waiting::Continue
    )
}

fn jobs(world: &World, expect: &Expect) -> Held {
    let all: Vec<_> = world
        .running()
        .flat_map(|(_, state)| state.jobs())
        .collect();
    let mut timers: Vec<_> = all
        .iter()
        .filter(|job| job.kind == JobKind::Timer)
        .map(|job| (job.activity.clone(), Variable::Date(whole_seconds(job.due))))
        .collect();
    for definition in &world.it.definitions {
        for timer in &definition.timers {
            let id = definition.graph.node(timer.node).id.clone();
            timers.push((id, Variable::Date(whole_seconds(timer.schedule.due))));
        }
    }
    let names = timers
        .iter()
        .map(|(activity, _)| activity.clone())
        .collect();
    multiset("timers", expect.timers.as_ref(), names)?;
    let due = |activity: &str| {
        let mut due: Vec<_> = timers
            .iter()
            .filter(|(found, _)| found == activity)
            .map(|(_, at)| at.clone())
            .collect();
        due.sort_by_key(|at| at.to_json().to_string());
        due
    };
    by_activity(&expect.due, "due", due, |expected, found| {
        timestamp(&value::variable(expected))
            .map(Variable::Date)
            .as_ref()
            == Ok(found)
    })?;
    let continuations = all.iter().filter(|job| job.kind != JobKind::Timer);
    let names = continuations.map(|job| job.activity.clone()).collect();
    multiset("jobs", expect.jobs.as_ref(), names)?;
    let retries = |activity: &str| {
        let here = all.iter().filter(|job| job.activity == activity);
        here.map(|job| Variable::Long(i64::from(job.retries)))
            .collect::<Vec<_>>()
    };
    by_activity(&expect.retries, "retries", retries, value::equal)?;
    multiset("incidents", expect.incidents.as_ref(), incidents(world))
}

fn whole_seconds(at: jiff::Timestamp) -> jiff::Timestamp {
    at.round(jiff::Unit::Second).unwrap_or(at)
}

/// Activities with an incident, and the call activities above them.
fn incidents(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    for (at, state) in world.running() {
        for job in state.jobs().filter(|job| job.incident.is_some()) {
            found.push(job.activity.clone());
            let mut caller = world.it.instances[at].caller;
            while let Some((above, frame)) = caller {
                let waiting = world.it.instances[above].state.as_ref();
                let node = waiting
                    .and_then(|state| state.active().find(|(id, _)| *id == frame))
                    .map(|(_, node)| world.graph(above).node(node).id.clone());
                found.extend(node);
                caller = world.it.instances[above].caller;
            }
        }
    }
    found
}

fn variables(world: &World, step: &Step) -> Held {
    let expect = &step.expect;
    if expect.variables.is_empty() && expect.absent.is_empty() {
        return Ok(());
    }
    let Some(at) = world.target(step) else {
        return Err(Mismatch::new("an instance", "none was started"));
    };
    let instance = &world.it.instances[at];
    let found = match (&instance.state, &instance.end) {
        (Some(state), _) => state.local(State::ROOT),
        (None, Some(End::Completed { variables } | End::Canceled { variables, .. })) => {
            variables.clone()
        }
        (None, None) => Variables::new(),
    };
    for (name, expected) in &expect.variables {
        let value = found.get(name);
        if !value.is_some_and(|value| value::equal(expected, value)) {
            let found = value.map_or_else(|| "absent".to_owned(), |it| it.to_json().to_string());
            return Err(Mismatch::new(format!("{name} = {expected}"), found));
        }
    }
    match expect.absent.iter().find(|name| found.contains_key(*name)) {
        Some(name) => Err(Mismatch::new(
            format!("{name} is absent"),
            found[name].to_json().to_string(),
        )),
        None => Ok(()),
    }
}

/// A value for each thing at an activity: one, or a list where there are several.
fn by_activity(
    expected: &Table,
    what: &str,
    found: impl Fn(&str) -> Vec<Variable>,
    holds: impl Fn(&Value, &Variable) -> bool,
) -> Held {
    for (activity, wanted) in expected {
        let found = found(activity);
        let wanted = match wanted {
            Value::Array(list) => list.clone(),
            one => vec![one.clone()],
        };
        let all = wanted.len() == found.len()
            && wanted
                .iter()
                .zip(&found)
                .all(|(wanted, found)| holds(wanted, found));
        if !all {
            let wanted = Value::Array(wanted);
            let found: Vec<_> = found.iter().map(Variable::to_json).collect();
            return Err(Mismatch::new(
                format!("{what} of {activity} = {wanted}"),
                serde_json::Value::from(found).to_string(),
            ));
        }
    }
    Ok(())
}

/// Whether every entry of the expected table is there.
fn covers(expected: &Value, found: &Variable) -> bool {
    match (expected, found) {
        (Value::Table(table), Variable::Map(entries)) => table.iter().all(|(name, wanted)| {
            entries
                .get(name)
                .is_some_and(|value| value::equal(wanted, value))
        }),
        _ => value::equal(expected, found),
    }
}

fn at_activity(world: &World, activity: &str) -> Vec<(usize, FrameId)> {
    let all = world.all_waiting(activity).into_iter();
    all.filter(|(_, _, waits)| is_outside(*waits))
        .map(|(at, frame, _)| (at, frame))
        .collect()
}

fn locals(world: &World, activity: &str) -> Vec<Variable> {
    let here = at_activity(world, activity).into_iter();
    here.filter_map(|(at, frame)| {
        let state = world.it.instances[at].state.as_ref()?;
        Some(Variable::Map(state.local(frame)))
    })
    .collect()
}

fn tasks(world: &World, activity: &str) -> Vec<Variable> {
    let all = world.running().flat_map(|(_, state)| state.tasks());
    all.filter(|task| task.activity == activity)
        .map(|task| {
            let text = |value: &Option<String>| Variable::from(value.clone().map(Variable::String));
            Variable::Map(Variables::from([
                ("name".to_owned(), text(&task.name)),
                ("assignee".to_owned(), text(&task.assignee)),
                ("description".to_owned(), text(&task.description)),
                ("due".to_owned(), task.due.map(Variable::Date).into()),
            ]))
        })
        .collect()
}

fn history(world: &World, expect: &Expect) -> Held {
    let it = &world.it;
    let mut completed = it.completed.clone();
    for id in &expect.completed {
        match completed.iter().position(|found| found == id) {
            Some(at) => drop(completed.swap_remove(at)),
            None => {
                let found = format!("{:?}", it.completed);
                return Err(Mismatch::new(
                    format!("completed = {:?}", expect.completed),
                    found,
                ));
            }
        }
    }
    let mut order = expect.order.iter().peekable();
    for id in &it.completed {
        order.next_if(|next| *next == id);
    }
    if order.peek().is_some() {
        let found = format!("{:?}", it.completed);
        return Err(Mismatch::new(format!("order = {:?}", expect.order), found));
    }
    if let Some(id) = expect.never.iter().find(|id| it.entered.contains(id)) {
        return Err(Mismatch::new(
            format!("{id} is never entered"),
            "it was entered",
        ));
    }
    for (id, times) in &expect.times {
        let found = it.entered.iter().filter(|found| *found == id).count();
        if found != *times {
            return Err(Mismatch::new(
                format!("{id} entered {times} times"),
                found.to_string(),
            ));
        }
    }
    multiset("canceled", expect.canceled.as_ref(), it.canceled.clone())
}
