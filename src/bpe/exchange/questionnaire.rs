//! The form of a user task: a QuestionnaireResponse made of a Questionnaire (spec/bpe.md §4.2).

use serde_json::{Value, json};

use crate::bpe::model::{Variable, Variables};
use crate::r4::view::questionnaire::Questionnaire;
use crate::r4::view::questionnaire_response::{Authorization, QuestionnaireResponse};
use crate::r4::{Coding, Identifier, Node, Resource, dsf};

const PROFILE: &str = "http://dsf.dev/fhir/StructureDefinition/questionnaire-response";
const BUSINESS_KEY_TEXT: &str = "The business-key of the process execution";
const USER_TASK_ID_TEXT: &str = "The user-task-id of the process execution";

/// What a form says besides the questions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    /// Identifier of the own organisation.
    pub organization: &'a str,
    /// The canonical of the Questionnaire.
    pub form: &'a str,
    pub business_key: &'a str,
    pub user_task_id: &'a str,
    /// The fields of the listener: who may answer.
    pub fields: &'a Variables,
}

/// The open form, with a placeholder for each answer.
///
/// # Errors
/// What in the Questionnaire or in the fields of the model makes a form impossible.
pub(super) fn form(questionnaire: &Resource, subject: Subject<'_>) -> Result<Resource, String> {
    let mut items = vec![
        text_item(
            dsf::item::BUSINESS_KEY,
            BUSINESS_KEY_TEXT,
            subject.business_key,
        ),
        text_item(
            dsf::item::USER_TASK_ID,
            USER_TASK_ID_TEXT,
            subject.user_task_id,
        ),
    ];
    for question in Questionnaire(questionnaire).items() {
        let id = question.text("linkId").unwrap_or_default();
        if id != dsf::item::BUSINESS_KEY && id != dsf::item::USER_TASK_ID {
            items.push(item(question)?);
        }
    }
    let mut form =
        Resource::of_type("QuestionnaireResponse").with("meta", json!({ "profile": [PROFILE] }));
    let authorization = authorization(subject.fields)?;
    if authorization != Authorization::default() {
        form = form.with("extension", vec![authorization.to_element()]);
    }
    let author = Identifier::new(dsf::sid::ORGANIZATION, subject.organization);
    Ok(form
        .with("questionnaire", subject.form)
        .with("status", "in-progress")
        .with(
            "author",
            json!({ "type": "Organization", "identifier": author.to_element() }),
        )
        .with("item", items))
}

/// What code must leave in a form.
///
/// # Errors
/// What is missing.
pub(super) fn check(form: &Resource) -> Result<(), String> {
    let response = QuestionnaireResponse(form);
    if response.user_task_id().is_none() || response.business_key().is_none() {
        return Err(
            "the QuestionnaireResponse must keep its items business-key and user-task-id"
                .to_owned(),
        );
    }
    match response.status() {
        Some("in-progress") => Ok(()),
        other => Err(format!(
            "the QuestionnaireResponse must be in-progress, not {}",
            other.unwrap_or("without status")
        )),
    }
}

fn text_item(id: &str, text: &str, answer: &str) -> Value {
    json!({ "linkId": id, "text": text, "answer": [{ "valueString": answer }] })
}

fn item(question: &Value) -> Result<Value, String> {
    let mut item = json!({ "linkId": question.text("linkId").unwrap_or_default() });
    if let Some(text) = question.text("text") {
        item["text"] = json!(text);
    }
    let kind = question.text("type").unwrap_or_default();
    if let Some(answer) = placeholder(kind)? {
        item["answer"] = json!([answer]);
    }
    Ok(item)
}

/// The answer that stands for none yet; nothing where there is nothing to answer.
fn placeholder(kind: &str) -> Result<Option<Value>, String> {
    const SYSTEM: &str = "http://example.org/fhir/CodeSystem/name";
    Ok(Some(match kind {
        "string" | "text" => json!({ "valueString": "Placeholder.." }),
        "integer" => json!({ "valueInteger": 0 }),
        "decimal" => json!({ "valueDecimal": 0.0 }),
        "boolean" => json!({ "valueBoolean": false }),
        "date" => json!({ "valueDate": "1900-01-01" }),
        "time" => json!({ "valueTime": "00:00:00" }),
        "dateTime" => json!({ "valueDateTime": "1900-01-01T00:00:00.000Z" }),
        "url" => json!({ "valueUri": "http://example.org/foo" }),
        "reference" => {
            json!({ "valueReference": { "reference": "http://example.org/fhir/Placeholder/id" } })
        }
        "choice" => json!({ "valueCoding": { "system": SYSTEM, "code": "code" } }),
        "quantity" => json!({
            "valueQuantity": { "value": 0, "unit": "unit", "system": SYSTEM, "code": "code" }
        }),
        "display" => return Ok(None),
        other => return Err(format!("a question of type '{other}' cannot be asked")),
    }))
}

