//! Tells why handshakes fail. OpenSSL knows, and actix would keep it to itself.

use std::io;
use std::net::SocketAddr;

use actix_service::{Service, ServiceFactory, apply_fn_factory};
use actix_tls::accept::TlsError;
use actix_web::rt::net::TcpStream;
use openssl::ssl;

/// A service that begins with a handshake, and what went wrong with that in the log.
pub fn logged<S, E>(
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
