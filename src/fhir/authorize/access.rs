//! Visibility as two sets of keys that must meet (auth-config §4.3, §5.1, §5.2).
//!
//! Rights are computed when they are asked for, never stored per organisation: a resource version
//! keeps the keys of its own tags and parties, an identity brings the keys that its organisation
//! and its memberships give it at this moment.

use serde_json::Value;

use crate::auth::{Coding, Identity, Operation, Subject};
use crate::r4::{Resource, ResourceType};

use super::fact::{Facts, Inquiry, Lookup};
use super::json::{Literal, coding, extensions, identifier_value, list, string};

pub(super) const READ_TAG: &str = "http://dsf.dev/fhir/CodeSystem/read-access-tag";
pub(super) const READ_ORGANIZATION: &str =
    "http://dsf.dev/fhir/StructureDefinition/extension-read-access-organization";
pub(super) const READ_ROLE: &str =
    "http://dsf.dev/fhir/StructureDefinition/extension-read-access-parent-organization-role";
pub(super) const QUESTIONNAIRE_AUTHORIZATION: &str =
    "http://dsf.dev/fhir/StructureDefinition/extension-questionnaire-authorization";
pub(super) const ORGANIZATION_IDENTIFIER: &str = "http://dsf.dev/sid/organization-identifier";
pub(super) const PRACTITIONER_IDENTIFIER: &str = "http://dsf.dev/sid/practitioner-identifier";

/// Which rows of a type an identity may see in a search or history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessFilter {
    Nothing,
    /// Rows whose `access` shares a key with these.
    Keys(Vec<String>),
    /// Binary: as `Keys`, and also rows whose key `CONTEXT:<Type>/<id>[/_history/<version>]` names
    /// a current resource (that version of it) whose `access` shares a key with these.
    KeysOrContext(Vec<String>),
}

/// The keys a resource version opens itself to; stored with it.
///
/// Read-tag types: `ALL`, `LOCAL`, `ORG:<identifier>`, `ROLE:<parent>|<system>|<code>`; a Binary
/// with security context: `CONTEXT:<reference>`. Task: `RECIPIENT:<organisation id>`,
/// `REQUESTER:<organisation id>`, `REQUESTER-PERSON:<identifier>`, `DRAFT:<organisation id>`.
/// QuestionnaireResponse: `USER-TASK`, `PERSON:<identifier>`, `PERSON-ROLE:<system>|<code>`.
/// Call it for what is stored, with the literal references that the server added.
#[must_use]
pub fn access_keys(resource: &Resource, base_url: &str) -> Vec<String> {
    let mut keys = match resource.resource_type() {
        Some(ResourceType::Task) => task_keys(resource, base_url),
        Some(ResourceType::QuestionnaireResponse) => user_task_keys(resource),
        Some(ResourceType::Binary) => binary_keys(resource, base_url),
        Some(_) => tag_keys(resource),
        None => Vec::new(),
    };
    keys.sort();
    keys.dedup();
    keys
}

fn tag_keys(resource: &Resource) -> Vec<String> {
    let mut keys = Vec::new();
    for tag in resource
        .tags()
        .filter(|tag| string(tag, "system") == Some(READ_TAG))
    {
        match string(tag, "code") {
            Some(code @ ("ALL" | "LOCAL")) => keys.push(code.to_owned()),
            Some("ORGANIZATION") => keys.extend(organizations_of(tag).map(organization_key)),
            Some("ROLE") => keys.extend(extensions(tag, READ_ROLE).filter_map(role_of)),
            _ => {}
        }
    }
    keys
}

fn organizations_of(tag: &Value) -> impl Iterator<Item = &str> {
    extensions(tag, READ_ORGANIZATION)
        .filter_map(|e| identifier_value(e.get("valueIdentifier")?, ORGANIZATION_IDENTIFIER))
}

fn organization_key(identifier: &str) -> String {
    format!("ORG:{identifier}")
}

fn role_of(extension: &Value) -> Option<String> {
    let parent = extensions(extension, "parent-organization")
        .find_map(|e| identifier_value(e.get("valueIdentifier")?, ORGANIZATION_IDENTIFIER))?;
    let role =
        extensions(extension, "organization-role").find_map(|e| coding(e.get("valueCoding")?))?;
    Some(role_key(parent, &role))
}

fn role_key(parent: &str, role: &Coding) -> String {
    format!("ROLE:{}|{}|{}", part(parent), part(&role.system), role.code)
}

fn person_role_key(role: &Coding) -> String {
    format!("PERSON-ROLE:{}|{}", part(&role.system), role.code)
}

/// A part of a key that another one follows: a bar in it must not end it, or `a|b` with `c` would
/// open what `a` with `b|c` holds.
fn part(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|")
}

fn binary_keys(binary: &Resource, base_url: &str) -> Vec<String> {
    let context = binary
        .get("securityContext")
        .and_then(|context| string(context, "reference"))
        .and_then(|reference| Literal::parse(reference, base_url));
    match context {
        Some(context) => vec![context_key(&context)],
        None => tag_keys(binary),
    }
}

fn context_key(context: &Literal<'_>) -> String {
    match context.version {
        Some(version) => format!("CONTEXT:{}/{}/_history/{version}", context.kind, context.id),
        None => format!("CONTEXT:{}/{}", context.kind, context.id),
    }
}

