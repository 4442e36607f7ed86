//! Expressions against what fhir-conformance §2.9 says of them.

use serde_json::json;

use super::*;
use crate::fhir::validate::spot::Spot;

fn ask(expression: &str, resource: &serde_json::Value) -> Result<bool, Fault> {
    let spot = Spot::resource(resource).unwrap();
    let budget = Budget::of(2_000_000);
    let surroundings = Surroundings {
        budget: &budget,
        resource: spot,
        root: spot,
    };
    let parsed = Expression::parse(expression).map_err(Fault::Failed)?;
    holds(&parsed, spot, surroundings)
}

#[test]
fn expressions_give_what_the_standard_says() {
    let task = json!({
        "resourceType": "Task", "status": "draft", "intent": "order",
        "identifier": [{"system": "s", "value": "v"}],
        "executionPeriod": {"start": "2026-01", "end": "2026-02-03T10:00:00Z"},
        "input": [
            {"type": {"coding": [{"system": "m", "code": "a"}]}, "valueString": "x"},
            {"type": {"coding": [{"system": "m", "code": "b"}]}, "valueInteger": 7,
             "_valueInteger": {"extension": [{"url": "http://u", "valueBoolean": true}]}},
        ],
    });
    let yes = [
        "status = 'draft'",
        "%resource.status = 'draft' implies identifier.where(system = 's' and value.exists()).exists()",
        "input.type.coding.where(system = 'm' and code = 'a').exists()",
        "input.count() = 2 and input.tail().count() = 1",
        "input.value.ofType(integer) = 7 and input.value.ofType(integer) + 1 = 8",
        "input[1].value is integer and (input[0].value is integer).not()",
        "input.select(value).count() = 2",
        "(input.type.coding.code | 'a' | 'c').count() = 3",
        "'b' in input.type.coding.code and input.type.coding.code contains 'a'",
        "input.type.coding.code.isDistinct()",
        "executionPeriod.start <= executionPeriod.end",
        "status.matches('^[a-z]+$') and status.value.matches('draft')",
        "iif(status = 'draft', true, false)",
        "status.startsWith('dr') and 'abc'.substring(1, 1) = 'b'",
        "('a.b.c').replaceMatches('\\\\..*', '') = 'a'",
        "descendants().code.count() = 2",
        "input.value.extension('http://u').value = true",
        "focus.empty() and focus.exists().not()",
        "(focus = 'x').empty() and (true or {}) and ({} implies true)",
        "input.all(type.exists()) and input.exists(value is string)",
        "Task.status = 'draft' and Task.input.exists()",
        "(intent = 'plan') xor (status = 'draft')",
        "1 < 2.5 and -1 < 0 and 7 div 2 = 3 and 7 mod 2 = 1 and 'a' & {} & 'b' = 'ab'",
        "`status`.hasValue() and status.toString() = 'draft' and '12'.toInteger() > 11",
    ];
    for expression in yes {
        assert_eq!(ask(expression, &task), Ok(true), "{expression}");
    }
    for expression in ["status = 'x'", "focus = 'x'", "{}", "input.value.empty()"] {
        assert_eq!(ask(expression, &task), Ok(false), "{expression}");
    }
    for expression in [
        "memberOf('x')",
        "a.b(",
        "%foo",
        "status.unknown()",
        "(((",
        "'a",
        "a b",
    ] {
        assert!(ask(expression, &task).is_err(), "{expression}");
    }
}

#[test]
fn hostile_expressions_end() {
    let items: Vec<_> = (0..3_000)
        .map(|n| json!({"url": format!("http://x/{n}"), "valueString": "x"}))
        .collect();
    let long = json!([{"url": "http://x", "valueString": "x".repeat(1 << 20)}]);
    let patient = json!({
        "resourceType": "Patient", "extension": items, "_birthDate": {"extension": long},
    });
    let squares = "extension.where(%resource.extension.where(%resource.extension.exists(url = 'y')).exists()).exists()";
    assert!(matches!(ask(squares, &patient), Err(Fault::Failed(_))));
    let doubled = format!("'ab'{} = 'x'", ".select($this & $this)".repeat(200));
    assert!(matches!(ask(&doubled, &patient), Err(Fault::Failed(_))));
    let grown = format!(
        "'ab'{} = 'x'",
        ".replace('', 'abcdefghijklmnop')".repeat(200)
    );
    assert!(matches!(ask(&grown, &patient), Err(Fault::Failed(_))));
    let many = "extension.select(%resource.extension";
    for expression in [
        // Each of them is looked for among all others.
        "(descendants() | {}).exists()".to_owned(),
        "extension = extension.tail() or descendants().isDistinct()".to_owned(),
        // What is held at once: values, and texts.
        format!("{many}.select(%resource.descendants())).exists()"),
        format!("{many}.select('{}')).exists()", "x".repeat(10_000)),
        format!("{many}.select(url.upper())).exists()"),
        // A pattern that is made each time, and a large one on a long text.
        "extension.all(url.matches('(h|(a{90}){90})' & ''))".to_owned(),
        "birthDate.extension.value.matches('(x{0,90}){90}y')".to_owned(),
    ] {
        assert!(
            matches!(ask(&expression, &patient), Err(Fault::Failed(_))),
            "{expression}"
        );
    }
    assert!(Expression::parse(&"(".repeat(5_000)).is_err());
    assert!(Expression::parse(&format!("a{}", ".a".repeat(5_000))).is_err());
    assert!(Expression::parse(&format!("a{}", " and a".repeat(2_000))).is_err());
    assert!(Expression::parse(&"a.".repeat(50_000)).is_err());
    assert!(Expression::parse("matches('(a{1000}){1000}')").is_err());
}
