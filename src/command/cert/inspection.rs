//! What stands in one certificate, and what a DSF node makes of it
//! (`spec/auth-config.md` §1.2, §1.3, §1.5).

use std::fmt::Write as _;
use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::{Value, json};
use x509_cert::Certificate;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Error};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};

use crate::net::tls::Thumbprint;

const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

#[derive(Debug)]
pub(super) struct Inspection {
    thumbprint: String,
    subject: String,
    issuer: String,
    valid_from: Timestamp,
    valid_until: Timestamp,
    names: Vec<String>,
    /// `None`: the extension is absent.
    key_usage: Option<Vec<String>>,
    extended_key_usage: Option<Vec<String>>,
    verdict: Verdict,
}

#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    authority: bool,
    client: bool,
    server: bool,
    in_date: bool,
    remarks: Vec<String>,
}

impl Inspection {
    pub(super) fn of(der: &[u8], now: Timestamp) -> Result<Self, Error> {
        let certificate = Certificate::from_der(der)?;
        let content = &certificate.tbs_certificate;
        let names = content.get::<SubjectAltName>()?.map(|(_, names)| names.0);
        let key_usage = content.get::<KeyUsage>()?.map(|(_, usage)| usage);
        let extended = content.get::<ExtendedKeyUsage>()?.map(|(_, usage)| usage.0);
        let constraints = content
            .get::<BasicConstraints>()?
            .map(|(_, constraints)| constraints);
        let valid_from = timestamp(content.validity.not_before.to_unix_duration());
        let valid_until = timestamp(content.validity.not_after.to_unix_duration());
        let mut verdict = Verdict {
            authority: constraints.is_some_and(|constraints| constraints.ca),
            client: fit(key_usage.as_ref(), extended.as_deref(), CLIENT_AUTH),
            server: fit(key_usage.as_ref(), extended.as_deref(), SERVER_AUTH),
            in_date: (valid_from..=valid_until).contains(&now),
            remarks: Vec::new(),
        };
        verdict.remark(now, valid_from, valid_until, extended.is_none());
        Ok(Self {
            thumbprint: Thumbprint::of(der).to_string(),
            subject: content.subject.to_string(),
            issuer: content.issuer.to_string(),
            valid_from,
            valid_until,
            names: names.iter().flatten().map(name).collect(),
            key_usage: key_usage.map(|usage| {
                usage
                    .0
                    .into_iter()
                    .map(|flag| words(&format!("{flag:?}")))
                    .collect()
            }),
            extended_key_usage: extended.map(|usages| usages.iter().map(usage_name).collect()),
            verdict,
        })
    }

    /// In date, and good for something.
    pub(super) fn sound(&self) -> bool {
        let Verdict {
            authority,
            client,
            server,
            in_date,
            ..
        } = self.verdict;
        in_date && (authority || client || server)
    }

    pub(super) fn text(&self) -> String {
        let list = |items: &[String]| items.join(", ");
        let usage = |items: &Option<Vec<String>>| match items {
            Some(items) => list(items),
            None => "(no restriction in the certificate)".to_owned(),
        };
        let rows = [
            ("thumbprint", self.thumbprint.clone()),
            ("subject", self.subject.clone()),
            ("issuer", self.issuer.clone()),
            (
                "valid",
                format!("{} to {}", self.valid_from, self.valid_until),
            ),
            ("names", list(&self.names)),
            ("key usage", usage(&self.key_usage)),
            ("extended usage", usage(&self.extended_key_usage)),
            ("DSF", list(&self.verdict.remarks)),
        ];
        rows.iter().filter(|(_, value)| !value.is_empty()).fold(
            String::new(),
            |mut text, (label, value)| {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "  {label:<15} {value}");
                text
            },
        )
    }

    pub(super) fn json(&self, file: &str) -> Value {
        json!({
            "file": file,
            "thumbprint": self.thumbprint,
            "subject": self.subject,
            "issuer": self.issuer,
            "validFrom": self.valid_from.to_string(),
            "validUntil": self.valid_until.to_string(),
            "names": self.names,
            "keyUsage": self.key_usage,
            "extendedKeyUsage": self.extended_key_usage,
            "authority": self.verdict.authority,
            "client": self.verdict.client,
            "server": self.verdict.server,
            "inDate": self.verdict.in_date,
            "remarks": self.verdict.remarks,
        })
    }
}

