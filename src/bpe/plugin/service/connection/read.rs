//! One entry of `bpe.fhir-connections`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use openssl::pkcs12::Pkcs12;
use openssl::x509::X509;
use saphyr::Yaml;
use tokio::sync::OnceCell;
use url::Url;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::oid::db::rfc5280::ID_KP_CLIENT_AUTH;
use x509_cert::ext::pkix::ExtendedKeyUsage;

use super::super::question::OidcProvider;
use super::{Authentication, Connection, Oidc};
use crate::kernel::Secret;
use crate::net::http;
use crate::net::pem::{self, KeyFiles};

const CONNECT: Duration = Duration::from_secs(2);
const READ: Duration = Duration::from_secs(600);

/// A certificate with its key.
enum Identity {
    Pem(KeyFiles),
    Pkcs12(PathBuf, Option<Secret>),
}

/// Reads an entry, and notes all that is wrong with it.
pub(super) struct Reader<'a> {
    at: String,
    folder: &'a Path,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(id: &str, folder: &'a Path) -> Self {
        Self {
            at: id.to_owned(),
            folder,
            problems: Vec::new(),
        }
    }

    fn wrong(&mut self, key: &str, why: &str) {
        self.problems.push(format!("{}.{key} {why}", self.at));
    }

    /// # Errors
    /// All that is wrong with the entry.
    pub(super) fn connection(
        mut self,
        entry: &Yaml<'_>,
        proxy: Option<&http::Proxy>,
    ) -> Result<Connection, Vec<String>> {
        let connection = self.whole(entry, proxy);
        connection
            .filter(|_| self.problems.is_empty())
            .ok_or(self.problems)
    }

    fn whole(&mut self, entry: &Yaml<'_>, proxy: Option<&http::Proxy>) -> Option<Connection> {
        let base_url = self.address(entry, "base-url");
        let mut settings = self.settings(entry, proxy, READ);
        match self.part(entry, "cert-auth", Self::checked_identity) {
            Some(Identity::Pem(files)) => settings.identity = Some(files),
            Some(Identity::Pkcs12(path, password)) => settings.pkcs12 = Some((path, password)),
            None => {}
        }
        let basic = self.part(entry, "basic-auth", |reader, entry| {
            let name = reader.required(entry, "username")?;
            Some(Authentication::Basic(
                name,
                reader.secret(entry, "password")?,
            ))
        });
        let bearer = self.part(entry, "bearer-auth", |reader, entry| {
            Some(Authentication::Bearer(reader.secret(entry, "token")?))
        });
        let oidc = self.part(entry, "oidc-auth", |reader, entry| {
            reader.oidc(entry, proxy).map(Authentication::Oidc)
        });
        let mut ways = [basic, bearer, oidc].into_iter().flatten();
        let authentication = ways.next().unwrap_or(Authentication::None);
        if ways.next().is_some() {
            self.wrong(
                "base-url",
                "has more than one of basic-auth, bearer-auth and oidc-auth",
            );
        }
        Some(Connection {
            base_url: base_url?,
            tests_on_start: self.flag(entry, "test-connection-on-startup", false),
            settings,
            authentication,
            client: OnceCell::new(),
        })
    }

    fn settings(
        &mut self,
        entry: &Yaml<'_>,
        proxy: Option<&http::Proxy>,
        read: Duration,
    ) -> http::Settings {
        http::Settings {
            server_cas: self.file(entry, "trusted-root-certificates-file"),
            connect_timeout: self.duration(entry, "connect-timeout", CONNECT),
            read_timeout: self.duration(entry, "read-timeout", read),
            proxy: proxy.cloned(),
            logs: self.flag(entry, "enable-debug-logging", false),
            ..http::Settings::default()
        }
    }

    /// An identity that a server would accept, as far as one can tell from here.
    fn checked_identity(&mut self, entry: &Yaml<'_>) -> Option<Identity> {
        let identity = self.identity(entry)?;
        let (key, certificate) = match &identity {
            Identity::Pem(files) => {
                let pair = files.load().map_err(|error| error.to_string());
                let leaf = pair.map(|mut pair| pair.chain.swap_remove(0));
                ("certificate-file", leaf)
            }
            Identity::Pkcs12(path, password) => ("p12-file", packed(path, password.as_ref())),
        };
        let fit = certificate.and_then(|certificate| {
            usable_by_clients(&certificate)
                .then_some(())
                .ok_or_else(|| {
                    "its certificate is not one for clients (extended key usage)".to_owned()
                })
        });
        if let Err(why) = fit {
            self.wrong(key, &format!("is of no use: {why}"));
        }
        Some(identity)
    }

    fn identity(&mut self, entry: &Yaml<'_>) -> Option<Identity> {
        let password = (entry.as_mapping_get("password").is_some()
            || entry.as_mapping_get("password-file").is_some())
        .then(|| self.secret(entry, "password"))
        .flatten();
        if let Some(path) = self.file(entry, "p12-file") {
            return Some(Identity::Pkcs12(path, password));
        }
        let certificate = self.file(entry, "certificate-file");
        let private_key = self.file(entry, "private-key-file");
        if certificate.is_none() || private_key.is_none() {
            self.wrong(
                "certificate-file",
                "and private-key-file are needed, or p12-file",
            );
        }
        Some(Identity::Pem(KeyFiles {
            certificate: certificate?,
            private_key: private_key?,
            password,
        }))
    }

    fn oidc(&mut self, entry: &Yaml<'_>, proxy: Option<&http::Proxy>) -> Option<Box<Oidc>> {
        let settings = self.settings(entry, proxy, Duration::from_secs(10));
        let audiences = match entry.as_mapping_get("required-audience") {
            None => Vec::new(),
            Some(Yaml::Sequence(all)) => {
                let texts = all.iter().filter_map(Yaml::as_str);
                texts.map(str::to_owned).collect()
            }
            Some(one) => one.as_str().map(str::to_owned).into_iter().collect(),
        };
        let provider = OidcProvider {
            base_url: self.address(entry, "base-url")?,
            client_id: self.required(entry, "client-id")?,
            client_secret: self.secret(entry, "client-secret")?.expose().to_owned(),
            discovery_path: text(entry, "discovery-path"),
            required_audiences: audiences,
            verify_authorized_party: Some(self.flag(entry, "verify-authorized-party", true)),
        };
        Some(Box::new(Oidc {
            tests_on_start: self.flag(entry, "test-connection-on-startup", false),
            settings,
            provider,
        }))
    }

    fn part<T>(
        &mut self,
        entry: &Yaml<'_>,
        key: &str,
        read: impl FnOnce(&mut Self, &Yaml<'_>) -> Option<T>,
    ) -> Option<T> {
        let part = entry.as_mapping_get(key)?;
        let at = format!("{}.{key}", self.at);
        let outer = std::mem::replace(&mut self.at, at);
        let found = read(self, part);
        self.at = outer;
        found
    }

    fn required(&mut self, entry: &Yaml<'_>, key: &str) -> Option<String> {
        let found = text(entry, key).filter(|text| !text.trim().is_empty());
        if found.is_none() {
            self.wrong(key, "is missing");
        }
        found
    }

    fn address(&mut self, entry: &Yaml<'_>, key: &str) -> Option<String> {
        let address = self.required(entry, key)?;
        let is_http = |url: Url| matches!(url.scheme(), "http" | "https");
        if !Url::parse(&address).is_ok_and(is_http) {
            self.wrong(
                key,
                &format!("is '{address}', not an http or https address"),
            );
        }
        Some(address.trim_end_matches('/').to_owned())
    }

    fn flag(&mut self, entry: &Yaml<'_>, key: &str, usual: bool) -> bool {
        match entry.as_mapping_get(key) {
            None => usual,
            Some(value) => value.as_bool().unwrap_or_else(|| {
                self.wrong(key, "is neither true nor false");
                usual
            }),
        }
    }

    fn duration(&mut self, entry: &Yaml<'_>, key: &str, usual: Duration) -> Duration {
        let Some(text) = text(entry, key) else {
            return usual;
        };
        let parsed = text.parse::<SignedDuration>().ok();
        let parsed = parsed.and_then(|duration| Duration::try_from(duration).ok());
        parsed.unwrap_or_else(|| {
            self.wrong(key, &format!("is '{text}', not a duration such as PT10S"));
            usual
        })
    }

    /// A path beside the YAML file, if it is relative.
    fn file(&mut self, entry: &Yaml<'_>, key: &str) -> Option<PathBuf> {
        let path = self.folder.join(text(entry, key)?);
        if !path.exists() {
            self.wrong(
                key,
                &format!("names {}, which is not there", path.display()),
            );
        }
        Some(path)
    }

    /// The value, or the one line of the file that `key-file` names.
    fn secret(&mut self, entry: &Yaml<'_>, key: &str) -> Option<Secret> {
        let in_file = format!("{key}-file");
        match (text(entry, key), text(entry, &in_file)) {
            (Some(_), Some(_)) => {
                self.wrong(key, &format!("and {in_file} are both set; keep one"));
                None
            }
            (Some(value), None) => Some(Secret::new(value)),
            (None, Some(path)) => {
                let path = self.folder.join(path);
                let content = std::fs::read_to_string(&path).unwrap_or_default();
                let line = content.trim_end_matches(['\n', '\r']);
                if line.is_empty() || line.contains('\n') {
                    let why = format!("names {}, which must hold one line", path.display());
                    self.wrong(&in_file, &why);
                }
                Some(Secret::new(line))
            }
            (None, None) => {
                self.wrong(key, "is missing");
                None
            }
        }
    }
}

