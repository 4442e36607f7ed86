//! The acceptor whose certificates can be exchanged while it serves.
//!
//! The context that actix holds never changes; at the client's first message each connection is
//! moved to the newest context. Connections that exist keep what they have, but what is trusted
//! now is asked of them again: see [`Warrant`].

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use actix_tls::accept::openssl::TlsStream;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use arc_swap::ArcSwap;
use bytes::Bytes;
use nix::sys::socket::{setsockopt, sockopt};
use openssl::ex_data::Index;
use openssl::ssl::{
    ClientHelloResponse, Ssl, SslAcceptor, SslAcceptorBuilder, SslContext, SslMethod,
};
use openssl::x509::X509;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::revocation::{self, Lists, Source};
use super::{Error, PeerCertificate, Refusal, STALLED, Settings, Trust, context};
use crate::net::http::{Client, Request, Response, Url};

/// How often the files are looked at.
const LOOK_AT_FILES: Duration = Duration::from_secs(5);
/// Without anything to fetch.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

/// The server side of TLS. Cloning shares the certificates.
#[derive(Clone)]
pub struct Acceptor {
    settings: Arc<Settings>,
    current: Arc<ArcSwap<Current>>,
    /// Revocation lists of HTTP servers, as they were fetched last.
    fetched: Arc<ArcSwap<Vec<(Url, Bytes)>>>,
    /// Where a connection keeps the mark of what was trusted when it began.
    marks: Index<Ssl, u64>,
}

/// What was read from the files.
struct Current {
    context: SslContext,
    trust: Option<Trust>,
    /// Tells one trust from another.
    mark: u64,
}

impl Current {
    fn read(settings: &Settings, fetched: &[(Url, Bytes)]) -> Result<Self, Error> {
        let revocation = settings.revocation.as_ref();
        let lists = revocation.map(|revocation| Lists::load(revocation, fetched));
        let trust = settings.client_cas.as_deref().map(Trust::load);
        let trust = trust.transpose()?;
        let lists = lists.transpose()?;
        let trust = trust.map(|trust| trust.with_lists(lists));
        let digest = trust.as_ref().map_or([0; 32], Trust::digest);
        let [a, b, c, d, e, f, g, h, ..] = digest;
        Ok(Self {
            context: context::build(settings, trust.as_ref())?,
            trust,
            mark: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        })
    }

    fn verify(&self, peer: &PeerCertificate, others: &[X509]) -> Result<(), Refusal> {
        match &self.trust {
            Some(trust) => trust.verify(peer, others),
            None => Err(Refusal::no_client_cas()),
        }
    }
}

/// What a connection was let in by. It is good until what is trusted changes, and then is looked
/// at again: a CA or a certificate that was taken back counts on open connections, too.
pub struct Warrant {
    peer: PeerCertificate,
    others: Vec<X509>,
    /// Of the trust that it was found good by.
    mark: AtomicU64,
}