impl Verdict {
    fn remark(&mut self, now: Timestamp, from: Timestamp, until: Timestamp, unlimited: bool) {
        let mut remarks = Vec::new();
        match (self.authority, self.client, self.server) {
            (true, ..) => remarks.push("a certificate authority: for client-cas and server-cas"),
            (_, true, true) => remarks.push("fit for a client and for a server"),
            (_, true, false) => remarks.push("fit for a client, not for a server"),
            (_, false, true) => remarks.push(
                "fit for a server only: partners refuse it as a client certificate \
                 (no clientAuth in the extended key usage)",
            ),
            (_, false, false) => remarks.push(
                "fit neither for a client nor for a server: needs the key usage \
                 digitalSignature, and clientAuth or serverAuth in the extended key usage",
            ),
        }
        if unlimited && !self.authority {
            remarks.push("no extended key usage: Java DSF nodes do not start with it");
        }
        if now > until {
            remarks.push("expired");
        } else if now < from {
            remarks.push("not valid yet");
        } else if until.duration_since(now).as_hours() < 30 * 24 {
            remarks.push(
                "expires within 30 days; a new certificate has a new thumbprint, \
                 so the allow list changes with it",
            );
        }
        self.remarks = remarks.into_iter().map(str::to_owned).collect();
    }
}

/// Whether a TLS peer accepts the certificate in this part. A missing extension restricts nothing.
fn fit(
    key_usage: Option<&KeyUsage>,
    extended: Option<&[ObjectIdentifier]>,
    part: ObjectIdentifier,
) -> bool {
    let signs = key_usage.is_none_or(KeyUsage::digital_signature);
    signs && extended.is_none_or(|usages| usages.iter().any(|id| [part, ANY_USAGE].contains(id)))
}

fn timestamp(since_epoch: std::time::Duration) -> Timestamp {
    let seconds = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

fn name(name: &GeneralName) -> String {
    match name {
        GeneralName::Rfc822Name(address) => format!("email:{address}"),
        GeneralName::DnsName(host) => format!("dns:{host}"),
        GeneralName::UniformResourceIdentifier(uri) => format!("uri:{uri}"),
        GeneralName::DirectoryName(name) => format!("directory:{name}"),
        GeneralName::IpAddress(octets) => ip(octets.as_bytes()),
        GeneralName::RegisteredId(id) => format!("id:{id}"),
        GeneralName::OtherName(other) => format!("other:{}", other.type_id),
        GeneralName::EdiPartyName(_) => "edi".to_owned(),
    }
}

fn ip(octets: &[u8]) -> String {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| v6())
        .map_or_else(|_| "ip:?".to_owned(), |address| format!("ip:{address}"))
}

/// `DigitalSignature` as the standard writes it: `digitalSignature`.
fn words(flag: &str) -> String {
    let mut letters = flag.chars();
    letters
        .next()
        .map(|first| first.to_ascii_lowercase())
        .into_iter()
        .chain(letters)
        .collect()
}

fn usage_name(id: &ObjectIdentifier) -> String {
    match *id {
        SERVER_AUTH => "serverAuth".to_owned(),
        CLIENT_AUTH => "clientAuth".to_owned(),
        ANY_USAGE => "anyExtendedKeyUsage".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};

    fn inspection(usages: &[ExtendedKeyUsagePurpose], now: &str) -> Inspection {
        let mut params = CertificateParams::new(vec!["dsf.example.org".to_owned()]).unwrap();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages.to_vec();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Inspection::of(certificate.der(), now.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_certificate_is_judged_by_its_usage_and_its_dates() {
        use ExtendedKeyUsagePurpose::{Any, ClientAuth, CodeSigning, ServerAuth};
        let summer = "2026-07-01T00:00:00Z";
        for (usages, client, server) in [
            (vec![ClientAuth], true, false),
            (vec![ServerAuth], false, true),
            (vec![ClientAuth, ServerAuth], true, true),
            (vec![Any], true, true),
            (vec![], true, true),
            (vec![CodeSigning], false, false),
        ] {
            let found = inspection(&usages, summer);
            let verdict = (found.verdict.client, found.verdict.server);
            assert_eq!(verdict, (client, server), "{usages:?}");
            assert_eq!(found.sound(), client || server);
        }
        for (now, in_date, remark) in [
            ("2025-12-31T23:59:59Z", false, "not valid yet"),
            ("2026-12-20T00:00:00Z", true, "expires within 30 days"),
            ("2027-01-02T00:00:00Z", false, "expired"),
        ] {
            let found = inspection(&[ClientAuth], now);
            assert_eq!(found.verdict.in_date, in_date, "{now}");
            assert!(
                found
                    .verdict
                    .remarks
                    .iter()
                    .any(|text| text.starts_with(remark)),
                "{now}"
            );
        }
    }

    #[test]
    fn the_text_names_what_an_operator_looks_for() {
        let text = inspection(
            &[ExtendedKeyUsagePurpose::ClientAuth],
            "2026-07-01T00:00:00Z",
        )
        .text();
        for part in [
            "dns:dsf.example.org",
            "digitalSignature",
            "clientAuth",
            "fit for a client",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
