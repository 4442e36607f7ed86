//! Every published plugin whose files are at hand: its models and resources are taken unchanged,
//! with a manifest and empty activities made for them, and judged by the validator.

use std::collections::BTreeMap;
use std::path::Path;

use super::conformity;
use super::work::site_of;
use crate::bpe::plugin::package::{Files, Named, Package, Refused, load, scaffold};
use crate::kernel::testing::shared;

/// An exercise: what the reader has to add is missing, and DSF itself refuses it without.
const EXERCISE: &str = "dsf-process-tutorial";
const GAPS: [&str; 2] = [
    "startEvent 'startHelloCos': needs a messageRef",
    "serviceTask 'Activity_1tegofl': has no implementation",
];

fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_string_lossy());
        if path.is_dir() {
            collect(&path, &format!("{name}/"), files);
        } else {
            files.insert(name, std::fs::read(&path).unwrap());
        }
    }
}

fn package(folder: &Path) -> Result<Package, Refused> {
    let mut files = BTreeMap::new();
    collect(folder, "", &mut files);
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    let named = Named {
        name: &name,
        version: "1.0.0.0",
        release_date: "2026-11-21",
    };
    let made =
        scaffold(&Files::memory(&name, files.clone()), &named).map_err(|problems| Refused {
            origin: name.clone(),
            problems,
        })?;
    files.insert("plugin.toml".to_owned(), made.manifest.into_bytes());
    files.insert("main.js".to_owned(), made.code.into_bytes());
    let package = load(&Files::memory(&name, files), &site_of("Test_Organization"))?;
    let found = conformity::judged(&package);
    package.judged(found)
}

#[test]
fn every_known_plugin_is_taken_unchanged() {
    let Some(folder) = shared("plugins") else {
        return;
    };
    for entry in std::fs::read_dir(folder).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        match package(&folder) {
            Ok(package) => {
                assert!(name != EXERCISE, "{name}");
                let drafts = package.resources.iter().filter(|one| !one.is_released());
                println!(
                    "{name}: {:?}, {} drafts",
                    package.manifest.api,
                    drafts.count()
                );
            }
            Err(refused) => {
                let told = refused.to_string();
                assert!(name == EXERCISE, "{name}: {told}");
                assert!(GAPS.iter().all(|gap| told.contains(gap)), "{told}");
            }
        }
    }
}
