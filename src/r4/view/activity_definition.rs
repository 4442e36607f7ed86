//! An ActivityDefinition: a process, and who may request it from whom.
//!
//! The rules are `spec/auth-config.md` §4.7; this reads what the extensions say.

use std::collections::HashSet;

use serde_json::Value;

use super::read_access::organization_identifier;
use crate::r4::dsf::extension as url;
use crate::r4::{Canonical, Coding, Identifier, Node, Resource, dsf};

/// An ActivityDefinition, read.
#[derive(Clone, Copy, Debug)]
pub struct ActivityDefinition<'a>(pub &'a Resource);

/// One process-authorization extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessAuthorization {
    pub message_name: String,
    pub task_profile: Canonical,
    pub requesters: Vec<Party>,
    pub recipients: Vec<Party>,
}

/// Whose side a party is on, seen from the server that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    Local,
    Remote,
}

/// Who may request or receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    pub side: Side,
    pub organizations: Organizations,
    /// Only practitioners with this role; `None`: organisations themselves.
    pub practitioner_role: Option<Coding>,
}

/// Which organisations a party covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Organizations {
    All,
    One(Identifier),
    /// Members of a parent organisation in a role.
    Role {
        parent: Identifier,
        role: Coding,
    },
}

/// Why the extensions of an ActivityDefinition are no valid process authorization.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("no process-authorization extension")]
    Missing,
    #[error("process-authorization without exactly one non-blank message-name")]
    MessageName,
    #[error("process-authorization of message '{0}' without exactly one task-profile")]
    TaskProfile(String),
    #[error("process-authorization of message '{message}' without a valid {part}")]
    Party { message: String, part: &'static str },
    #[error("several process-authorizations of message '{0}'")]
    Duplicate(String),
}

impl<'a> ActivityDefinition<'a> {
    #[must_use]
    pub fn url(self) -> Option<&'a str> {
        self.0.str("url")
    }

    #[must_use]
    pub fn version(self) -> Option<&'a str> {
        self.0.str("version")
    }

    /// `draft`, `active`, `retired` or `unknown`.
    #[must_use]
    pub fn status(self) -> Option<&'a str> {
        self.0.str("status")
    }

    /// All process authorizations, or why they are not valid.
    pub fn authorizations(self) -> Result<Vec<ProcessAuthorization>, Malformed> {
        let mut names = HashSet::new();
        let mut found = Vec::new();
        for extension in self.0.extensions(url::PROCESS_AUTHORIZATION) {
            let authorization = ProcessAuthorization::read(extension)?;
            if !names.insert(authorization.message_name.clone()) {
                return Err(Malformed::Duplicate(authorization.message_name));
            }
            found.push(authorization);
        }
        if found.is_empty() {
            Err(Malformed::Missing)
        } else {
            Ok(found)
        }
    }

    /// The authorization for Tasks of this message whose profiles are these.
    #[must_use]
    pub fn authorization(
        self,
        message_name: &str,
        profiles: &[Canonical],
    ) -> Option<ProcessAuthorization> {
        self.0
            .extensions(url::PROCESS_AUTHORIZATION)
            .filter_map(|extension| ProcessAuthorization::read(extension).ok())
            .find(|authorization| {
                let is_satisfied = |profile| authorization.task_profile.is_satisfied_by(profile);
                authorization.message_name == message_name && profiles.iter().any(is_satisfied)
            })
    }
}

impl ProcessAuthorization {
    fn read(extension: &Value) -> Result<Self, Malformed> {
        let message_name = extension
            .only_extension(url::MESSAGE_NAME)
            .and_then(|part| part.text("valueString"))
            .filter(|name| !name.trim().is_empty())
            .ok_or(Malformed::MessageName)?;
        let task_profile = extension
            .only_extension(url::TASK_PROFILE)
            .and_then(|part| part.text("valueCanonical"))
            .ok_or_else(|| Malformed::TaskProfile(message_name.to_owned()))?;
        let parties = |part| {
            let malformed = || Malformed::Party {
                message: message_name.to_owned(),
                part,
            };
            let read = |e: &Value| e.member("valueCoding").and_then(Party::from_coding);
            let found: Option<Vec<_>> = extension.extensions(part).map(read).collect();
            found
                .filter(|parties| !parties.is_empty())
                .ok_or_else(malformed)
        };
        let recipients = parties(url::RECIPIENT)?;
        if !recipients.iter().all(Party::may_receive) {
            let message = message_name.to_owned();
            return Err(Malformed::Party {
                message,
                part: url::RECIPIENT,
            });
        }
        Ok(Self {
            message_name: message_name.to_owned(),
            task_profile: Canonical::parse(task_profile),
            requesters: parties(url::REQUESTER)?,
            recipients,
        })
    }
}

