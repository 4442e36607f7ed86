//! Certificates are renewed without a restart.

use std::sync::Arc;
use std::time::Duration;

use dsf::net::pki::Profile;
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};

use super::harness::{Launch, World, until};

#[tokio::test]
async fn a_new_server_certificate_is_presented_and_a_broken_one_is_not() {
    let world = Arc::new(World::new());
    let server = Launch::of(&world, "local").start().await;
    let old = presented(server.port).await;
    let client = server.local();
    assert_eq!(client.get("metadata").await.status, 200);

    let renewed = world.issue("server", &Profile::server(&["localhost"]));
    let patience = Duration::from_secs(45);
    until("the new certificate is presented", patience, async || {
        presented(server.port).await == renewed
    })
    .await;
    assert_ne!(old, renewed);
    assert_eq!(
        client.get("metadata").await.status,
        200,
        "connections that exist stay"
    );
}

/// Thumbprint of the certificate that a new connection is shown.
async fn presented(port: u16) -> String {
    let look = move || {
        let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
        connector.set_verify(SslVerifyMode::NONE);
        let stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let configuration = connector
            .build()
            .configure()
            .unwrap()
            .verify_hostname(false);
        let stream = configuration.connect("localhost", stream).unwrap();
        let certificate = stream.ssl().peer_certificate().unwrap();
        dsf::net::tls::Thumbprint::of(&certificate.to_der().unwrap()).to_string()
    };
    tokio::task::spawn_blocking(look).await.unwrap()
}
