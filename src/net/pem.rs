//! Certificates and keys from PEM files, as `spec/auth-config.md` §1.4 has them: a file or a folder
//! of trusted certificates, a chain with the leaf first, a key in any of the usual wrappings.

use std::path::{Path, PathBuf};

use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;

use crate::kernel::secret::Secret;

/// A file that cannot be used, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "{}: no certificate in it; it must hold PEM text with BEGIN CERTIFICATE", path.display()
    )]
    NoCertificate { path: PathBuf },
    #[error("{}: holds a {kind}; only certificates belong here", path.display())]
    ForeignObject { path: PathBuf, kind: String },
    #[error("{}: a certificate in it is damaged ({detail})", path.display())]
    BadCertificate { path: PathBuf, detail: String },
    #[error("{}: no private key in it; it must hold PEM text with BEGIN … PRIVATE KEY", path.display())]
    NoKey { path: PathBuf },
    #[error("{}: the private key is encrypted; set its password", path.display())]
    Encrypted { path: PathBuf },
    #[error("{}: the password does not open the private key", path.display())]
    WrongPassword { path: PathBuf },
    #[error("{}: the private key is damaged ({detail})", path.display())]
    BadKey { path: PathBuf, detail: String },
    #[error(
        "{} and {} do not belong together: the key is not the one of the first certificate",
        certificate.display(), key.display()
    )]
    Mismatch { certificate: PathBuf, key: PathBuf },
}

/// Why a file is no PKCS#12, where it is plain what it is instead.
#[must_use]
pub fn not_pkcs12(content: &[u8]) -> &'static str {
    // Key stores of Java, the second kind with ciphers.
    if content.starts_with(&[0xfe, 0xed, 0xfe, 0xed]) || content.starts_with(&[0xce; 4]) {
        "it is a key store in Java's own form (JKS); convert it with keytool -importkeystore \
         -srckeystore FILE -destkeystore FILE.p12 -deststoretype PKCS12"
    } else {
        "it is no PKCS#12 file"
    }
}

/// Where a certificate with its key lives.
#[derive(Clone, Debug)]
pub struct KeyFiles {
    /// PEM, the leaf first, then the rest of the chain.
    pub certificate: PathBuf,
    pub private_key: PathBuf,
    pub password: Option<Secret>,
}

/// A certificate chain and the key of its leaf, known to match.
pub struct KeyPair {
    pub chain: Vec<X509>,
    pub key: PKey<Private>,
}

impl KeyPair {
    /// The chain, and the key in PKCS#8, as PEM texts.
    pub fn to_pem(&self) -> Result<(Vec<u8>, Vec<u8>), ErrorStack> {
        let mut chain = Vec::new();
        for certificate in &self.chain {
            chain.extend(certificate.to_pem()?);
        }
        Ok((chain, self.key.private_key_to_pem_pkcs8()?))
    }
}

impl KeyFiles {
    /// Reads both files and checks that they belong together.
    pub fn load(&self) -> Result<KeyPair, Error> {
        let chain = certificates_of_file(&self.certificate)?;
        let key = private_key(&self.private_key, self.password.as_ref())?;
        let fits = chain[0]
            .public_key()
            .is_ok_and(|public| public.public_eq(&key));
        if !fits {
            let (certificate, key) = (self.certificate.clone(), self.private_key.clone());
            return Err(Error::Mismatch { certificate, key });
        }
        Ok(KeyPair { chain, key })
    }
}

/// The certificates of a file, or of the `.pem` and `.crt` files of a folder.
pub fn certificates(path: &Path) -> Result<Vec<X509>, Error> {
    if !path.is_dir() {
        return certificates_of_file(path);
    }
    let unreadable = |source| Error::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file
            .extension()
            .is_some_and(|end| end == "pem" || end == "crt")
        {
            found.extend(certificates_of_file(&file)?);
        }
    }
    if found.is_empty() {
        return Err(Error::NoCertificate {
            path: path.to_owned(),
        });
    }
    Ok(found)
}

/// The certificates of a file; never empty.
pub fn certificates_of_file(path: &Path) -> Result<Vec<X509>, Error> {
    let text = read(path)?;
    let labels = String::from_utf8_lossy(&text).into_owned();
    let foreign = labels
        .lines()
        .filter_map(|line| {
            line.trim()
                .strip_prefix("-----BEGIN ")?
                .strip_suffix("-----")
        })
        .find(|label| !matches!(*label, "CERTIFICATE" | "X509 CERTIFICATE"));
    if let Some(kind) = foreign {
        return Err(Error::ForeignObject {
            path: path.to_owned(),
            kind: kind.to_owned(),
        });
    }
    let found = X509::stack_from_pem(&text).map_err(|error| Error::BadCertificate {
        path: path.to_owned(),
        detail: error.to_string(),
    })?;
    if found.is_empty() {
        return Err(Error::NoCertificate {
            path: path.to_owned(),
        });
    }
    Ok(found)
}

/// A private key: PKCS#8, PKCS#1 or SEC1, plain or encrypted.
pub fn private_key(path: &Path, password: Option<&Secret>) -> Result<PKey<Private>, Error> {
    let text = read(path)?;
    let labels = String::from_utf8_lossy(&text).into_owned();
    let path = path.to_owned();
    if !labels.contains("PRIVATE KEY-----") {
        return Err(Error::NoKey { path });
    }
    let encrypted = labels.contains("BEGIN ENCRYPTED") || labels.contains("Proc-Type: 4,ENCRYPTED");
    match (encrypted, password) {
        (true, None) => Err(Error::Encrypted { path }),
        (true, Some(password)) => {
            PKey::private_key_from_pem_passphrase(&text, password.expose().as_bytes())
                .map_err(|_| Error::WrongPassword { path })
        }
        (false, _) => PKey::private_key_from_pem(&text).map_err(|error| Error::BadKey {
            path,
            detail: error.to_string(),
        }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Unreadable {
        path: path.to_owned(),
        source,
    })
}
