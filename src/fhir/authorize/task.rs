//! Tasks: the messages between organisations (auth-config §4.5, §4.6).

use serde_json::Value;

use crate::auth::{Member, Subject};
use crate::r4::{Resource, ResourceType};

use super::access::{ORGANIZATION_IDENTIFIER, PRACTITIONER_IDENTIFIER, Parties};
use super::content::own_identifier;
use super::decide::{Case, Verdict};
use super::decision::Reason;
use super::json::{Literal, identifier_value, is_coding, list, only, string};
use super::process::{Message, parse_canonical, recipient_admitted, requester_admitted};
use super::reference::{means, same_as_shown, without_added_references};
use super::unique::{TASK_IDENTIFIER, keys_are_free, unique_keys};

const BPMN_MESSAGE: &str = "http://dsf.dev/fhir/CodeSystem/bpmn-message";

/// Seen by its recipient and its requester; a draft by every person of the recipient.
pub(super) fn read(case: &Case<'_>, task: &Resource) -> Verdict {
    let identity = case.identity;
    let parties = Parties::of(task, case.inquiry.base_url());
    let own = identity.organization.id.as_deref();
    let is_requester = own.is_some() && parties.requester == own;
    let is_recipient = own.is_some_and(|own| parties.recipients.contains(&own));
    match &identity.subject {
        Subject::LocalOrganization if is_recipient => Ok(Reason::RecipientOfTask),
        Subject::LocalOrganization | Subject::RemoteOrganization if is_requester => {
            Ok(Reason::RequesterOfTask)
        }
        Subject::Practitioner(person) if parties.person == Some(&person.identifier) => {
            Ok(Reason::RequesterOfTask)
        }
        Subject::Practitioner(_) if identity.is_admin() && is_recipient => {
            Ok(Reason::RecipientOfTask)
        }
        Subject::Practitioner(_) if parties.is_draft && is_recipient => Ok(Reason::LocalDraft),
        _ => Err(Reason::NotInvolved),
    }
}

pub(super) fn create(case: &Case<'_>, new: &Resource) -> Verdict {
    match new.str("status") {
        Some("draft") => create_draft(case, new),
        Some("requested") => create_requested(case, new),
        _ => Err(Reason::BadStatus),
    }
}

fn create_draft(case: &Case<'_>, new: &Resource) -> Verdict {
    ensure(case.identity.is_admin(), Reason::NotAdmin)?;
    draft_ok(case, new)?;
    let keys = unique_keys(new, case.inquiry.base_url());
    ensure(
        keys_are_free(case.inquiry, case.kind, keys, None),
        Reason::AlreadyExists,
    )?;
    Ok(Reason::HasRight)
}

fn create_requested(case: &Case<'_>, new: &Resource) -> Verdict {
    let has_identifier = new
        .list("identifier")
        .any(|i| string(i, "system") == Some(TASK_IDENTIFIER));
    ensure(!has_identifier && !has_output(new), Reason::BadTask)?;
    let name = message_name(new).ok_or(Reason::BadTask)?;
    let requester = new.get("requester").ok_or(Reason::BadRequester)?;
    ensure(is_own_name(requester, case), Reason::BadRequester)?;
    let message = message(new, name)?;
    let local = local_member(case).ok_or(Reason::BadRecipient)?;
    ensure(is_for(new, local, case), Reason::BadRecipient)?;
    // Both sides before either verdict: their questions to the store are asked together.
    let requester = requester_admitted(&message, case.identity, case.inquiry);
    let recipient = recipient_admitted(&message, local, case.inquiry);
    requester.and(recipient).map(|()| Reason::ProcessAllows)
}

pub(super) fn update(case: &Case<'_>, old: &Resource, new: &Resource) -> Verdict {
    ensure(case.identity.is_admin(), Reason::NotAdmin)?;
    match (old.str("status"), new.str("status")) {
        (Some("draft"), Some("draft")) => {
            draft_ok(case, new)?;
            let kept = own_identifier(old, TASK_IDENTIFIER) == own_identifier(new, TASK_IDENTIFIER);
            ensure(kept, Reason::ImmutableChanged)?;
        }
        (Some("requested"), Some("in-progress")) => {
            unchanged(old, new, BusinessKey::MayCome)?;
            ensure(!has_output(new), Reason::OutputTooEarly)?;
            still_admitted(case, new)?;
        }
        (Some("requested"), Some("failed")) => unchanged(old, new, BusinessKey::MayCome)?,
        (Some("in-progress"), Some("in-progress" | "completed")) => {
            unchanged(old, new, BusinessKey::Stays)?;
            still_admitted(case, new)?;
        }
        (Some("in-progress"), Some("failed")) => unchanged(old, new, BusinessKey::Stays)?,
        _ => return Err(Reason::TransitionForbidden),
    }
    Ok(Reason::TransitionAllowed)
}

pub(super) fn delete(case: &Case<'_>, old: &Resource) -> Verdict {
    ensure(case.identity.is_admin(), Reason::NotAdmin)?;
    ensure(old.str("status") == Some("draft"), Reason::NotDraft)?;
    Ok(Reason::HasRight)
}

