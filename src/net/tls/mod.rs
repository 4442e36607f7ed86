//! TLS where we are the server: OpenSSL in front of actix-web, TLS 1.2 and 1.3.
//!
//! ```ignore
//! let acceptor = tls::Acceptor::new(settings)?;
//! acceptor.watch();
//! HttpServer::new(app)
//!     .on_connect(move |connection, data| acceptor.remember_peer(connection, data))
//!     .tls_handshake_timeout(tls::HANDSHAKE_TIMEOUT)
//!     .listen_openssl(listener, acceptor.builder()?)?
//! // in a handler: request.conn_data::<tls::PeerCertificate>()
//! ```
//! Whoever presents a bad certificate fails the handshake (`spec/auth-config.md` §1.2); who is
//! behind a good one is the question of `auth`.

mod acceptor;
mod context;
mod handshake;
mod peer;
mod revocation;
mod trust;
mod undated;

pub use acceptor::{Acceptor, Warrant, end_when_stalled};
pub use handshake::served;
pub use peer::{PeerCertificate, Thumbprint};
pub use revocation::{Revocation, Source, WithoutList};
pub use trust::{Refusal, Trust};
pub use undated::{Undated, leave_out_date};

use std::path::PathBuf;
use std::time::Duration;

use super::http;
use super::pem::{self, KeyFiles};

/// How long a handshake may take before the socket is closed.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the other end may leave unacknowledged what we have sent, or keep its window closed.
pub const STALLED: Duration = Duration::from_secs(60);

/// What a server presents and whom it lets in.
#[derive(Clone, Debug)]
pub struct Settings {
    pub server: KeyFiles,
    /// File or folder of certificates that clients' certificates must lead to.
    pub client_cas: Option<PathBuf>,
    pub client_certificate: ClientCertificate,
    /// Lists of certificates that their CAs have taken back; none are looked at without.
    pub revocation: Option<Revocation>,
    /// How lists are fetched.
    pub fetch: http::Settings,
}

/// Whether clients must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// No certificate, no connection.
    Required,
    /// Who shows one must show a good one.
    Optional,
    /// Not asked for: a proxy in front has done that.
    Ignored,
}

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    File(#[from] pem::Error),
    #[error("client certificates are asked for, but no client CAs are named")]
    NoClientCas,
    #[error(
        "{}: {problem}; a server certificate needs key usage digitalSignature and extended key \
         usage serverAuth", path.display()
    )]
    NotForServers {
        path: PathBuf,
        problem: &'static str,
    },
    #[error(
        "the revocation list {name} {problem}; name lists in PEM or DER form in \
         tls.revocation-lists"
    )]
    RevocationList { name: String, problem: String },
    #[error("revocation lists cannot be fetched: {0}")]
    Fetch(#[from] http::Error),
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] openssl::error::ErrorStack),
}
