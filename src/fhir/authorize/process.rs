//! Process authorisation: whom an ActivityDefinition lets start a process, and where it may run
//! (auth-config §4.7).

use std::collections::HashSet;

use serde_json::Value;

use crate::auth::{Coding, Identity, Member};
use crate::r4::Resource;

use super::access::ORGANIZATION_IDENTIFIER;
use super::decision::Reason;
use super::fact::Inquiry;
use super::json::{coding, extensions, identifier_value, list, only, string};

const AUTHORIZATION: &str =
    "http://dsf.dev/fhir/StructureDefinition/extension-process-authorization";
const CODES: &str = "http://dsf.dev/fhir/CodeSystem/process-authorization";

/// Which organisations a code covers.
#[derive(Debug, PartialEq, Eq)]
enum Whom {
    All,
    Organization(String),
    Role { parent: String, role: Coding },
}

/// One requester or recipient of a message.
#[derive(Debug, PartialEq, Eq)]
struct Party {
    local: bool,
    whom: Whom,
    /// Asks for a person with this practitioner role instead of an organisation.
    practitioner: Option<Coding>,
}

impl Party {
    /// Reads a Coding with its extension; `None` if the code is unknown or something it needs is
    /// missing or there twice.
    fn parse(value: &Value) -> Option<Self> {
        if string(value, "system") != Some(CODES) {
            return None;
        }
        let code = string(value, "code")?;
        let (place, kind) = code.split_once('_')?;
        let local = match place {
            "LOCAL" => true,
            "REMOTE" => false,
            _ => return None,
        };
        let (whom, practitioner) = match (kind, local) {
            ("ALL", _) => (Whom::All, None),
            ("ORGANIZATION", _) => (organization_of(detail(value, "-organization")?)?, None),
            ("ROLE", _) => (role_of(detail(value, "-parent-organization-role")?)?, None),
            ("ALL_PRACTITIONER", true) => {
                (Whom::All, Some(coding_of(detail(value, "-practitioner")?)?))
            }
            ("ORGANIZATION_PRACTITIONER", true) => {
                let parts = detail(value, "-organization-practitioner")?;
                (
                    organization_of(part(parts, "organization")?)?,
                    Some(practitioner_of(parts)?),
                )
            }
            ("ROLE_PRACTITIONER", true) => {
                let parts = detail(value, "-parent-organization-role-practitioner")?;
                (role_of(parts)?, Some(practitioner_of(parts)?))
            }
            _ => return None,
        };
        Some(Self {
            local,
            whom,
            practitioner,
        })
    }

    /// A recipient is always the local organisation, never a person.
    const fn can_receive(&self) -> bool {
        self.local && self.practitioner.is_none()
    }
}

/// The only extension of the Coding whose url ends this way.
fn detail<'a>(value: &'a Value, suffix: &str) -> Option<&'a Value> {
    only(list(value, "extension").filter(|extension| {
        string(extension, "url").and_then(|url| url.strip_prefix(AUTHORIZATION)) == Some(suffix)
    }))
}

fn part<'a>(parts: &'a Value, url: &'a str) -> Option<&'a Value> {
    only(extensions(parts, url))
}

fn identifier_of(extension: &Value) -> Option<String> {
    identifier_value(extension.get("valueIdentifier")?, ORGANIZATION_IDENTIFIER).map(str::to_owned)
}

fn organization_of(extension: &Value) -> Option<Whom> {
    identifier_of(extension).map(Whom::Organization)
}

fn coding_of(extension: &Value) -> Option<Coding> {
    coding(extension.get("valueCoding")?)
}

fn practitioner_of(parts: &Value) -> Option<Coding> {
    coding_of(part(parts, "practitioner-role")?)
}

fn role_of(parts: &Value) -> Option<Whom> {
    Some(Whom::Role {
        parent: identifier_of(part(parts, "parent-organization")?)?,
        role: coding_of(part(parts, "organization-role")?)?,
    })
}

fn parties(authorization: &Value, side: &'static str) -> impl Iterator<Item = Option<Party>> {
    extensions(authorization, side).map(|e| e.get("valueCoding").and_then(Party::parse))
}

fn authorizations(definition: &Resource) -> impl Iterator<Item = &Value> {
    definition
        .list("extension")
        .filter(|e| string(e, "url") == Some(AUTHORIZATION))
}

fn message_name(authorization: &Value) -> Option<&str> {
    string(
        only(extensions(authorization, "message-name"))?,
        "valueString",
    )
    .filter(|name| !name.trim().is_empty())
}

fn task_profile(authorization: &Value) -> Option<&str> {
    string(
        only(extensions(authorization, "task-profile"))?,
        "valueCanonical",
    )
}

/// Whether an ActivityDefinition has authorisations, all of them complete, each message once.
pub(super) fn is_valid(definition: &Resource) -> bool {
    let mut messages = HashSet::new();
    let mut all = authorizations(definition).peekable();
    all.peek().is_some()
        && all.all(|authorization| {
            is_complete(authorization)
                && message_name(authorization).is_some_and(|name| messages.insert(name))
        })
}

