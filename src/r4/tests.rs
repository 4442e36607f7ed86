//! The two formats against each other: written resources of the field, and random ones.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::TestRng;
use serde_json::{Map, Value, json};

use super::table::{Block, Content, Element, Primitive, table};
use super::{ParseError, Resource, json, xml};
use crate::kernel::testing::shared;

fn both_ways(resource: &Resource) -> Result<(), ParseError> {
    for pretty in [false, true] {
        let from_xml = xml::parse(&xml::write(resource, pretty))?;
        assert_eq!(json::write(&from_xml, false), json::write(resource, false));
        assert_eq!(&json::parse(&json::write(resource, pretty))?, resource);
    }
    Ok(())
}

fn json_error(document: &str) -> ParseError {
    json::parse(document.as_bytes()).unwrap_err()
}

fn xml_error(document: &str) -> ParseError {
    xml::parse(document.as_bytes()).unwrap_err()
}

#[test]
fn broken_json_is_refused_with_its_place() {
    let cases = [
        (
            "",
            "$",
            "expected a resource as an object, found the end of the document",
        ),
        ("[]", "$", "expected a resource as an object, found a list"),
        (r#"{"id":"1"}"#, "$", "a resource without resourceType"),
        (
            r#"{"resourceType":"Tusk"}"#,
            "$",
            "'Tusk' is no resource type of R4",
        ),
        (
            r#"{"resourceType":"Task","sttus":"x"}"#,
            "Task",
            "unknown element 'sttus' in Task, perhaps status is meant",
        ),
        (
            r#"{"resourceType":"Task","input":[{"value":"x"}]}"#,
            "Task.input[0]",
            "unknown element 'value' in Task.input, expected value with a type, as in valueBase64Binary",
        ),
        (
            r#"{"resourceType":"Task","status":1}"#,
            "Task.status",
            "expected a string, found a number",
        ),
        (
            r#"{"resourceType":"Task","input":{}}"#,
            "Task.input",
            "expected a list, found an object",
        ),
        (
            r#"{"resourceType":"Task","status":["x"]}"#,
            "Task.status",
            "expected a string, found a list",
        ),
        (
            r#"{"resourceType":"Task","input":[]}"#,
            "Task.input",
            "an empty list",
        ),
        (
            r#"{"resourceType":"Task","meta":{}}"#,
            "Task.meta",
            "an empty object, expected at least one element",
        ),
        (
            r#"{"resourceType":"Task","status":"a","status":"b"}"#,
            "Task.status",
            "given twice",
        ),
        (
            r#"{"resourceType":"Task","status":null}"#,
            "Task.status",
            "expected a string, found null",
        ),
        (
            r#"{"resourceType":"Task","input":[{"valueString":"a","valueCode":"b"}]}"#,
            "Task.input[0]",
            "both valueCode and valueString, expected one of them",
        ),
        (
            r#"{"resourceType":"Task"} x"#,
            "$",
            "expected the end of the document, found 'x'",
        ),
        (
            r#"{"resourceType":"Patient","name":[{"given":[null,"a"]}]}"#,
            "Patient.name[0].given",
            "null without an extension",
        ),
        (
            r#"{"resourceType":"Task","authoredOn":"2020-13-01"}"#,
            "Task.authoredOn",
            "expected a date, or a time as yyyy-MM-ddThh:mm:ss with Z or ±hh:mm, found '2020-13-01'",
        ),
    ];
    for (document, path, message) in cases {
        let error = json_error(document);
        assert_eq!(
            (error.path.as_str(), error.message.as_str()),
            (path, message),
            "{document}"
        );
    }
    let error = json_error(
        "{\"resourceType\":\"Task\",\n  \"contained\": [{\"resourceType\":\"Task\",\"é\":1}]}",
    );
    assert_eq!(
        error.to_string(),
        "Task.contained[0]: unknown element 'é' in Task (line 2, column 40)"
    );
}

#[test]
fn broken_xml_is_refused_with_its_place() {
    let task = |inner: &str| format!("<Task xmlns=\"http://hl7.org/fhir\">{inner}</Task>");
    let cases = [
        (String::new(), "$"),
        ("<Task/>".to_owned(), "Task"),
        ("<Task xmlns='urn:other'/>".to_owned(), "Task"),
        (task("<sttus value='x'/>"), "Task"),
        (task("<status>x</status>"), "Task.status"),
        (
            task("<status value='a'/><status value='b'/>"),
            "Task.status",
        ),
        (task("<status value='a' lang='b'/>"), "Task.status"),
        (task("<status value='&secret;'/>"), "Task.status"),
        (task("<status value='a' id='x\u{13}'/>"), "Task.status"),
        (task("<status/>"), "Task.status"),
        (task("<meta/>"), "Task.meta"),
        (task("<input><value value='x'/></input>"), "Task.input[0]"),
        (task("text"), "Task"),
        (task("<status value='a'>"), "Task.status"),
        (task("") + "<Task/>", "$"),
        (
            format!("<!DOCTYPE Task [<!ENTITY a \"b\">]>{}", task("")),
            "$",
        ),
        (
            "<?xml version='1.0' encoding='latin1'?>".to_owned() + &task(""),
            "$",
        ),
    ];
    for (document, path) in cases {
        assert_eq!(
            xml_error(&document).path,
            path,
            "{document}: {}",
            xml_error(&document)
        );
    }
    let nested = "<item>".repeat(10_000);
    let document = format!("<Questionnaire xmlns=\"http://hl7.org/fhir\">{nested}");
    assert!(xml_error(&document).message.contains("nested deeper"));
    let nested = "{\"item\":[".repeat(10_000);
    let document = format!("{{\"resourceType\":\"Questionnaire\",\"item\":[{nested}");
    assert!(json_error(&document).message.contains("nested deeper"));
}

/// `spec/fhir-api.md` §2.6.
#[test]
fn a_server_leaves_out_what_it_need_not_refuse() {
    let task = |inner: &str| format!("<Task xmlns=\"http://hl7.org/fhir\">{inner}</Task>");
    let kept = "{\"resourceType\":\"Task\",\"status\":\"draft\"}";
    let status = "<status value='draft'/>";
    let passing = [
        task(&format!("<foo><bar value='x'/></foo>text{status}")),
        task("<status value='draft' foo='bar'><foo/></status>"),
        task(&format!(
            "<meta><tag/></meta>{status}<intent value=''/><contained/>"
        )),
        task(&format!("{status}<status value='ready'/>")),
        format!("<!DOCTYPE Task>{}", task(status)),
        format!("<Task>{status}</Task>"),
        format!(
            "<f:Task xmlns:f=\"http://hl7.org/fhir\"><f:{}</f:Task>",
            &status[1..]
        ),
    ];
    for document in passing {
        assert!(xml::parse(document.as_bytes()).is_err(), "{document}");
        let (resource, left_out) = xml::parse_leniently(document.as_bytes()).unwrap();
        assert_eq!(
            json::write(&resource, false),
            kept.as_bytes(),
            "{left_out:?}"
        );
    }
    let refused = [
        task("<status value='&nbsp;'/>"),
        task("<status value='a'/>") + "text",
        task("<authoredOn value='2020-13-45'/>"),
        "<foo/>".to_owned(),
    ];
    for document in refused {
        assert!(
            xml::parse_leniently(document.as_bytes()).is_err(),
            "{document}"
        );
    }
    let (resource, _) = json::parse_leniently(
        b"{\"resourceType\":\"Task\",\"id\":\"urn:uuid:x\",\"foo\":1,\"intent\":null}",
    )
    .unwrap();
    assert_eq!(resource.id(), Some("urn:uuid:x"));
    assert_eq!(resource.members().len(), 2);
}

#[test]
fn decimals_line_breaks_and_extensions_of_primitives_survive() {
    let patient = r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">a\n <b>b</b></div>"},"contained":[{"resourceType":"Observation","id":"o","valueQuantity":{"value":1.00}}],"_active":{"id":"x"},"name":[{"text":"a\r\n\t<\"&'ü😀","given":["a",null,"c"],"_given":[null,{"extension":[{"url":"u","valueDecimal":-0.0}]},{"id":"y"}]}]}"#;
    let resource = json::parse(patient.as_bytes()).unwrap();
    assert_eq!(
        String::from_utf8(json::write(&resource, false)).unwrap(),
        patient
    );
    both_ways(&resource).unwrap();
}

