//! The acceptor whose certificates can be exchanged while it serves.
//!
//! The context that actix holds never changes; at the client's first message each connection is
//! moved to the newest context. Connections that exist keep what they have.

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_tls::accept::openssl::TlsStream;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use arc_swap::ArcSwap;
use nix::sys::socket::{setsockopt, sockopt};
use openssl::ssl::{ClientHelloResponse, SslAcceptor, SslAcceptorBuilder, SslContext, SslMethod};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::{Error, PeerCertificate, Refusal, STALLED, Settings, Trust, context};

/// How often the files are looked at.
const LOOK_AT_FILES: Duration = Duration::from_secs(5);

/// The server side of TLS. Cloning shares the certificates.
#[derive(Clone)]
pub struct Acceptor {
    settings: Arc<Settings>,
    current: Arc<ArcSwap<Current>>,
}

/// What was read from the files.
struct Current {
    context: SslContext,
    trust: Option<Trust>,
}

impl Current {
    fn read(settings: &Settings) -> Result<Self, Error> {
        Ok(Self {
            context: context::build(settings)?,
            trust: settings
                .client_cas
                .as_deref()
                .map(Trust::load)
                .transpose()?,
        })
    }
}

impl Acceptor {
    /// Reads the files.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let current = Arc::new(ArcSwap::from_pointee(Current::read(&settings)?));
        Ok(Self {
            settings: Arc::new(settings),
            current,
        })
    }

    /// For `HttpServer::bind_openssl` and `listen_openssl`.
    pub fn builder(&self) -> Result<SslAcceptorBuilder, Error> {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
        context::fill(&mut builder, &self.settings)?;
        let current = Arc::clone(&self.current);
        builder.set_client_hello_callback(move |ssl, _| {
            ssl.set_ssl_context(&current.load().context)?;
            Ok(ClientHelloResponse::SUCCESS)
        });
        Ok(builder)
    }

    /// Reads the files again. If one is bad, what was in use stays in use.
    pub fn reload(&self) -> Result<(), Error> {
        self.current.store(Arc::new(Current::read(&self.settings)?));
        Ok(())
    }

    /// Checks a certificate that a proxy handed on, as a handshake would have done.
    pub fn verify(&self, peer: &PeerCertificate) -> Result<(), Refusal> {
        match &self.current.load().trust {
            Some(trust) => trust.verify(peer),
            None => Err(Refusal::no_client_cas()),
        }
    }

    /// Reloads on SIGHUP and when a file changes, until the task is aborted.
    pub fn watch(&self) -> JoinHandle<()> {
        let acceptor = self.clone();
        tokio::spawn(async move {
            let mut hangup = match signal(SignalKind::hangup()) {
                Ok(hangup) => hangup,
                Err(error) => return tracing::error!(%error, "certificates will not be reloaded"),
            };
            let mut seen = acceptor.changes();
            loop {
                tokio::select! {
                    _ = hangup.recv() => {}
                    () = tokio::time::sleep(LOOK_AT_FILES) => {
                        if acceptor.changes() == seen {
                            continue;
                        }
                    }
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
        paths.sort();
        let written = |path: &PathBuf| std::fs::metadata(path).and_then(|m| m.modified()).ok();
        paths
            .into_iter()
            .map(|path| (path.clone(), written(&path)))
            .collect()
    }
}

/// For `HttpServer::on_connect`: leaves the [`PeerCertificate`] of a TLS connection with it, and
/// has the connection send at once.
pub fn remember_peer(connection: &dyn Any, data: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>() else {
        return;
    };
    // An answer of several TLS records would wait for the client's delayed acknowledgement.
    if let Err(error) = stream.get_ref().set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps Nagle's algorithm");
    }
    let Some(certificate) = stream.ssl().peer_certificate() else {
        return;
    };
    match PeerCertificate::try_from(&*certificate) {
        Ok(peer) => {
            data.insert(peer);
        }
        Err(error) => tracing::warn!(%error, "a client certificate cannot be read"),
    }
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
