//! Plugins that change while a node runs (docs/adr/0027): what is edited comes into force, what is
//! broken does not, and the code is told of it (spec/bpe.md §5.7, `ProcessPluginDeploymentListener`).

use std::fs;
use std::process::Command;
use std::sync::Arc;

use super::harness::organization::{PATIENCE, Request, outputs};
use super::harness::{Organization, Package, World, until};
use super::letter::{LETTER, completed, say, write};

const CALM: &str = "http://example.org/bpe/Process/calm|1.0";

/// Code that says a word, to who starts the process and to the log.
fn saying(word: &str) -> String {
    const CODE: &str = r#"
const SYSTEM = "http://example.org/fhir/CodeSystem/calm";

export const activities = {
  "org.example.Calm": (api, variables) => {
    const task = variables.getStartTask();
    task.output = [api.getTaskHelper().createOutput("WORD", SYSTEM, "word", "1.0")];
    variables.updateTask(task);
  },
};

export const onProcessesDeployed = (api, processes) => api.logger.info(`WORD hears of ${processes}`);
"#;
    CODE.replace("WORD", word)
}

/// What a process says that starts now.
async fn word(hospital: &Organization) -> String {
    let request = Request {
        process: CALM,
        profile: "http://example.org/fhir/StructureDefinition/task-calm|1.0",
        message: "calm",
        business_key: None,
        inputs: Vec::new(),
    };
    let id = hospital.ask("bpe-a", &request).await;
    let ended = hospital.ended(&id).await;
    outputs(&ended).remove(0).1
}

async fn logged(hospital: &Organization, text: &str) {
    let found = async || hospital.engine().log().contains(text);
    until(&format!("the log has '{text}'"), PATIENCE, found).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_in_force_without_a_restart_and_a_broken_one_is_not() {
    let package = Package::of_tests("calm");
    package.add("calm", "main.js", &saying("first"));
    let world = Arc::new(World::recorded());
    let hospital = Organization::start(&world, "bpe-a", &package, &[]).await;
    hospital.offers(&[CALM]).await;
    assert_eq!(word(&hospital).await, "first");
    logged(&hospital, "first hears of exampleorg_calm").await;

    package.add("calm", "main.js", &saying("second"));
    let edited = async || word(&hospital).await == "second";
    until("the edit is in force", PATIENCE, edited).await;
    logged(&hospital, "second hears of exampleorg_calm").await;

    let broken = saying("third").replace("org.example.Calm", "org.example.Clam");
    package.add("calm", "main.js", &broken);
    for told in [
        "org.example.Calm has no entry in activities",
        "org.example.Clam: no model of the package names this activity",
    ] {
        logged(&hospital, told).await;
    }
    assert_eq!(word(&hospital).await, "second", "what ran goes on");
}

/// The release of the package in this folder, which tells the log when it is in force.
fn release(package: &Package, folder: &str, version: &str) {
    let at = package.folder().join(folder);
    let text = fs::read_to_string(at.join("plugin.toml")).unwrap();
    let line = text.lines().find(|line| line.starts_with("version"));
    let text = text.replace(line.unwrap(), &format!("version = \"{version}\""));
    fs::write(at.join("plugin.toml"), text).unwrap();
}

fn copy(package: &Package, from: &str, to: &str) {
    let at = |name: &str| package.folder().join(name);
    let copied = Command::new("cp")
        .arg("-r")
        .args([at(from), at(to)])
        .status();
    assert!(copied.unwrap().success());
}

async fn in_force(hospital: &Organization, version: &str, times: usize) {
    let line = format!("{version} is in force");
    let found = async || hospital.engine().log().matches(&line).count() >= times;
    until(&line, PATIENCE, found).await;
}

/// Spec/bpe.md §5.8, §12.3: releases are replaced, taken back, put side by side and removed; what
/// runs goes on.
#[tokio::test(flavor = "multi_thread")]
async fn releases_come_and_go_and_what_runs_goes_on() {
    let package = Package::of_tests("letter");
    let code = fs::read_to_string(package.folder().join("letter/main.js")).unwrap();
    let told = "export const onProcessesDeployed = (api) =>
        api.logger.info(`${api.getProcessPluginDefinition().getVersion()} is in force`);";
    package.add("letter", "main.js", &format!("{code}{told}"));
    let world = Arc::new(World::recorded());
    let hospital = Organization::start(&world, "bpe-a", &package, &[]).await;
    hospital.offers(&[LETTER]).await;
    in_force(&hospital, "1.0.0.0", 1).await;
    let start = write(&hospital, "inner").await;
    hospital.waits("answer", 1).await;

    release(&package, "letter", "1.0.0.1");
    in_force(&hospital, "1.0.0.1", 1).await;
    release(&package, "letter", "1.0.0.0");
    in_force(&hospital, "1.0.0.0", 2).await;
    let answer = say(&hospital, "answer", "inner", None).await;
    completed(&hospital, &answer).await;

    copy(&package, "letter", "next");
    release(&package, "next", "1.1.0.0");
    let next = LETTER.replace("1.0", "1.1");
    hospital.offers(&[LETTER, &next]).await;

    // Out of the plugin folder and back.
    fs::rename(
        package.folder().join("letter"),
        package.folder().join("../kept-letter"),
    )
    .unwrap();
    let query = "ActivityDefinition?url=http://example.org/bpe/Process/letter&version=1.0";
    let gone = async || hospital.local().search(query).await.is_empty();
    until("the process is removed", PATIENCE, gone).await;
    assert_eq!(hospital.task(&start).await["status"], "in-progress");
    hospital.offers(&[&next]).await;
    fs::rename(
        package.folder().join("../kept-letter"),
        package.folder().join("letter"),
    )
    .unwrap();
    hospital.offers(&[LETTER]).await;
    let last = say(&hospital, "last", "inner", None).await;
    for task in [start, last] {
        completed(&hospital, &task).await;
    }
}
