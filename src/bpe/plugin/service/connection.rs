//! Named FHIR servers for plugins: `bpe.fhir-connections`, the YAML of the Java DSF (spec/bpe.md
//! §10.2). What is wrong with one entry is told in full and harms no other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use saphyr::{LoadableYamlNode, Yaml};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use url::Url;

use super::question::OidcProvider;
use super::{Refusal, oidc};
use crate::kernel::Secret;
use crate::net::http;
use crate::net::pem::KeyFiles;

const CONNECT: Duration = Duration::from_secs(2);
const READ: Duration = Duration::from_secs(600);

/// All connections of a node.
#[derive(Default)]
pub struct Connections(BTreeMap<String, Connection>);

struct Connection {
    base_url: String,
    tests_on_start: bool,
    settings: http::Settings,
    authentication: Authentication,
    client: OnceCell<Ready>,
}

enum Authentication {
    None,
    Basic(String, Secret),
    Bearer(Secret),
    Oidc(Box<(http::Settings, OidcProvider)>),
}

struct Ready {
    http: http::Client,
    oidc: Option<oidc::Client>,
}

impl Connections {
    /// Reads the file; the second part of the answer is what is wrong with it, entry by entry.
    #[must_use]
    pub fn read(path: &Path, proxy: Option<&http::Proxy>) -> (Self, Vec<String>) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                return (
                    Self::default(),
                    vec![format!("{}: {error}", path.display())],
                );
            }
        };
        let folder = path.parent().unwrap_or(Path::new("."));
        let (found, problems) = Self::parse(&text, folder, proxy);
        let named = |problem| format!("{}: {problem}", path.display());
        (found, problems.into_iter().map(named).collect())
    }

    fn parse(text: &str, folder: &Path, proxy: Option<&http::Proxy>) -> (Self, Vec<String>) {
        let documents = match Yaml::load_from_str(text) {
            Ok(documents) => documents,
            Err(error) => return (Self::default(), vec![format!("is no YAML: {error}")]),
        };
        let mut problems = Vec::new();
        let mut found = BTreeMap::new();
        let entries = documents.first().and_then(Yaml::as_mapping);
        for (id, entry) in entries.into_iter().flatten() {
            let id = id.as_str().unwrap_or("?").to_owned();
            if id.starts_with('#') {
                problems.push(format!("{id}: ids that begin with # are reserved"));
                continue;
            }
            let mut reader = Reader {
                at: id.clone(),
                folder,
                problems: Vec::new(),
            };
            let connection = reader.connection(entry, proxy);
            if reader.problems.is_empty() {
                found.extend(connection.map(|connection| (id, connection)));
            }
            problems.append(&mut reader.problems);
        }
        (Self(found), problems)
    }

    /// Says of those that want it whether they can be reached.
    pub async fn test(&self) {
        for (id, connection) in &self.0 {
            if !connection.tests_on_start {
                continue;
            }
            match connection.tested().await {
                Ok(()) => tracing::info!(connection = id, "connection works"),
                Err(refusal) => {
                    tracing::error!(connection = id, "connection fails: {}", refusal.message);
                }
            }
        }
    }

    fn find(&self, id: &str) -> Result<&Connection, Refusal> {
        self.0.get(id).ok_or_else(|| {
            Refusal::new(format!("bpe.fhir-connections has no connection named {id}"))
        })
    }

    /// What code may know of a connection.
    pub(super) fn described(&self, id: &str) -> Value {
        let Some(connection) = self.0.get(id) else {
            return Value::Null;
        };
        let (kind, username) = match &connection.authentication {
            Authentication::None => ("none", None),
            Authentication::Basic(username, _) => ("basic", Some(username)),
            Authentication::Bearer(_) => ("bearer", None),
            Authentication::Oidc(_) => ("oidc", None),
        };
        json!({
            "fhirServerId": id,
            "baseUrl": connection.base_url,
            "connectTimeout": connection.settings.connect_timeout.as_millis(),
            "readTimeout": connection.settings.read_timeout.as_millis(),
            "certificateAuthentication": connection.settings.identity.is_some()
                || connection.settings.pkcs12.is_some(),
            "authentication": kind,
            "username": username,
            "startupConnectionTestEnabled": connection.tests_on_start,
        })
    }

    /// Client, base address, and the value of `Authorization`.
    pub(super) async fn open(
        &self,
        id: &str,
    ) -> Result<(http::Client, String, Option<String>), Refusal> {
        let connection = self.find(id)?;
        let (client, authorization) = connection.opened().await?;
        Ok((client, connection.base_url.clone(), authorization))
    }

    /// What the OpenID provider of a connection says.
    pub(super) async fn oidc(&self, id: &str, wanted: &str) -> Result<Value, Refusal> {
        let ready = self.find(id)?.ready().await?;
        match &ready.oidc {
            Some(client) => client.answer(wanted).await,
            None => Err(Refusal::new(format!(
                "the connection {id} has no oidc-auth"
            ))),
        }
    }
}

