//! Bad input: whatever is stored as profile, code system or value set, judging ends soon, says what
//! is wrong, and stops nobody who does not claim it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::tests::own;
use super::{Finding, Library, judge};
use crate::r4::Resource;

const BASE: &str = "http://example.org/fhir/StructureDefinition/";

/// Far more than anything here takes, far less than a hang.
const SOON: Duration = Duration::from_secs(60);

fn profile(name: &str, base: &str, elements: &Value) -> Value {
    json!({
        "resourceType": "StructureDefinition", "url": format!("{BASE}{name}"), "version": "1.0",
        "name": name, "status": "active", "kind": "resource", "abstract": false, "type": "Patient",
        "baseDefinition": base, "derivation": "constraint",
        "differential": { "element": elements },
    })
}

fn patient(profiles: &[&str]) -> Value {
    let profiles: Vec<String> = profiles
        .iter()
        .map(|name| format!("{BASE}{name}"))
        .collect();
    json!({
        "resourceType": "Patient", "meta": { "profile": profiles }, "active": true,
        "gender": "other",
        "identifier": [{ "system": "http://example.org/sid", "value": "a" }],
    })
}

fn library(definitions: &[Value]) -> Library {
    let definitions = definitions.iter().cloned().map(Resource::from_value);
    let all: Vec<Resource> = own().into_iter().chain(definitions.flatten()).collect();
    Library::of(&all)
}

/// The errors, as `rule: text`, in bounded time.
fn errors(library: &Library, resource: &Value) -> Vec<String> {
    let begin = Instant::now();
    let findings = judge(library, resource, &[]).unwrap();
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    let errors = findings.into_iter().filter(Finding::is_error);
    errors
        .map(|finding| format!("{}: {}", finding.rule, finding.text))
        .collect()
}

const PATIENT: &str = "http://hl7.org/fhir/StructureDefinition/Patient";

#[test]
fn a_broken_profile_stops_only_those_who_claim_it() {
    let deep = format!("Patient{}", ".contact".repeat(100));
    let slice = "a/".repeat(100_000);
    let broken = [
        (
            "contradicts",
            json!([{ "path": "Patient.name", "min": 3, "max": "2" }]),
        ),
        (
            "no-element",
            json!([{ "path": "Patient.nothing", "min": 1 }]),
        ),
        ("other-type", json!([{ "path": "Group.active", "min": 1 }])),
        ("no-path", json!([{ "min": 1 }])),
        (
            "wrong-type",
            json!([{ "path": "Patient.active", "type": [{ "code": "string" }] }]),
        ),
        ("too-deep", json!([{ "path": deep }])),
        (
            "slices",
            json!([{ "path": "Patient.extension", "sliceName": slice }]),
        ),
        (
            "not-sliced",
            json!([{ "path": "Patient.name", "sliceName": "a" }]),
        ),
    ];
    let mut definitions: Vec<Value> = broken
        .iter()
        .map(|(name, elements)| profile(name, PATIENT, elements))
        .collect();
    let required = json!([{ "path": "Patient.name", "min": 1 }]);
    definitions.push(profile("circle-a", &format!("{BASE}circle-b"), &json!([])));
    definitions.push(profile(
        "circle-b",
        &format!("{BASE}circle-a|1.0"),
        &json!([]),
    ));
    definitions.push(profile("no-base", &format!("{BASE}unheard-of"), &required));
    definitions.push(profile("sound", PATIENT, &required));
    for number in 0..60 {
        let base = match number {
            0 => PATIENT.to_owned(),
            _ => format!("{BASE}chain-{}", number - 1),
        };
        definitions.push(profile(&format!("chain-{number}"), &base, &json!([])));
    }
    let library = library(&definitions);
    let others = ["circle-a", "circle-b", "no-base", "chain-59"];
    for name in broken.iter().map(|(name, _)| *name).chain(others) {
        let found = errors(&library, &patient(&[name]));
        assert!(
            found.len() == 1 && found[0].starts_with("profile-broken: "),
            "{name}: {found:?}"
        );
        // Whoever stores it is told at once, unless its base may come later.
        let stored = definitions.iter().find(|one| one["name"] == name);
        let found = errors(&library, stored.unwrap());
        let is_said = found
            .iter()
            .any(|text| text.starts_with("profile-broken: "));
        assert_eq!(is_said, name != "no-base", "{name}: {found:?}");
    }
    assert!(errors(&library, &patient(&["chain-20"])).is_empty());
    let found = errors(&library, &patient(&["sound"]));
    assert!(found.len() == 1 && found[0].starts_with("cardinality-min: "));
}

