//! A store in memory that answers lookups, the identities of the cases, and builders.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::auth::{
    Coding, Credential, HumanName, Identity, Member, Person, Rights, Scope, Subject,
};
use crate::fhir::authorize::AccessFilter;
use crate::fhir::authorize::{
    Answer, Decision, Facts, Lookup, Membership, Operation, Reason, Request, Target, access_filter,
    access_keys, decide, unique_keys,
};
use crate::r4::{Resource, ResourceType};

pub(super) const BASE: &str = "https://us.example.org/fhir";
pub(super) const DSF: &str = "http://dsf.dev/fhir";
pub(super) const ORGANIZATION: &str = "http://dsf.dev/sid/organization-identifier";
pub(super) const PRACTITIONER: &str = "http://dsf.dev/sid/practitioner-identifier";
pub(super) const ROLES: &str = "http://dsf.dev/fhir/CodeSystem/organization-role";

pub(super) fn resource(value: Value) -> Resource {
    Resource::from_value(value).unwrap()
}

/// Our organisation is COS of the parent, `them` is DIC of it; `others` belongs to nothing.
pub(super) struct World {
    pub(super) stored: Vec<Resource>,
    pub(super) memberships: Vec<(&'static str, Membership)>,
}

pub(super) fn membership(parent: &str, role: &str) -> Membership {
    Membership {
        parent: parent.to_owned(),
        parent_active: true,
        roles: vec![Coding::new(ROLES, role)],
        endpoints: vec!["endpoint".to_owned()],
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            stored: Vec::new(),
            memberships: vec![
                ("us", membership("parent", "COS")),
                ("them", membership("parent", "DIC")),
            ],
        }
    }

    pub(super) fn with(stored: Value) -> Self {
        Self {
            stored: vec![resource(stored)],
            ..Self::new()
        }
    }

    fn answer(&self, lookup: &Lookup) -> Answer {
        match lookup {
            Lookup::Local => Answer::Local(Some(member("us"))),
            Lookup::Organization { identifier } => Answer::Exists(
                ["us", "them", "others", "parent", "inactive"].contains(&identifier.as_str()),
            ),
            Lookup::Memberships { organization } => Answer::Memberships(
                self.memberships
                    .iter()
                    .filter(|(m, _)| m == organization)
                    .map(|(_, m)| m.clone())
                    .collect(),
            ),
            Lookup::Process { url, version } => self.document(|r| {
                r.str("url") == Some(url)
                    && r.str("version") == Some(version)
                    && r.str("status") != Some("retired")
            }),
            Lookup::Concept {
                system,
                version,
                code,
            } => Answer::Exists(
                system == ROLES
                    && version.as_deref().is_none_or(|v| v == "2.0.0")
                    && ["DIC", "COS", "HRP"].contains(&code.as_str()),
            ),
            Lookup::Holders { kind, key } => Answer::Ids(
                self.stored
                    .iter()
                    .filter(|r| {
                        r.resource_type() == Some(*kind) && unique_keys(r, BASE).contains(key)
                    })
                    .map(|r| r.id().unwrap().to_owned())
                    .collect(),
            ),
            Lookup::Target(Target::Literal { kind, id, .. }) => {
                self.document(|r| r.resource_type() == Some(*kind) && r.id() == Some(id))
            }
            Lookup::Target(Target::Logical { kind, value, .. }) => self.document(|r| {
                r.resource_type() == Some(*kind)
                    && r.get("identifier").and_then(|i| i[0]["value"].as_str()) == Some(value)
            }),
            Lookup::Criteria { criteria } => Answer::Exists(criteria.starts_with("Task?status=")),
        }
    }

    fn document(&self, found: impl Fn(&Resource) -> bool) -> Answer {
        Answer::Document(self.stored.iter().find(|r| found(r)).cloned().map(Arc::new))
    }

    /// Asks as the service does: answers what is missing, asks again.
    pub(super) fn decide(&self, identity: &Identity, request: &Request<'_>) -> Decision {
        self.ask(|facts| decide(identity, request, facts))
    }

    pub(super) fn filter(
        &self,
        identity: &Identity,
        operation: Operation,
        kind: ResourceType,
    ) -> AccessFilter {
        self.ask(|facts| access_filter(identity, operation, kind, facts))
    }

    fn ask<T>(&self, question: impl Fn(&Facts) -> Result<T, Vec<Lookup>>) -> T {
        let mut facts = Facts::new(BASE);
        for _ in 0..4 {
            match question(&facts) {
                Ok(answer) => return answer,
                Err(missing) => {
                    for lookup in missing {
                        let answer = self.answer(&lookup);
                        facts.insert(lookup, answer);
                    }
                }
            }
        }
        panic!("more than three rounds of lookups");
    }

    pub(super) fn create(&self, identity: &Identity, new: &Value) -> Result<Reason, Reason> {
        let new = resource(new.clone());
        verdict(self.decide(
            identity,
            &Request::create(new.resource_type().unwrap(), &new),
        ))
    }

    pub(super) fn update(
        &self,
        identity: &Identity,
        old: &Value,
        new: &Value,
    ) -> Result<Reason, Reason> {
        let (old, new) = (resource(old.clone()), resource(new.clone()));
        verdict(self.decide(
            identity,
            &Request::update(old.resource_type().unwrap(), &old, &new),
        ))
    }