impl Connection {
    async fn ready(&self) -> Result<&Ready, Refusal> {
        self.client
            .get_or_try_init(async || {
                let oidc = match &self.authentication {
                    Authentication::Oidc(oidc) => {
                        let (settings, provider) = &**oidc;
                        Some(oidc::Client::new(
                            http::Client::new(settings)?,
                            provider.clone(),
                        ))
                    }
                    _ => None,
                };
                let http = http::Client::new(&self.settings)?;
                Ok(Ready { http, oidc })
            })
            .await
    }

    async fn opened(&self) -> Result<(http::Client, Option<String>), Refusal> {
        let ready = self.ready().await?;
        let authorization = match (&self.authentication, &ready.oidc) {
            (Authentication::Basic(name, password), _) => {
                let pair = STANDARD.encode(format!("{name}:{}", password.expose()));
                Some(format!("Basic {pair}"))
            }
            (Authentication::Bearer(token), _) => Some(format!("Bearer {}", token.expose())),
            (_, Some(client)) => Some(format!("Bearer {}", client.token().await?)),
            _ => None,
        };
        Ok((ready.http.clone(), authorization))
    }

    async fn tested(&self) -> Result<(), Refusal> {
        let (client, authorization) = self.opened().await?;
        let server = super::fhir::Server {
            client,
            base: self.base_url.clone(),
            authorization,
        };
        let headers = [("accept", Some("application/fhir+json"))];
        let request = server.request(http::Method::GET, "metadata", &headers)?;
        super::fhir::told(&server.client.send(&request).await?).map(drop)
    }
}

/// A certificate with its key.
enum Identity {
    Pem(KeyFiles),
    Pkcs12(PathBuf, Option<Secret>),
}

/// Reads an entry, and notes all that is wrong with it.
struct Reader<'a> {
    at: String,
    folder: &'a Path,
    problems: Vec<String>,
}

impl Reader<'_> {
    fn wrong(&mut self, key: &str, why: &str) {
        self.problems.push(format!("{}.{key} {why}", self.at));
    }

    fn connection(&mut self, entry: &Yaml<'_>, proxy: Option<&http::Proxy>) -> Option<Connection> {
        let base_url = self.address(entry, "base-url");
        let mut settings = self.settings(entry, proxy, READ);
        match self.part(entry, "cert-auth", Self::identity) {
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
            ..http::Settings::default()
        }
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

    fn oidc(
        &mut self,
        entry: &Yaml<'_>,
        proxy: Option<&http::Proxy>,
    ) -> Option<Box<(http::Settings, OidcProvider)>> {
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
        Some(Box::new((settings, provider)))
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

fn text(entry: &Yaml<'_>, key: &str) -> Option<String> {
    entry.as_mapping_get(key)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spec/bpe.md §14, rows 41 and 57.
    #[test]
    fn an_entry_that_is_wrong_harms_no_other_and_is_told_in_full() {
        let text = "
good:
  base-url: https://fhir.example/fhir/
  connect-timeout: PT5S
  basic-auth: { username: dsf, password: secret }
worse:
  base-url: ftp://fhir.example
  read-timeout: soon
  bearer-auth: { token: a, token-file: b }
  basic-auth: { username: dsf }
\"#local\":
  base-url: https://fhir.example/fhir
";
        let (found, problems) = Connections::parse(text, Path::new("."), None);
        assert_eq!(found.described("worse"), Value::Null);
        let good = found.described("good");
        assert_eq!(good["baseUrl"], "https://fhir.example/fhir");
        assert_eq!(good["connectTimeout"], 5_000);
        assert_eq!(good["authentication"], "basic");
        assert!(good.get("password").is_none());
        for part in [
            "worse.base-url is 'ftp://fhir.example'",
            "worse.read-timeout is 'soon'",
            "worse.bearer-auth.token and token-file",
            "worse.basic-auth.password is missing",
            "#local: ids that begin with #",
        ] {
            let found = problems.iter().any(|problem| problem.contains(part));
            assert!(found, "{part} is missing in {problems:?}");
        }
    }
}