#[test]
fn a_profile_that_is_too_large_is_broken() {
    let sliced = |discriminators: usize| {
        let one = json!({ "type": "value", "path": "system" });
        json!({ "path": "Patient.identifier",
                "slicing": { "discriminator": vec![one; discriminators], "rules": "open" } })
    };
    let slices = |count: usize, below: &str| -> Vec<Value> {
        let slice = |n| json!({ "path": "Patient.identifier", "sliceName": format!("s{n}") });
        let child = json!({ "path": format!("Patient.identifier{below}"), "min": 0 });
        let all = (0..count).flat_map(|n| [slice(n), child.clone()]);
        let all = all.filter(|one| !below.is_empty() || one["sliceName"].is_string());
        std::iter::once(sliced(1)).chain(all).collect()
    };
    let constraint = |n| json!({ "key": format!("k{n}"), "severity": "error", "human": "x" });
    let constraints: Vec<Value> = (0..600).map(constraint).collect();
    let aliases: Vec<String> = (0..600).map(|n| format!("a{n}")).collect();
    let again = vec![json!({ "path": "Patient.active" }); 20_001];
    let large = [
        ("repeats", json!(again), "20000 elements"),
        ("many-slices", json!(slices(2_001, "")), "2000 slices"),
        (
            "unfolds",
            json!(slices(2_500, ".assigner.identifier.id")),
            "50000 elements",
        ),
        (
            "discriminators",
            json!([sliced(17), { "path": "Patient.identifier", "sliceName": "a" }]),
            "16 discriminators",
        ),
        (
            "constraints",
            json!([{ "path": "Patient", "constraint": constraints }]),
            "500 constraints",
        ),
        (
            "aliases",
            json!([{ "path": "Patient.active", "alias": aliases }]),
            "500 entries",
        ),
    ];
    let definitions: Vec<Value> = large
        .iter()
        .map(|(name, elements, _)| profile(name, PATIENT, elements))
        .collect();
    let library = library(&definitions);
    for (name, _, reason) in large {
        let found = errors(&library, &patient(&[name]));
        assert!(
            found.len() == 1 && found[0].starts_with("profile-broken: "),
            "{name}: {found:?}"
        );
        assert!(found[0].contains(reason), "{name}: {found:?}");
    }
}

/// What no resource can meet is no reason to hang, or to let it pass.
#[test]
fn a_profile_that_contradicts_itself_fits_nothing() {
    let given = json!([
        { "path": "Patient.gender", "fixedCode": "male" },
        { "path": "Patient.gender", "patternCode": "female" },
    ]);
    let slicing =
        json!({ "discriminator": [{ "type": "value", "path": "system" }], "rules": "closed" });
    let slice = |name: &str| json!({ "path": "Patient.identifier", "sliceName": name, "min": 1, "max": "1" });
    let system = |name: &str| json!({ "path": "Patient.identifier.system", "fixedUri": name });
    let two_of_one = json!([
        { "path": "Patient.identifier", "slicing": slicing, "max": "1" },
        slice("a"), system("http://example.org/a"),
        slice("b"), system("http://example.org/b"),
    ]);
    let mut itself = json!([{ "path": "Patient", "type": [{ "code": "Patient" }] }]);
    itself[0]["type"][0]["profile"] = json!([format!("{BASE}itself"), format!("{BASE}itself")]);
    let library = library(&[
        profile("given", PATIENT, &given),
        profile("two-of-one", PATIENT, &two_of_one),
        profile("itself", PATIENT, &itself),
    ]);
    for (name, rule) in [("given", "pattern: "), ("two-of-one", "cardinality-min: ")] {
        let found = errors(&library, &patient(&[name]));
        assert!(
            found.iter().any(|text| text.starts_with(rule)),
            "{name}: {found:?}"
        );
    }
    assert!(!errors(&library, &patient(&["itself"])).is_empty());
}

