//! User tasks: created by the engine, answered by those they name (auth-config §4.8).

use serde_json::{Map, Value};

use crate::auth::{Coding, Person};
use crate::r4::Resource;

use super::access::{
    ORGANIZATION_IDENTIFIER, PRACTITIONER_IDENTIFIER, QUESTIONNAIRE_AUTHORIZATION,
};
use super::decide::{Case, Verdict};
use super::decision::Reason;
use super::json::{coding, extensions, identifier_value, list, only, string};
use super::reference::{means, without_added_references};

pub(super) fn read(case: &Case<'_>, old: &Resource) -> Verdict {
    if case.identity.is_admin() {
        return Ok(Reason::HasRight);
    }
    named(case, old)
}

pub(super) fn create(case: &Case<'_>, new: &Resource) -> Verdict {
    ensure(case.identity.is_admin(), Reason::NotAdmin)?;
    ensure(new.str("status") == Some("in-progress"), Reason::BadStatus)?;
    ensure(base_ok(new), Reason::BadQuestionnaireResponse)?;
    Ok(Reason::HasRight)
}

pub(super) fn update(case: &Case<'_>, old: &Resource, new: &Resource) -> Verdict {
    match (old.str("status"), new.str("status")) {
        (Some("in-progress"), Some("completed")) => complete(case, old, new),
        (Some("in-progress"), Some("stopped")) | (Some("completed"), Some("amended")) => {
            ensure(case.identity.is_admin(), Reason::NotAdmin)?;
            ensure(only_status_differs(old, new), Reason::ImmutableChanged)?;
            Ok(Reason::TransitionAllowed)
        }
        _ => Err(Reason::TransitionForbidden),
    }
}

pub(super) fn delete(case: &Case<'_>) -> Verdict {
    ensure(case.identity.is_admin(), Reason::NotAdmin)?;
    Ok(Reason::HasRight)
}

fn ensure(holds: bool, otherwise: Reason) -> Result<(), Reason> {
    if holds { Ok(()) } else { Err(otherwise) }
}

/// The stored user task says who may answer, not the one that is sent (§11.1 row 1).
fn complete(case: &Case<'_>, old: &Resource, new: &Resource) -> Verdict {
    if !case.identity.is_admin() {
        named(case, old)?;
    }
    ensure(base_ok(new), Reason::BadQuestionnaireResponse)?;
    ensure(author_ok(case, new), Reason::BadAuthor)?;
    ensure(kept(old, new), Reason::ImmutableChanged)?;
    Ok(Reason::TransitionAllowed)
}

/// Whether a person may see and answer: named by the extension, or there is none (1.x).
fn named(case: &Case<'_>, response: &Resource) -> Verdict {
    let person = case.identity.person().ok_or(Reason::NotInvolved)?;
    let mut all = authorizations(response).peekable();
    if all.peek().is_none() {
        return Ok(Reason::OpenQuestionnaire);
    }
    if all.any(|authorization| names(authorization, person)) {
        Ok(Reason::NamedByQuestionnaire)
    } else {
        Err(Reason::NotNamedByQuestionnaire)
    }
}

fn authorizations(response: &Resource) -> impl Iterator<Item = &Value> {
    response
        .list("extension")
        .filter(|e| string(e, "url") == Some(QUESTIONNAIRE_AUTHORIZATION))
}

fn role(extension: &Value) -> Option<Coding> {
    coding(extension.get("valueCoding")?)
}

fn names(authorization: &Value, person: &Person) -> bool {
    let by_identifier = extensions(authorization, "practitioner")
        .filter_map(|e| identifier_value(e.get("valueIdentifier")?, PRACTITIONER_IDENTIFIER))
        .any(|value| value == person.identifier);
    by_identifier
        || extensions(authorization, "practitioner-role")
            .filter_map(role)
            .any(|role| person.roles.contains(&role))
}

/// "Base ok" of §4.8.
fn base_ok(response: &Resource) -> bool {
    let complete = |authorization: &Value| {
        extensions(authorization, "practitioner").all(|e| {
            e.get("valueIdentifier")
                .is_some_and(|i| string(i, "system").is_some() && string(i, "value").is_some())
        }) && extensions(authorization, "practitioner-role").all(|e| role(e).is_some())
    };
    user_task_id(response).is_some()
        && response.str("questionnaire").is_some()
        && authorizations(response).all(complete)
}

fn items<'a>(
    response: &'a Resource,
    link_id: &'static str,
) -> impl Iterator<Item = &'a Value> + use<'a> {
    response
        .list("item")
        .filter(move |item| string(item, "linkId") == Some(link_id))
}

fn user_task_id(response: &Resource) -> Option<&str> {
    string(
        only(list(only(items(response, "user-task-id"))?, "answer"))?,
        "valueString",
    )
}

/// Everybody answers in the own name (§4.8 author ok).
fn author_ok(case: &Case<'_>, new: &Resource) -> bool {
    let (Some(author), Some(_)) = (new.get("author"), new.str("authored")) else {
        return false;
    };
    let Some(identifier) = author.get("identifier") else {
        return false;
    };
    match case.identity.person() {
        Some(person) => {
            identifier_value(identifier, PRACTITIONER_IDENTIFIER) == Some(&person.identifier)
        }
        None => {
            identifier_value(identifier, ORGANIZATION_IDENTIFIER).is_some()
                && means(author, &case.identity.organization, case.inquiry.base_url())
        }
    }
}

/// What stays when a user task is answered: its id, business key, questionnaire, authorisation.
fn kept(old: &Resource, new: &Resource) -> bool {
    let business_key = |response| -> Vec<Option<&Value>> {
        items(response, "business-key")
            .map(|item| item.get("answer"))
            .collect()
    };
    let parties = |response| -> Vec<(Option<&str>, Option<Value>)> {
        authorizations(response)
            .flat_map(|authorization| list(authorization, "extension"))
            .map(|e| (string(e, "url"), Some(without_added_references(e))))
            .filter(|(url, _)| matches!(url, Some("practitioner" | "practitioner-role")))
            .collect()
    };
    user_task_id(old) == user_task_id(new)
        && business_key(old) == business_key(new)
        && old.str("questionnaire") == new.str("questionnaire")
        && parties(old) == parties(new)
}

/// Whether the new one is what we showed of the old one but for the status. What the server writes
/// itself (id, version, time) does not count.
fn only_status_differs(old: &Resource, new: &Resource) -> bool {
    let content = |resource: &Resource| -> Map<String, Value> {
        let mut members = resource.members().clone();
        members.retain(|name, _| name != "status" && name != "id");
        if let Some(Value::Object(meta)) = members.get_mut("meta") {
            meta.retain(|name, _| name != "versionId" && name != "lastUpdated");
            if meta.is_empty() {
                members.remove("meta");
            }
        }
        members
    };
    let (old, new) = (content(old), Value::Object(content(new)));
    let old = Value::Object(old);
    old == new || without_added_references(&old) == new
}