impl Acceptor {
    /// Reads the files.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let current = Arc::new(ArcSwap::from_pointee(Current::read(&settings, &[])?));
        Ok(Self {
            settings: Arc::new(settings),
            current,
            fetched: Arc::default(),
            marks: Ssl::new_ex_index()?,
        })
    }

    /// For `HttpServer::bind_openssl` and `listen_openssl`.
    pub fn builder(&self) -> Result<SslAcceptorBuilder, Error> {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
        context::fill(
            &mut builder,
            &self.settings,
            self.current.load().trust.as_ref(),
        )?;
        // A connection that is moved to another context keeps the callback of this one, so it is the
        // callback that must look for what is in force.
        let judging = Arc::clone(&self.current);
        let mode = context::mode(self.settings.client_certificate);
        builder.set_verify_callback(mode, move |good, context| {
            let current = judging.load();
            let trust = current.trust.as_ref();
            trust.is_some_and(|trust| trust.accepts(good, context))
        });
        let (current, marks) = (Arc::clone(&self.current), self.marks);
        builder.set_client_hello_callback(move |ssl, _| {
            let current = current.load();
            ssl.set_ssl_context(&current.context)?;
            ssl.set_ex_data(marks, current.mark);
            Ok(ClientHelloResponse::SUCCESS)
        });
        Ok(builder)
    }

    /// Reads the files again. If one is bad, what was in use stays in use.
    pub fn reload(&self) -> Result<(), Error> {
        let current = Current::read(&self.settings, &self.fetched.load())?;
        self.current.store(Arc::new(current));
        Ok(())
    }

    /// Fetches the revocation lists that HTTP servers have. What cannot be had, or is no list,
    /// leaves the one before in force. Whether anything has changed.
    async fn fetch(&self) -> Result<bool, Error> {
        let revocation = self.settings.revocation.as_ref();
        let sources = revocation.map_or(&[][..], |revocation| &revocation.sources);
        let urls = sources.iter().filter_map(|source| match source {
            Source::Url(url) => Some(url),
            Source::Path(_) => None,
        });
        let before = self.fetched.load_full();
        let mut fetched = Vec::new();
        // A client loads the trust store of the system: only if there is something to fetch.
        let mut client = None;
        for url in urls {
            let client = match &client {
                Some(client) => client,
                None => client.insert(Client::new(&self.settings.fetch)?),
            };
            match list(client, url).await {
                Ok(list) => fetched.push((url.clone(), list)),
                Err(reason) => {
                    tracing::warn!(%url, reason, "a revocation list is not renewed");
                    fetched.extend(before.iter().filter(|(known, _)| known == url).cloned());
                }
            }
        }
        let changed = *before != fetched;
        self.fetched.store(Arc::new(fetched));
        Ok(changed)
    }

    /// Checks a certificate, and others that came with it, as a handshake would.
    pub fn verify(&self, peer: &PeerCertificate, others: &[X509]) -> Result<(), Refusal> {
        self.current.load().verify(peer, others)
    }

    /// Whether what is trusted now still lets this connection in.
    pub fn upholds(&self, warrant: &Warrant) -> Result<(), Refusal> {
        let current = self.current.load();
        if warrant.mark.load(Ordering::Relaxed) == current.mark {
            return Ok(());
        }
        current.verify(&warrant.peer, &warrant.others)?;
        warrant.mark.store(current.mark, Ordering::Relaxed);
        Ok(())
    }

    /// For `HttpServer::on_connect`: leaves the [`PeerCertificate`] and the [`Warrant`] of a TLS
    /// connection with it, and has the connection send at once.
    pub fn remember_peer(&self, connection: &dyn Any, data: &mut Extensions) {
        let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>() else {
            return;
        };
        // An answer of several TLS records would wait for the client's delayed acknowledgement.
        if let Err(error) = stream.get_ref().set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's algorithm");
        }
        let ssl = stream.ssl();
        let Some(certificate) = ssl.peer_certificate() else {
            return;
        };
        match PeerCertificate::try_from(&*certificate) {
            Ok(peer) => {
                let others = ssl.peer_cert_chain().into_iter().flatten();
                data.insert(Arc::new(Warrant {
                    peer: peer.clone(),
                    others: others.map(ToOwned::to_owned).collect(),
                    mark: AtomicU64::new(ssl.ex_data(self.marks).copied().unwrap_or_default()),
                }));
                data.insert(peer);
            }
            Err(error) => tracing::warn!(%error, "a client certificate cannot be read"),
        }
    }

    /// Reloads on SIGHUP, when a file changes and when revocation lists are due, until the task
    /// is aborted.
    pub fn watch(&self) -> JoinHandle<()> {
        let acceptor = self.clone();
        tokio::spawn(async move {
            let mut hangup = match signal(SignalKind::hangup()) {
                Ok(hangup) => hangup,
                Err(error) => return tracing::error!(%error, "certificates will not be reloaded"),
            };
            let mut seen = acceptor.changes();
            let mut due = Instant::now();
            loop {
                let mut changed = tokio::select! {
                    // The first look is at once.
                    () = tokio::time::sleep_until(due.into()) => false,
                    _ = hangup.recv() => { due = Instant::now(); true }
                    () = tokio::time::sleep(LOOK_AT_FILES) => acceptor.changes() != seen,
                };
                if due <= Instant::now() {
                    due += acceptor.refresh();
                    match acceptor.fetch().await {
                        Ok(renewed) => changed |= renewed,
                        Err(error) => tracing::error!(%error, "no revocation list is renewed"),
                    }
                }
                if !changed {
                    continue;
                }
                seen = acceptor.changes();
                match acceptor.reload() {
                    Ok(()) => tracing::info!("certificates reloaded"),
                    Err(error) => {
                        tracing::error!(%error, "certificates not reloaded; the old ones stay");
                    }
                }
            }
        })
    }

    /// How long fetched revocation lists are used before they are fetched again.
    fn refresh(&self) -> Duration {
        let revocation = self.settings.revocation.as_ref();
        revocation.map_or(NEVER, |revocation| revocation.refresh)
    }

    /// When each file was last written.
    fn changes(&self) -> Vec<(PathBuf, Option<SystemTime>)> {
        let Settings {
            server, client_cas, ..
        } = &*self.settings;
        let mut paths = vec![server.certificate.clone(), server.private_key.clone()];
        if let Some(cas) = client_cas {
            paths.push(cas.clone());
            let entries = std::fs::read_dir(cas).into_iter().flatten().flatten();
            paths.extend(entries.map(|entry| entry.path()));
        }
        let revocation = self.settings.revocation.iter();
        for source in revocation.flat_map(|revocation| &revocation.sources) {
            if let Source::Path(path) = source {
                paths.extend(revocation::files(path).unwrap_or_default());
            }
        }
        paths.sort();
        let written = |path: &PathBuf| std::fs::metadata(path).and_then(|m| m.modified()).ok();
        paths
            .into_iter()
            .map(|path| (path.clone(), written(&path)))
            .collect()
    }
}

/// A revocation list from an HTTP server, or why there is none.
async fn list(client: &Client, url: &Url) -> Result<Bytes, String> {
    let answer = client.send(&Request::get(url.clone())).await;
    let answer = answer.and_then(Response::success);
    let body = answer.map_err(|error| error.to_string())?.body;
    revocation::check(&body).map(|()| body)
}

/// For `HttpServer::on_connect`: has the kernel end a connection whose other end takes nothing any
/// more – it is gone without a word, or it does not read. No timer of ours sees that: an answer
/// that nobody reads just waits, with what it holds.
pub fn end_when_stalled(connection: &dyn Any) {
    let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>() else {
        return;
    };
    let socket = stream.get_ref();
    let patience = u32::try_from(STALLED.as_millis()).unwrap_or(u32::MAX);
    let seconds = u32::try_from(STALLED.as_secs()).unwrap_or(u32::MAX);
    let set = setsockopt(socket, sockopt::TcpUserTimeout, &patience)
        .and_then(|()| setsockopt(socket, sockopt::KeepAlive, &true))
        .and_then(|()| setsockopt(socket, sockopt::TcpKeepIdle, &seconds));
    if let Err(error) = set {
        tracing::debug!(%error, "a connection keeps the time-outs of the system");
    }
}
