//! Answers against the questions, where the Questionnaire is known: each item is one of it, in its
//! order, as often as it may be, with answers of its type (fhir-conformance §2.4, §2.11).

use serde_json::Value;

use super::Judge;
use super::trail::Trail;
use crate::fhir::validate::library::Missing;
use crate::fhir::validate::spot::Spot;
use crate::r4::Node as _;
use crate::r4::outcome::IssueType;

/// The types of answers by the type of their question.
const TYPES: [(&str, &[&str]); 14] = [
    ("boolean", &["boolean"]),
    ("decimal", &["decimal"]),
    ("integer", &["integer"]),
    ("date", &["date"]),
    ("dateTime", &["dateTime"]),
    ("time", &["time"]),
    ("string", &["string"]),
    ("text", &["string"]),
    ("url", &["uri"]),
    ("attachment", &["Attachment"]),
    ("reference", &["Reference"]),
    ("quantity", &["Quantity"]),
    ("choice", &["Coding", "date", "time", "integer", "string"]),
    (
        "open-choice",
        &["Coding", "date", "time", "integer", "string"],
    ),
];

/// What holds for all answers of a form.
#[derive(Clone, Copy)]
struct Form<'f> {
    url: &'f str,
    /// It is still being filled: answers may be missing.
    is_open: bool,
}

impl<'a> Judge<'a> {
    pub(super) fn questionnaire_response(
        &mut self,
        spot: Spot<'a>,
        value: &'a Value,
        trail: &Trail<'_>,
    ) -> Result<(), Missing> {
        let Some(url) = value.text("questionnaire") else {
            return Ok(());
        };
        if let Some(questionnaire) = self.library.questionnaire(url)? {
            let is_open = value.text("status") == Some("in-progress");
            self.answered(&questionnaire, spot, trail, Form { url, is_open });
        }
        Ok(())
    }

    /// The items of a response, of a group, or below an answer, by the questions that are asked
    /// there.
    fn answered(&mut self, asked: &Value, spot: Spot<'a>, trail: &Trail<'_>, form: Form<'_>) {
        let questions: Vec<&Value> = asked.items("item").collect();
        let mut counts = vec![0_usize; questions.len()];
        let mut latest = 0;
        for (index, (element, item)) in children(spot, "item").into_iter().enumerate() {
            let at = trail.child(element, index, item);
            let id = item.value.and_then(|item| item.text("linkId"));
            let Some(id) = id.filter(|_| self.budget.spend(1 + questions.len() as u64)) else {
                continue;
            };
            let is_asked = |question: &&Value| question.text("linkId") == Some(id);
            let Some(place) = questions.iter().position(is_asked) else {
                self.not_asked(id, &questions, &at, form);
                continue;
            };
            if place < latest {
                let text = format!(
                    "{}: '{id}' stands behind '{}', which comes later in {}",
                    at.expression(),
                    questions[latest].text("linkId").unwrap_or_default(),
                    form.url
                );
                self.error(IssueType::Structure, &at, "questionnaire-item", text);
            }
            latest = latest.max(place);
            if !children(item, "answer").is_empty() || !children(item, "item").is_empty() {
                counts[place] += 1;
                self.answer(questions[place], item, &at, form);
            }
        }
        for (question, count) in questions.into_iter().zip(counts) {
            self.answer_count(question, count, trail, form);
        }
    }

    fn not_asked(&mut self, id: &str, questions: &[&Value], at: &Trail<'_>, form: Form<'_>) {
        let known: Vec<&str> = questions
            .iter()
            .take(12)
            .filter_map(|question| question.text("linkId"))
            .collect();
        let text = format!(
            "{}: {} does not ask '{id}' here, but {}",
            at.expression(),
            form.url,
            if known.is_empty() {
                "nothing".to_owned()
            } else {
                known.join(", ")
            }
        );
        self.error(IssueType::NotFound, at, "questionnaire-item", text);
    }