/// The certificate of a PKCS#12 file that has its key.
fn packed(path: &Path, password: Option<&Secret>) -> Result<X509, String> {
    let der = std::fs::read(path).map_err(|error| error.to_string())?;
    let store = Pkcs12::from_der(&der).map_err(|_| pem::not_pkcs12(&der).to_owned())?;
    let store = store
        .parse2(password.map_or("", Secret::expose))
        .map_err(|_| {
            "it cannot be opened; check its password, and that it was not written with ciphers of \
             old (openssl pkcs12 -legacy reads those)"
                .to_owned()
        })?;
    store
        .cert
        .filter(|_| store.pkey.is_some())
        .ok_or_else(|| "it holds no certificate with its key".to_owned())
}

/// A certificate that says nothing of its usage may be used for everything.
fn usable_by_clients(certificate: &X509) -> bool {
    let der = certificate.to_der().unwrap_or_default();
    let Ok(certificate) = Certificate::from_der(&der) else {
        return false;
    };
    match certificate.tbs_certificate.get::<ExtendedKeyUsage>() {
        Ok(usage) => usage.is_none_or(|(_, usage)| usage.0.contains(&ID_KP_CLIENT_AUTH)),
        Err(_) => false,
    }
}

fn text(entry: &Yaml<'_>, key: &str) -> Option<String> {
    entry.as_mapping_get(key)?.as_str().map(str::to_owned)
}
