//! Every model of every known plugin: it deploys, and random runs with code acted out come to every
//! node (`spec/bpmn.md` §6.2). Exercises that are not complete are refused in words.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use super::tests::possible;
use super::*;
use crate::bpe::model::{Event as Definition, Kind, NodeIx, Target, Targets};
use crate::bpe::parse::{Problem, parse};
use crate::kernel::testing::shared;

/// Runs of one model before a node counts as out of reach.
const RUNS: u64 = 3_000;
/// Steps of one run: some models go round for ever.
const STEPS: usize = 120;

/// Files that cannot run, and a word of the reason.
const INCOMPLETE: [(&str, &str); 2] = [
    ("cos-process.bpmn", "messageRef"),
    ("dic-process.bpmn", "camunda:class"),
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|it| it == "bpmn") {
            found.push(path);
        }
    }
}

fn models() -> Option<Vec<PathBuf>> {
    let folder = shared("plugins")?;
    let mut found = Vec::new();
    files(&folder, &mut found);
    found.sort();
    Some(found)
}

/// As the loader of a plugin hands it over: every placeholder is replaced by something.
fn read(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let mut done = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("#{") {
        let (name, after) = after.split_once('}').unwrap();
        done.push_str(before);
        done.push_str(match name {
            "version" => "1.0",
            "date" => "2026-01-01",
            "organization" => "Test_Organization",
            _ => "value",
        });
        rest = after;
    }
    done + rest
}

/// Values that the conditions of a model compare with, by variable: a quoted word belongs to the
/// name before it.
fn literals(source: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for part in source.split("${").skip(1) {
        let text = part.split('}').next().unwrap_or_default();
        let text = text.replace("&#39;", "'").replace("&quot;", "\"");
        // `execution.getVariable('a')` names a variable, not a value.
        let text = text.replace('"', "'").replace("Variable('", "Variable(");
        let mut name = String::new();
        let split = |c: char| !(c.is_alphanumeric() || "_-'".contains(c));
        for token in text.split(split).filter(|token| !token.is_empty()) {
            let word = token.trim_matches('\'');
            match word {
                _ if token.starts_with('\'') => {
                    found
                        .entry(name.clone())
                        .or_default()
                        .insert(word.to_owned());
                }
                "execution" | "getVariable" | "hasVariable" | "true" | "false" | "null" => {}
                _ => {
                    word.clone_into(&mut name);
                    found.entry(name.clone()).or_default();
                }
            }
        }
    }
    found
}

/// One random assignment of everything that expressions of the model ask for.
fn variables(literals: &BTreeMap<String, BTreeSet<String>>, rng: &mut StdRng) -> Variables {
    let target = |number: u32| Target {
        organization_identifier: format!("organization {number}"),
        endpoint_identifier: format!("endpoint {number}"),
        endpoint_url: "https://example.org/fhir".to_owned(),
        correlation_key: Some(format!("key {number}")),
    };
    let mut all = Variables::new();
    for (name, values) in literals {
        // Some conditions ask whether a variable is there at all.
        if name != "targets" && rng.random_range(0..5) == 0 {
            continue;
        }
        let value = match name.as_str() {
            "targets" => Variable::Targets(Targets {
                entries: vec![target(1), target(2)],
            }),
            "target" | "entries" | "correlationKey" => continue,
            "reportFirstExecution" => Variable::from("2026-01-02T03:04:05"),
            name if name.ends_with("nterval") || name.ends_with("eriod") => Variable::from("PT1H"),
            _ if values.is_empty() => Variable::Boolean(rng.random()),
            _ => {
                let at = rng.random_range(0..values.len());
                Variable::from(values.iter().nth(at).unwrap().as_str())
            }
        };
        all.insert(name.clone(), value);
    }
    all
}

/// The codes that error events of the model catch; nothing stands for those that catch all.
fn codes(graph: &Graph) -> Vec<String> {
    let events = graph.nodes.iter().filter_map(|node| match &node.kind {
        Kind::Boundary {
            event: Definition::Error(error),
            ..
        } => Some(error.code.clone().unwrap_or_else(|| "any".to_owned())),
        _ => None,
    });
    events.collect()
}

/// One run from one start event; adds what it has entered.
fn run(graph: &Graph, start: NodeIx, source: &str, seed: u64, entered: &mut BTreeSet<String>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let (literals, codes) = (literals(source), codes(graph));
    let mut now = Timestamp::UNIX_EPOCH;
    let mut state = State::new(InstanceId(Uuid::nil()));
    let mut trigger = Trigger::Start(Start {
        at: Some(start),
        variables: variables(&literals, &mut rng),
        ..Start::default()
    });
    for _ in 0..STEPS {
        let done = match step(graph, state.clone(), trigger, now) {
            Ok(done) => done,
            // Among random values are some that no flow is for.
            Err(halt) => {
                let Halt::Failed(failure) = halt else {
                    panic!("{halt}");
                };
                assert!(
                    ["expression", "no-flow", "flow", "stale"].contains(&failure.kind.as_str())
                        || failure.message.contains("flow"),
                    "{}: {failure:?}",
                    graph.key
                );
                return;
            }
        };
        let events = done.changes.history.into_iter();
        entered.extend(
            events
                .filter(|it| it.kind == EventKind::Entered)
                .map(|it| it.activity),
        );
        state = done.state;
        trigger = match done.next {
            Next::End(_) => return,
            Next::Request(request) => Trigger::Answer {
                answer: answer(
                    &request,
                    &codes,
                    settings(&variables(&literals, &mut rng), &literals),
                    &mut rng,
                ),
                request: request.id,
            },
            Next::Wait => {
                assert_eq!(state.flaw(), None, "{}", graph.key);
                let mut all = possible(&state);
                let settings = settings(&variables(&literals, &mut rng), &literals);
                // Conditions react to variables.
                let conditions = state
                    .subscriptions()
                    .filter(|row| row.kind == SubscriptionKind::Conditional);
                all.extend(conditions.map(|_| Trigger::Set {
                    frame: None,
                    settings: settings.clone(),
                }));
                all.extend(thrown(&state, &codes, &mut rng));
                // An error that nobody catches ends its path; the join behind it waits for ever.
                if all.is_empty() {
                    return;
                }
                now = now
                    .checked_add(jiff::SignedDuration::from_hours(1))
                    .unwrap();
                all[rng.random_range(0..all.len())].clone()
            }
        };
    }
}