/// Who a Task is about.
pub(super) struct Parties<'a> {
    /// The id of the requesting organisation.
    pub requester: Option<&'a str>,
    /// The identifier of the requesting person.
    pub person: Option<&'a str>,
    /// The ids of the receiving organisations.
    pub recipients: Vec<&'a str>,
    pub is_draft: bool,
}

impl<'a> Parties<'a> {
    pub fn of(task: &'a Resource, base_url: &str) -> Self {
        let organization = |reference: &'a Value| {
            let literal = Literal::parse(string(reference, "reference")?, base_url)?;
            (literal.kind == ResourceType::Organization).then_some(literal.id)
        };
        let requester = task.get("requester");
        let restriction = task.get("restriction").into_iter();
        let recipients = restriction.flat_map(|r| list(r, "recipient"));
        Self {
            requester: requester.and_then(organization),
            person: requester
                .and_then(|requester| requester.get("identifier"))
                .and_then(|identifier| identifier_value(identifier, PRACTITIONER_IDENTIFIER)),
            recipients: recipients.filter_map(organization).collect(),
            is_draft: task.str("status") == Some("draft"),
        }
    }
}

fn task_keys(task: &Resource, base_url: &str) -> Vec<String> {
    let parties = Parties::of(task, base_url);
    let mut keys = Vec::new();
    keys.extend(parties.requester.map(|id| format!("REQUESTER:{id}")));
    let person = parties.person;
    keys.extend(person.map(|value| format!("REQUESTER-PERSON:{value}")));
    for id in parties.recipients {
        if parties.is_draft {
            keys.push(format!("DRAFT:{id}"));
        }
        keys.push(format!("RECIPIENT:{id}"));
    }
    keys
}

fn user_task_keys(response: &Resource) -> Vec<String> {
    let mut keys = vec!["USER-TASK".to_owned()];
    let authorizations = response
        .list("extension")
        .filter(|e| string(e, "url") == Some(QUESTIONNAIRE_AUTHORIZATION));
    for authorization in authorizations {
        let persons = extensions(authorization, "practitioner")
            .filter_map(|e| string(e.get("valueIdentifier")?, "value"));
        keys.extend(persons.map(|value| format!("PERSON:{value}")));
        let roles = extensions(authorization, "practitioner-role")
            .filter_map(|e| coding(e.get("valueCoding")?));
        keys.extend(roles.map(|role| person_role_key(&role)));
    }
    keys
}

/// What an identity may see of a type by search or history (§5.1).
///
/// # Errors
///
/// The lookups whose answers are still missing among the facts.
pub fn access_filter(
    identity: &Identity,
    operation: Operation,
    kind: ResourceType,
    facts: &Facts,
) -> Result<AccessFilter, Vec<Lookup>> {
    let rights = &identity.rights;
    if !rights.allow(operation, kind) || !rights.allow(Operation::Read, kind) {
        return Ok(AccessFilter::Nothing);
    }
    let inquiry = Inquiry::new(facts);
    let keys = identity_keys(identity, kind, &inquiry);
    let missing = inquiry.into_missing();
    if !missing.is_empty() {
        return Err(missing);
    }
    Ok(match kind {
        _ if keys.is_empty() => AccessFilter::Nothing,
        ResourceType::Binary => AccessFilter::KeysOrContext(keys),
        _ => AccessFilter::Keys(keys),
    })
}

/// The keys an identity holds for a type.
pub(super) fn identity_keys(
    identity: &Identity,
    kind: ResourceType,
    inquiry: &Inquiry<'_>,
) -> Vec<String> {
    match kind {
        ResourceType::Task => keys_for_tasks(identity),
        ResourceType::QuestionnaireResponse => keys_for_user_tasks(identity),
        _ => keys_for_tags(identity, inquiry),
    }
}

/// Local identities need no roles: what carries a ROLE or ORGANIZATION tag carries LOCAL too.
fn keys_for_tags(identity: &Identity, inquiry: &Inquiry<'_>) -> Vec<String> {
    let own = &identity.organization.identifier;
    let mut keys = vec!["ALL".to_owned(), organization_key(own)];
    if identity.is_local() {
        keys.push("LOCAL".to_owned());
        return keys;
    }
    for membership in inquiry.memberships(own).iter().filter(|m| m.parent_active) {
        let roles = membership.roles.iter();
        keys.extend(roles.map(|r| role_key(&membership.parent, r)));
    }
    keys
}

fn keys_for_tasks(identity: &Identity) -> Vec<String> {
    let of_own = |key: &str| {
        identity
            .organization
            .id
            .iter()
            .map(|id| format!("{key}:{id}"))
            .collect()
    };
    match &identity.subject {
        Subject::RemoteOrganization => of_own("REQUESTER"),
        _ if identity.is_admin() => of_own("RECIPIENT"),
        Subject::Practitioner(person) => {
            let mut keys: Vec<String> = of_own("DRAFT");
            keys.push(format!("REQUESTER-PERSON:{}", person.identifier));
            keys
        }
        Subject::LocalOrganization => of_own("RECIPIENT"),
    }
}

fn keys_for_user_tasks(identity: &Identity) -> Vec<String> {
    if identity.is_admin() {
        return vec!["USER-TASK".to_owned()];
    }
    let Some(person) = identity.person() else {
        return Vec::new();
    };
    let mut keys = vec![format!("PERSON:{}", person.identifier)];
    keys.extend(person.roles.iter().map(person_role_key));
    keys
}
