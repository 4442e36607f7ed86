//! `dsf process test`: the engine's acceptance cases on the persistent runtime (spec/bpmn.md §6,
//! spec/scenario.md). Every step loads its instances from PostgreSQL and stores them again.

use std::process::Command;

use super::harness::material::shared;

#[test]
fn every_scenario_passes_on_postgresql_too() {
    let Some(shared) = shared("data/scenarios") else {
        return;
    };
    let entries = std::fs::read_dir(shared.join("data/scenarios")).unwrap();
    let files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "toml"))
        .collect();
    let output = Command::new(env!("CARGO_BIN_EXE_dsf"))
        .args(["process", "test", "--store", "postgres", "--json"])
        .args(&files)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let failed: Vec<_> = text
        .lines()
        .filter(|line| !line.contains("\"passed\":true"))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(text.lines().count(), files.len());
    assert!(output.status.success());
}
