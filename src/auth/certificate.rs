//! What a peer certificate says, and whether it is one a client may come with (auth-config §1.2).
//!
//! The chain was verified by TLS before; here the leaf alone is looked at, on every request, so
//! that a certificate that runs out on an open connection is noticed.

use jiff::Timestamp;
use sha2::{Digest, Sha512};
use x509_cert::Certificate as X509;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Any, Decode, Tag, Tagged};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage, SubjectAltName};

const EMAIL_ADDRESS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const SURNAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.4");
const GIVEN_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.42");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// Extensions of RFC 5280 that chain verification understands; any other must not be critical.
const UNDERSTOOD: [&str; 12] = [
    "2.5.29.14",
    "2.5.29.15",
    "2.5.29.17",
    "2.5.29.18",
    "2.5.29.19",
    "2.5.29.30",
    "2.5.29.31",
    "2.5.29.32",
    "2.5.29.33",
    "2.5.29.35",
    "2.5.29.36",
    "2.5.29.37",
];

#[derive(Debug, thiserror::Error)]
#[error("the certificate cannot be read: {0}")]
pub struct Unreadable(#[from] x509_cert::der::Error);

/// Why a certificate that can be read is not accepted from a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("the certificate ran out at {0}")]
    Expired(Timestamp),
    #[error("the certificate is valid only from {0}")]
    NotYetValid(Timestamp),
    #[error("the extended key usage does not allow client authentication")]
    NoClientUsage,
    #[error("the key usage does not allow digital signatures")]
    NoSignature,
    #[error("the certificate has the unknown critical extension {0}")]
    UnknownExtension(String),
}

impl Unfit {
    /// A short name that never changes: log field and anchor of `docs/security.md`.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        match self {
            Self::Expired(_) => "certificate-expired",
            Self::NotYetValid(_) => "certificate-not-yet-valid",
            Self::NoClientUsage => "certificate-not-for-clients",
            Self::NoSignature => "certificate-not-for-signatures",
            Self::UnknownExtension(_) => "certificate-unknown-extension",
        }
    }
}

/// The facts of one client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Lower-case hex of the SHA-512 of the DER form (§1.5): the name in the allow list.
    pub thumbprint: String,
    /// For logs only; nothing is decided by names.
    pub subject: String,
    pub valid_from: Timestamp,
    pub expires: Timestamp,
    /// Subject `emailAddress` values, then alternative names, in order.
    pub emails: Vec<String>,
    pub surnames: Vec<String>,
    pub given_names: Vec<String>,
    pub common_names: Vec<String>,
    /// What is wrong with it whatever the time.
    unfit: Option<Unfit>,
}

impl Certificate {
    /// # Errors
    ///
    /// If the bytes are no X.509 certificate or an extension in it is malformed.
    pub fn from_der(der: &[u8]) -> Result<Self, Unreadable> {
        let certificate = X509::from_der(der)?;
        let body = &certificate.tbs_certificate;
        let subject = |oid| attributes(&certificate, oid);
        let mut emails = subject(EMAIL_ADDRESS);
        if let Some((_, SubjectAltName(names))) = body.get::<SubjectAltName>()? {
            emails.extend(names.iter().filter_map(|name| match name {
                GeneralName::Rfc822Name(email) => Some(email.to_string()),
                _ => None,
            }));
        }
        Ok(Self {
            thumbprint: thumbprint(der),
            subject: body.subject.to_string(),
            valid_from: timestamp(body.validity.not_before),
            expires: timestamp(body.validity.not_after),
            emails,
            surnames: subject(SURNAME),
            given_names: subject(GIVEN_NAME),
            common_names: subject(COMMON_NAME),
            unfit: unfit(&certificate)?,
        })
    }

    /// Whether a client may come with this certificate at this moment.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn check(&self, now: Timestamp) -> Result<(), Unfit> {
        if self.expires <= now {
            return Err(Unfit::Expired(self.expires));
        }
        if now < self.valid_from {
            return Err(Unfit::NotYetValid(self.valid_from));
        }
        self.unfit.clone().map_or(Ok(()), Err)
    }
}

/// The thumbprint of a DER certificate: 128 lower-case hexadecimal digits.
#[must_use]
pub fn thumbprint(der: &[u8]) -> String {
    format!("{:x}", Sha512::digest(der))
}

/// Usages count only if the certificate has the extension (§1.2).
fn unfit(certificate: &X509) -> Result<Option<Unfit>, Unreadable> {
    let body = &certificate.tbs_certificate;
    if let Some((_, ExtendedKeyUsage(usages))) = body.get::<ExtendedKeyUsage>()?
        && !usages
            .iter()
            .any(|usage| [CLIENT_AUTH, ANY_USAGE].contains(usage))
    {
        return Ok(Some(Unfit::NoClientUsage));
    }
    if let Some((_, usage)) = body.get::<KeyUsage>()?
        && !usage.digital_signature()
    {
        return Ok(Some(Unfit::NoSignature));
    }
    let unknown = body.extensions.iter().flatten().find(|extension| {
        extension.critical && !UNDERSTOOD.contains(&extension.extn_id.to_string().as_str())
    });
    Ok(unknown.map(|extension| Unfit::UnknownExtension(extension.extn_id.to_string())))
}

/// X.509 times end with the year 9999, inside the range of a timestamp.
fn timestamp(time: x509_cert::time::Time) -> Timestamp {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

fn attributes(certificate: &X509, oid: ObjectIdentifier) -> Vec<String> {
    let names = certificate
        .tbs_certificate
        .subject
        .0
        .iter()
        .flat_map(|rdn| rdn.0.iter());
    names
        .filter(|a| a.oid == oid)
        .filter_map(|a| text(&a.value))
        .collect()
}

/// The string types a directory name may have.
fn text(value: &Any) -> Option<String> {
    let bytes = value.value();
    match value.tag() {
        Tag::BmpString => {
            let units = bytes
                .chunks_exact(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            String::from_utf16(&units.collect::<Vec<_>>()).ok()
        }
        Tag::TeletexString => Some(bytes.iter().copied().map(char::from).collect()),
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::VisibleString => {
            String::from_utf8(bytes.to_vec()).ok()
        }
        _ => None,
    }
}
