//! `dsf auth explain`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use openssl::x509::X509;
use serde_json::{Value, json};

use super::Node;
use super::matrix::groups;
use crate::auth::{self, Certificate, Identity, Operation, Refusal, Scope, Subject};
use crate::command::cert::certificates;
use crate::command::table::Table;
use crate::kernel::Clock;
use crate::net::tls::{Acceptor, PeerCertificate};

/// What is found out about a certificate.
struct Finding {
    certificate: Certificate,
    /// What the handshake would say.
    handshake: Result<(), String>,
    identity: Result<Identity, Refusal>,
    why: Vec<String>,
}

pub(super) fn run(node: &Node, file: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let finding = find(node, &certificates(file)?)
        .with_context(|| format!("{}: cannot be looked at", file.display()))?;
    match json {
        true => println!("{:#}", finding.json(node)),
        false => finding.print(node)?,
    }
    Ok(match (&finding.handshake, &finding.identity) {
        (Ok(()), Ok(_)) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn find(node: &Node, chain: &[Vec<u8>]) -> anyhow::Result<Finding> {
    let chain: Vec<X509> = chain
        .iter()
        .map(|der| X509::from_der(der))
        .collect::<Result<_, _>>()?;
    let (leaf, others) = chain
        .split_first()
        .context("the file holds no certificate")?;
    let peer = PeerCertificate::try_from(&**leaf)?;
    let certificate = Certificate::from_der(peer.der())?;
    let acceptor = Acceptor::new(node.settings.tls.clone())?;
    let handshake = acceptor
        .verify(&peer, others)
        .map_err(|reason| reason.to_string());
    let own = &node.settings.organization;
    let allowed = node.directory.allowed(&certificate.thumbprint, own);
    let roles = &node.config.roles;
    let now = Clock::system().now();
    let identity = auth::identify(&certificate, &allowed, roles, now);
    let why = match &identity {
        Ok(identity) => why(identity, &certificate, node),
        Err(refusal) => vec![refusal.to_string()],
    };
    Ok(Finding {
        certificate,
        handshake,
        identity,
        why,
    })
}

fn why(identity: &Identity, certificate: &Certificate, node: &Node) -> Vec<String> {
    if identity.person().is_none() {
        let Identity { organization, .. } = identity;
        let id = organization.id.as_deref().unwrap_or("?");
        let name = &organization.identifier;
        return vec![format!(
            "the active Organization/{id} ({name}) lists its thumbprint"
        )];
    }
    let rules = node.config.roles.matching(&auth::claims(certificate));
    rules
        .iter()
        .map(|rule| format!("the role rule '{rule}' matches"))
        .collect()
}

impl Finding {
    fn kind(identity: &Identity) -> &'static str {
        match &identity.subject {
            Subject::LocalOrganization => "the own organisation",
            Subject::RemoteOrganization => "a partner",
            Subject::Practitioner(_) if identity.is_admin() => "a person, administrator",
            Subject::Practitioner(_) => "a person",
        }
    }

    fn json(&self, node: &Node) -> Value {
        let identity = self.identity.as_ref().ok().map(|identity| {
            let roles = identity.person().map(|person| {
                let role = |role: &auth::Coding| format!("{}|{}", role.system, role.code);
                person.roles.iter().map(role).collect::<Vec<_>>()
            });
            json!({
                "kind": Self::kind(identity),
                "name": identity.name(),
                "organization": identity.organization.identifier,
                "endpoint": identity.organization.endpoint,
                "practitionerRoles": roles,
                "memberships": memberships(identity, node),
                "rights": rights(identity),
            })
        });
        json!({
            "subject": self.certificate.subject,
            "thumbprint": self.certificate.thumbprint,
            "validFrom": self.certificate.valid_from.to_string(),
            "expires": self.certificate.expires.to_string(),
            "handshake": self.handshake.as_ref().err().map_or("accepted", String::as_str),
            "reason": self.identity.as_ref().err().map(Refusal::id),
            "why": self.why,
            "identity": identity,
        })
    }

    fn print(&self, node: &Node) -> anyhow::Result<()> {
        let Certificate {
            subject,
            thumbprint,
            valid_from,
            expires,
            ..
        } = &self.certificate;
        println!("subject     {subject}");
        println!("thumbprint  {thumbprint}");
        println!("valid       {valid_from} to {expires}");
        match &self.handshake {
            Ok(()) => println!("handshake   accepted"),
            Err(reason) => println!("handshake   REFUSED: {reason}"),
        }
        match &self.identity {
            Ok(identity) => println!("who         {}: {}", Self::kind(identity), identity.name()),
            Err(refusal) => println!("who         NOBODY ({})", refusal.id()),
        }
        for why in &self.why {
            println!("because     {why}");
        }
        let Ok(identity) = &self.identity else {
            return Ok(());
        };
        if let Some(endpoint) = &identity.organization.endpoint {
            println!("endpoint    {endpoint}");
        }
        for membership in memberships(identity, node) {
            println!("member      {membership}");
        }
        for role in identity
            .person()
            .into_iter()
            .flat_map(|person| &person.roles)
        {
            println!("role        {}|{}", role.system, role.code);
        }
        for right in rights(identity) {
            println!("right       {right}");
        }
        println!();
        let mut table = Table::new(&super::matrix::COLUMNS[1..]);
        for (kinds, cells) in groups(identity) {
            let words = cells.map(|cell| cell.word().to_owned());
            table.row(std::iter::once(kinds).chain(words));
        }
        table.print(false)?;
        println!("\nThe words are explained by dsf auth matrix.");
        Ok(())
    }
}

/// `role of parent` for each role that counts now.
fn memberships(identity: &Identity, node: &Node) -> Vec<String> {
    let all = node
        .directory
        .memberships(&identity.organization.identifier);
    let words = all.iter().flat_map(|membership| {
        let of = if membership.parent_active {
            membership.parent.clone()
        } else {
            format!("{} (inactive: opens no resources)", membership.parent)
        };
        let role = move |role: &auth::Coding| format!("{} of {of}", role.code);
        membership.roles.iter().map(role).collect::<Vec<_>>()
    });
    words.collect()
}

/// `OPERATION` or `OPERATION: types`.
fn rights(identity: &Identity) -> Vec<String> {
    let word = |(operation, scope): (Operation, &Scope)| match scope {
        Scope::Everything => operation.name().to_owned(),
        Scope::Types(types) => {
            let types: Vec<&str> = types.iter().map(|kind| kind.name()).collect();
            format!("{}: {}", operation.name(), types.join(", "))
        }
    };
    identity.rights.iter().map(word).collect()
}