#[test]
fn value_sets_that_include_each_other_have_an_end() {
    let set = |number: usize| {
        // Each includes all: without a memory the work would double with each.
        let includes = (0..30).map(|other| json!({ "valueSet": [format!("http://x/{other}")] }));
        let own =
            json!({ "system": "http://x/codes", "concept": [{ "code": format!("c{number}") }] });
        let include: Vec<Value> = includes.chain([own]).collect();
        json!({
            "resourceType": "ValueSet", "url": format!("http://x/{number}"), "status": "active",
            "compose": { "include": include },
        })
    };
    let binding = json!({ "strength": "required", "valueSet": "http://x/0" });
    let elements = json!([{ "path": "Patient.maritalStatus", "binding": binding }]);
    let mut definitions: Vec<Value> = (0..30).map(set).collect();
    definitions.push(profile("bound", PATIENT, &elements));
    let library = library(&definitions);
    let married = |code: &str| {
        let mut patient = patient(&["bound"]);
        let coding = json!({ "system": "http://x/codes", "code": code });
        patient["maritalStatus"] = json!({ "coding": [coding] });
        judge(&library, &patient, &[]).unwrap()
    };
    let begin = Instant::now();
    assert_eq!(married("c29"), []);
    let found = married("none");
    assert!(
        found.len() == 1 && found[0].text.contains("includes itself"),
        "{found:?}"
    );
    assert!(begin.elapsed() < SOON);
}

/// Each code is asked of each include: that is paid from the budget of the resource.
#[test]
fn value_sets_of_very_many_parts_end() {
    let set = |number: usize| {
        let parts = (0..300).map(|n| json!({ "valueSet": [format!("http://x/{n}")] }));
        let include: Vec<Value> = parts.collect();
        json!({
            "resourceType": "ValueSet", "url": format!("http://x/{number}"), "status": "active",
            "compose": { "include": include },
        })
    };
    let chain = |number: usize| {
        json!({
            "resourceType": "ValueSet", "url": format!("http://y/{number}"), "status": "active",
            "compose": { "include": [{ "valueSet": [format!("http://y/{}", number + 1)] }] },
        })
    };
    let expansion: Vec<Value> = (0..20_000)
        .map(|n| json!({ "system": format!("http://z/{n}"), "code": "a" }))
        .collect();
    let expanded = json!({
        "resourceType": "ValueSet", "url": "http://z/0", "status": "active",
        "expansion": { "timestamp": "2026-01-01", "contains": expansion },
    });
    let bound = |name: &str, set: &str| {
        let binding = json!({ "strength": "required", "valueSet": set });
        let elements = json!([{ "path": "Patient.maritalStatus", "binding": binding }]);
        profile(name, PATIENT, &elements)
    };
    let mut definitions: Vec<Value> = (0..300).map(set).chain((0..200).map(chain)).collect();
    definitions.push(expanded);
    definitions.extend([
        bound("wide", "http://x/0"),
        bound("long", "http://y/0"),
        bound("expanded", "http://z/0"),
    ]);
    let library = library(&definitions);
    let married = |profile: &str, count: usize| {
        let mut patient = patient(&[profile]);
        let coding = |n| json!({ "system": "http://z/7", "code": format!("c{n}") });
        patient["maritalStatus"] = json!({ "coding": (0..count).map(coding).collect::<Vec<_>>() });
        patient
    };
    let found = errors(&library, &married("wide", 2_000));
    assert!(
        found.iter().any(|text| text.starts_with("budget: ")),
        "{found:?}"
    );
    let found = judge(&library, &married("long", 1), &[]).unwrap();
    assert!(
        found.iter().any(|one| one.text.contains("64 deep")),
        "{found:?}"
    );
    assert_eq!(errors(&library, &married("expanded", 20)).len(), 20);
}

