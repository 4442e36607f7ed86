//! Revocation lists: which certificates a CA has taken back.
//!
//! Lists come from files and from HTTP servers and are read again while we serve. OpenSSL builds
//! the chain; what the lists say of it is decided here, because OpenSSL alone would refuse whatever
//! has no list. A list counts if the issuer of the certificate has signed it. Lists of changes
//! (delta) and of other issuers (indirect) are refused when they are read.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openssl::asn1::Asn1Time;
use openssl::stack::StackRef;
use openssl::x509::{CrlStatus, X509, X509Crl};
use sha2::{Digest, Sha256};
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::ext::pkix::crl::dp::IssuingDistributionPoint;

use super::Error;
use crate::net::http::Url;

const ISSUING_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");

/// Where the lists are, and what happens without a current one.
#[derive(Clone, Debug)]
pub struct Revocation {
    pub sources: Vec<Source>,
    pub without_list: WithoutList,
    /// How often lists are fetched.
    pub refresh: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file in PEM or DER form, or a folder of such files (`.crl`, `.pem`).
    Path(PathBuf),
    Url(Url),
}

/// What becomes of a certificate of whose issuer there is no current list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutList {
    Accept,
    Refuse,
}

/// The lists that are in force.
#[derive(Clone)]
pub(super) struct Lists {
    lists: Arc<Vec<X509Crl>>,
    without_list: WithoutList,
}

/// What is wrong with a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Revoked { subject: String },
    NoList { issuer: String },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked { subject } => write!(f, "certificate revoked: {subject}"),
            Self::NoList { issuer } => {
                write!(f, "there is no current revocation list of {issuer}")
            }
        }
    }
}

impl Lists {
    /// Reads the files, and adds what was fetched.
    pub fn load(revocation: &Revocation, fetched: &[(Url, Bytes)]) -> Result<Self, Error> {
        let mut lists = Vec::new();
        for source in &revocation.sources {
            match source {
                Source::Path(path) => {
                    for file in files(path)? {
                        let bytes = std::fs::read(&file).map_err(|e| unreadable(&file, e))?;
                        let broken = |problem| broken(&file.display().to_string(), problem);
                        lists.extend(parse(&bytes).map_err(broken)?);
                    }
                }
                Source::Url(url) => {
                    let known = fetched.iter().filter(|(from, _)| from == url);
                    for (_, bytes) in known {
                        let broken = |problem| broken(url.as_str(), problem);
                        lists.extend(parse(bytes).map_err(broken)?);
                    }
                }
            }
        }
        for list in lists.iter().filter(|list| !is_current(list)) {
            let issuer = name(list.issuer_name());
            tracing::warn!(issuer, "a revocation list is out of date");
        }
        Ok(Self {
            lists: Arc::new(lists),
            without_list: revocation.without_list,
        })
    }

    /// Looks at every certificate of a chain, the leaf first, but the last: that one is trusted.
    pub fn judge(&self, chain: &StackRef<X509>) -> Result<(), Verdict> {
        let chain: Vec<X509> = chain.iter().map(ToOwned::to_owned).collect();
        for pair in chain.windows(2) {
            self.judge_one(&pair[0], &pair[1])?;
        }
        Ok(())
    }

    fn judge_one(&self, certificate: &X509, issuer: &X509) -> Result<(), Verdict> {
        let key = issuer.public_key();
        let is_of_issuer = |list: &&X509Crl| {
            let named = list.issuer_name().try_cmp(certificate.issuer_name());
            let signed = || {
                let key = key.as_ref().ok();
                key.is_some_and(|key| list.verify(key).unwrap_or(false))
            };
            named.is_ok_and(std::cmp::Ordering::is_eq) && signed()
        };
        let mut is_known = false;
        for list in self.lists.iter().filter(is_of_issuer) {
            if let CrlStatus::Revoked(_) = list.get_by_cert(certificate) {
                let subject = name(certificate.subject_name());
                return Err(Verdict::Revoked { subject });
            }
            is_known |= is_current(list);
        }
        if is_known || self.without_list == WithoutList::Accept {
            return Ok(());
        }
        Err(Verdict::NoList {
            issuer: name(certificate.issuer_name()),
        })
    }

    /// Tells sets of lists apart: sessions do not outlive the lists they were made under.
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for list in self.lists.iter() {
            digest.update(list.to_der().unwrap_or_default());
        }
        digest.finalize().into()
    }
}

/// Whether a fetched document may take the place of the one before.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    parse(bytes).map(|_| ())
}

fn name(name: &openssl::x509::X509NameRef) -> String {
    super::peer::one_line(name)
}

/// A list without an end is always current.
fn is_current(list: &X509Crl) -> bool {
    let now = Asn1Time::days_from_now(0);
    now.is_ok_and(|now| list.next_update().is_none_or(|next| next > &*now))
}

fn unreadable(path: &Path, source: std::io::Error) -> Error {
    let path = path.to_owned();
    crate::net::pem::Error::Unreadable { path, source }.into()
}

fn broken(name: &str, problem: String) -> Error {
    Error::RevocationList {
        name: name.to_owned(),
        problem,
    }
}

/// The file itself, or the files of a folder.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>, Error> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|e| unreadable(path, e))? {
        let file = entry.map_err(|e| unreadable(path, e))?.path();
        if file
            .extension()
            .is_some_and(|end| end == "crl" || end == "pem")
        {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// The lists of a document in PEM or DER form.
fn parse(bytes: &[u8]) -> Result<Vec<X509Crl>, String> {
    const END: &str = "-----END X509 CRL-----";
    let mut lists = Vec::new();
    if bytes.starts_with(b"\x30") {
        lists.push(X509Crl::from_der(bytes).map_err(|error| error.to_string())?);
    } else {
        let text = String::from_utf8_lossy(bytes);
        for part in text.split_inclusive(END).filter(|part| part.contains(END)) {
            lists.push(X509Crl::from_pem(part.as_bytes()).map_err(|error| error.to_string())?);
        }
    }
    if lists.is_empty() {
        return Err("holds no revocation list".to_owned());
    }
    lists.iter().try_for_each(plain)?;
    Ok(lists)
}

/// Refuses lists that say less, or of others, than we take them to say.
fn plain(list: &X509Crl) -> Result<(), String> {
    let der = list.to_der().map_err(|error| error.to_string())?;
    let list = CertificateList::from_der(&der).map_err(|error| error.to_string())?;
    for extension in list.tbs_cert_list.crl_extensions.iter().flatten() {
        if extension.extn_id == ISSUING_POINT {
            let point = IssuingDistributionPoint::from_der(extension.extn_value.as_bytes());
            let point = point.map_err(|error| error.to_string())?;
            if point.indirect_crl || point.only_some_reasons.is_some() {
                return Err("is an indirect list or one of some reasons only".to_owned());
            }
        } else if extension.critical {
            let id = extension.extn_id;
            return Err(format!(
                "has the critical extension {id}; lists of changes do not count"
            ));
        }
    }
    Ok(())
}
