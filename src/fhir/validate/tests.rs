//! The validator against its material: R4, the published snapshots of DSF's profiles, plugins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;
use crate::kernel::testing::shared;
use crate::r4::{Node, Resource, json, xml};

pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Our own conformance resources.
pub(super) fn own() -> Vec<Resource> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let is_json = |path: &PathBuf| {
        path.extension().is_some_and(|e| e == "json") && path.parent() != Some(&folder)
    };
    let files = files(&folder).into_iter().filter(is_json);
    files
        .map(|path| json::parse(&std::fs::read(path).unwrap()).unwrap())
        .collect()
}

#[test]
fn the_base_definitions_are_those_of_r4() {
    let Some(folder) = shared("hl7-fhir-r4-core-4.0.1-compact") else {
        return;
    };
    let text = std::fs::read_to_string(folder.join("StructureDefinition.ndjson")).unwrap();
    let strip = |element: &Value| -> Value {
        let mut element = element.clone();
        let members = element.as_object_mut().unwrap();
        for constraint in members
            .get_mut("constraint")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            let constraint = constraint.as_object_mut().unwrap();
            constraint
                .retain(|name, _| name == "key" || name == "severity" || name == "expression");
            if let Some(Value::String(text)) = constraint.get_mut("expression") {
                *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            }
        }
        for kind in members
            .get_mut("type")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            kind.as_object_mut()
                .unwrap()
                .retain(|name, _| name != "extension");
        }
        element
    };
    let mut count = 0;
    for line in text.lines() {
        let official: Value = serde_json::from_str(line).unwrap();
        let ours = core::definition(official.text("type").unwrap()).unwrap();
        let theirs = official["snapshot"]["element"].as_array().unwrap();
        assert_eq!(ours.snapshot.len(), theirs.len(), "{}", ours.url);
        for (ours, theirs) in ours.snapshot.iter().zip(theirs) {
            assert_eq!(strip(&Value::Object(ours.clone())), strip(theirs));
            count += 1;
        }
    }
    assert!(count > 7_000);
}

/// Members of elements that are for people, or that the publisher added.
const TEXT: &[&str] = &[
    "short",
    "definition",
    "comment",
    "requirements",
    "alias",
    "mapping",
    "example",
    "code",
    "meaningWhenMissing",
    "isModifierReason",
    "orderMeaning",
    "label",
    "extension",
    "condition",
];

#[test]
fn our_snapshots_are_the_published_ones() {
    let Some(folder) = shared("dsf-conformance-ig-2.0.0-snapshots") else {
        return;
    };
    let published: Vec<Resource> = files(&folder)
        .iter()
        .map(|path| {
            json::parse_leniently(&std::fs::read(path).unwrap())
                .unwrap()
                .0
        })
        .collect();
    let library = Library::of(&published);
    let mut differences: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for resource in &published {
        let mut definition = Definition::read(resource).unwrap();
        let theirs = std::mem::take(&mut definition.snapshot);
        let ours = snapshot::elements(&library.snapshot_of(&definition).unwrap());
        compare(&definition.url, &ours, &theirs, &mut differences);
    }
    for (kind, places) in &differences {
        println!(
            "{kind}: {} {:?}",
            places.len(),
            &places[..places.len().min(4)]
        );
    }
    assert_eq!(published.len(), 48);
    assert!(differences.is_empty());
}

fn compare(
    url: &str,
    ours: &[definition::Element],
    theirs: &[definition::Element],
    differences: &mut BTreeMap<String, Vec<String>>,
) {
    let name = url.rsplit('/').next().unwrap();
    let key = |element: &definition::Element| {
        (
            element.text("path").unwrap().to_owned(),
            element.text("sliceName").map(str::to_owned),
        )
    };
    let mut note = |kind: String, place: String| differences.entry(kind).or_default().push(place);
    let (own, published): (Vec<_>, Vec<_>) = (
        ours.iter().map(key).collect(),
        theirs.iter().map(key).collect(),
    );
    if own != published {
        for one in own.iter().filter(|one| !published.contains(one)) {
            note("only ours".to_owned(), format!("{name} {one:?}"));
        }
        for one in published.iter().filter(|one| !own.contains(one)) {
            note("only theirs".to_owned(), format!("{name} {one:?}"));
        }
        note("order or number".to_owned(), name.to_owned());
        return;
    }
    for (ours, theirs) in ours.iter().zip(theirs) {
        let place = format!("{name} {}", ours.text("id").unwrap());
        // Slices made in the same differential as constraints of the element have these here.
        let is_made_with = ours.contains_key("sliceName") && name.starts_with("questionnaire");
        let members = ours
            .keys()
            .chain(theirs.keys())
            .filter(|name| !TEXT.contains(&name.as_str()));
        for member in members {
            if is_made_with && member == "constraint" {
                continue;
            }
            if plain(member, ours.get(member)) != plain(member, theirs.get(member)) {
                let shown = format!(
                    "{place}: {:?} {:?}",
                    ours.get(member).map(ToString::to_string),
                    theirs.get(member).map(ToString::to_string)
                );
                note(member.clone(), shown);
            }
        }
    }
}

