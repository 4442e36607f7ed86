//! Random resources against the HL7 validator: valid ones and such with one change each, judged by
//! both; every difference is printed, and one that nobody explains fails the test.
//!
//! `scripts/validator-oracle/compare.sh` builds the other side and runs this; docs/validation.md
//! tells the explained differences to people.

mod explained;
mod mutation;
mod sample;
mod world;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::{Finding, judge};
use crate::r4::json;
use explained::Comparison;
use world::World;

/// One resource, and what both sides say of it.
struct Case {
    world: usize,
    /// What was changed, or that nothing was.
    change: String,
    text: String,
    /// Our errors.
    ours: Vec<String>,
    /// Theirs.
    theirs: Vec<String>,
}

fn count() -> usize {
    let given = std::env::var("DSF_VALIDATOR_ORACLE_COUNT").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(2_400)
}

/// Each makes as many resources.
fn seeds() -> Vec<u64> {
    let given = std::env::var("DSF_VALIDATOR_ORACLE_SEED").unwrap_or_default();
    let given: Vec<u64> = given
        .split_whitespace()
        .filter_map(|seed| seed.parse().ok())
        .collect();
    if given.is_empty() { vec![5] } else { given }
}

/// Only resources whose names have this in them.
fn only() -> String {
    std::env::var("DSF_VALIDATOR_ORACLE_ONLY").unwrap_or_default()
}

/// Every resource of the material as it is, the largest too, instead of changed ones of some.
fn is_whole() -> bool {
    std::env::var_os("DSF_VALIDATOR_ORACLE_WHOLE").is_some()
}

#[test]
#[ignore = "needs the HL7 validator: scripts/validator-oracle/compare.sh"]
fn the_hl7_validator_accepts_and_refuses_the_same_resources() {
    let oracle = std::env::var("DSF_VALIDATOR_ORACLE").expect("DSF_VALIDATOR_ORACLE is not set");
    let worlds = world::all();
    let mut cases = generated(&worlds, count());
    let folder = crate::store::testing::temporary_folder("validator-oracle");
    std::fs::create_dir_all(&folder).unwrap();
    let (asked, answered) = (folder.join("cases.ndjson"), folder.join("answers.ndjson"));
    write(&asked, &worlds, &cases);
    let status = Command::new(&oracle).args([&asked, &answered]).status();
    assert!(status.unwrap().success(), "{oracle} failed");
    read(&answered, &mut cases);
    let left = report(&cases);
    assert_eq!(left, 0, "{left} differences are not explained");
}

/// All resources as they are, and as many changed ones as there is room for.
fn generated(worlds: &[World], count: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut sources = Vec::new();
    let only = only();
    for (index, world) in worlds.iter().enumerate() {
        for (name, resource) in &world.resources {
            if !name.contains(&only) {
                continue;
            }
            // Large documents say nothing more, and take long.
            if !is_whole() && resource.to_string().len() > 80_000 {
                continue;
            }
            cases.push(case(worlds, index, name.clone(), resource));
            if cases.last().is_some_and(|case| case.ours.is_empty()) {
                sources.push((index, name, resource));
            }
        }
    }
    let given = cases.len();
    let most = if is_whole() {
        0
    } else {
        count - given.min(count)
    };
    for (seed, number) in seeds().into_iter().zip(1..) {
        let mut rng = StdRng::seed_from_u64(seed);
        while cases.len() < given + number * most {
            let (world, name, resource) = *sources.choose(&mut rng).unwrap();
            let mut changed = resource.clone();
            let Some(change) = mutation::mutate(&mut changed, &mut rng) else {
                continue;
            };
            if changed != *resource {
                cases.push(case(worlds, world, format!("{name}: {change}"), &changed));
            }
        }
    }
    cases.sort_by_key(|case| case.world);
    cases
}

fn case(worlds: &[World], world: usize, change: String, resource: &Value) -> Case {
    let text = resource.to_string();
    let (text, ours) = match json::parse_leniently(text.as_bytes()) {
        Err(error) => (
            text,
            vec![format!("{}: {} [parse]", error.path, error.message)],
        ),
        Ok((mut parsed, _)) => {
            crate::fhir::profile::ensure(&mut parsed);
            let value = parsed.into_value();
            let findings = judge(&worlds[world].library, &value, &[]).unwrap();
            let errors = findings.into_iter().filter(Finding::is_error);
            let ours = errors.map(|finding| format!("{} [{}]", finding.text, finding.rule));
            // The profile that is added goes to both.
            let mut whole = resource.clone();
            if let (Some(meta), Value::Object(members)) = (value.get("meta"), &mut whole) {
                members.insert("meta".to_owned(), meta.clone());
            }
            (whole.to_string(), ours.collect())
        }
    };
    Case {
        world,
        change,
        text,
        ours,
        theirs: Vec::new(),
    }
}

fn write(path: &Path, worlds: &[World], cases: &[Case]) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let mut current = None;
    for (id, case) in cases.iter().enumerate() {
        if current != Some(case.world) {
            current = Some(case.world);
            let definitions = &worlds[case.world].definitions;
            writeln!(file, "{}", json!({ "definitions": definitions })).unwrap();
        }
        writeln!(file, r#"{{"id":{id},"resource":{}}}"#, case.text).unwrap();
    }
}

fn read(path: &Path, cases: &mut [Case]) {
    let text = std::fs::read_to_string(path).unwrap();
    let mut answers = 0;
    for line in text.lines() {
        let answer: Value = serde_json::from_str(line).unwrap();
        let id = usize::try_from(answer["id"].as_u64().unwrap()).unwrap();
        let errors = answer["errors"].as_array().unwrap().iter();
        cases[id].theirs = errors.map(|e| e.as_str().unwrap().to_owned()).collect();
        answers += 1;
    }
    assert_eq!(answers, cases.len(), "the oracle did not judge all");
}

/// Prints all differences; how many are not explained.
fn report(cases: &[Case]) -> usize {
    let (mut explained, mut left) = (BTreeMap::<&str, usize>::new(), 0);
    for case in cases {
        match explained::compare(case) {
            Comparison::Same => {}
            Comparison::Explained(reason) => *explained.entry(reason).or_default() += 1,
            Comparison::Different(side, errors) => {
                left += 1;
                println!("only {side:?}: {}", case.change);
                for error in errors.iter().take(4) {
                    println!("    {}", error.chars().take(330).collect::<String>());
                }
            }
        }
    }
    let accepted = cases.iter().filter(|case| case.ours.is_empty()).count();
    println!("{} resources, {accepted} accepted here", cases.len());
    for (reason, count) in explained {
        println!("{count} differences: {reason}");
    }
    println!("{left} differences are not explained (seeds {:?})", seeds());
    left
}
