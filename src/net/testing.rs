//! TLS servers of tests: they ask their clients for certificates, and know whose they were.

use std::path::Path;
use std::pin::Pin;

use openssl::nid::Nid;
use openssl::ssl::{Ssl, SslAcceptor, SslMethod, SslVerifyMode};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::pem::KeyFiles;

/// A server that takes clients of these CAs, and those without a certificate where it may.
pub fn acceptor(server: &KeyFiles, client_cas: &Path, mode: SslVerifyMode) -> SslAcceptor {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    let pair = server.load().unwrap();
    acceptor.set_certificate(&pair.chain[0]).unwrap();
    acceptor.set_private_key(&pair.key).unwrap();
    acceptor.set_ca_file(client_cas).unwrap();
    acceptor.set_verify(mode);
    // Certificates of clients make sessions, and those need the name of their server.
    acceptor.set_session_id_context(b"test").unwrap();
    acceptor.build()
}

/// The secured stream, and the common name of the client; nothing when there is no agreement.
pub async fn accepted(
    acceptor: &SslAcceptor,
    stream: TcpStream,
) -> Option<(SslStream<TcpStream>, Option<String>)> {
    let ssl = Ssl::new(acceptor.context()).unwrap();
    let mut stream = SslStream::new(ssl, stream).unwrap();
    Pin::new(&mut stream).accept().await.ok()?;
    let name = stream.ssl().peer_certificate().and_then(|peer| {
        let name = peer.subject_name().entries_by_nid(Nid::COMMONNAME).next()?;
        Some(name.data().to_string().unwrap())
    });
    Some((stream, name))
}