fn ensure(holds: bool, otherwise: Reason) -> Result<(), Reason> {
    if holds { Ok(()) } else { Err(otherwise) }
}

/// The local organisation: a local identity brings it along.
fn local_member<'a>(case: &Case<'a>) -> Option<&'a Member> {
    let own = &case.identity.organization;
    if case.identity.is_local() && own.id.is_some() {
        Some(own)
    } else {
        case.inquiry.local()
    }
}

/// "Draft ok" of §4.5: from and for the local organisation, with one task identifier.
fn draft_ok(case: &Case<'_>, new: &Resource) -> Result<(), Reason> {
    ensure(
        own_identifier(new, TASK_IDENTIFIER).is_some(),
        Reason::BadDraft,
    )?;
    ensure(
        !has_output(new) && message_inputs(new).count() == 1,
        Reason::BadDraft,
    )?;
    let canonical = new.str("instantiatesCanonical").and_then(parse_canonical);
    ensure(canonical.is_some(), Reason::BadProcessReference)?;
    let local = local_member(case).ok_or(Reason::BadDraft)?;
    let from_us = new
        .get("requester")
        .is_some_and(|r| means(r, local, case.inquiry.base_url()));
    ensure(from_us, Reason::BadRequester)?;
    ensure(is_for(new, local, case), Reason::BadRecipient)
}

/// Nobody sends in the name of somebody else (§4.5 requester).
fn is_own_name(requester: &Value, case: &Case<'_>) -> bool {
    let Some(identifier) = requester.get("identifier") else {
        return false;
    };
    match case.identity.person() {
        Some(person) => {
            // Whatever the identifier says, a reference must not make an organisation requester.
            let reference = string(requester, "reference").is_none_or(|text| {
                Literal::parse(text, case.inquiry.base_url())
                    .is_some_and(|literal| literal.kind == ResourceType::Practitioner)
            });
            let own = identifier_value(identifier, PRACTITIONER_IDENTIFIER);
            reference && own == Some(&person.identifier)
        }
        None => {
            identifier_value(identifier, ORGANIZATION_IDENTIFIER).is_some()
                && means(
                    requester,
                    &case.identity.organization,
                    case.inquiry.base_url(),
                )
        }
    }
}

/// Whether the only recipient is the local organisation.
fn is_for(task: &Resource, local: &Member, case: &Case<'_>) -> bool {
    task.get("restriction")
        .and_then(|restriction| only(list(restriction, "recipient")))
        .is_some_and(|recipient| means(recipient, local, case.inquiry.base_url()))
}

fn has_output(task: &Resource) -> bool {
    task.list("output").next().is_some()
}

fn is_input(input: &Value, code: &str) -> bool {
    input.get("type").is_some_and(|kind| {
        list(kind, "coding").any(|coding| is_coding(coding, BPMN_MESSAGE, code))
    })
}

fn message_inputs(task: &Resource) -> impl Iterator<Item = &Value> {
    task.list("input")
        .filter(|input| is_input(input, "message-name"))
}

fn message_name(task: &Resource) -> Option<&str> {
    string(only(message_inputs(task))?, "valueString").filter(|name| !name.trim().is_empty())
}

fn message<'a>(task: &'a Resource, name: &'a str) -> Result<Message<'a>, Reason> {
    let (url, version) = task
        .str("instantiatesCanonical")
        .and_then(parse_canonical)
        .ok_or(Reason::BadProcessReference)?;
    Ok(Message {
        url,
        version,
        name,
        profiles: task.profiles().collect(),
    })
}

/// The process must be there still and admit us, or the Task can only fail.
fn still_admitted(case: &Case<'_>, new: &Resource) -> Result<(), Reason> {
    let name = message_name(new).ok_or(Reason::BadTask)?;
    let message = message(new, name)?;
    let local = local_member(case).ok_or(Reason::BadRecipient)?;
    recipient_admitted(&message, local, case.inquiry)
}

/// Whether a Task that has no business key yet may get it with this change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BusinessKey {
    MayCome,
    Stays,
}

/// The unchanged set of §4.6: requester, restriction, process and input.
fn unchanged(old: &Resource, new: &Resource, business_key: BusinessKey) -> Result<(), Reason> {
    let parties = ["requester", "restriction"].into_iter();
    let same_parties = parties
        .map(|n| (old.get(n), new.get(n)))
        .all(|(o, n)| same_as_shown(o, n));
    let same_process = old.get("instantiatesCanonical") == new.get("instantiatesCanonical");
    let same = same_parties && same_process && same_input(old, new, business_key);
    ensure(same, Reason::UnchangedSetChanged)
}

fn same_input(old: &Resource, new: &Resource, business_key: BusinessKey) -> bool {
    let is_key = |input: &&Value| is_input(input, "business-key");
    let comes = business_key == BusinessKey::MayCome && !old.list("input").any(|i| is_key(&i));
    let old: Vec<&Value> = old.list("input").collect();
    let new: Vec<&Value> = new
        .list("input")
        .filter(|input| !(comes && is_key(input)))
        .collect();
    old.len() == new.len()
        && old
            .iter()
            .zip(new)
            .all(|(o, n)| *o == n || without_added_references(o) == *n)
}