    pub(super) fn ask_for(
        &self,
        operation: Operation,
        identity: &Identity,
        old: &Value,
    ) -> Result<Reason, Reason> {
        let old = resource(old.clone());
        verdict(self.decide(
            identity,
            &Request::of(operation, old.resource_type().unwrap(), &old),
        ))
    }

    pub(super) fn reads(&self, identity: &Identity, old: &Value) -> bool {
        self.ask_for(Operation::Read, identity, old).is_ok()
    }

    /// Whether a search finds it, the overlap of keys computed as the store does.
    pub(super) fn finds(&self, identity: &Identity, old: &Value) -> bool {
        self.sees(identity, Operation::Search, old)
    }

    /// The same for a history.
    pub(super) fn sees(&self, identity: &Identity, operation: Operation, old: &Value) -> bool {
        let old = resource(old.clone());
        match self.filter(identity, operation, old.resource_type().unwrap()) {
            AccessFilter::Nothing => false,
            AccessFilter::Keys(held) | AccessFilter::KeysOrContext(held) => {
                access_keys(&old, BASE).iter().any(|key| held.contains(key))
            }
        }
    }
}

pub(super) fn verdict(decision: Decision) -> Result<Reason, Reason> {
    match decision {
        Decision::Allow(reason) => Ok(reason),
        Decision::Deny(reason) => Err(reason),
    }
}

pub(super) fn member(name: &str) -> Member {
    Member {
        identifier: name.to_owned(),
        id: Some(format!("{name}-id")),
        endpoint: Some("endpoint".to_owned()),
    }
}

fn identity(subject: Subject, name: &str, rights: Rights) -> Identity {
    Identity {
        subject,
        organization: member(name),
        rights,
        credential: Credential::Internal,
    }
}

pub(super) fn us() -> Identity {
    identity(
        Subject::LocalOrganization,
        "us",
        Rights::of_local_organization(),
    )
}

pub(super) fn remote(name: &str) -> Identity {
    identity(
        Subject::RemoteOrganization,
        name,
        Rights::of_remote_organization(),
    )
}

/// A person with every right and one practitioner role.
pub(super) fn person(name: &str, role: &str) -> Identity {
    let person = Person {
        identifier: format!("{name}@example.org"),
        name: HumanName::default(),
        roles: vec![Coding::new(
            format!("{DSF}/CodeSystem/practitioner-role"),
            role,
        )],
    };
    identity(
        Subject::Practitioner(person),
        "us",
        Rights::of_local_organization(),
    )
}

pub(super) fn with_rights(
    mut identity: Identity,
    grants: &[(Operation, &[ResourceType])],
) -> Identity {
    identity.rights = grants
        .iter()
        .map(|(operation, kinds)| match kinds {
            [] => (*operation, Scope::Everything),
            kinds => (
                *operation,
                Scope::Types(BTreeSet::from_iter(kinds.iter().copied())),
            ),
        })
        .collect();
    identity
}

/// us, admin, practitioner, them, others: who all of the tables ask.
pub(super) fn everybody() -> [(&'static str, Identity); 5] {
    [
        ("us", us()),
        ("admin", person("admin", "DSF_ADMIN")),
        ("practitioner", person("practitioner", "DIC_USER")),
        ("them", remote("them")),
        ("others", remote("others")),
    ]
}

/// The names of those for whom something holds.
pub(super) fn who(holds: impl Fn(&Identity) -> bool) -> String {
    let names: Vec<_> = everybody()
        .into_iter()
        .filter(|(_, i)| holds(i))
        .map(|(n, _)| n)
        .collect();
    names.join(" ")
}

pub(super) fn tag(code: &str) -> Value {
    json!({"system": format!("{DSF}/CodeSystem/read-access-tag"), "code": code})
}

pub(super) fn tag_organization(identifier: &str) -> Value {
    let mut tag = tag("ORGANIZATION");
    tag["extension"] = json!([{"url": format!("{DSF}/StructureDefinition/extension-read-access-organization"),
        "valueIdentifier": {"system": ORGANIZATION, "value": identifier}}]);
    tag
}

pub(super) fn tag_role(parent: &str, role: &str) -> Value {
    let mut tag = tag("ROLE");
    tag["extension"] = json!([{
        "url": format!("{DSF}/StructureDefinition/extension-read-access-parent-organization-role"),
        "extension": [
            {"url": "parent-organization", "valueIdentifier": {"system": ORGANIZATION, "value": parent}},
            {"url": "organization-role", "valueCoding": {"system": ROLES, "code": role}}]}]);
    tag
}

/// A resource of a type with an id and read-access tags, other members added.
pub(super) fn tagged(kind: &str, tags: &[Value], more: Value) -> Value {
    let mut value = json!({"resourceType": kind, "id": "it", "meta": {"tag": tags}});
    value
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    value
}

pub(super) fn open(kind: &str, more: Value) -> Value {
    tagged(kind, &[tag("ALL")], more)
}

/// A copy with one member set, or dropped if the value is null.
pub(super) fn put(value: &Value, name: &str, member: Value) -> Value {
    let mut value = value.clone();
    let members = value.as_object_mut().unwrap();
    if member.is_null() {
        members.shift_remove(name);
    } else {
        members.insert(name.to_owned(), member);
    }
    value
}

pub(super) fn organization(identifier: &str) -> Value {
    json!({"type": "Organization", "identifier": {"system": ORGANIZATION, "value": identifier}})
}

pub(super) fn practitioner(name: &str) -> Value {
    json!({"type": "Practitioner", "identifier": {"system": PRACTITIONER, "value": format!("{name}@example.org")}})
}
