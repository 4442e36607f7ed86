//! What is taken back counts at once: revocation lists, CAs, role rules; also on what is open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use dsf::net::pki::{Authority, Issued};
use dsf::net::websocket::Event;
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::harness::{Client, Launch, Listener, World, until};

const DAY: Duration = Duration::from_secs(86_400);
const PATIENCE: Duration = Duration::from_secs(30);

fn issued(world: &World, name: &str) -> Issued {
    let read = |end: &str| std::fs::read_to_string(world.path(&format!("{name}.{end}"))).unwrap();
    Issued {
        certificate: read("crt"),
        private_key: read("key"),
    }
}

/// A list that takes these back.
fn list(world: &World, revoked: &[&str]) -> String {
    let revoked: Vec<Issued> = revoked.iter().map(|name| issued(world, name)).collect();
    let revoked: Vec<&Issued> = revoked.iter().collect();
    let until = SystemTime::now() + DAY;
    world.authority().revocation_list(&revoked, until).unwrap()
}

async fn status(client: &Client) -> Option<u16> {
    let answer = client.send("GET", "metadata", &[], "").await;
    answer.ok().map(|answer| answer.status)
}

#[tokio::test]
async fn a_revoked_certificate_is_out_on_open_connections_too() {
    let world = Arc::new(World::new());
    let file = world.path("ca.crl");
    std::fs::write(&file, list(&world, &[])).unwrap();
    let server = Launch::of(&world, "local")
        .set(format!("tls.revocation-lists={}", file.display()))
        .set("tls.revocation-without-list=refuse")
        .start()
        .await;
    let (external, third) = (server.client("external"), server.client("third"));
    assert_eq!(
        (status(&external).await, status(&third).await),
        (Some(200), Some(200))
    );

    std::fs::write(&file, list(&world, &["external"])).unwrap();
    server.signal(Signal::SIGHUP);
    until("it is out", PATIENCE, async || {
        status(&external).await != Some(200)
    })
    .await;
    assert_eq!(status(&third).await, Some(200));
    assert!(
        server.log().contains("certificate revoked: CN=external"),
        "{}",
        server.log()
    );
    let fresh = Client::new(&world, Some("external"), &server.base_url);
    assert_eq!(status(&fresh).await, None, "and gets no new connection");

    // Without a current list nobody is let in: that was asked for.
    let over = SystemTime::now() - DAY / 24;
    std::fs::write(&file, world.authority().revocation_list(&[], over).unwrap()).unwrap();
    server.signal(Signal::SIGHUP);
    until("nobody is let in", PATIENCE, async || {
        status(&third).await != Some(200)
    })
    .await;
    assert!(
        server.log().contains("no current revocation list"),
        "{}",
        server.log()
    );
}

#[tokio::test]
async fn a_list_is_fetched_again_and_the_last_one_stays_while_its_server_is_away() {
    let world = Arc::new(World::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/ca.crl", listener.local_addr().unwrap());
    let (empty, full) = (list(&world, &[]), list(&world, &["external"]));
    let (taken, away) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let (is_taken, is_away) = (Arc::clone(&taken), Arc::clone(&away));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let body = match is_taken.load(Ordering::Relaxed) {
                true => &full,
                false => &empty,
            };
            let (status, length) = match is_away.load(Ordering::Relaxed) {
                true => ("503 Service Unavailable", 0),
                false => ("200 OK", body.len()),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
            );
            let _ = stream
                .write_all(format!("{head}{}", &body[..length]).as_bytes())
                .await;
        }
    });
    let server = Launch::of(&world, "local")
        .set(format!("tls.revocation-lists={url}"))
        .set("tls.revocation-refresh=1s")
        .start()
        .await;
    let external = server.client("external");
    assert_eq!(status(&external).await, Some(200));
    taken.store(true, Ordering::Relaxed);
    until("it is out", PATIENCE, async || {
        status(&external).await != Some(200)
    })
    .await;
    away.store(true, Ordering::Relaxed);
    let told = "a revocation list is not renewed";
    until("the log tells", PATIENCE, async || {
        server.log().contains(told)
    })
    .await;
    assert_ne!(status(&external).await, Some(200), "it stays out");
}

#[tokio::test]
async fn sockets_end_when_their_ca_is_not_trusted_any_more() {
    let world = Arc::new(World::new());
    let server = Launch::of(&world, "local").start().await;
    let local = server.local();
    let mut socket = Listener::open(&local).await.unwrap();
    assert!(socket.is_silent().await);
    let other = Authority::new("Other CA").unwrap();
    std::fs::write(world.path("ca.crt"), other.certificate()).unwrap();
    server.signal(Signal::SIGHUP);
    match socket.hear().await {
        Event::Closed { code, reason } => {
            assert_eq!((code, reason.as_str()), (Some(1008), "Forbidden"))
        }
        other => panic!("{other:?}"),
    }
    assert_ne!(status(&local).await, Some(200));
}

#[tokio::test]
async fn role_rules_count_when_they_are_written_and_a_broken_file_changes_nothing() {
    let world = Arc::new(World::new());
    let server = Launch::of(&world, "local").start().await;
    let (unknown, practitioner) = (server.client("unknown"), server.client("practitioner"));
    assert_eq!(
        (status(&unknown).await, status(&practitioner).await),
        (Some(403), Some(200))
    );
    let file = world.path(&format!("dsf-{}.toml", server.port));
    let before = std::fs::read_to_string(&file).unwrap();
    let thumbprint = {
        let pem = issued(&world, "unknown").certificate;
        let certificate = openssl::x509::X509::from_pem(pem.as_bytes()).unwrap();
        dsf::net::tls::Thumbprint::of(&certificate.to_der().unwrap()).to_string()
    };
    let rule = format!("\n[[role]]\nthumbprint = [\"{thumbprint}\"]\ndsf-role = [\"READ\"]\n");
    std::fs::write(&file, format!("{before}{rule}")).unwrap();
    server.signal(Signal::SIGHUP);
    until("the person is known", PATIENCE, async || {
        status(&unknown).await == Some(200)
    })
    .await;

    std::fs::write(&file, format!("{before}\n[[role]]\nnonsense = 1\n")).unwrap();
    server.signal(Signal::SIGHUP);
    let told = "role rules not reloaded; the old ones stay";
    until("the log tells", PATIENCE, async || {
        server.log().contains(told)
    })
    .await;
    assert_eq!(status(&unknown).await, Some(200));

    let alone = before.split("\n[[role]]").next().unwrap().to_owned();
    std::fs::write(&file, alone).unwrap();
    // Without a signal: the file is looked at.
    until("nobody is left", PATIENCE, async || {
        status(&practitioner).await == Some(403)
    })
    .await;
    assert_eq!(status(&unknown).await, Some(403));
}