impl Party {
    /// Reads a Coding of the process-authorization system with the extension its code needs.
    #[must_use]
    pub fn from_coding(coding: &Value) -> Option<Self> {
        if coding.text("system") != Some(dsf::system::PROCESS_AUTHORIZATION) {
            return None;
        }
        let code = coding.text("code")?;
        let side = if code.starts_with("REMOTE_") {
            Side::Remote
        } else {
            Side::Local
        };
        let (organizations, practitioner_role) = match code {
            "LOCAL_ALL" | "REMOTE_ALL" => (Organizations::All, None),
            "LOCAL_ORGANIZATION" | "REMOTE_ORGANIZATION" => {
                let extension = coding.only_extension(url::AUTHORIZED_ORGANIZATION)?;
                (
                    Organizations::One(organization_identifier(extension)?),
                    None,
                )
            }
            "LOCAL_ROLE" | "REMOTE_ROLE" => {
                (role(coding.only_extension(url::AUTHORIZED_ROLE)?)?, None)
            }
            "LOCAL_ALL_PRACTITIONER" => {
                let extension = coding.only_extension(url::AUTHORIZED_PRACTITIONER)?;
                (Organizations::All, Some(coding_value(extension)?))
            }
            "LOCAL_ORGANIZATION_PRACTITIONER" => {
                let extension = coding.only_extension(url::AUTHORIZED_ORGANIZATION_PRACTITIONER)?;
                let organization = extension.only_extension(url::ORGANIZATION)?;
                let organization = organization_identifier(organization)?;
                (
                    Organizations::One(organization),
                    Some(practitioner_role(extension)?),
                )
            }
            "LOCAL_ROLE_PRACTITIONER" => {
                let extension = coding.only_extension(url::AUTHORIZED_ROLE_PRACTITIONER)?;
                (role(extension)?, Some(practitioner_role(extension)?))
            }
            _ => return None,
        };
        Some(Self {
            side,
            organizations,
            practitioner_role,
        })
    }

    /// Tasks are received by the local organisation itself, never by remote ones or by people.
    #[must_use]
    pub fn may_receive(&self) -> bool {
        self.side == Side::Local && self.practitioner_role.is_none()
    }
}

fn role(extension: &Value) -> Option<Organizations> {
    let parent = organization_identifier(extension.only_extension(url::PARENT_ORGANIZATION)?)?;
    let role = coding_value(extension.only_extension(url::ORGANIZATION_ROLE)?)?;
    Some(Organizations::Role { parent, role })
}

fn practitioner_role(extension: &Value) -> Option<Coding> {
    coding_value(extension.only_extension(url::PRACTITIONER_ROLE)?)
}

fn coding_value(extension: &Value) -> Option<Coding> {
    Coding::from_element(extension.member("valueCoding")?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definition(requester: Value, recipient: Value) -> Resource {
        let part = |url: &str, coding: Value| json!({"url": url, "valueCoding": coding});
        Resource::of_type("ActivityDefinition").with(
            "extension",
            json!([{"url": url::PROCESS_AUTHORIZATION, "extension": [
                {"url": "message-name", "valueString": "ping"},
                {"url": "task-profile", "valueCanonical": "http://dsf.dev/task-ping|2.0"},
                part("requester", requester),
                part("recipient", recipient),
            ]}]),
        )
    }

    fn code(code: &str) -> Value {
        json!({"system": dsf::system::PROCESS_AUTHORIZATION, "code": code})
    }

    #[test]
    fn an_authorization_is_found_by_message_and_profile() {
        let resource = definition(code("REMOTE_ALL"), code("LOCAL_ALL"));
        let definition = ActivityDefinition(&resource);
        let profile = |text| [Canonical::parse(text)];
        let found = definition
            .authorization("ping", &profile("http://dsf.dev/task-ping"))
            .unwrap();
        assert_eq!(found.requesters[0].side, Side::Remote);
        assert_eq!(found.recipients[0].organizations, Organizations::All);
        let none = definition.authorization("ping", &profile("http://dsf.dev/task-ping|1.0"));
        assert_eq!(none, None);
        assert_eq!(definition.authorizations().map(|all| all.len()), Ok(1));
    }

    #[test]
    fn a_remote_recipient_and_a_role_without_its_extension_are_malformed() {
        let party = |part| {
            Err(Malformed::Party {
                message: "ping".to_owned(),
                part,
            })
        };
        let remote = definition(code("REMOTE_ALL"), code("REMOTE_ALL"));
        assert_eq!(
            ActivityDefinition(&remote).authorizations(),
            party("recipient")
        );
        let bare = definition(code("LOCAL_ROLE"), code("LOCAL_ALL"));
        assert_eq!(
            ActivityDefinition(&bare).authorizations(),
            party("requester")
        );
    }
}
