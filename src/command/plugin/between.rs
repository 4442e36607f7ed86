//! The scenarios of our own plugins that play between organisations, with the rules of the FHIR
//! role in force.

use std::path::PathBuf;

use super::mailboxes::Mailboxes;
use crate::bpe::scenario::{Stage, run};

#[test]
fn tasks_travel_between_organisations_by_the_rules_of_their_mailboxes() {
    let plugins = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("plugins");
    let mut played = 0;
    for plugin in std::fs::read_dir(plugins).unwrap() {
        let plugin = plugin.unwrap().path();
        let mailboxes = Mailboxes::new(&plugin).unwrap();
        for file in std::fs::read_dir(plugin.join("tests"))
            .into_iter()
            .flatten()
        {
            let file = file.unwrap().path();
            let text = std::fs::read_to_string(&file).unwrap();
            if !text.contains("[[organization]]") {
                continue;
            }
            let stage = Stage {
                postmaster: Some(&mailboxes),
                ..Stage::default()
            };
            let report = run(&file, stage);
            assert!(report.passed, "{report:#?}");
            played += 1;
        }
    }
    assert!(played > 0);
}