/// BPMN errors that are reported for user tasks, now and then.
fn thrown(state: &State, codes: &[String], rng: &mut StdRng) -> Vec<Trigger> {
    if codes.is_empty() || rng.random_range(0..3) > 0 {
        return Vec::new();
    }
    let tasks = state.tasks();
    tasks
        .map(|task| Trigger::Throw {
            task: task.id,
            outcome: Outcome::BpmnError {
                code: codes[rng.random_range(0..codes.len())].clone(),
                message: None,
            },
            variables: Variables::new(),
        })
        .collect()
}

/// Writes the variables, and removes what else the model knows.
fn settings(values: &Variables, literals: &BTreeMap<String, BTreeSet<String>>) -> Vec<Setting> {
    let local = ["target", "targets", "entries", "correlationKey"];
    let all = literals
        .keys()
        .filter(|name| !local.contains(&name.as_str()));
    all.map(|name| Setting {
        name: name.clone(),
        value: values.get(name).cloned(),
        local: false,
    })
    .collect()
}

fn answer(request: &Request, codes: &[String], settings: Vec<Setting>, rng: &mut StdRng) -> Answer {
    let mut answer = Answer::done(settings);
    let throws = matches!(
        &request.ask,
        Ask::Call(Call {
            kind: CallKind::Service | CallKind::Send,
            ..
        })
    );
    if throws && !codes.is_empty() && rng.random_range(0..5) == 0 {
        answer.outcome = Outcome::BpmnError {
            code: codes[rng.random_range(0..codes.len())].clone(),
            message: None,
        };
    }
    answer
}

/// Whether a token can come to a node at all: something leads there, or it waits for an event.
fn counts(graph: &Graph, ix: NodeIx) -> bool {
    let node = graph.node(ix);
    let begins = matches!(node.kind, Kind::Start { .. } | Kind::Boundary { .. });
    ix != Graph::ROOT && (begins || !node.incoming.is_empty())
}

#[test]
fn every_node_of_every_plugin_is_reached() {
    let Some(models) = models() else { return };
    let mut deployed = 0;
    let mut missed = Vec::new();
    for path in &models {
        let source = read(path);
        let Ok(parsed) = parse(&source) else { continue };
        for graph in &parsed.graphs {
            deployed += 1;
            let wanted: BTreeSet<String> = graph
                .iter()
                .filter(|(ix, _)| counts(graph, *ix))
                .map(|(_, node)| node.id.clone())
                .collect();
            let starts: Vec<_> = graph.starts(Graph::ROOT).map(|(ix, _)| ix).collect();
            let mut entered = BTreeSet::new();
            for seed in 0..RUNS {
                for start in &starts {
                    run(graph, *start, &source, seed, &mut entered);
                }
                if wanted.is_subset(&entered) {
                    break;
                }
            }
            let rest: Vec<_> = wanted.difference(&entered).collect();
            if !rest.is_empty() {
                missed.push(format!("{}: {rest:?}", path.display()));
            }
        }
    }
    println!("{deployed} processes in {} files", models.len());
    assert!(deployed >= 48, "only {deployed} processes deploy");
    assert!(missed.is_empty(), "never reached:\n{}", missed.join("\n"));
}

#[test]
fn files_that_cannot_run_say_why_and_where() {
    let Some(models) = models() else { return };
    let mut refused = Vec::new();
    for path in &models {
        let problems: Vec<Problem> = match parse(&read(path)) {
            Ok(parsed) if parsed.graphs.is_empty() => parsed.warnings,
            Ok(_) => continue,
            Err(problems) => problems,
        };
        assert!(!problems.is_empty(), "{}", path.display());
        for problem in &problems {
            assert!(
                problem.position.line > 0 && !problem.message.is_empty(),
                "{problem}"
            );
        }
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        refused.push((
            path.file_name().unwrap().to_string_lossy().into_owned(),
            texts.join("\n"),
        ));
    }
    println!("{refused:#?}");
    for (file, word) in INCOMPLETE {
        let about = refused.iter().find(|(name, _)| name == file);
        let text = about.map(|(_, text)| text.as_str()).unwrap_or_default();
        assert!(text.contains(word), "{file}: {text}");
    }
}
