//! Profiles that are stored: what nobody could use, or what says less than its base, is told with
//! the element of the differential.

use serde_json::{Value, json};

use super::tests::own;
use super::{Finding, Library, judge};
use crate::r4::Resource;

const CORE: &str = "http://hl7.org/fhir/StructureDefinition/";

fn profile(type_name: &str, base: &str, elements: &Value) -> Value {
    let kind = match type_name {
        "Extension" => "complex-type",
        _ => "resource",
    };
    json!({
        "resourceType": "StructureDefinition", "url": "http://example.org/fhir/StructureDefinition/x",
        "version": "1.0", "name": "X", "status": "active", "kind": kind, "abstract": false,
        "type": type_name, "baseDefinition": base, "derivation": "constraint",
        "context": [{ "type": "element", "expression": "Task.output" }],
        "differential": { "element": elements },
    })
}

/// The errors in a profile, as rule and number of the element.
fn errors(library: &Library, profile: &Value) -> Vec<(String, String)> {
    let findings = judge(library, profile, &[]).unwrap();
    let errors = findings.into_iter().filter(Finding::is_error);
    let place = |path: &str| path.replace("StructureDefinition.differential.element", "");
    errors
        .map(|finding| (finding.rule.clone(), place(&finding.path)))
        .collect()
}

#[test]
fn what_is_wrong_with_a_profile_is_told_at_its_element() {
    let set = |name: &str, codes: &[&str]| {
        let concepts: Vec<Value> = codes.iter().map(|code| json!({ "code": code })).collect();
        let include = json!({ "system": "http://example.org/codes", "concept": concepts });
        let set = json!({
            "resourceType": "ValueSet", "url": format!("http://example.org/{name}"),
            "status": "active", "compose": { "include": [include] },
        });
        Resource::from_value(set).unwrap()
    };
    let married = |set: &str| {
        let set = format!("http://example.org/{set}");
        json!({ "id": "Patient.maritalStatus", "path": "Patient.maritalStatus",
                "binding": { "strength": "required", "valueSet": set } })
    };
    let url = "http://example.org/fhir/StructureDefinition/base";
    let needed = json!({ "id": "Patient.name", "path": "Patient.name", "min": 1 });
    let mut base = profile(
        "Patient",
        &format!("{CORE}Patient"),
        &json!([needed, married("two")]),
    );
    base["url"] = json!(url);
    let base = Resource::from_value(base).unwrap();
    let sets = [
        set("one", &["a"]),
        set("two", &["a", "b"]),
        set("other", &["b", "c"]),
    ];
    let library = Library::of(own().iter().chain(&sets).chain([&base]));
    let element = |path: &str, more: Value| {
        let mut element = json!({ "id": path, "path": path });
        let members = element.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        element
    };
    let (active, name) = (
        element("Patient.active", json!({})),
        element("Patient.name", json!({})),
    );
    let family = element("Patient.name.family", json!({ "min": 1 }));
    for (elements, expected) in [
        (json!([active, name, family]), None),
        (json!([name, active]), Some(("profile-broken", "[1]"))),
        (
            json!([active, family, name]),
            Some(("profile-broken", "[2]")),
        ),
        (
            json!([active, element("Patient.name", json!({ "min": 0 }))]),
            Some(("profile-broken", "[1]")),
        ),
        (
            json!([active, element("Patient.nothing", json!({}))]),
            Some(("profile-broken", "[1]")),
        ),
        (
            json!([element("Patient", json!({ "patternMarkdown": "x" }))]),
            Some(("fixed-type", "[0]")),
        ),
        (
            json!([
                name,
                element("Patient.gender", json!({ "fixedString": "x" }))
            ]),
            Some(("fixed-type", "[1]")),
        ),
        (
            json!([
                active,
                element("Patient.name", json!({ "maxValueDate": "2026-01-01" }))
            ]),
            None,
        ),
        (
            json!([element("Patient", json!({ "maxValueDate": "2026-01-01" }))]),
            Some(("fixed-type", "[0]")),
        ),
        (json!([married("one")]), None),
        (
            json!([element(
                "Patient.active",
                json!({ "meaningWhenMissing": "x" })
            )]),
            Some(("meaning-when-missing", "[0]")),
        ),
        (
            json!([name, married("other")]),
            Some(("binding-wider", "[1]")),
        ),
    ] {
        let found = errors(&library, &profile("Patient", url, &elements));
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(rule, place)| (rule.to_owned(), place.to_owned()))
            .collect();
        assert_eq!(found, expected, "{elements}");
    }
}

#[test]
fn an_extension_stands_at_elements_of_r4() {
    let library = Library::of(&own());
    for (expression, is_sound) in [
        ("Task.output", true),
        ("Task.output.value[x]", true),
        ("NamingSystem.uniqueId", true),
        ("BackboneElement", true),
        ("Coding", true),
        ("Element", true),
        ("DomainResource", true),
        (
            "http://example.org/fhir/StructureDefinition/model#Model.part",
            true,
        ),
        ("Task.outputs", false),
        ("Tasks", false),
        ("Patient/1", false),
    ] {
        let mut extension = profile(
            "Extension",
            &format!("{CORE}Extension"),
            &json!([
                { "id": "Extension", "path": "Extension", "max": "1" },
            ]),
        );
        extension["context"][0]["expression"] = json!(expression);
        let found = errors(&library, &extension);
        assert_eq!(found.is_empty(), is_sound, "{expression}: {found:?}");
    }
}

/// The one profile that types of R4 themselves use.
#[test]
fn a_simple_quantity_has_no_comparator() {
    let library = Library::of(&own());
    let broken = |low: Value| {
        let group = json!({
            "resourceType": "Group", "type": "person", "actual": true,
            "characteristic": [{
                "code": { "text": "age" }, "valueRange": { "low": low }, "exclude": false,
            }],
        });
        let findings = judge(&library, &group, &[]).unwrap();
        let errors = findings.into_iter().filter(Finding::is_error);
        errors.map(|finding| finding.rule).collect::<Vec<_>>()
    };
    assert_eq!(broken(json!({ "value": 1 })), Vec::<String>::new());
    assert_eq!(
        broken(json!({ "value": 1, "comparator": "<" })),
        ["cardinality-max"]
    );
}

#[test]
fn the_version_of_a_system_stands_in_its_own_element() {
    let library = Library::of(&own());
    for (system, version, is_sound) in [
        ("http://example.org/codes", Some("1.0"), true),
        ("http://example.org/codes|1.0", Some("1.0"), true),
        ("http://example.org/codes|2.0", Some("1.0"), false),
        ("http://example.org/codes|2.0", None, false),
    ] {
        let mut include = json!({ "system": system });
        if let Some(version) = version {
            include["version"] = json!(version);
        }
        let set = json!({
            "resourceType": "ValueSet", "url": "http://example.org/set", "status": "active",
            "compose": { "include": [include] },
        });
        assert_eq!(errors(&library, &set).is_empty(), is_sound, "{system}");
    }
}
