//! Tells why handshakes fail. OpenSSL knows, and actix would keep it to itself.

use std::io;
use std::net::SocketAddr;

use actix_http::Protocol;
use actix_service::{Service, ServiceFactory, ServiceFactoryExt, apply_fn_factory};
use actix_tls::accept::TlsError;
use actix_tls::accept::openssl::{self as tls, TlsStream};
use actix_web::rt::net::TcpStream;
use openssl::ssl::{self, SslAcceptor};

use super::{HANDSHAKE_TIMEOUT, Undated};

/// What `HttpService` serves.
type Accepted = (Undated<TlsStream<TcpStream>>, Protocol, Option<SocketAddr>);

/// The service behind a handshake, and what went wrong with that in the log. actix's own way to
/// this knows only one kind of connection, which is not [`Undated`].
pub fn served<S, E>(
    inner: S,
    acceptor: SslAcceptor,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), InitError = ()>
where
    S: ServiceFactory<Accepted, Config = (), Response = (), Error = E, InitError = ()>,
    E: 'static,
{
    let mut handshake = tls::Acceptor::new(acceptor);
    handshake.set_handshake_timeout(HANDSHAKE_TIMEOUT);
    let inner = handshake
        .map_err(TlsError::into_service_error)
        .map(accepted)
        .and_then(inner.map_err(TlsError::Service));
    logged(inner)
}

fn accepted(stream: TlsStream<TcpStream>) -> Accepted {
    let protocol = match stream.ssl().selected_alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    let socket = stream.get_ref();
    // Without it the end of a long answer waits for the acknowledgement of its beginning.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delay");
    }
    let address = socket.peer_addr().ok();
    (Undated::new(stream), protocol, address)
}

fn logged<S, E>(
    inner: S,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = S::Error, InitError = ()>
where
    S: ServiceFactory<
            TcpStream,
            Config = (),
            Response = (),
            Error = TlsError<ssl::Error, E>,
            InitError = (),
        >,
{
    apply_fn_factory(inner, |stream: TcpStream, service: &S::Service| {
        let address = stream.peer_addr();
        let served = service.call(stream);
        async move {
            let outcome = served.await;
            match &outcome {
                Err(TlsError::Tls(error)) => tell(address, error),
                Err(TlsError::Timeout) => {
                    let address = address.ok().map(tracing::field::display);
                    tracing::info!(address, reason = "it took too long", "handshake failed");
                }
                Err(TlsError::Service(_)) | Ok(()) => {}
            }
            outcome
        }
    })
}

fn tell(address: io::Result<SocketAddr>, error: &ssl::Error) {
    let address = address.ok().map(tracing::field::display);
    let Some(stack) = error.ssl_error() else {
        // A client that went away, or a probe of the port.
        return tracing::debug!(address, %error, "a connection ended within its handshake");
    };
    let reasons: Vec<&str> = stack
        .errors()
        .iter()
        .filter_map(openssl::error::Error::reason)
        .collect();
    let reason = reasons.join("; ");
    tracing::info!(address, reason, "handshake failed");
}
