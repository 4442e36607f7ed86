//! What a profile may say of slices, choices and shared content, one small profile for each.

use serde_json::{Value, json};

use super::snapshot::elements;
use super::tests::own;
use super::{Definition, Finding, Library, judge};
use crate::r4::{Node as _, Resource};

const BASE: &str = "http://example.org/fhir/StructureDefinition/";
const CORE: &str = "http://hl7.org/fhir/StructureDefinition/";

/// A profile of version 1.0, on a base type or on another profile of this file.
fn profile(name: &str, type_name: &str, base: &str, elements: &Value) -> Value {
    json!({
        "resourceType": "StructureDefinition", "url": format!("{BASE}{name}"), "version": "1.0",
        "name": name, "status": "active", "kind": "resource", "abstract": false, "type": type_name,
        "baseDefinition": base, "derivation": "constraint",
        "differential": { "element": elements },
    })
}

fn of_patient(elements: &Value) -> Vec<Value> {
    vec![profile("x", "Patient", &format!("{CORE}Patient"), elements)]
}

fn library(definitions: &[Value]) -> Library {
    let definitions = definitions.iter().cloned().map(Resource::from_value);
    let all: Vec<Resource> = own().into_iter().chain(definitions.flatten()).collect();
    Library::of(&all)
}

/// The rules of the errors in a resource with these members that claims the profile `x`.
fn rules(definitions: &[Value], type_name: &str, members: &Value) -> Vec<String> {
    let mut resource =
        json!({ "resourceType": type_name, "meta": { "profile": [format!("{BASE}x")] } });
    for (name, value) in members.as_object().unwrap() {
        resource[name] = value.clone();
    }
    let findings = judge(&library(definitions), &resource, &[]).unwrap();
    let errors = findings.into_iter().filter(Finding::is_error);
    errors.map(|finding| finding.rule).collect()
}

/// What an instance should lead to: its members, and the rules it breaks.
type Instance = (Value, &'static [&'static str]);
/// The same, told by the systems of its identifiers.
type OfSystems = (&'static [&'static str], &'static [&'static str]);

fn assert_rules(definitions: &[Value], type_name: &str, instances: &[Instance]) {
    for (members, expected) in instances {
        let found = rules(definitions, type_name, members);
        assert_eq!(found, *expected, "{members}");
    }
}

fn slicing(kind: &str, path: &str, rules: &str, is_ordered: bool) -> Value {
    json!({
        "discriminator": [{ "type": kind, "path": path }], "rules": rules, "ordered": is_ordered,
    })
}

/// `Patient.identifier` with slices `a`, at most one, and `b`, at least one, by their systems.
fn by_system(rules: &str, is_ordered: bool) -> Value {
    json!([
        { "path": "Patient.identifier", "slicing": slicing("value", "system", rules, is_ordered) },
        { "path": "Patient.identifier", "sliceName": "a", "max": "1" },
        { "path": "Patient.identifier.system", "fixedUri": "http://a" },
        { "path": "Patient.identifier", "sliceName": "b", "min": 1 },
        { "path": "Patient.identifier.system", "fixedUri": "http://b" },
    ])
}

fn identifiers(systems: &[&str]) -> Value {
    let one = |system: &&str| json!({ "system": format!("http://{system}"), "value": "v" });
    json!({ "identifier": systems.iter().map(one).collect::<Vec<_>>() })
}

