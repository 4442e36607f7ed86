//! auth-config §1.2, §2.2, §2.3: who comes in with which certificate, and as whom.

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose as Usage, KeyPair,
    KeyUsagePurpose, SanType,
};

use super::certificate::{Certificate, Unfit};
use super::identify::{Allowed, Refusal, identify};
use super::identity::{Identity, Member, Subject};
use super::right::Operation;
use super::roles::Roles;
use crate::r4::ResourceType::{Group, Task};

fn certificate(change: impl FnOnce(&mut CertificateParams)) -> Certificate {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "Somebody");
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    Certificate::from_der(params.self_signed(&key).unwrap().der()).unwrap()
}

fn email(address: &str) -> SanType {
    SanType::Rfc822Name(address.try_into().unwrap())
}

fn member(name: &str) -> Member {
    Member {
        identifier: name.to_owned(),
        id: Some(format!("id-of-{name}")),
        endpoint: None,
    }
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn allow_list(listed: &[&str]) -> Allowed {
    Allowed {
        listed: listed.iter().map(|n| member(n)).collect(),
        local: Some(member("us")),
    }
}

fn rules(certificate: &Certificate) -> Roles {
    let thumbprint = &certificate.thumbprint;
    Roles::from_yaml(&format!(
        "- listed: {{thumbprint: {thumbprint}}}\n- mail: {{email: a@example.org, dsf-role: READ}}"
    ))
    .unwrap()
}

fn name(identity: &Result<Identity, Refusal>) -> String {
    identity
        .as_ref()
        .map_or_else(ToString::to_string, Identity::name)
}

#[test]
fn organisations_win_over_role_rules() {
    let certificate = certificate(|p| p.subject_alt_names = vec![email("a@example.org")]);
    let roles = rules(&certificate);
    let who = |listed: &[&str]| identify(&certificate, &allow_list(listed), &roles, now());
    assert_eq!(who(&["us"]).unwrap().subject, Subject::LocalOrganization);
    let remote = who(&["them"]).unwrap();
    assert_eq!(
        (remote.is_local(), remote.name()),
        (false, "them".to_owned())
    );
    assert!(remote.rights.allow(Operation::Create, Task));
    assert!(!remote.rights.allow(Operation::Create, Group));
    assert!(!remote.rights.allow_any(Operation::Websocket));
    assert_eq!(name(&who(&[])), "us/a@example.org");
    assert_eq!(
        name(&who(&["them", "others"])),
        "us/a@example.org",
        "ambiguous: not found"
    );
}

#[test]
fn a_person_is_named_after_its_address_or_its_certificate() {
    let by_rule = |c: &Certificate| identify(c, &allow_list(&[]), &rules(c), now());
    let bare = certificate(|p| {
        p.distinguished_name
            .push(DnType::CustomDnType(vec![2, 5, 4, 42]), "Ada")
    });
    let identity = by_rule(&bare).unwrap();
    let person = identity.person().unwrap();
    assert_eq!(
        person.identifier,
        format!("{}@certificate.invalid", bare.thumbprint)
    );
    assert_eq!(
        (person.name.family.as_str(), person.name.given.as_slice()),
        ("Somebody", &["Ada".to_owned()][..])
    );
    let plus = certificate(|p| p.subject_alt_names = vec![email("a+b@x.org"), email("c@x.org")]);
    assert_eq!(name(&by_rule(&plus)), "us/a\\+b@x.org");
    let subject = certificate(|p| {
        let address = DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]);
        p.distinguished_name.push(address, "first@x.org");
        p.subject_alt_names = vec![email("second@x.org")];
    });
    assert_eq!(name(&by_rule(&subject)), "us/first@x.org");
    let empty = certificate(|p| p.subject_alt_names = vec![email(""), email("second@x.org")]);
    assert_eq!(name(&by_rule(&empty)), "us/second@x.org");
}

#[test]
fn an_email_rule_alone_admits_and_adds_its_rights() {
    let mailed = certificate(|p| p.subject_alt_names = vec![email("a@example.org")]);
    let other = certificate(|_| {});
    let identity = identify(&mailed, &allow_list(&[]), &rules(&other), now()).unwrap();
    assert!(identity.rights.allow(Operation::Read, Group));
    let listed = identify(&mailed, &allow_list(&[]), &rules(&mailed), now()).unwrap();
    assert!(listed.rights.allow(Operation::Read, Group));
    let roleless = identify(&other, &allow_list(&[]), &rules(&other), now()).unwrap();
    assert!(
        !roleless.rights.allow_any(Operation::Read),
        "listed without rights is admitted"
    );
}