/// The value of a member without what is text in it.
fn plain(member: &str, value: Option<&Value>) -> Option<Value> {
    let mut value = value?.clone();
    let keep = |value: &mut Value, names: &[&str]| {
        if let Some(members) = value.as_object_mut() {
            members.retain(|name, _| names.contains(&name.as_str()));
        }
    };
    match member {
        "constraint" => {
            for constraint in value.as_array_mut()? {
                keep(constraint, &["key", "severity", "expression"]);
                if let Some(Value::String(text)) = constraint.get_mut("expression") {
                    *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
                }
            }
        }
        "binding" => {
            keep(&mut value, &["strength", "valueSet"]);
            unpin(value.get_mut("valueSet"));
        }
        // The publisher makes them absolute.
        "contentReference" => {
            if let Value::String(text) = &mut value {
                *text = text.split_off(text.find('#').unwrap_or_default());
            }
        }
        "slicing" => keep(&mut value, &["discriminator", "rules"]),
        "type" => {
            for kind in value.as_array_mut()? {
                keep(kind, &["code", "profile", "targetProfile"]);
                for name in ["profile", "targetProfile"] {
                    let urls = kind.get_mut(name).and_then(Value::as_array_mut);
                    urls.into_iter().flatten().for_each(|url| unpin(Some(url)));
                }
            }
        }
        _ => {}
    }
    Some(value)
}

/// The publisher names the version of definitions of R4.
fn unpin(canonical: Option<&mut Value>) {
    if let Some(Value::String(text)) = canonical
        && text.ends_with("|4.0.1")
    {
        text.truncate(text.len() - 6);
    }
}