#[test]
fn slices_by_value_have_numbers_of_their_own_and_may_be_closed_or_ordered() {
    let cases: [(&str, bool, &[OfSystems]); 4] = [
        (
            "closed",
            false,
            &[
                (&["a", "b"], &[]),
                (&["b", "a", "b"], &[]),
                (&["a"], &["cardinality-min"]),
                (&["a", "a", "b"], &["cardinality-max"]),
                (&["b", "c"], &["slice-closed"]),
            ],
        ),
        ("open", false, &[(&["c", "b", "d"], &[])]),
        // As the HL7 validator: spec fhir-conformance §2.11.
        ("openAtEnd", false, &[(&["c", "b", "d"], &[])]),
        (
            "open",
            true,
            &[
                (&["a", "b", "b"], &[]),
                (&["b", "a"], &["slice-order"]),
                (&["a", "c", "b"], &[]),
            ],
        ),
    ];
    for (rules, is_ordered, instances) in cases {
        let definitions = of_patient(&by_system(rules, is_ordered));
        for (systems, expected) in instances {
            assert_rules(&definitions, "Patient", &[(identifiers(systems), expected)]);
        }
    }
}

#[test]
fn a_derived_profile_slices_a_slice_again() {
    let again = json!([
        { "path": "Patient.identifier", "sliceName": "a", "max": "1",
          "slicing": slicing("value", "use", "closed", false) },
        { "path": "Patient.identifier", "sliceName": "a/first", "min": 1, "max": "1" },
        { "path": "Patient.identifier.use", "fixedCode": "official" },
        { "path": "Patient.identifier", "sliceName": "a/second" },
        { "path": "Patient.identifier.use", "fixedCode": "old" },
    ]);
    let mut base = by_system("closed", false);
    base[1]["max"] = json!("*");
    let definitions = [
        profile("base", "Patient", &format!("{CORE}Patient"), &base),
        profile("x", "Patient", &format!("{BASE}base|1.0"), &again),
    ];
    let mut two = again.clone();
    two[0]["max"] = json!("2");
    let roomy = [
        definitions[0].clone(),
        profile("x", "Patient", &format!("{BASE}base"), &two),
    ];
    let with = |uses: &[&str]| {
        let mut members = identifiers(&["b"]);
        for code in uses {
            let one = json!({ "system": "http://a", "value": "v", "use": code });
            members["identifier"].as_array_mut().unwrap().push(one);
        }
        members
    };
    assert_rules(
        &definitions,
        "Patient",
        &[
            (with(&["official"]), &[]),
            (with(&["official", "old"]), &["cardinality-max"]),
            (with(&["old"]), &["cardinality-min"]),
            (with(&["usual"]), &["slice-closed", "cardinality-min"]),
        ],
    );
    assert_rules(
        &roomy,
        "Patient",
        &[
            (with(&["official", "old"]), &[]),
            (with(&["official", "official"]), &["cardinality-max"]),
        ],
    );
}

#[test]
fn slices_by_pattern_are_known_by_a_part_of_a_value() {
    let coded = |code: &str| json!({ "coding": [{ "system": "http://x/types", "code": code }] });
    let definitions = of_patient(&json!([
        { "path": "Patient.identifier", "slicing": slicing("pattern", "type", "closed", false) },
        { "path": "Patient.identifier", "sliceName": "a", "min": 1 },
        { "path": "Patient.identifier.type", "patternCodeableConcept": coded("a") },
        { "path": "Patient.identifier.value", "min": 1 },
    ]));
    let of = |code: &str| {
        let mut concept = coded(code);
        concept["text"] = json!("more than the pattern has");
        json!({ "identifier": [{ "type": concept }] })
    };
    let mut whole = of("a");
    whole["identifier"][0]["value"] = json!("v");
    assert_rules(
        &definitions,
        "Patient",
        &[
            (whole, &[]),
            (of("a"), &["cardinality-min"]),
            (of("b"), &["slice-closed", "cardinality-min"]),
        ],
    );
}

#[test]
fn slices_of_a_choice_are_known_by_type() {
    let definitions = of_patient(&json!([
        // The short form, which needs no slicing.
        { "path": "Patient.deceasedDateTime", "min": 1 },
        { "path": "Patient.multipleBirth[x]", "slicing": slicing("type", "$this", "open", false) },
        { "path": "Patient.multipleBirth[x]", "sliceName": "multipleBirthInteger",
          "maxValueInteger": 3 },
    ]));
    let died = |name: &str, value: Value| {
        let mut members = json!({ "deceasedDateTime": "2026-01-01" });
        members[name] = value;
        members
    };
    assert_rules(
        &definitions,
        "Patient",
        &[
            (died("multipleBirthInteger", json!(3)), &[]),
            (died("multipleBirthBoolean", json!(true)), &[]),
            (died("multipleBirthInteger", json!(4)), &["range"]),
            (json!({ "deceasedBoolean": true }), &["cardinality-min"]),
        ],
    );
}

