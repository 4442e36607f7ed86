//! Certificates for development networks and tests. Never for production: the CA's key lies beside
//! its certificate.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use openssl::nid::Nid;
use openssl::x509::X509;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber,
};

const DAY: Duration = Duration::from_secs(86_400);

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a development certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("a certificate is damaged: {0}")]
    NotACa(#[source] openssl::error::ErrorStack),
    #[error("{}: {source}", path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
}

/// A CA that can issue certificates.
pub struct Authority {
    certificate: String,
    key: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key, as PEM text.
#[derive(Clone, Debug)]
pub struct Issued {
    pub certificate: String,
    pub private_key: String,
}

/// What a certificate may be used for, and for how long.
#[derive(Clone, Debug)]
pub struct Profile {
    pub common_name: String,
    pub organization: Option<String>,
    /// Host names, addresses and e-mail addresses (those with an `@`).
    pub names: Vec<String>,
    pub usages: Vec<ExtendedKeyUsagePurpose>,
    pub valid_from: SystemTime,
    pub valid_until: SystemTime,
}

impl Profile {
    /// A certificate for a server, valid for a year.
    #[must_use]
    pub fn server(names: &[&str]) -> Self {
        let common_name = names.first().copied().unwrap_or("localhost");
        let mut profile = Self::client(common_name);
        profile.names = names.iter().map(|&name| name.to_owned()).collect();
        profile.usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        profile
    }

    /// A certificate for a client, valid for a year.
    #[must_use]
    pub fn client(common_name: &str) -> Self {
        let now = SystemTime::now();
        Self {
            common_name: common_name.to_owned(),
            organization: None,
            names: Vec::new(),
            usages: vec![ExtendedKeyUsagePurpose::ClientAuth],
            // Clocks of neighbours differ a little.
            valid_from: now - DAY,
            valid_until: now + DAY * 365,
        }
    }

    fn params(&self) -> Result<CertificateParams, Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(organization) = &self.organization {
            params
                .distinguished_name
                .push(DnType::OrganizationName, organization);
        }
        params
            .distinguished_name
            .push(DnType::CommonName, &self.common_name);
        for name in &self.names {
            let name = match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) if name.contains('@') => SanType::Rfc822Name(name.as_str().try_into()?),
                Err(_) => SanType::DnsName(name.as_str().try_into()?),
            };
            params.subject_alt_names.push(name);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages.clone_from(&self.usages);
        params.use_authority_key_identifier_extension = true;
        params.not_before = self.valid_from.into();
        params.not_after = self.valid_until.into();
        Ok(params)
    }
}

impl Authority {
    /// A new CA, valid for ten years.
    pub fn new(name: &str) -> Result<Self, Error> {
        let key = KeyPair::generate()?.serialize_pem();
        let certificate =
            CertifiedIssuer::self_signed(ca_params(name)?, KeyPair::from_pem(&key)?)?.pem();
        Self::from_pem(certificate, key)
    }

    /// A CA of an earlier run.
    pub fn from_pem(certificate: String, key: String) -> Result<Self, Error> {
        let parsed = X509::from_pem(certificate.as_bytes()).map_err(Error::NotACa)?;
        let name = parsed.subject_name().entries_by_nid(Nid::COMMONNAME).next();
        let name = name
            .and_then(|entry| entry.data().to_string().ok())
            .unwrap_or_default();
        // An issuer is its name and its key; the rest of the certificate stays as it was signed.
        let issuer = Issuer::new(ca_params(&name)?, KeyPair::from_pem(&key)?);
        Ok(Self {
            certificate,
            key,
            issuer,
        })
    }

    /// The certificate that the others must trust, as PEM text.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The CA's own key, as PEM text.
    #[must_use]
    pub fn private_key(&self) -> &str {
        &self.key
    }

    /// A CA below this one.
    pub fn subordinate(&self, name: &str) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let mut params = ca_params(name)?;
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Self::from_pem(certificate, key.serialize_pem())
    }

    /// The list, as PEM text, of what this CA has taken back; it is current until a time.
    pub fn revocation_list(&self, revoked: &[&Issued], until: SystemTime) -> Result<String, Error> {
        let begin = until.min(SystemTime::now()) - DAY;
        let mut entries = Vec::new();
        for issued in revoked {
            let parsed = X509::from_pem(issued.certificate.as_bytes()).map_err(Error::NotACa)?;
            let serial = parsed.serial_number().to_bn().map_err(Error::NotACa)?;
            entries.push(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&serial.to_vec()),
                revocation_time: begin.into(),
                reason_code: None,
                invalidity_date: None,
            });
        }
        let params = CertificateRevocationListParams {
            this_update: begin.into(),
            next_update: until.into(),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: entries,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.issuer)?.pem()?)
    }

    pub fn issue(&self, profile: &Profile) -> Result<Issued, Error> {
        let key = KeyPair::generate()?;
        let certificate = profile.params()?.signed_by(&key, &self.issuer)?.pem();
        Ok(Issued {
            certificate,
            private_key: key.serialize_pem(),
        })
    }
}

fn ca_params(name: &str) -> Result<CertificateParams, Error> {
    let now = SystemTime::now();
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (now - DAY).into();
    params.not_after = (now + DAY * 3650).into();
    Ok(params)
}

impl Issued {
    /// Writes `<stem>.crt` and `<stem>.key`, the key readable by the owner only.
    pub fn write(&self, folder: &Path, stem: &str) -> Result<super::pem::KeyFiles, Error> {
        let certificate = folder.join(format!("{stem}.crt"));
        let private_key = folder.join(format!("{stem}.key"));
        write_file(&certificate, &self.certificate, 0o644)?;
        write_file(&private_key, &self.private_key, 0o600)?;
        Ok(super::pem::KeyFiles {
            certificate,
            private_key,
            password: None,
        })
    }
}

/// Writes a file anew with the given mode.
fn write_file(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    let blame = |source| Error::File {
        path: path.to_owned(),
        source,
    };
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)
        .map_err(blame)?;
    file.write_all(text.as_bytes()).map_err(blame)
}
