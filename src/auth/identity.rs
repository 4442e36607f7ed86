//! The authenticated principal of one request or socket (auth-config §2.5).

use jiff::Timestamp;

use super::right::Rights;

/// The practitioner role that makes a person an administrator of its organisation.
const ADMIN: (&str, &str) = (
    "http://dsf.dev/fhir/CodeSystem/practitioner-role",
    "DSF_ADMIN",
);

/// A code and the system that gives it meaning; equal only if both are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Coding {
    pub system: String,
    pub code: String,
}

impl Coding {
    #[must_use]
    pub fn new(system: impl Into<String>, code: impl Into<String>) -> Self {
        Self {
            system: system.into(),
            code: code.into(),
        }
    }
}

/// What the rules need to know of an active Organization of the allow list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Value of the DSF organisation identifier.
    pub identifier: String,
    /// Logical id of the Organization resource; none before the first start has stored it.
    pub id: Option<String>,
    /// DSF identifier of the endpoint in use (§2.2): it limits the roles of process
    /// authorisation to the affiliations through this endpoint (§6.2).
    pub endpoint: Option<String>,
}

/// A person of the local organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Value of the practitioner identifier, normally an e-mail address (§2.3).
    pub identifier: String,
    pub name: HumanName,
    pub roles: Vec<Coding>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HumanName {
    pub family: String,
    pub given: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    LocalOrganization,
    RemoteOrganization,
    Practitioner(Person),
}

/// What proved the identity, and until when it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    Certificate {
        thumbprint: String,
        expires: Timestamp,
    },
    /// The server itself while it loads its initial resources (§2.8).
    Internal,
}

/// Who is asking. Persons are always local and act for the local organisation.
#[derive(Clone, Debug)]
pub struct Identity {
    pub subject: Subject,
    /// The organisation itself, or the one a person acts for.
    pub organization: Member,
    pub rights: Rights,
    pub credential: Credential,
}

impl Identity {
    /// Loads the initial resources at start (§2.8): the local organisation, without a certificate.
    #[must_use]
    pub fn initial_loader() -> Self {
        Self {
            subject: Subject::LocalOrganization,
            organization: Member {
                identifier: "initial.data.loader".to_owned(),
                id: None,
                endpoint: None,
            },
            rights: Rights::of_loader(),
            credential: Credential::Internal,
        }
    }

    #[must_use]
    pub fn is_local(&self) -> bool {
        !matches!(self.subject, Subject::RemoteOrganization)
    }

    #[must_use]
    pub fn person(&self) -> Option<&Person> {
        match &self.subject {
            Subject::Practitioner(person) => Some(person),
            _ => None,
        }
    }

    /// A person with the practitioner role `DSF_ADMIN`.
    #[must_use]
    pub fn is_admin_person(&self) -> bool {
        self.person().is_some_and(|person| {
            person
                .roles
                .iter()
                .any(|r| (r.system.as_str(), r.code.as_str()) == ADMIN)
        })
    }

    /// The local organisation itself or one of its `DSF_ADMIN`s: ADMIN(i) of §4.2.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.subject == Subject::LocalOrganization || self.is_admin_person()
    }

    /// Whether the certificate or token is out of date.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        match &self.credential {
            Credential::Certificate { expires, .. } => *expires <= now,
            Credential::Internal => false,
        }
    }

    /// The name in logs and audit: the organisation, or organisation and person (§2.5).
    #[must_use]
    pub fn name(&self) -> String {
        match self.person() {
            Some(person) => format!("{}/{}", self.organization.identifier, person.identifier),
            None => self.organization.identifier.clone(),
        }
    }
}