    fn answer_count(&mut self, question: &Value, count: usize, trail: &Trail<'_>, form: Form<'_>) {
        let id = question.text("linkId").unwrap_or_default();
        let place = trail.expression();
        if count > 1 && question.flag("repeats") != Some(true) {
            let text = format!("{place}: '{id}' is answered {count} times, but once is allowed");
            self.error(IssueType::Structure, trail, "questionnaire-item", text);
        }
        // Whether another answer takes the question away is not judged.
        let is_certain = question.items("enableWhen").next().is_none();
        if count == 0 && question.flag("required") == Some(true) && is_certain && !form.is_open {
            let text = format!(
                "{place}: the answer to '{id}' is missing, which {} needs",
                form.url
            );
            self.error(IssueType::Required, trail, "questionnaire-answer", text);
        }
    }

    /// An item with answers, or a group.
    fn answer(&mut self, question: &Value, item: Spot<'a>, at: &Trail<'_>, form: Form<'_>) {
        let kind = question.text("type").unwrap_or_default();
        let answers = children(item, "answer");
        let place = at.expression();
        if kind == "group" {
            if !answers.is_empty() {
                let text = format!("{place}: a group has no answer of its own, only items");
                self.error(IssueType::Structure, at, "questionnaire-answer", text);
            }
            return self.answered(question, item, at, form);
        }
        if !children(item, "item").is_empty() {
            let text = format!("{place}: only groups have items; put these below the answer");
            self.error(IssueType::Structure, at, "questionnaire-item", text);
        }
        if answers.len() > 1 && question.flag("repeats") != Some(true) {
            let text = format!("{place}: {} answers, but one is allowed", answers.len());
            self.error(IssueType::Structure, at, "questionnaire-answer", text);
        }
        for (index, (element, answer)) in answers.into_iter().enumerate() {
            let at = at.child(element, index, answer);
            self.typed_answer(question, kind, answer, &at);
            self.answered(question, answer, &at, form);
        }
    }

    fn typed_answer(&mut self, question: &Value, kind: &str, answer: Spot<'a>, at: &Trail<'_>) {
        let mut values = Vec::new();
        answer.named("value", &mut values);
        let types = TYPES.iter().find(|(own, _)| *own == kind);
        let (Some(value), Some((_, types))) = (values.first(), types) else {
            return;
        };
        if !types.contains(&value.type_name) {
            let text = format!(
                "{}: a question of type {kind} is answered by {}, not by {}",
                at.expression(),
                types.join(" or "),
                value.type_name
            );
            self.error(IssueType::Structure, at, "questionnaire-answer", text);
        } else if value.type_name == "Coding" {
            self.option(question, value, at);
        }
    }

    /// A code is one of those that are offered.
    fn option(&mut self, question: &Value, value: &Spot<'a>, at: &Trail<'_>) {
        let coding = |value: &'_ Value| {
            let text = |name: &str| value.text(name).map(str::to_owned);
            (text("system"), text("code"))
        };
        let options = question.items("answerOption");
        let options = options.filter_map(|option| option.member("valueCoding"));
        let options: Vec<_> = options.map(coding).collect();
        let Some(own) = value.value.map(coding) else {
            return;
        };
        if options.is_empty() || options.contains(&own) {
            return;
        }
        let codes = options.iter().filter_map(|(_, code)| code.as_deref());
        let text = format!(
            "{}: the code {} is none that is offered: {}",
            at.expression(),
            own.1.unwrap_or_default(),
            codes.take(12).collect::<Vec<_>>().join(", ")
        );
        self.error(IssueType::CodeInvalid, at, "questionnaire-answer", text);
    }
}

type Child<'a> = (&'static crate::r4::table::Element, Spot<'a>);

fn children<'a>(spot: Spot<'a>, name: &str) -> Vec<Child<'a>> {
    let element = spot.block().and_then(|block| block.element(name));
    let mut found = Vec::new();
    spot.named(name, &mut found);
    let of_it = |spot| Some((element?, spot));
    found.into_iter().filter_map(of_it).collect()
}
