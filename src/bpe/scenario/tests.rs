//! The engine's acceptance cases: recorded on Operaton, played on our core (`spec/bpmn.md` §6).

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{Stage, run};
use crate::kernel::testing::shared;

/// Scenario files that must pass, one name a line.
const CLAIMED: &str = include_str!("claimed.txt");

#[test]
fn every_claimed_scenario_passes() {
    let Some(folder) = shared("scenarios") else {
        return;
    };
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    files.sort();
    let claimed: BTreeSet<_> = CLAIMED.lines().collect();
    let (mut passed, mut failed, mut broken) = (BTreeSet::new(), Vec::new(), Vec::new());
    for file in &files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let report = run(file, Stage::default());
        if report.passed {
            passed.insert(name);
            continue;
        }
        let line = format!(
            "{name}: step {:?}: expected {}, found {}",
            report.step.unwrap_or_default(),
            report.expected.unwrap_or_default(),
            report.found.unwrap_or_default()
        );
        if claimed.contains(name.as_str()) {
            broken.push(line);
        } else {
            failed.push(line);
        }
    }
    println!(
        "{} passed, {} failed and not claimed",
        passed.len(),
        failed.len()
    );
    println!("{}", failed.join("\n"));
    assert!(
        broken.is_empty(),
        "claimed, but failed:\n{}",
        broken.join("\n")
    );
    for name in claimed {
        assert!(
            passed.contains(name),
            "{name} is claimed, but there is no such scenario"
        );
    }
}

#[test]
fn the_scenarios_of_our_own_plugins_pass() {
    let plugins = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("plugins");
    for plugin in std::fs::read_dir(plugins).into_iter().flatten() {
        let tests = std::fs::read_dir(plugin.unwrap().path().join("tests"));
        for file in tests.into_iter().flatten() {
            let file = file.unwrap().path();
            // Those of several organisations need mailboxes.
            if std::fs::read_to_string(&file)
                .unwrap()
                .contains("[[organization]]")
            {
                continue;
            }
            let report = run(&file, Stage::default());
            assert!(report.passed, "{report:#?}");
        }
    }
}