#[test]
fn strangers_and_persons_without_a_local_organisation_stay_out() {
    let stranger = certificate(|_| {});
    let unknown = identify(&stranger, &allow_list(&[]), &Roles::default(), now());
    assert!(matches!(unknown, Err(Refusal::Unknown { .. })));
    let twice = identify(
        &stranger,
        &allow_list(&["a", "b"]),
        &Roles::default(),
        now(),
    );
    assert!(matches!(twice, Err(Refusal::Ambiguous { .. })));
    let homeless = identify(&stranger, &Allowed::default(), &rules(&stranger), now());
    assert!(matches!(homeless, Err(Refusal::NoLocalOrganization { .. })));
}

#[test]
fn usages_count_if_there_are_any() {
    let extended =
        |usages: &[Usage]| certificate(|p| p.extended_key_usages = usages.to_vec()).check(now());
    assert_eq!(extended(&[]), Ok(()));
    assert_eq!(extended(&[Usage::ClientAuth, Usage::ServerAuth]), Ok(()));
    assert_eq!(extended(&[Usage::Any]), Ok(()));
    assert_eq!(extended(&[Usage::ServerAuth]), Err(Unfit::NoClientUsage));
    let key = |usage| certificate(|p| p.key_usages = vec![usage]).check(now());
    assert_eq!(key(KeyUsagePurpose::DigitalSignature), Ok(()));
    assert_eq!(key(KeyUsagePurpose::KeyAgreement), Err(Unfit::NoSignature));
    let strange = |critical| {
        let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        extension.set_criticality(critical);
        certificate(|p| p.custom_extensions = vec![extension]).check(now())
    };
    assert_eq!(strange(false), Ok(()));
    assert_eq!(
        strange(true),
        Err(Unfit::UnknownExtension("1.2.3.4".to_owned()))
    );
}

#[test]
fn a_certificate_counts_between_its_two_dates() {
    let certificate = certificate(|p| {
        p.not_before = rcgen::date_time_ymd(2026, 1, 1);
        p.not_after = rcgen::date_time_ymd(2026, 1, 2);
    });
    let at = |hours| certificate.check(now() + SignedDuration::from_hours(hours));
    assert!(matches!(at(-1), Err(Unfit::NotYetValid(_))));
    assert_eq!((at(0), at(23)), (Ok(()), Ok(())));
    assert!(matches!(at(24), Err(Unfit::Expired(_))));
    assert_eq!(certificate.thumbprint.len(), 128);
    let roles = Roles::default();
    let identity = identify(&certificate, &allow_list(&["them"]), &roles, now()).unwrap();
    let hours = [23, 24].map(|hours| now() + SignedDuration::from_hours(hours));
    assert_eq!(hours.map(|at| identity.is_expired(at)), [false, true]);
    assert!(!Identity::initial_loader().is_expired(hours[1]));
}

#[test]
fn every_refusal_at_the_door_is_explained_in_the_security_guide() {
    let guide = include_str!("../../docs/security.md");
    let text = || String::new();
    let of_certificate = [
        Unfit::Expired(now()),
        Unfit::NotYetValid(now()),
        Unfit::NoClientUsage,
        Unfit::NoSignature,
        Unfit::UnknownExtension(text()),
    ];
    let (thumbprint, subject) = (text(), text());
    let of_lists = [
        Refusal::Unknown {
            thumbprint,
            subject,
        },
        Refusal::Ambiguous {
            thumbprint: text(),
            subject: text(),
        },
        Refusal::NoLocalOrganization { subject: text() },
    ];
    let of_certificate = of_certificate.into_iter().map(Refusal::from);
    for refusal in of_certificate.chain(of_lists) {
        let id = refusal.id();
        let anchor = format!("| <a id=\"{id}\"></a>`{id}` |");
        assert!(guide.contains(&anchor), "missing: {anchor}");
    }
}

#[test]
fn what_is_no_certificate_is_no_certificate() {
    assert!(Certificate::from_der(b"-----BEGIN CERTIFICATE-----").is_err());
}
