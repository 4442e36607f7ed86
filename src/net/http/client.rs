//! Sends requests.

use std::path::PathBuf;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rand::Rng;
use reqwest::header::RETRY_AFTER;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Identity, NoProxy};

use super::error::{is_transient_status, server};
use super::{Body, Error, HeaderMap, Request, Response, StatusCode, Url};
use crate::kernel::secret::Secret;
use crate::net::pem::{self, KeyFiles};

/// How often a request is sent at most.
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// A server that asks for more patience than this gets its answer handed to the caller.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How a role talks to others.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The certificate the organisation is known by.
    pub identity: Option<KeyFiles>,
    /// The same from a PKCS#12 file with its password; used when `identity` is not set.
    pub pkcs12: Option<(PathBuf, Option<Secret>)>,
    /// File or folder of CAs for the servers; without it those of the system.
    pub server_cas: Option<PathBuf>,
    pub connect_timeout: Duration,
    /// Longest silence while waiting for an answer or reading it.
    pub read_timeout: Duration,
    pub proxy: Option<Proxy>,
    /// Largest answer that is read into memory.
    pub body_limit: usize,
    /// Every answer is a line in the log.
    pub logs: bool,
}

/// A forward proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    pub url: String,
    pub username: Option<String>,
    pub password: Option<Secret>,
    /// Hosts, domains or address ranges that are reached without it.
    pub except: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            identity: None,
            pkcs12: None,
            server_cas: None,
            connect_timeout: Duration::from_secs(2),
            read_timeout: Duration::from_secs(10),
            proxy: None,
            body_limit: 64 << 20,
            logs: false,
        }
    }
}

/// The client. Cloning shares its connections.
#[derive(Clone, Debug)]
pub struct Client {
    inner: reqwest::Client,
    body_limit: usize,
    logs: bool,
}

impl Client {
    /// Reads the files and loads the trust store.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("DSF/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(settings.connect_timeout)
            .read_timeout(settings.read_timeout)
            .tcp_keepalive(Duration::from_secs(30))
            .pool_idle_timeout(Duration::from_secs(50))
            .tls_version_min(reqwest::tls::Version::TLS_1_2);
        if let Some(files) = &settings.identity {
            builder = builder.identity(identity(files)?);
        } else if let Some((path, password)) = &settings.pkcs12 {
            builder = builder.identity(packed(path, password.as_ref())?);
        }
        if let Some(path) = &settings.server_cas {
            builder = builder.tls_certs_only(server_cas(path)?);
        }
        builder = match &settings.proxy {
            Some(settings) => builder.proxy(proxy(settings)?),
            None => builder.no_proxy(),
        };
        let inner = builder
            .build()
            .map_err(|error| Error::Settings(error.to_string()))?;
        Ok(Self {
            inner,
            body_limit: settings.body_limit,
            logs: settings.logs,
        })
    }

    /// Sends a request and reads the whole answer, whatever its status. Tries again if nothing was
    /// sent, or if the request may be repeated and the failure may pass.
    pub async fn send(&self, request: &Request) -> Result<Response, Error> {
        let mut tries = 1;
        loop {
            let outcome = self.send_once(request).await;
            let Some(pause) = pause_before_retry(request, &outcome, tries) else {
                return outcome;
            };
            tokio::time::sleep(pause).await;
            tries += 1;
        }
    }

    /// Sends a request once and hands out the answer piece by piece, of any size.
    pub async fn download(&self, request: &Request) -> Result<Download, Error> {
        Ok(Download::of(request, self.start(request).await?))
    }

    /// Sends a request once whose body is made meanwhile, and reads the whole answer. The body of
    /// `request` itself is not sent.
    pub async fn upload(&self, request: &Request, body: Body) -> Result<Response, Error> {
        let response = self.begin(request, body).await?;
        self.whole(Download::of(request, response)).await
    }

    async fn send_once(&self, request: &Request) -> Result<Response, Error> {
        self.whole(self.download(request).await?).await
    }

    async fn whole(&self, mut download: Download) -> Result<Response, Error> {
        let mut body = BytesMut::new();
        while let Some(piece) = download.piece().await? {
            if body.len() + piece.len() > self.body_limit {
                return Err(Error::TooLarge {
                    server: server(&download.url),
                    limit: self.body_limit,
                });
            }
            body.extend_from_slice(&piece);
        }
        let Download {
            url,
            status,
            headers,
            ..
        } = download;
        Ok(Response {
            url,
            status,
            headers,
            body: body.freeze(),
        })
    }

    /// Sends a request once; the head of the answer is there when this returns.
    pub(in crate::net) async fn start(
        &self,
        request: &Request,
    ) -> Result<reqwest::Response, Error> {
        self.begin(request, request.body.clone()).await
    }

    async fn begin(
        &self,
        request: &Request,
        body: impl Into<reqwest::Body>,
    ) -> Result<reqwest::Response, Error> {
        let outcome = self
            .inner
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone())
            .body(body)
            .send()
            .await
            .map_err(|error| Error::of(&error, &request.url));
        if self.logs {
            note(request, &outcome);
        }
        outcome
    }
}