#[test]
fn slices_are_known_by_the_profile_of_what_is_in_them() {
    let definitions = [
        profile(
            "female",
            "Patient",
            &format!("{CORE}Patient"),
            &json!([{ "path": "Patient.gender", "min": 1, "fixedCode": "female" }]),
        ),
        profile(
            "x",
            "Bundle",
            &format!("{CORE}Bundle"),
            &json!([
                { "path": "Bundle.entry", "slicing": slicing("profile", "resource", "closed", false) },
                { "path": "Bundle.entry", "sliceName": "her", "max": "1" },
                { "path": "Bundle.entry.resource",
                  "type": [{ "code": "Patient", "profile": [format!("{BASE}female")] }] },
            ]),
        ),
    ];
    let of = |genders: &[&str]| {
        let entry =
            |gender: &&str| json!({ "resource": { "resourceType": "Patient", "gender": gender } });
        json!({ "type": "collection", "entry": genders.iter().map(entry).collect::<Vec<_>>() })
    };
    assert_rules(
        &definitions,
        "Bundle",
        &[
            (of(&["female"]), &[]),
            (of(&["female", "female"]), &["cardinality-max"]),
            (of(&["male"]), &["slice-closed"]),
        ],
    );
}

#[test]
fn slices_are_known_by_what_is_there_or_not() {
    let definitions = of_patient(&json!([
        { "path": "Patient.contact", "slicing": slicing("exists", "organization", "closed", false) },
        { "path": "Patient.contact", "sliceName": "office", "max": "1" },
        { "path": "Patient.contact.organization", "min": 1 },
        { "path": "Patient.contact", "sliceName": "person", "min": 1 },
        { "path": "Patient.contact.organization", "max": "0" },
    ]));
    let (office, person) = (
        json!({ "organization": { "display": "o" } }),
        json!({ "name": { "text": "p" } }),
    );
    let contacts = |all: &[&Value]| json!({ "contact": all });
    assert_rules(
        &definitions,
        "Patient",
        &[
            (contacts(&[&office, &person]), &[]),
            (contacts(&[&office]), &["cardinality-min"]),
            (contacts(&[&office, &person, &office]), &["cardinality-max"]),
        ],
    );
}

#[test]
fn slices_are_known_by_their_position() {
    let definitions = of_patient(&json!([
        { "path": "Patient.name", "slicing": slicing("position", "$this", "open", true) },
        { "path": "Patient.name", "sliceName": "first", "min": 1, "max": "1" },
        { "path": "Patient.name.use", "min": 1, "fixedCode": "official" },
        { "path": "Patient.name", "sliceName": "others" },
        { "path": "Patient.name.use", "max": "0" },
    ]));
    let names = |uses: &[Option<&str>]| {
        let one = |code: &Option<&str>| match code {
            Some(code) => json!({ "text": "n", "use": code }),
            None => json!({ "text": "n" }),
        };
        json!({ "name": uses.iter().map(one).collect::<Vec<_>>() })
    };
    assert_rules(
        &definitions,
        "Patient",
        &[
            (names(&[Some("official"), None, None]), &[]),
            (names(&[Some("usual")]), &["fixed"]),
            (
                names(&[None, Some("official")]),
                &["cardinality-min", "cardinality-max"],
            ),
        ],
    );
}

