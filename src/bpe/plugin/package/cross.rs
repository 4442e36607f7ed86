//! What the resources of one process must be together.

use super::draft;
use super::manifest::{Manifest, ProcessEntry};
use super::problem::Problems;
use super::resource::{Prepared, process_of};
use crate::r4::ResourceType;

/// Exactly one ActivityDefinition, whose url fits the process; draft Tasks for this process only.
pub(super) fn check(
    entry: &ProcessEntry,
    resources: &[&Prepared],
    manifest: &Manifest,
    problems: &mut Problems,
) {
    let of_type = |kind| resources.iter().filter(move |one| one.kind == kind);
    let definitions: Vec<_> = of_type(ResourceType::ActivityDefinition).collect();
    let [definition] = definitions[..] else {
        // A file that could not be read has been reported already.
        if !definitions.is_empty() || resources.len() == entry.resources.len() {
            let message = format!(
                "needs exactly one ActivityDefinition, has {}",
                definitions.len()
            );
            problems.error("plugin.toml", format!("process {}", entry.id), message);
        }
        return;
    };
    if process_of(definition).as_ref() != Some(&entry.id) {
        let message = format!(
            "is not http://<domain>/bpe/Process/<name> with domain (dots left out) and name of {}",
            entry.id
        );
        problems.error(&definition.file, "url", message);
        return;
    }
    let url = definition.resource.str("url").unwrap_or_default();
    let version = manifest.version.resource_version();
    for task in of_type(ResourceType::Task) {
        if draft::process(&task.resource) != Some((url, version)) {
            let message = format!("must be {url}|#{{version}}, the process that lists it");
            problems.error(&task.file, "instantiatesCanonical", message);
        }
    }
}