/// Query and content stay out of the log: they may be about patients.
fn note(request: &Request, outcome: &Result<reqwest::Response, Error>) {
    let (method, server, path) = (&request.method, server(&request.url), request.url.path());
    match outcome {
        Ok(response) => tracing::info!(%server, "{method} {path}: {}", response.status()),
        Err(error) => tracing::info!(%server, "{method} {path}: {error}"),
    }
}

/// An answer whose body is still to come.
#[derive(Debug)]
pub struct Download {
    pub url: Url,
    pub status: StatusCode,
    pub headers: HeaderMap,
    response: reqwest::Response,
}

impl Download {
    fn of(request: &Request, response: reqwest::Response) -> Self {
        Self {
            url: request.url.clone(),
            status: response.status(),
            headers: response.headers().clone(),
            response,
        }
    }

    /// The answer without its body.
    #[must_use]
    pub fn head(&self) -> Response {
        Response {
            url: self.url.clone(),
            status: self.status,
            headers: self.headers.clone(),
            body: Bytes::new(),
        }
    }

    /// The next piece of the body, `None` at its end.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        self.response
            .chunk()
            .await
            .map_err(|error| Error::of(&error, &self.url))
    }
}

/// How long to wait before sending again; `None` if the outcome stands.
fn pause_before_retry(
    request: &Request,
    outcome: &Result<Response, Error>,
    tries: u32,
) -> Option<Duration> {
    let worth_it = match outcome {
        Err(error) if error.is_before_sending() => true,
        Err(error) => error.is_transient() && request.is_repeatable(),
        Ok(response) => is_transient_status(response.status) && request.is_repeatable(),
    };
    if !worth_it || tries >= TRIES {
        return None;
    }
    let asked = outcome
        .as_ref()
        .ok()
        .and_then(|response| response.headers.get(RETRY_AFTER));
    if let Some(asked) = asked.and_then(|value| value.to_str().ok()?.parse().ok()) {
        return Some(Duration::from_secs(asked)).filter(|pause| *pause <= LONGEST_PAUSE);
    }
    let longest = FIRST_PAUSE * 2u32.pow(tries);
    Some(
        longest
            .mul_f64(rand::rng().random_range(0.5..1.0))
            .min(LONGEST_PAUSE),
    )
}

fn identity(files: &KeyFiles) -> Result<Identity, Error> {
    let unusable = |detail: String| {
        Error::Settings(format!(
            "{} is unusable: {detail}",
            files.certificate.display()
        ))
    };
    let (chain, key) = files
        .load()?
        .to_pem()
        .map_err(|error| unusable(error.to_string()))?;
    Identity::from_pkcs8_pem(&chain, &key).map_err(|error| unusable(error.to_string()))
}

fn packed(path: &std::path::Path, password: Option<&Secret>) -> Result<Identity, Error> {
    let unusable = |detail: String| Error::Settings(format!("{}: {detail}", path.display()));
    let der = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    Identity::from_pkcs12_der(&der, password.map_or("", Secret::expose))
        .map_err(|error| unusable(error.to_string()))
}

fn server_cas(path: &std::path::Path) -> Result<Vec<Certificate>, Error> {
    let unusable = |detail: String| Error::Settings(format!("{}: {detail}", path.display()));
    pem::certificates(path)?
        .iter()
        .map(|certificate| {
            let der = certificate
                .to_der()
                .map_err(|error| unusable(error.to_string()))?;
            Certificate::from_der(&der).map_err(|error| unusable(error.to_string()))
        })
        .collect()
}

fn proxy(settings: &Proxy) -> Result<reqwest::Proxy, Error> {
    let mut proxy = reqwest::Proxy::all(&settings.url)
        .map_err(|error| Error::Settings(format!("proxy {}: {error}", settings.url)))?;
    if let Some(name) = &settings.username {
        let password = settings.password.as_ref().map_or("", Secret::expose);
        proxy = proxy.basic_auth(name, password);
    }
    Ok(proxy.no_proxy(NoProxy::from_string(&settings.except.join(","))))
}
