//! The rest of the material: the conformance resources of DSF 2.1, bundles, and what plugins test
//! with. All of it is valid here but for a list, which the HL7 validator refuses, too
//! (`DSF_VALIDATOR_ORACLE_WHOLE=1 scripts/validator-oracle/compare.sh`).

use std::collections::BTreeMap;
use std::path::Path;

use super::tests::{deployed_as, files, own};
use super::{Finding, Library, judge};
use crate::kernel::testing::shared;
use crate::r4::{Node as _, Resource};

/// What plugins test with claims this version.
const VERSION: &str = "1.0";

const TAG: &str = "[at-least-on-read-access-tag]";
const CONTEXT: &str = "[must-have-meta-tag-or-security-context]";

/// The end of a file's path, and the errors in it.
const REFUSED: &[(&str, &[&str])] = &[
    // What a Java FHIR server is built with is never judged there; an element has no id.
    (
        "dsf-initial-bundle-assembled.json",
        &["[sdf-14]", "[sdf-17]"],
    ),
    (
        "/dsf-extension-check-logical-reference-2.0.0.xml",
        &["[sdf-14]", "[sdf-17]"],
    ),
    // Written for an older DSF.
    (
        "/test-data-generator-bundle.xml",
        &[TAG, "[cardinality-min]", "highmed.org"],
    ),
    ("/TaskSendStartKdsReport_Demo.xml", &["|0.3.1 is not known"]),
    (
        "projectathon-data-sharing/test-fhir/fhir/Task/TaskCoordinateDataSharing_Demo_Bundle.xml",
        &["|0.3.1 is not known"],
    ),
    (
        "projectathon-data-sharing/test-fhir/fhir/Task/TaskCoordinateDataSharing_Demo_CSV.xml",
        &["|0.3.1 is not known"],
    ),
    (
        "/TaskStartDataSend_Demo_Bundle.xml",
        &["|0.3.1 is not known"],
    ),
    ("/TaskStartDataSend_Demo_CSV.xml", &["|0.3.1 is not known"]),
    // The thumbprints are still to be filled in.
    ("/dic-1-bundle.xml", &["[hex-128-length]"]),
    ("/dic-2-bundle.xml", &["[hex-128-length]"]),
    ("/dic-3-bundle.xml", &["[hex-128-length]"]),
    ("/dic-4-bundle.xml", &["[hex-128-length]"]),
    ("/zars-bundle.xml", &["[hex-128-length]"]),
    // For another process, which is not there, and in another version.
    (
        "/docker-test-setup/feasibility-bundle.json",
        &["[profile-unknown]"],
    ),
    ("/feasibility-request-bundle.json", &["[fixed]"]),
    ("/search-bundle-response.xml", &["[profile-unknown]"]),
    // Of stores that are no FHIR servers of DSF: nobody may read it, and ids that are none.
    ("/dsf-fhir-server-test/bundle.xml", &[TAG]),
    ("/library-fhir-helpers.json", &[TAG, "[absolute]"]),
    ("/library-fhir-model-definition.json", &[TAG]),
    (
        "kds-report/test-fhir/fhir/Bundle/search-bundle-invalid-resource.xml",
        &[TAG],
    ),
    ("/DicFhirStore_Demo_CSV.xml", &[TAG, CONTEXT, "[uuid]"]),
    ("/DicFhirStore_Demo_ZIP.xml", &[TAG, CONTEXT, "[uuid]"]),
    (
        "/DicFhirStore_Demo_Evaluation.xml",
        &[TAG, "[uuid]", "[mrp-1]", "MeasureReport."],
    ),
    ("/Dic1FhirStore_Demo_CSV.xml", &[TAG, CONTEXT, "[uuid]"]),
    ("/Dic2FhirStore_Demo_CSV.xml", &[TAG, CONTEXT, "[uuid]"]),
    ("/fhir_metadata.json", &["application/xml+json"]),
];

/// The errors in what is stored: a resource, or those that a batch or transaction brings.
fn errors(library: &Library, resource: &Resource) -> Vec<String> {
    let entries = resource
        .list("entry")
        .filter_map(|entry| Resource::from_value(entry.member("resource")?.clone()));
    let brings = matches!(resource.str("type"), Some("batch" | "transaction"));
    let stored: Vec<Resource> = match resource.type_name() == "Bundle" && brings {
        true => entries.collect(),
        false => vec![resource.clone()],
    };
    let mut found = Vec::new();
    for mut one in stored {
        crate::fhir::profile::ensure(&mut one);
        let findings = judge(library, &one.into_value(), &[]).unwrap();
        let errors = findings.into_iter().filter(Finding::is_error);
        found.extend(errors.map(|finding| format!("{} [{}]", finding.text, finding.rule)));
    }
    found.sort();
    found.dedup();
    found
}

/// Judges all files of a folder; the number of resources, and the errors by file.
fn judged(folder: &Path, library: &Library, refused: &mut BTreeMap<String, Vec<String>>) -> usize {
    let mut count = 0;
    for path in files(folder) {
        let Some(resource) = deployed_as(&path, VERSION) else {
            continue;
        };
        count += 1 + resource.list("entry").count();
        let errors = errors(library, &resource);
        if !errors.is_empty() {
            refused.insert(path.display().to_string(), errors);
        }
    }
    count
}

fn is_known(path: &str, error: &str) -> bool {
    REFUSED
        .iter()
        .any(|(end, words)| path.ends_with(end) && words.iter().any(|word| error.contains(word)))
}

#[test]
fn the_rest_of_the_material_is_valid_but_for_a_list() {
    let folders = ["dsf-conformance", "bundles", "plugins"].map(shared);
    let [Some(conformance), Some(bundles), Some(plugins)] = folders else {
        return;
    };
    let (own, mut refused) = (own(), BTreeMap::new());
    let all = files(&conformance);
    let published: Vec<Resource> = all
        .iter()
        .filter_map(|path| deployed_as(path, VERSION))
        .collect();
    assert_eq!(published.len(), all.len());
    let mut count = judged(&conformance, &Library::of(&published), &mut refused);
    count += judged(&bundles, &Library::of(&own), &mut refused);
    for plugin in std::fs::read_dir(plugins).unwrap() {
        let plugin = plugin.unwrap().path();
        if !plugin.join("test-fhir").is_dir() {
            continue;
        }
        let files = files(&plugin.join("fhir"));
        let resources: Vec<Resource> = files
            .iter()
            .filter_map(|path| deployed_as(path, VERSION))
            .collect();
        let library = Library::of(own.iter().chain(&resources));
        count += judged(&plugin.join("test-fhir"), &library, &mut refused);
    }
    println!("{count} resources");
    let mut left = Vec::new();
    for (path, errors) in &refused {
        let unknown = errors.iter().filter(|error| !is_known(path, error));
        left.extend(unknown.map(|error| format!("{path}: {error}")));
    }
    assert!(
        left.is_empty(),
        "{} errors\n{}",
        left.len(),
        left.join("\n")
    );
    for (end, _) in REFUSED {
        assert!(
            refused.keys().any(|path| path.ends_with(end)),
            "{end} is valid"
        );
    }
}
