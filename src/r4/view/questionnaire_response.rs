//! A QuestionnaireResponse: a user task, waiting for an answer or answered.

use serde_json::{Value, json};

use crate::r4::dsf::extension as url;
use crate::r4::{Canonical, Coding, Identifier, Node, Resource, dsf};

/// A QuestionnaireResponse, read.
#[derive(Clone, Copy, Debug)]
pub struct QuestionnaireResponse<'a>(pub &'a Resource);

/// Who may answer, as the authorization extension lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorization {
    pub practitioners: Vec<Identifier>,
    pub practitioner_roles: Vec<Coding>,
}

impl<'a> QuestionnaireResponse<'a> {
    /// `in-progress`, `completed`, `amended`, `stopped` …
    #[must_use]
    pub fn status(self) -> Option<&'a str> {
        self.0.str("status")
    }

    #[must_use]
    pub fn questionnaire(self) -> Option<Canonical> {
        self.0.str("questionnaire").map(Canonical::parse)
    }

    #[must_use]
    pub fn author_identifier(self) -> Option<Identifier> {
        Identifier::from_element(self.0.get("author")?.member("identifier")?)
    }

    /// The items of the first level.
    pub fn items(self) -> impl Iterator<Item = &'a Value> {
        self.0.items("item")
    }

    /// The string of the only answer of the only item with this link id.
    #[must_use]
    pub fn answer_text(self, link_id: &str) -> Option<&'a str> {
        let mut items = self
            .items()
            .filter(|item| item.text("linkId") == Some(link_id));
        let item = items.next().filter(|_| items.next().is_none())?;
        let mut answers = item.items("answer");
        answers
            .next()
            .filter(|_| answers.next().is_none())?
            .text("valueString")
    }

    #[must_use]
    pub fn user_task_id(self) -> Option<&'a str> {
        self.answer_text(dsf::item::USER_TASK_ID)
    }

    #[must_use]
    pub fn business_key(self) -> Option<&'a str> {
        self.answer_text(dsf::item::BUSINESS_KEY)
    }

    /// Who may answer: `None` when there is no such extension, `Some(None)` when a practitioner
    /// or role in it is malformed.
    #[must_use]
    pub fn authorization(self) -> Option<Option<Authorization>> {
        let extension = self.0.extensions(url::QUESTIONNAIRE_AUTHORIZATION).next()?;
        Some(Authorization::read(extension))
    }
}

impl Authorization {
    fn read(extension: &Value) -> Option<Self> {
        let practitioner = |part: &Value| Identifier::from_element(part.member("valueIdentifier")?);
        let role = |part: &Value| Coding::from_element(part.member("valueCoding")?);
        Some(Self {
            practitioners: extension
                .extensions(url::PRACTITIONER)
                .map(practitioner)
                .collect::<Option<_>>()?,
            practitioner_roles: extension
                .extensions(url::PRACTITIONER_ROLE)
                .map(role)
                .collect::<Option<_>>()?,
        })
    }

    /// The extension that says this.
    #[must_use]
    pub fn to_element(&self) -> Value {
        let practitioners = self.practitioners.iter().map(|identifier| {
            json!({ "url": url::PRACTITIONER, "valueIdentifier": identifier.to_element() })
        });
        let roles = self
            .practitioner_roles
            .iter()
            .map(|role| json!({ "url": url::PRACTITIONER_ROLE, "valueCoding": role.to_element() }));
        let parts: Vec<_> = practitioners.chain(roles).collect();
        json!({ "url": url::QUESTIONNAIRE_AUTHORIZATION, "extension": parts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_names_its_user_task_and_who_may_answer() {
        let identifier = Identifier::new(dsf::sid::PRACTITIONER, "p@example.org");
        let wanted = Authorization {
            practitioners: vec![identifier],
            ..Authorization::default()
        };
        let resource = Resource::of_type("QuestionnaireResponse")
            .with("extension", vec![wanted.to_element()])
            .with(
                "item",
                json!([{"linkId": "user-task-id", "answer": [{"valueString": "7"}]}]),
            );
        let response = QuestionnaireResponse(&resource);
        assert_eq!(response.user_task_id(), Some("7"));
        assert_eq!(response.business_key(), None);
        assert_eq!(response.authorization(), Some(Some(wanted)));
    }
}
