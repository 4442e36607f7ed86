//! Signed mail (S/MIME, spec/bpe.md §10.4): the content, and beside it a signature with the
//! certificates that are needed to verify it. Mail is not encrypted.

use std::path::Path;

use lettre::message::header::ContentType;
use lettre::message::{Attachment, MultiPart};
use openssl::pkcs7::{Pkcs7, Pkcs7Flags};
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::stack::Stack;
use openssl::x509::X509;

use super::{Content, Error};
use crate::kernel::Secret;
use crate::net::pem;

const PROTOCOL: &str = "application/pkcs7-signature";
/// What OpenSSL signs with for RSA keys and those on curves.
const DIGEST: &str = "sha-256";

/// Signs mails of one sender.
pub(super) struct Signer {
    certificate: X509,
    key: PKey<Private>,
    chain: Stack<X509>,
}

impl Signer {
    /// # Errors
    /// When the file cannot be used, or its certificate is not the sender's.
    pub(super) fn read(path: &Path, password: Option<&Secret>, from: &str) -> Result<Self, Error> {
        let unusable = |detail: String| Error::KeyStore {
            path: path.to_owned(),
            detail,
        };
        let der = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
        let store =
            Pkcs12::from_der(&der).map_err(|_| unusable(pem::not_pkcs12(&der).to_owned()))?;
        let store = store
            .parse2(password.map_or("", Secret::expose))
            .map_err(|_| {
                let remedy = "cannot be opened; check its password, and that it was not written \
                              with ciphers of old (openssl pkcs12 -legacy reads those)";
                unusable(remedy.to_owned())
            })?;
        let (Some(certificate), Some(key)) = (store.cert, store.pkey) else {
            return Err(unusable("holds no certificate with its key".to_owned()));
        };
        if !is_for(&certificate, from) {
            let message = format!(
                "its certificate is not for {from}; take one that has mail.from among its \
                 alternative names"
            );
            return Err(unusable(message));
        }
        let mut chain = Stack::new()?;
        for authority in store.ca.into_iter().flatten() {
            chain.push(authority)?;
        }
        Ok(Self {
            certificate,
            key,
            chain,
        })
    }

    /// The content with its signature.
    pub(super) fn signed(&self, content: Content) -> Result<MultiPart, Error> {
        let mut text = match &content {
            Content::Part(part) => part.formatted(),
            Content::Parts(parts) => parts.formatted(),
        };
        // The last line break belongs to the boundary that follows (RFC 1847 §2.1).
        text.truncate(text.len().saturating_sub(2));
        let flags = Pkcs7Flags::DETACHED | Pkcs7Flags::BINARY;
        let signature = Pkcs7::sign(&self.certificate, &self.key, &self.chain, &text, flags)?;
        let kind = format!("{PROTOCOL}; name=\"smime.p7s\"");
        let kind = ContentType::parse(&kind).map_err(|_| Error::MediaType(kind))?;
        let signature = Attachment::new("smime.p7s".to_owned()).body(signature.to_der()?, kind);
        let signed = MultiPart::signed(PROTOCOL.to_owned(), DIGEST.to_owned());
        let signed = match content {
            Content::Part(part) => signed.singlepart(part),
            Content::Parts(parts) => signed.multipart(parts),
        };
        Ok(signed.singlepart(signature))
    }
}

fn is_for(certificate: &X509, address: &str) -> bool {
    let names = certificate.subject_alt_names();
    names.iter().flatten().any(|name| {
        name.email()
            .is_some_and(|email| email.eq_ignore_ascii_case(address))
    })
}
