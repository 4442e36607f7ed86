//! Certificates are renewed without a restart.

use std::sync::Arc;
use std::time::Duration;

use dsf::net::pki::Profile;
use nix::sys::signal::Signal;
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
    server.signal(Signal::SIGHUP);
    let patience = Duration::from_secs(20);
    let shows = async |wanted: &str| presented(server.port).await == wanted;
    until("the new one is presented", patience, async || {
        shows(&renewed).await
    })
    .await;
    assert_ne!(old, renewed);

    let (certificate, key) = (world.path("server.crt"), world.path("server.key"));
    let [good, good_key] = [&certificate, &key].map(|file| std::fs::read(file).unwrap());
    world.issue("other", &Profile::server(&["localhost"]));
    let another_key = std::fs::read(world.path("other.key")).unwrap();
    for (broken, broken_key, reason) in [
        (&b"no certificate"[..], &good_key[..], "server.crt"),
        (&good[..], &another_key[..], "do not belong together"),
    ] {
        std::fs::write(&certificate, broken).unwrap();
        std::fs::write(&key, broken_key).unwrap();
        server.signal(Signal::SIGHUP);
        until("the log tells why not", patience, async || {
            let log = server.log();
            let mut told = log
                .lines()
                .filter(|line| line.contains("the old ones stay"));
            told.any(|line| line.contains(reason))
        })
        .await;
        assert!(shows(&renewed).await, "the old one stays");
    }

    std::fs::write(&key, good_key).unwrap();
    let last = world.issue("server", &Profile::server(&["localhost"]));
    until("the files are looked at", patience, async || {
        shows(&last).await
    })
    .await;
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