#[test]
fn members_come_out_in_the_order_of_the_definitions() {
    let task = br#"{"intent":"order","status":"draft","id":"1","resourceType":"Task"}"#;
    let written = json::write(&json::parse(task).unwrap(), false);
    let expected = r#"{"resourceType":"Task","id":"1","status":"draft","intent":"order"}"#;
    assert_eq!(String::from_utf8(written).unwrap(), expected);
}

/// Every FHIR file that DSF and the published plugins have, where they are at hand.
#[test]
fn resources_of_the_field_survive_both_formats() {
    let folders = [
        "plugins",
        "bundles",
        "dsf-conformance",
        "dsf-test-resources",
    ];
    let mut files = Vec::new();
    for folder in folders.into_iter().filter_map(shared) {
        collect(&folder, &mut files);
    }
    let mut refused = Vec::new();
    for file in &files {
        let text = substituted(&std::fs::read_to_string(file).unwrap());
        let is_xml = file.extension().is_some_and(|extension| extension == "xml");
        let parse = if is_xml { xml::parse } else { json::parse };
        match parse(text.as_bytes()).and_then(|resource| both_ways(&resource)) {
            Ok(()) => {}
            Err(error) => refused.push(format!("{}: {error}", file.display())),
        }
    }
    println!("{} files", files.len());
    // Known to be no valid R4: `spec/fhir-conformance.md` §3.6, profile as a bare string.
    refused.retain(|line| !line.contains("expected a list, found a string"));
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            collect(&path, files);
        } else if matches!(extension, Some("xml" | "json")) {
            files.push(path);
        }
    }
}