fn authorization(fields: &Variables) -> Result<Authorization, String> {
    let mut authorization = Authorization::default();
    for text in texts(fields, ["practitioner", "practitioners"])? {
        let (system, value) = qualified(&text, dsf::sid::PRACTITIONER)?;
        authorization
            .practitioners
            .push(Identifier::new(&system, &value));
    }
    for text in texts(fields, ["practitionerRole", "practitionerRoles"])? {
        let (system, code) = qualified(&text, dsf::system::PRACTITIONER_ROLE)?;
        authorization
            .practitioner_roles
            .push(Coding::new(&system, &code));
    }
    Ok(authorization)
}

/// The texts in these fields, one or a list in each.
fn texts(fields: &Variables, names: [&str; 2]) -> Result<Vec<String>, String> {
    let mut texts = Vec::new();
    for name in names {
        let mut take = |value: &Variable| match value {
            Variable::Null => Ok(()),
            Variable::String(text) => {
                texts.extend(Some(text.trim().to_owned()).filter(|text| !text.is_empty()));
                Ok(())
            }
            other => Err(format!(
                "the field {name} is {}, not text",
                other.type_name()
            )),
        };
        match fields.get(name) {
            Some(Variable::List(all)) => all.iter().try_for_each(take)?,
            Some(Variable::Json(Value::Array(all))) => all.iter().try_for_each(|value| {
                let text = value.as_str().unwrap_or_default();
                take(&Variable::from(text))
            })?,
            Some(one) => take(one)?,
            None => {}
        }
    }
    Ok(texts)
}

/// `value`, or `system|value`.
fn qualified(text: &str, system: &str) -> Result<(String, String), String> {
    match *text.split('|').collect::<Vec<_>>() {
        [value] => Ok((system.to_owned(), value.to_owned())),
        [system, value] => Ok((system.to_owned(), value.to_owned())),
        _ => Err(format!("'{text}' has more than one |")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(fields: &Variables) -> Subject<'_> {
        Subject {
            organization: "Test_Organization",
            form: "http://example.org/fhir/Questionnaire/test|1.0",
            business_key: "key",
            user_task_id: "7",
            fields,
        }
    }

    fn asked(kinds: &[&str]) -> Resource {
        let item = |kind: &&str| json!({ "linkId": kind, "text": "?", "type": kind });
        let items: Vec<_> = kinds.iter().map(item).collect();
        Resource::of_type("Questionnaire").with("item", items)
    }

    #[test]
    fn a_form_has_the_two_special_items_first_and_a_placeholder_for_each_question() {
        let none = Variables::new();
        let form = form(&asked(&["display", "boolean", "url"]), subject(&none)).unwrap();
        check(&form).unwrap();
        let items: Vec<_> = QuestionnaireResponse(&form)
            .items()
            .map(|item| (item.text("linkId").unwrap(), item["answer"][0].clone()))
            .collect();
        assert_eq!(
            items,
            [
                ("business-key", json!({ "valueString": "key" })),
                ("user-task-id", json!({ "valueString": "7" })),
                ("display", Value::Null),
                ("boolean", json!({ "valueBoolean": false })),
                ("url", json!({ "valueUri": "http://example.org/foo" })),
            ]
        );
        assert_eq!(QuestionnaireResponse(&form).authorization(), None);
    }

    #[test]
    fn roles_and_persons_may_be_given_alone_in_lists_and_with_their_system() {
        let list = |texts: &[&str]| Variable::List(texts.iter().map(|&it| it.into()).collect());
        let fields = Variables::from_iter([
            ("practitionerRole".to_owned(), Variable::from("DIC_USER")),
            ("practitioners".to_owned(), list(&["a@x", "http://s|b@x"])),
        ]);
        let form = form(&asked(&[]), subject(&fields)).unwrap();
        let authorization = Authorization {
            practitioners: vec![
                Identifier::new(dsf::sid::PRACTITIONER, "a@x"),
                Identifier::new("http://s", "b@x"),
            ],
            practitioner_roles: vec![Coding::new(dsf::system::PRACTITIONER_ROLE, "DIC_USER")],
        };
        let found = QuestionnaireResponse(&form).authorization();
        assert_eq!(found, Some(Some(authorization)));
    }

    #[test]
    fn what_cannot_be_asked_or_read_is_named() {
        let none = Variables::new();
        let group = form(&asked(&["group"]), subject(&none)).unwrap_err();
        assert_eq!(group, "a question of type 'group' cannot be asked");
        let fields = Variables::from_iter([("practitioner".to_owned(), Variable::from("a|b|c"))]);
        let twice = form(&asked(&[]), subject(&fields)).unwrap_err();
        assert_eq!(twice, "'a|b|c' has more than one |");
    }
}
