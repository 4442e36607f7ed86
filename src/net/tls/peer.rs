//! The certificate of the other side, read once per connection.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use openssl::asn1::Asn1Time;
use openssl::nid::Nid;
use openssl::x509::{X509, X509NameRef, X509Ref};
use sha2::{Digest, Sha512};

/// SHA-512 of a certificate's DER: what an Organization is recognised by
/// (`spec/auth-config.md` §1.5). Prints as 128 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Thumbprint([u8; 64]);

impl Thumbprint {
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self(Sha512::digest(der).into())
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The leaf certificate of a client. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate(Arc<Content>);

#[derive(Debug, PartialEq, Eq)]
struct Content {
    der: Vec<u8>,
    thumbprint: Thumbprint,
    hex: String,
    subject: String,
    issuer: String,
    common_names: Vec<String>,
    surnames: Vec<String>,
    given_names: Vec<String>,
    emails: Vec<String>,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl PeerCertificate {
    pub fn from_der(der: &[u8]) -> Result<Self, openssl::error::ErrorStack> {
        Self::try_from(&*X509::from_der(der)?)
    }

    /// The value of an `X-ClientCert` header as Apache and haproxy (blanks for line breaks) or nginx
    /// (percent-encoded) send it, §1.1. `None` for anything else.
    #[must_use]
    pub fn from_header(value: &str) -> Option<Self> {
        const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
        const END: &str = "-----END CERTIFICATE-----";
        let pem = if value.starts_with("-----BEGIN%20") {
            // The decoder splits a form; a form of one field it shall be.
            let escaped = format!("v={}", value.replace('+', "%2B"));
            let (_, decoded) = url::form_urlencoded::parse(escaped.as_bytes()).next()?;
            decoded.trim().to_owned()
        } else {
            let body = value.strip_prefix(BEGIN)?.strip_suffix(END)?;
            // Apache makes blanks of the ends of lines, haproxy may make one line of all.
            let body: String = body.split_whitespace().collect();
            let der = STANDARD.decode(body).ok()?;
            return Self::from_der(&der).ok();
        };
        Self::try_from(&*X509::from_pem(pem.as_bytes()).ok()?).ok()
    }

    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        self.0.thumbprint
    }

    /// The thumbprint as it stands in an Organization.
    #[must_use]
    pub fn thumbprint_hex(&self) -> &str {
        &self.0.hex
    }

    /// For logs only: the identity is the thumbprint.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    #[must_use]
    pub fn common_names(&self) -> &[String] {
        &self.0.common_names
    }

    #[must_use]
    pub fn surnames(&self) -> &[String] {
        &self.0.surnames
    }

    #[must_use]
    pub fn given_names(&self) -> &[String] {
        &self.0.given_names
    }

    /// Addresses in the subject, then those in the alternative names (§2.3), unescaped.
    #[must_use]
    pub fn emails(&self) -> &[String] {
        &self.0.emails
    }

    /// Whether `now` lies within the validity: an open connection may outlive its certificate.
    #[must_use]
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.0.not_before <= now && now <= self.0.not_after
    }

    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.0.not_after
    }
}

impl TryFrom<&X509Ref> for PeerCertificate {
    type Error = openssl::error::ErrorStack;

    fn try_from(certificate: &X509Ref) -> Result<Self, Self::Error> {
        let der = certificate.to_der()?;
        let subject = certificate.subject_name();
        let mut emails = values(subject, Nid::PKCS9_EMAILADDRESS);
        let alternatives = certificate.subject_alt_names();
        emails.extend(
            alternatives
                .iter()
                .flatten()
                .filter_map(|name| Some(name.email()?.to_owned())),
        );
        let thumbprint = Thumbprint::of(&der);
        Ok(Self(Arc::new(Content {
            thumbprint,
            hex: thumbprint.to_string(),
            subject: one_line(subject),
            issuer: one_line(certificate.issuer_name()),
            common_names: values(subject, Nid::COMMONNAME),
            surnames: values(subject, Nid::SURNAME),
            given_names: values(subject, Nid::GIVENNAME),
            emails,
            not_before: timestamp(certificate.not_before())?,
            not_after: timestamp(certificate.not_after())?,
            der,
        })))
    }
}

fn timestamp(time: &openssl::asn1::Asn1TimeRef) -> Result<Timestamp, openssl::error::ErrorStack> {
    let since = Asn1Time::from_unix(0)?.diff(time)?;
    let seconds = i64::from(since.days) * 86_400 + i64::from(since.secs);
    // Beyond jiff's calendar (year 9999) is for ever all the same.
    Ok(Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX))
}

fn values(name: &X509NameRef, attribute: Nid) -> Vec<String> {
    name.entries_by_nid(attribute)
        .filter_map(|entry| entry.data().to_string().ok())
        .collect()
}

/// Most significant part last, as people read it: `CN=ping, O=Hospital, C=DE`.
pub(super) fn one_line(name: &X509NameRef) -> String {
    let part = |entry: &openssl::x509::X509NameEntryRef| {
        let attribute = entry.object().nid().short_name().unwrap_or("?").to_owned();
        let value = entry.data().to_string().unwrap_or_default();
        format!("{attribute}={value}")
    };
    let mut parts: Vec<String> = name.entries().map(part).collect();
    parts.reverse();
    parts.join(", ")
}