/// Replaces `#{…}` and `${…}` by something that fits where plugins use them.
fn substituted(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['#', '$']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        match from[1..]
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'))
        {
            Some((name, after)) => {
                out.push_str(if name == "date" { "2026-01-01" } else { "1.0" });
                rest = after;
            }
            None => {
                out.push_str(&from[..1]);
                rest = &from[1..];
            }
        }
    }
    out + rest
}

/// A random resource of the table, nested a few levels deep.
fn random_resource(rng: &mut TestRng) -> Resource {
    let types: Vec<_> = table()
        .blocks()
        .iter()
        .filter(|block| super::table::is_resource_type(block.name))
        .collect();
    let block = types[rng.random_range(0..types.len())];
    let mut members = Map::new();
    members.insert("resourceType".to_owned(), json!(block.name));
    fill(&mut members, block, 4, rng);
    Resource::from_members(members).unwrap()
}

fn fill(members: &mut Map<String, Value>, block: &Block, depth: u32, rng: &mut TestRng) {
    let mut last = None;
    for element in block.elements() {
        let is_wanted = match element.content {
            Content::Primitive(_) | Content::Xhtml => rng.random_ratio(1, 4),
            _ => depth > 0 && rng.random_ratio(1, 8),
        };
        let is_both = block.name == "Extension"
            && element.defined_name == "value[x]"
            && members.contains_key("extension");
        if !is_wanted || is_both || last == Some(element.position) {
            continue;
        }
        let count = rng.random_range(1..4);
        let values: Vec<_> = (0..count)
            .filter_map(|_| value(element, depth.saturating_sub(1), rng))
            .collect();
        let Some(first) = values.first().cloned() else {
            continue;
        };
        last = Some(element.position);
        let name = element.name.to_string();
        members.insert(
            name.clone(),
            if element.is_list {
                json!(values)
            } else {
                first
            },
        );
        let is_extensible =
            matches!(element.content, Content::Primitive(_)) && !element.is_attribute;
        if is_extensible && rng.random_ratio(1, 5) {
            let extra = json!({"id": "e", "extension": [{"url": "u", "valueDecimal": 1.10}]});
            let extras: Vec<_> = values
                .iter()
                .map(|_| {
                    if rng.random() {
                        extra.clone()
                    } else {
                        Value::Null
                    }
                })
                .collect();
            if !element.is_list {
                members.insert(format!("_{name}"), extra);
            } else if extras.iter().any(|extra| !extra.is_null()) {
                members.insert(format!("_{name}"), json!(extras));
            }
        }
    }
}

fn value(element: &Element, depth: u32, rng: &mut TestRng) -> Option<Value> {
    match element.content {
        Content::Primitive(primitive) => Some(primitive_value(primitive, rng)),
        Content::Block(id) => {
            let mut members = Map::new();
            fill(&mut members, table().block(id), depth, rng);
            (!members.is_empty()).then_some(Value::Object(members))
        }
        Content::Resource => Some(random_resource(rng).into_value()).filter(|_| depth > 2),
        Content::Xhtml => Some(Value::String(narrative(rng))),
    }
}