#[test]
fn what_refers_to_the_content_of_another_element_is_judged_like_it() {
    let definitions = [profile(
        "x",
        "Bundle",
        &format!("{CORE}Bundle"),
        &json!([{ "path": "Bundle.entry.link.relation", "fixedString": "self" }]),
    )];
    let of = |relation: &str, own: &str| {
        let link = |relation| json!([{ "relation": relation, "url": "http://x" }]);
        json!({
            "type": "collection", "link": link(own),
            "entry": [{ "link": link(relation), "resource": { "resourceType": "Basic" } }],
        })
    };
    let without_url = json!({
        "type": "collection",
        "entry": [{ "link": [{ "relation": "self" }], "fullUrl": "http://x/1",
                    "resource": { "resourceType": "Patient" } }],
    });
    let mut patient = of("self", "next");
    patient["entry"][0]["resource"]["resourceType"] = json!("Patient");
    let mut other = of("next", "next");
    other["entry"][0]["resource"]["resourceType"] = json!("Patient");
    assert_rules(
        &definitions,
        "Bundle",
        &[
            (patient, &[]),
            (other, &["fixed"]),
            (without_url, &["cardinality-min"]),
        ],
    );
}

#[test]
fn a_profile_asks_for_no_less_than_its_base() {
    let base = json!([{ "path": "Patient.name", "min": 1, "max": "2" }]);
    let named = json!({ "name": [{ "text": "n" }] });
    for (elements, expected) in [
        (json!([{ "path": "Patient.name", "max": "1" }]), &[][..]),
        (
            json!([{ "path": "Patient.name", "min": 0 }]),
            &["profile-broken"],
        ),
        // A known plugin does so.
        (json!([{ "path": "Patient.name", "max": "*" }]), &[]),
    ] {
        let definitions = [
            profile("base", "Patient", &format!("{CORE}Patient"), &base),
            profile("x", "Patient", &format!("{BASE}base"), &elements),
        ];
        assert_rules(&definitions, "Patient", &[(named.clone(), expected)]);
    }
}

#[test]
fn chains_keep_what_each_version_of_a_base_says() {
    let elements = |members: Value| {
        let mut element = json!({ "path": "Patient.photo" });
        element
            .as_object_mut()
            .unwrap()
            .extend(members.as_object().unwrap().clone());
        json!([{ "path": "Patient.name", "mustSupport": true }, element])
    };
    let base = format!("{CORE}Patient|4.0.1");
    let mut old = profile("base", "Patient", &base, &elements(json!({ "max": "0" })));
    let new = profile("base", "Patient", &base, &elements(json!({ "min": 1 })));
    old["version"] = json!("0.9");
    let derived = |version: &str| {
        profile(
            "x",
            "Patient",
            &format!("{BASE}base{version}"),
            &json!([{ "path": "Patient.name", "min": 1 }]),
        )
    };
    let photo = json!({ "name": [{ "text": "n" }], "photo": [{ "title": "t" }] });
    let plain = json!({ "name": [{ "text": "n" }] });
    for (version, with_photo, without) in [
        ("|0.9", &["cardinality-max"][..], &[][..]),
        ("|1.0", &[], &["cardinality-min"]),
        // The one that was written last.
        ("", &[], &["cardinality-min"]),
    ] {
        let all = [old.clone(), new.clone(), derived(version)];
        assert_eq!(rules(&all, "Patient", &photo), with_photo, "{version}");
        assert_eq!(rules(&all, "Patient", &plain), without, "{version}");
    }
    let all = [old, new, derived("|1.0")];
    let definition = Definition::read(&Resource::from_value(all[2].clone()).unwrap()).unwrap();
    let snapshot = elements_of(&library(&all), &definition);
    let name = snapshot
        .iter()
        .find(|e| e.text("path") == Some("Patient.name"));
    let name = name.unwrap();
    assert_eq!(
        (name.flag("mustSupport"), &name["min"]),
        (Some(true), &json!(1))
    );
}

fn elements_of(library: &Library, definition: &Definition) -> Vec<super::definition::Element> {
    elements(&library.snapshot_of(definition).unwrap())
}
