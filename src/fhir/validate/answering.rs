//! Answers against the questions of a stored Questionnaire (fhir-conformance §2.4, §3.5).

use serde_json::{Value, json};

use super::tests::own;
use super::{Finding, Library, judge};
use crate::r4::Resource;

const FORM: &str = "http://example.org/fhir/Questionnaire/it";

fn library() -> Library {
    let form = json!({
        "resourceType": "Questionnaire", "url": FORM, "version": "1.0", "status": "active",
        "item": [
            { "linkId": "ask", "type": "string", "required": true },
            { "linkId": "when", "type": "date", "repeats": true },
            { "linkId": "colour", "type": "choice", "answerOption": [
                { "valueCoding": { "system": "http://example.org/colours", "code": "red" } },
            ]},
            { "linkId": "more", "type": "group", "item": [
                { "linkId": "yes", "type": "boolean", "required": true },
            ]},
            { "linkId": "if", "type": "string", "required": true, "enableWhen": [
                { "question": "ask", "operator": "=", "answerString": "x" },
            ]},
        ],
    });
    let form = Resource::from_value(form).unwrap();
    Library::of(own().iter().chain([&form]))
}

/// The rules that a response with these items breaks.
fn broken(library: &Library, status: &str, items: &Value) -> Vec<String> {
    let response = json!({
        "resourceType": "QuestionnaireResponse", "questionnaire": format!("{FORM}|1.0"),
        "status": status, "item": items,
    });
    let findings = judge(library, &response, &[]).unwrap();
    let errors = findings.into_iter().filter(Finding::is_error);
    errors
        .map(|finding| format!("{} {}", finding.path, finding.rule))
        .collect()
}

#[test]
fn answers_are_held_to_the_questions_of_their_form() {
    let library = library();
    let item = |id: &str, answers: Value| json!({ "linkId": id, "answer": answers });
    let ask = item("ask", json!([{ "valueString": "x" }]));
    let when = item(
        "when",
        json!([{ "valueDate": "2026-01-01" }, { "valueDate": "2027" }]),
    );
    let yes = json!({ "linkId": "more", "item": [item("yes", json!([{ "valueBoolean": true }]))] });
    let colour = |code: &str| {
        let coding = json!({ "system": "http://example.org/colours", "code": code });
        item("colour", json!([{ "valueCoding": coding }]))
    };
    let both = [ask.clone(), when.clone(), colour("red"), yes.clone()];
    for status in ["in-progress", "completed", "amended"] {
        assert_eq!(broken(&library, status, &json!(both)), Vec::<String>::new());
    }
    // What is open may lack answers.
    assert_eq!(
        broken(&library, "in-progress", &json!([{ "linkId": "ask" }])),
        Vec::<String>::new()
    );
    let answer = "questionnaire-answer";
    let question = "questionnaire-item";
    let at = |place: &str, rule: &str| vec![format!("QuestionnaireResponse{place} {rule}")];
    for (items, expected) in [
        (json!([{ "linkId": "ask" }]), at("", answer)),
        (json!([when, ask]), at(".item[1]", question)),
        (
            json!([ask, item("other", json!([{ "valueString": "x" }]))]),
            at(".item[1]", question),
        ),
        (json!([ask, ask]), at("", question)),
        (
            json!([item("ask", json!([{ "valueInteger": 1 }]))]),
            at(".item[0].answer[0]", answer),
        ),
        (
            json!([item(
                "ask",
                json!([{ "valueString": "a" }, { "valueString": "b" }])
            )]),
            at(".item[0]", answer),
        ),
        (
            json!([ask, colour("blue")]),
            at(".item[1].answer[0]", answer),
        ),
        (
            json!([ask, { "linkId": "more", "item": [item("ask", json!([{ "valueString": "a" }]))] }]),
            [at(".item[1].item[0]", question), at(".item[1]", answer)].concat(),
        ),
    ] {
        assert_eq!(broken(&library, "completed", &items), expected, "{items}");
    }
}