/// White space, references, comments and attributes in any order: all of it is to be kept.
fn narrative(rng: &mut TestRng) -> String {
    const PIECES: [&str; 14] = [
        "a",
        " ",
        "  ",
        "\n",
        "\t",
        "&lt;",
        "&#160;",
        "&amp;",
        "<br/>",
        "<p>\n x </p>",
        "😀",
        "<b title=\"a &quot; b\"> </b>",
        "<pre>\n a\n  b\n</pre>",
        "<!-- c -->",
    ];
    let count = rng.random_range(1..9);
    let inner: String = (0..count)
        .map(|_| PIECES[rng.random_range(0..PIECES.len())])
        .collect();
    format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{inner}</div>")
}

fn primitive_value(primitive: Primitive, rng: &mut TestRng) -> Value {
    let pick = |rng: &mut TestRng, all: &[&str]| all[rng.random_range(0..all.len())].to_owned();
    let text = match primitive {
        Primitive::String | Primitive::Markdown => {
            let length = rng.random_range(1..9);
            let letters = [
                'a', ' ', '\n', '\r', '\t', '<', '>', '&', '"', '\'', 'ß', '😀', '\\',
            ];
            (0..length)
                .map(|_| letters[rng.random_range(0..letters.len())])
                .collect()
        }
        Primitive::Boolean => return json!(rng.random::<bool>()),
        Primitive::Integer => return json!(rng.random::<i32>()),
        Primitive::UnsignedInt => return json!(rng.random_range(0..i32::MAX)),
        Primitive::PositiveInt => return json!(rng.random_range(1..=i32::MAX)),
        Primitive::Decimal => {
            let number = pick(
                rng,
                &["0", "1.00", "-0.0", "12345678901234567890.10", "1e-7"],
            );
            return serde_json::from_str(&number).unwrap();
        }
        Primitive::Code => pick(rng, &["a", "a b", "<=", "&"]),
        Primitive::Id => pick(rng, &["1", "a-b.c"]),
        Primitive::Uri | Primitive::Url | Primitive::Canonical => pick(
            rng,
            &[
                "http://x.example/?a=b&c=\"<",
                "urn:x",
                "#1",
                "http://a/b|1.0",
            ],
        ),
        Primitive::Oid => "urn:oid:1.2.3".to_owned(),
        Primitive::Uuid => "urn:uuid:c757873d-ec9a-4326-a141-556f43239520".to_owned(),
        Primitive::Base64Binary => pick(rng, &["AAAA", "AA==", "AAA="]),
        Primitive::Date => pick(rng, &["2020", "2020-02", "2020-02-29"]),
        Primitive::DateTime => pick(rng, &["2020", "2020-02-29T00:00:00.120+01:00"]),
        Primitive::Instant => pick(
            rng,
            &["2020-02-29T23:59:59Z", "2020-02-29T00:00:00.1-03:30"],
        ),
        Primitive::Time => pick(rng, &["00:00:00", "23:59:59.999"]),
    };
    Value::String(text)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_resources_survive_both_formats(
        resource in Just(()).prop_perturb(|(), mut rng| random_resource(&mut rng))
    ) {
        let document = json::write(&resource, false);
        let parsed = json::parse(&document);
        prop_assert!(parsed.is_ok(), "{:?} {}", parsed, String::from_utf8_lossy(&document));
        let both = both_ways(&resource);
        prop_assert!(both.is_ok(), "{:?} {}", both, String::from_utf8_lossy(&document));
    }

    #[test]
    fn no_document_makes_a_parser_panic(
        resource in Just(()).prop_perturb(|(), mut rng| random_resource(&mut rng)),
        cut in 0.0..1.0_f64, byte in any::<u8>(),
    ) {
        for mut document in [json::write(&resource, false), xml::write(&resource, false)] {
            let at = (document.len() as f64 * cut) as usize;
            document[at] = byte;
            let _ = (json::parse(&document), xml::parse(&document));
            let _ = (json::parse(&document[..at]), xml::parse(&document[..at]));
        }
    }
}