fn is_complete(authorization: &Value) -> bool {
    let some_and_all = |side, accept: fn(&Party) -> bool| {
        let mut parties = parties(authorization, side).peekable();
        parties.peek().is_some() && parties.all(|party| party.as_ref().is_some_and(accept))
    };
    task_profile(authorization).is_some()
        && some_and_all("requester", |_| true)
        && some_and_all("recipient", Party::can_receive)
}

/// Which message of which process a Task sends, under which profiles.
pub(super) struct Message<'a> {
    pub(super) url: &'a str,
    pub(super) version: &'a str,
    pub(super) name: &'a str,
    pub(super) profiles: Vec<&'a str>,
}

impl Message<'_> {
    /// The first authorisation for this message and one of the profiles. A Task may leave the
    /// version of its profile away, but not name another one.
    fn find<'d>(&self, definition: &'d Resource) -> Option<&'d Value> {
        authorizations(definition).find(|authorization| {
            let profile = task_profile(authorization);
            message_name(authorization) == Some(self.name)
                && profile.is_some_and(|p| self.profiles.iter().any(|own| claims(own, p)))
        })
    }
}

fn claims(profile: &str, asked: &str) -> bool {
    profile == asked || asked.split_once('|').is_some_and(|(url, _)| profile == url)
}

/// Who wants to send or is to receive.
struct Candidate<'a> {
    local: bool,
    member: &'a Member,
    identity: Option<&'a Identity>,
}

impl Candidate<'_> {
    fn is_covered(&self, party: &Party, inquiry: &Inquiry<'_>) -> bool {
        party.local == self.local && self.has_role(party) && self.belongs(&party.whom, inquiry)
    }

    /// `DSF_ADMIN` stands for every local requester, organisation or person.
    fn has_role(&self, party: &Party) -> bool {
        match self.identity.and_then(Identity::person) {
            None => party.practitioner.is_none(),
            Some(person) => {
                let asked = party.practitioner.as_ref();
                let has = asked.is_some_and(|role| person.roles.contains(role));
                has || self.identity.is_some_and(Identity::is_admin_person)
            }
        }
    }

    fn belongs(&self, whom: &Whom, inquiry: &Inquiry<'_>) -> bool {
        match whom {
            Whom::All => true,
            Whom::Organization(identifier) => *identifier == self.member.identifier,
            Whom::Role { parent, role } => {
                inquiry
                    .memberships(&self.member.identifier)
                    .iter()
                    .any(|membership| {
                        let through = self.member.endpoint.as_ref();
                        membership.parent == *parent
                            && membership.roles.contains(role)
                            && through.is_none_or(|own| membership.endpoints.contains(own))
                    })
            }
        }
    }

    fn is_among(&self, authorization: &Value, side: &'static str, inquiry: &Inquiry<'_>) -> bool {
        parties(authorization, side).flatten().any(|party| {
            (side == REQUESTER || party.can_receive()) && self.is_covered(&party, inquiry)
        })
    }
}

const REQUESTER: &str = "requester";
const RECIPIENT: &str = "recipient";

/// Whether the process admits the local organisation as recipient of the message: asked whenever
/// a Task starts, goes on or completes.
pub(super) fn recipient_admitted(
    message: &Message<'_>,
    local: &Member,
    inquiry: &Inquiry<'_>,
) -> Result<(), Reason> {
    let definition = inquiry
        .process(message.url, message.version)
        .ok_or(Reason::UnknownProcess)?;
    let authorization = message.find(definition).ok_or(Reason::UnknownProcess)?;
    let recipient = Candidate {
        local: true,
        member: local,
        identity: None,
    };
    match recipient.is_among(authorization, RECIPIENT, inquiry) {
        true => Ok(()),
        false => Err(Reason::RecipientNotAdmitted),
    }
}

/// Whether the process admits the identity as requester of the message.
pub(super) fn requester_admitted(
    message: &Message<'_>,
    identity: &Identity,
    inquiry: &Inquiry<'_>,
) -> Result<(), Reason> {
    let definition = inquiry
        .process(message.url, message.version)
        .ok_or(Reason::UnknownProcess)?;
    let authorization = message.find(definition).ok_or(Reason::UnknownProcess)?;
    let requester = Candidate {
        local: identity.is_local(),
        member: &identity.organization,
        identity: Some(identity),
    };
    match requester.is_among(authorization, REQUESTER, inquiry) {
        true => Ok(()),
        false => Err(Reason::RequesterNotAdmitted),
    }
}

/// Reads `http(s)://domain/bpe/Process/name|1.0` into url and version (§4.5).
pub(super) fn parse_canonical(canonical: &str) -> Option<(&str, &str)> {
    let (url, version) = canonical.split_once('|')?;
    let (major, minor) = version.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    let (domain, path) = rest.split_once('/')?;
    let name = path.strip_prefix("bpe/Process/")?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let named = !name.is_empty() && name.bytes().all(plain);
    (digits(major) && digits(minor) && named && is_domain(domain)).then_some((url, version))
}

fn is_domain(domain: &str) -> bool {
    let Some((labels, top)) = domain.rsplit_once('.') else {
        return false;
    };
    let alphanumeric = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric());
    let is_label = |label: &str| {
        (2..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (1..=63).contains(&top.len()) && alphanumeric(top) && labels.split('.').all(is_label)
}
