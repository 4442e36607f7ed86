//! The validator against its material: R4, the published snapshots of DSF's profiles, plugins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;
use crate::r4::{Node, Resource, json, xml};

/// `../shared/data`, or that of what `DSF_SHARED` names.
fn data(folder: &str) -> Option<PathBuf> {
    let given = std::env::var_os("DSF_SHARED").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let path = given.unwrap_or_else(beside).join("data").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    println!("SKIPPED: no {folder} in $DSF_SHARED/data or ../shared/data");
    None
}

fn files(folder: &Path) -> Vec<PathBuf> {
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
    let Some(folder) = data("hl7-fhir-r4-core-4.0.1-compact") else {
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
    let Some(folder) = data("dsf-conformance-ig-2.0.0-snapshots") else {
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
        let members = ours
            .keys()
            .chain(theirs.keys())
            .filter(|name| !TEXT.contains(&name.as_str()));
        for member in members {
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
        "binding" => keep(&mut value, &["strength", "valueSet"]),
        "slicing" => keep(&mut value, &["discriminator", "rules"]),
        "type" => {
            for kind in value.as_array_mut()? {
                keep(kind, &["code", "profile", "targetProfile"]);
            }
        }
        _ => {}
    }
    Some(value)
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
    let _ = xml::parse;
}