#[test]
fn our_own_conformance_resources_are_valid() {
    let own = own();
    let library = Library::of(&own);
    let mut found = Vec::new();
    for resource in &own {
        let value = resource.clone().into_value();
        for finding in judge(&library, &value, &[]).unwrap() {
            found.push(format!(
                "{} {finding:?}",
                resource.str("url").unwrap_or_default()
            ));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// A plugin's file with its placeholders filled, as the process engine deploys it; plugins of the
/// old interface derive from `task-base`, which is now `task`.
pub(super) fn deployed(path: &Path) -> Option<Resource> {
    deployed_as(path, "1.4")
}

/// The same in this version.
pub(super) fn deployed_as(path: &Path, version: &str) -> Option<Resource> {
    let text = std::fs::read_to_string(path).ok()?;
    let text = text
        .replace("#{version}", version)
        .replace("#{date}", "2026-01-01")
        .replace("#{organization}", "Test_Organization")
        .replace(
            "dsf.dev/fhir/StructureDefinition/task-base",
            "dsf.dev/fhir/StructureDefinition/task",
        )
        .replace("questionnaire|1.5.0\"", "questionnaire\"")
        .replace("|1.0.0\"", "\"");
    let text = with_thumbprints(&text);
    let parsed = match path.extension()?.to_str()? {
        "xml" => xml::parse_leniently(text.as_bytes()),
        "json" => json::parse_leniently(text.as_bytes()),
        _ => return None,
    };
    let (mut resource, _) = parsed.ok()?;
    crate::fhir::profile::ensure(&mut resource);
    Some(resource)
}

/// Bundles name the thumbprints of certificates that are made later.
fn with_thumbprints(text: &str) -> String {
    let named = regex::Regex::new(r"\$\{[^}]*(?i:thumbprint)[^}]*\}").unwrap();
    named.replace_all(text, "ab".repeat(64)).into_owned()
}

#[test]
fn the_profiles_and_resources_of_plugins_are_valid() {
    let Some(folder) = shared("plugins") else {
        return;
    };
    let mut errors = Vec::new();
    let mut count = 0;
    let own = own();
    for plugin in std::fs::read_dir(folder).unwrap() {
        let plugin = plugin.unwrap().path();
        let name = plugin.file_name().unwrap().to_str().unwrap().to_owned();
        let files = files(&plugin.join("fhir"));
        // The base profiles of the predecessor of DSF are not part of the material.
        let is_older = |path: &PathBuf| {
            std::fs::read_to_string(path)
                .unwrap()
                .contains("highmed.org/fhir/StructureDefinition")
        };
        if files.iter().any(is_older) {
            continue;
        }
        // Data for tests, and an exercise whose gaps are for the reader to fill; the HL7 validator
        // refuses its profile, too.
        let is_deployed = |resource: &Resource| {
            let is_gap = |url: &str| url.ends_with("/task-hello-hrp");
            let is_exercise = name == "dsf-process-tutorial"
                && (resource.type_name() == "Task" || resource.str("url").is_some_and(is_gap));
            resource.type_name() != "Bundle" && !is_exercise
        };
        let resources: Vec<Resource> = files
            .iter()
            .filter_map(|path| deployed(path))
            .filter(is_deployed)
            .collect();
        let library = Library::of(own.iter().chain(&resources));
        for resource in &resources {
            count += 1;
            let label = resource
                .str("url")
                .or(resource.str("instantiatesCanonical"))
                .unwrap_or_default();
            let label = format!("{name} {} {label}", resource.type_name());
            if resource.type_name() == "StructureDefinition" {
                let canonical = format!(
                    "{}|{}",
                    resource.str("url").unwrap(),
                    resource.str("version").unwrap()
                );
                if let Err(error) = library.profile(&canonical) {
                    errors.push(format!("{label}: {error:?}"));
                }
            }
            let value = resource.clone().into_value();
            for finding in judge(&library, &value, &[]).unwrap() {
                if finding.is_error() {
                    errors.push(format!("{label}: {} {}", finding.rule, finding.text));
                }
            }
        }
    }
    println!("{count} resources");
    assert!(
        errors.is_empty(),
        "{} errors\n{}",
        errors.len(),
        errors.join("\n")
    );
}

#[test]
fn a_task_is_judged_in_microseconds() {
    let Some(folder) = shared("plugins") else {
        return;
    };
    let own = own();
    let resources: Vec<Resource> = files(&folder.join("dsf-process-ping-pong/fhir"))
        .iter()
        .filter_map(|path| deployed(path))
        .collect();
    let library = Library::of(own.iter().chain(&resources));
    let task = resources
        .iter()
        .find(|r| r.type_name() == "Task" && r.list("input").count() > 0)
        .unwrap();
    let value = task.clone().into_value();
    let begin = std::time::Instant::now();
    assert_eq!(judge(&library, &value, &[]).unwrap(), []);
    let cold = begin.elapsed();
    let begin = std::time::Instant::now();
    for _ in 0..200 {
        judge(&library, &value, &[]).unwrap();
    }
    println!("first {cold:?}, then {:?}", begin.elapsed() / 200);
}

/// fhir-conformance §2.9: no constraint of the material is passed over.
#[test]
fn every_constraint_of_the_material_is_understood() {
    use super::profile::{Constraint, Test};
    let mut seen = BTreeMap::<(String, String), &str>::new();
    let mut look = |elements: &[definition::Element]| {
        for constraint in elements
            .iter()
            .flat_map(|element| element.items("constraint"))
        {
            let key = constraint.text("key").unwrap_or("?");
            // Two of R4 are for people only.
            let Some(expression) = constraint.text("expression") else {
                assert!(matches!(key, "que-3" | "tim-3"), "{key} has no expression");
                continue;
            };
            let verdict = match Constraint::read(constraint).map(|one| one.test) {
                Some(Test::Expression(_)) => "expression",
                Some(Test::Native(_)) => "native",
                // By txt-1, and: narrative is no must.
                None if matches!(key, "txt-2" | "dom-6") => "left",
                None => panic!("{key} is passed over: {expression}"),
                Some(Test::Unparsable(reason)) => panic!("{key}: {reason}: {expression}"),
            };
            seen.insert((key.to_owned(), expression.to_owned()), verdict);
        }
    };
    for block in crate::r4::table::table().blocks() {
        if let Some(definition) = core::definition(block.name) {
            look(&definition.snapshot);
        }
    }
    let of_r4 = seen_count(&mut look, &own());
    let folders = [
        "plugins",
        "dsf-conformance-ig-2.0.0-snapshots",
        "dsf-test-resources",
    ];
    for folder in folders.into_iter().filter_map(shared) {
        let resources: Vec<Resource> = files(&folder).iter().filter_map(|f| deployed(f)).collect();
        seen_count(&mut look, &resources);
    }
    let count = |word: &str| seen.values().filter(|verdict| **verdict == word).count();
    println!(
        "{of_r4} definitions of our own; {} constraints: {} expressions, {} native, {} left",
        seen.len(),
        count("expression"),
        count("native"),
        count("left")
    );
    assert!(seen.len() >= 240, "{}", seen.len());
    if folders.into_iter().all(|folder| shared(folder).is_some()) {
        assert_listed(&seen);
    }
}

/// The list of them for people; `DSF_LIST_CONSTRAINTS=1` writes it anew.
fn assert_listed(seen: &BTreeMap<(String, String), &str>) {
    let line = |((key, expression), how): (&(String, String), &&str)| {
        let words: Vec<&str> = expression.split_whitespace().collect();
        format!("{key} | {how} | {}\n", words.join(" "))
    };
    let listed: String = seen.iter().map(line).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/fhir/validate/constraints.txt");
    if std::env::var_os("DSF_LIST_CONSTRAINTS").is_some() {
        std::fs::write(&path, &listed).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(known == listed, "list them anew: DSF_LIST_CONSTRAINTS=1");
}

/// Looks at the constraints of all profiles among these; how many there are.
fn seen_count(look: &mut impl FnMut(&[definition::Element]), resources: &[Resource]) -> usize {
    let profiles = resources
        .iter()
        .filter(|r| r.type_name() == "StructureDefinition");
    let definitions: Vec<_> = profiles.filter_map(|r| Definition::read(r).ok()).collect();
    for definition in &definitions {
        look(&definition.differential);
        look(&definition.snapshot);
    }
    definitions.len()
}
