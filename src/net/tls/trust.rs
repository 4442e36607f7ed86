//! Whose certificates are believed, and for what.
//!
//! Rules of `spec/auth-config.md` §1.2: every certificate in the trust store is an anchor, also an
//! intermediate one; an extended key usage, if there is one, must allow client authentication, and
//! `anyExtendedKeyUsage` does (OpenSSL alone would refuse it). Revocation is looked at where lists
//! are configured, once everything else is good.

use std::path::Path;

use openssl::error::ErrorStack;
use openssl::stack::{Stack, StackRef};
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::{X509VerifyFlags, X509VerifyParam};
use openssl::x509::{
    X509, X509PurposeId, X509Ref, X509StoreContext, X509StoreContextRef, X509VerifyResult,
};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage};

use sha2::{Digest, Sha256};

use super::PeerCertificate;
use super::peer::one_line;
use super::revocation::Lists;
use crate::net::pem;

const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");

/// OpenSSL's `X509_V_ERR_INVALID_PURPOSE`.
const INVALID_PURPOSE: i32 = 26;

/// What a key must be worth: 112 bits, so RSA from 2048 and curves from 224 bits, and no SHA-1.
pub(super) const SECURITY_LEVEL: u32 = 2;

/// A set of trusted certificates, and what their owners have taken back.
#[derive(Clone)]
pub struct Trust {
    anchors: Vec<X509>,
    lists: Option<Lists>,
}

/// Why a certificate is not believed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

impl Refusal {
    pub(super) fn no_client_cas() -> Self {
        Self("no client CAs are named".to_owned())
    }
}

impl Trust {
    /// Reads a file or a folder.
    pub fn load(path: &Path) -> Result<Self, pem::Error> {
        Ok(Self {
            anchors: pem::certificates(path)?,
            lists: None,
        })
    }

    pub(super) fn with_lists(mut self, lists: Option<Lists>) -> Self {
        self.lists = lists;
        self
    }

    /// Tells what is trusted from what was trusted before.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new_with_prefix("dsf");
        for certificate in self.anchors() {
            digest.update(certificate.to_der().unwrap_or_default());
        }
        if let Some(lists) = &self.lists {
            digest.update(lists.digest());
        }
        digest.finalize().into()
    }

    pub(super) fn anchors(&self) -> impl Iterator<Item = &X509Ref> {
        self.anchors.iter().map(|certificate| &**certificate)
    }

    pub(super) fn store(&self) -> Result<X509Store, ErrorStack> {
        let mut store = X509StoreBuilder::new()?;
        for certificate in &self.anchors {
            store.add_cert(certificate.clone())?;
        }
        store.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
        Ok(store.build())
    }

    /// Checks a client certificate as the handshake would have done; `others` are the certificates
    /// that came with it.
    pub fn verify(&self, peer: &PeerCertificate, others: &[X509]) -> Result<(), Refusal> {
        let broken = |error: ErrorStack| Refusal(error.to_string());
        let leaf = X509::from_der(peer.der()).map_err(broken)?;
        let purpose = if allows_any_usage(&leaf) {
            X509PurposeId::ANY
        } else {
            X509PurposeId::SSL_CLIENT
        };
        let mut parameters = X509VerifyParam::new().map_err(broken)?;
        parameters.set_purpose(purpose).map_err(broken)?;
        parameters.set_auth_level(i32::try_from(SECURITY_LEVEL).unwrap_or(0));
        parameters
            .set_flags(X509VerifyFlags::PARTIAL_CHAIN)
            .map_err(broken)?;
        let mut store = X509StoreBuilder::new().map_err(broken)?;
        for certificate in &self.anchors {
            store.add_cert(certificate.clone()).map_err(broken)?;
        }
        store.set_param(&parameters).map_err(broken)?;
        let (store, mut untrusted) = (store.build(), Stack::new().map_err(broken)?);
        for certificate in others {
            untrusted.push(certificate.clone()).map_err(broken)?;
        }
        let mut context = X509StoreContext::new().map_err(broken)?;
        let verified = context.init(&store, &leaf, &untrusted, |context| {
            if !context.verify_cert()? {
                return Ok(Err(Refusal(context.error().error_string().to_owned())));
            }
            Ok(context
                .chain()
                .map_or(Ok(()), |chain| self.not_revoked(chain)))
        });
        verified.map_err(broken)?
    }

    fn not_revoked(&self, chain: &StackRef<X509>) -> Result<(), Refusal> {
        let judged = self
            .lists
            .as_ref()
            .map_or(Ok(()), |lists| lists.judge(chain));
        judged.map_err(|verdict| Refusal(verdict.to_string()))
    }

    /// The verify callback of the handshake, called for each certificate, the leaf last.
    pub(super) fn accepts(&self, good: bool, context: &mut X509StoreContextRef) -> bool {
        let is_leaf = context.error_depth() == 0;
        if !good && !tolerates(context) {
            let reason = context.error().error_string().to_owned();
            log_refusal(context.current_cert(), &reason);
            return false;
        }
        let judged = match context.chain() {
            Some(chain) if is_leaf => self.not_revoked(chain),
            _ => Ok(()),
        };
        if let Err(refusal) = judged {
            log_refusal(context.current_cert(), &refusal.to_string());
            context.set_error(X509VerifyResult::APPLICATION_VERIFICATION);
            return false;
        }
        true
    }
}

