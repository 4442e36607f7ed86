//! Certificate → identity (auth-config §2.2, §2.3).

use jiff::Timestamp;

use super::certificate::{Certificate, Unfit};
use super::identity::{Credential, HumanName, Identity, Member, Person, Subject};
use super::right::Rights;
use super::roles::{Claims, Roles};

/// What the allow list says at this moment, looked up for one certificate.
///
/// The endpoint of the local organisation is the active Endpoint with our base URL as address. Of
/// another one it is the active Endpoint with the thumbprint, else the only one that the
/// Organization refers to, whatever its status, else none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Current, active Organizations that carry the thumbprint and a DSF identifier.
    pub listed: Vec<Member>,
    /// The current, active Organization with our own identifier.
    pub local: Option<Member>,
}

/// Why nobody is admitted. For the log: the client gets 403 and an empty body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Certificate(#[from] Unfit),
    #[error(
        "the thumbprint {thumbprint} of {subject} is in no active Organization and no role rule"
    )]
    Unknown { thumbprint: String, subject: String },
    #[error("the thumbprint {thumbprint} of {subject} is in more than one active Organization")]
    Ambiguous { thumbprint: String, subject: String },
    #[error("{subject} is a person of a role rule, but the local Organization is not active here")]
    NoLocalOrganization { subject: String },
}

impl Refusal {
    /// A short name that never changes: log field and anchor of `docs/security.md`.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        match self {
            Self::Certificate(unfit) => unfit.id(),
            Self::Unknown { .. } => "unknown-certificate",
            Self::Ambiguous { .. } => "ambiguous-certificate",
            Self::NoLocalOrganization { .. } => "no-local-organization",
        }
    }
}

/// Who comes with this certificate.
///
/// # Errors
///
/// Why nobody is admitted with it.
pub fn identify(
    certificate: &Certificate,
    allowed: &Allowed,
    roles: &Roles,
    now: Timestamp,
) -> Result<Identity, Refusal> {
    certificate.check(now)?;
    if let [member] = allowed.listed.as_slice() {
        return Ok(organization(certificate, member, allowed.local.as_ref()));
    }
    let subject = certificate.subject.clone();
    match (person(certificate, roles), &allowed.local) {
        (Some((person, rights)), Some(local)) => Ok(Identity {
            subject: Subject::Practitioner(person),
            organization: local.clone(),
            rights,
            credential: credential(certificate),
        }),
        (Some(_), None) => Err(Refusal::NoLocalOrganization { subject }),
        (None, _) => {
            let thumbprint = certificate.thumbprint.clone();
            Err(if allowed.listed.is_empty() {
                Refusal::Unknown {
                    thumbprint,
                    subject,
                }
            } else {
                Refusal::Ambiguous {
                    thumbprint,
                    subject,
                }
            })
        }
    }
}

fn organization(certificate: &Certificate, member: &Member, local: Option<&Member>) -> Identity {
    let (subject, organization, rights) = match local {
        Some(local) if local.identifier == member.identifier => (
            Subject::LocalOrganization,
            local,
            Rights::of_local_organization(),
        ),
        _ => (
            Subject::RemoteOrganization,
            member,
            Rights::of_remote_organization(),
        ),
    };
    Identity {
        subject,
        organization: organization.clone(),
        rights,
        credential: credential(certificate),
    }
}

fn credential(certificate: &Certificate) -> Credential {
    Credential::Certificate {
        thumbprint: certificate.thumbprint.clone(),
        expires: certificate.expires,
    }
}

/// What a certificate proves of a person.
#[must_use]
pub fn claims(certificate: &Certificate) -> Claims<'_> {
    let email = certificate.emails.iter().find(|email| !email.is_empty());
    Claims {
        thumbprint: Some(&certificate.thumbprint),
        email: email.map(String::as_str),
        ..Claims::default()
    }
}

/// The person that a role rule names by thumbprint or, mended, by e-mail address (§2.3).
fn person(certificate: &Certificate, roles: &Roles) -> Option<(Person, Rights)> {
    let claims = claims(certificate);
    let granted = roles.granted(&claims)?;
    let identifier = match claims.email {
        Some(email) => escaped(email),
        None => format!("{}@certificate.invalid", certificate.thumbprint),
    };
    let families = match certificate.surnames.as_slice() {
        [] => &certificate.common_names,
        _ => &certificate.surnames,
    };
    let name = HumanName {
        family: families.join(" "),
        given: certificate.given_names.clone(),
    };
    Some((
        Person {
            identifier,
            name,
            roles: granted.practitioner_roles,
        },
        granted.rights,
    ))
}

/// Names are escaped as in a distinguished name: part of the wire, Tasks carry the identifier so.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, ',' | '"' | '\\' | '+' | '=' | '<' | '>' | ';') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