#[test]
fn a_million_codes_are_searched_at_once() {
    // Without optimisation they take long to make.
    let many = if cfg!(debug_assertions) {
        100_000
    } else {
        1_000_000
    };
    let concepts: Vec<Value> = (0..many)
        .map(|n| json!({ "code": format!("c{n}") }))
        .collect();
    let system = json!({
        "resourceType": "CodeSystem", "url": "http://x/codes", "status": "active",
        "content": "complete", "concept": concepts,
    });
    let set = json!({
        "resourceType": "ValueSet", "url": "http://x/set", "status": "active",
        "compose": { "include": [{ "system": "http://x/codes", "concept": concepts }] },
    });
    let binding = json!({ "strength": "required", "valueSet": "http://x/set" });
    let elements = json!([{ "path": "Patient.maritalStatus", "binding": binding }]);
    let library = library(&[system, set, profile("bound", PATIENT, &elements)]);
    let mut patient = patient(&["bound"]);
    let codes = |prefix: &str| -> Vec<Value> {
        let coding = |n| json!({ "system": "http://x/codes", "code": format!("{prefix}{n}") });
        (0..2_000).map(coding).collect()
    };
    patient["maritalStatus"] = json!({ "coding": codes("C9") });
    let found = errors(&library, &patient);
    assert!(found.is_empty(), "its case is not sensitive: {found:?}");
    patient["maritalStatus"] = json!({ "coding": codes("none") });
    assert_eq!(errors(&library, &patient).len(), 250);
}

#[test]
fn slices_whose_profiles_need_each_other_are_given_up() {
    // To know the slice of an extension, the next profile is asked, and then asked again.
    let extension = |number: usize| {
        let discriminator = json!([{ "type": "profile", "path": "$this" }]);
        let next = [format!("{BASE}x{}", number + 1)];
        let kind = json!([{ "code": "Extension", "profile": next }]);
        let mut definition = profile(
            &format!("x{number}"),
            "http://hl7.org/fhir/StructureDefinition/Extension",
            &json!([
                { "path": "Extension.extension",
                  "slicing": { "discriminator": discriminator, "rules": "open" } },
                { "path": "Extension.extension", "sliceName": "a", "type": kind },
                { "path": "Extension.extension", "sliceName": "b", "type": kind },
            ]),
        );
        definition["kind"] = json!("complex-type");
        definition["type"] = json!("Extension");
        definition
    };
    let kind = json!([{ "code": "Extension", "profile": [format!("{BASE}x0")] }]);
    let elements = json!([{ "path": "Patient.extension", "sliceName": "a", "type": kind }]);
    let mut definitions: Vec<Value> = (0..30).map(extension).collect();
    definitions.push(profile("nested", PATIENT, &elements));
    let library = library(&definitions);
    let mut inner = json!({ "url": format!("{BASE}x29"), "valueString": "x" });
    for number in (0..29).rev() {
        inner = json!({ "url": format!("{BASE}x{number}"), "extension": [inner] });
    }
    let mut patient = patient(&["nested"]);
    patient["extension"] = json!([inner]);
    let found = errors(&library, &patient);
    assert!(
        found.iter().any(|text| text.starts_with("budget: ")),
        "{found:?}"
    );
}

#[test]
fn constraints_that_take_too_long_or_cannot_be_read_are_said() {
    let constraint = |key: &str, expression: &str| json!({ "key": key, "severity": "error", "human": "it holds", "expression": expression });
    let slow = "descendants().where(%resource.descendants().where(%resource.descendants()\
                .exists($this = 'none')).exists()).exists()";
    let long = format!("'{}'.matches('(a*)*b') or true", "a".repeat(10_000));
    let elements = json!([{ "path": "Patient", "constraint": [
        constraint("slow-1", slow),
        constraint("regex-1", &long),
        constraint("regex-2", "gender.matches('(x{1000}){1000}')"),
        constraint("read-1", "memberOf('http://x/set')"),
    ]}]);
    let library = library(&[profile("slow", PATIENT, &elements)]);
    let mut patient = patient(&["slow"]);
    let name = |n: usize| json!({ "family": format!("f{n}"), "given": ["a", "b", "c"] });
    patient["name"] = (0..1_000).map(name).collect();
    let found = errors(&library, &patient);
    for rule in ["slow-1: ", "regex-2: ", "read-1: ", "budget: "] {
        assert!(
            found.iter().any(|text| text.starts_with(rule)),
            "{rule} {found:?}"
        );
    }
}