/// Whether the complaint is only of a purpose that the certificate does have.
fn tolerates(context: &mut X509StoreContextRef) -> bool {
    let only_purpose = context.error().as_raw() == INVALID_PURPOSE && context.error_depth() == 0;
    if only_purpose && context.current_cert().is_some_and(allows_any_usage) {
        context.set_error(X509VerifyResult::OK);
        return true;
    }
    false
}

fn log_refusal(certificate: Option<&X509Ref>, reason: &str) {
    let subject = certificate.map(|certificate| one_line(certificate.subject_name()));
    let subject = subject.as_deref().unwrap_or("?");
    tracing::info!(subject, reason, "client certificate refused");
}

/// Whether a certificate carries `anyExtendedKeyUsage` and may sign handshakes.
fn allows_any_usage(certificate: &X509Ref) -> bool {
    let usages = Usages::of(certificate);
    usages.signs != Some(false)
        && usages
            .extended
            .is_some_and(|list| list.contains(&ANY_USAGE))
}

/// §1.3: what a server's own certificate must carry.
pub(super) fn usable_by_servers(certificate: &X509Ref) -> Result<(), &'static str> {
    let usages = Usages::of(certificate);
    match (usages.signs, usages.extended) {
        (None, _) => Err("it has no key usage"),
        (Some(false), _) => Err("its key usage has no digitalSignature"),
        (_, None) => Err("it has no extended key usage"),
        (_, Some(list)) if !list.contains(&SERVER_AUTH) => {
            Err("its extended key usage has no serverAuth")
        }
        _ => Ok(()),
    }
}

/// Usage extensions; `None` where a certificate has none.
struct Usages {
    signs: Option<bool>,
    extended: Option<Vec<ObjectIdentifier>>,
}

impl Usages {
    fn of(certificate: &X509Ref) -> Self {
        let parsed = certificate
            .to_der()
            .ok()
            .and_then(|der| Certificate::from_der(&der).ok());
        let Some(parsed) = parsed else {
            return Self {
                signs: None,
                extended: None,
            };
        };
        let body = &parsed.tbs_certificate;
        let signs = body.get::<KeyUsage>().ok().flatten();
        let extended = body.get::<ExtendedKeyUsage>().ok().flatten();
        Self {
            signs: signs.map(|(_, usage)| usage.digital_signature()),
            extended: extended.map(|(_, list)| list.0),
        }
    }
}
