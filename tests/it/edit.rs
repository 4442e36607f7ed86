//! Plugins that change while a node runs (docs/adr/0027): what is edited comes into force, what is
//! broken does not, and the code is told of it (spec/bpe.md §5.7, `ProcessPluginDeploymentListener`).

use std::sync::Arc;

use super::harness::organization::{PATIENCE, Request, outputs};
use super::harness::{Organization, Package, World, until};

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
