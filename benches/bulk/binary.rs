//! A large Binary up and down, beside the same bytes over nothing but TLS.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openssl::ssl::{Ssl, SslAcceptor, SslConnector, SslFiletype, SslMethod};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_openssl::SslStream;

use crate::common::wire::connector;
use crate::harness::World;
use crate::harness::memory::{forget_peak, peak, resident};
use crate::harness::sample::tag;
use crate::{Stage, count};

const MIB: usize = 1 << 20;
/// Bytes that client and bare server handle at a time.
const PIECE: usize = 64 << 10;

pub async fn run(stage: &Stage) {
    let size = count("BINARY_MIB", 128) * MIB;
    let database = stage.database("binary").await;
    let server = stage.launch(&database).start().await;
    let context = server
        .local()
        .create(
            &json!({"resourceType": "Group", "meta": {"tag": [tag("ALL")]},
            "type": "person", "actual": true}),
        )
        .await;
    let connector = connector(&stage.world, "local");
    let (sink, source) = (bare(&stage.world).await, bare(&stage.world).await);
    let head = |port: u16| {
        format!(
            "POST /fhir/Binary HTTP/1.1\r\nHost: localhost:{port}\r\nPrefer: return=minimal\r\n\
             Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n\
             X-Security-Context: Group/{}\r\n\r\n",
            context["id"].as_str().unwrap()
        )
    };
    println!(
        "{:<42} {:>10} {:>7} {:>10}",
        "", "MiB/s", "ratio", "growth MiB"
    );
    // Once small, so that pools and code are in place.
    let (_, answer) = up(
        &connector,
        server.port,
        &head(server.port).replace(&size.to_string(), "1000"),
        1000,
    )
    .await;
    assert!(answer.contains(" 201 "), "{answer}");

    let (plain, _) = up(&connector, sink, &format!("up {size}\r\n\r\n"), size).await;
    line(("plain TLS up", size), plain, None, 0);
    forget_peak(server.pid());
    let before = resident(server.pid());
    let (ours, answer) = up(&connector, server.port, &head(server.port), size).await;
    assert!(answer.contains(" 201 "), "{answer}");
    let grown = peak(server.pid()).saturating_sub(before);
    line(("Binary up", size), ours, Some(plain), grown);

    let location = answer.split("/Binary/").nth(1).unwrap();
    let id = location.split(['/', '\r']).next().unwrap();
    let plain = down(&connector, source, &format!("down {size}\r\n\r\n"), size).await;
    line(("plain TLS down", size), plain, None, 0);
    forget_peak(server.pid());
    let before = resident(server.pid());
    let get = format!(
        "GET /fhir/Binary/{id} HTTP/1.1\r\nHost: localhost:{}\r\nAccept: */*\r\n\r\n",
        server.port
    );
    let ours = down(&connector, server.port, &get, size).await;
    let grown = peak(server.pid()).saturating_sub(before);
    line(("Binary down", size), ours, Some(plain), grown);
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn line((what, size): (&str, usize), time: Duration, bare: Option<Duration>, grown: usize) {
    let rate = (size / MIB) as f64 / time.as_secs_f64();
    let what = format!("{what}, {} MiB", size / MIB);
    match bare {
        None => println!("{what:<42} {rate:>10.0}"),
        Some(bare) => {
            let ratio = bare.as_secs_f64() / time.as_secs_f64();
            println!("{what:<42} {rate:>10.0} {ratio:>7.2} {:>10}", grown / MIB);
        }
    }
}

async fn open(connector: &SslConnector, port: u16) -> SslStream<TcpStream> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let mut ssl = Ssl::new(connector.context()).unwrap();
    ssl.set_hostname("localhost").unwrap();
    let mut stream = SslStream::new(ssl, tcp).unwrap();
    Pin::new(&mut stream).connect().await.unwrap();
    stream
}

/// Bytes that do not compress.
fn noise() -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..PIECE).map(next).collect()
}

/// Sends a head and so many bytes; how long until the answer, and the answer.
async fn up(connector: &SslConnector, port: u16, head: &str, size: usize) -> (Duration, String) {
    let mut stream = open(connector, port).await;
    let (piece, begun) = (noise(), Instant::now());
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut left = size;
    while left > 0 {
        let some = left.min(PIECE);
        stream.write_all(&piece[..some]).await.unwrap();
        left -= some;
    }
    stream.flush().await.unwrap();
    // The answer may come in several pieces; nothing but an end of its head says that it is whole.
    let (mut buffer, mut answer) = (vec![0; PIECE], Vec::new());
    while !answer.ends_with(b"\r\n\r\n") && answer != b"done" {
        let read = stream.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "closed without an answer");
        answer.extend_from_slice(&buffer[..read]);
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (begun.elapsed(), answer)
}

/// Sends a head and reads so many bytes behind the head of the answer.
async fn down(connector: &SslConnector, port: u16, head: &str, size: usize) -> Duration {
    let mut stream = open(connector, port).await;
    let begun = Instant::now();
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut buffer, mut received) = (vec![0; PIECE], 0);
    while received < size {
        let read = stream.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "closed after {received} of {size} bytes");
        received += read;
    }
    begun.elapsed()
}

/// A server that only reads, or only writes, as many bytes as the head says.
async fn bare(world: &World) -> u16 {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor
        .set_certificate_chain_file(world.path("server.crt"))
        .unwrap();
    acceptor
        .set_private_key_file(world.path("server.key"), SslFiletype::PEM)
        .unwrap();
    let acceptor = Arc::new(acceptor.build());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            tcp.set_nodelay(true).unwrap();
            let stream = SslStream::new(Ssl::new(acceptor.context()).unwrap(), tcp).unwrap();
            tokio::spawn(serve(stream));
        }
    });
    port
}

async fn serve(mut stream: SslStream<TcpStream>) {
    Pin::new(&mut stream).accept().await.unwrap();
    let (mut buffer, mut head) = (vec![0; PIECE], Vec::new());
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let read = stream.read(&mut buffer).await.unwrap();
        head.extend_from_slice(&buffer[..read]);
    }
    let end = head
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let text = String::from_utf8_lossy(&head[..end]).into_owned();
    let (way, size) = text.split_once(' ').unwrap();
    let size: usize = size.parse().unwrap();
    let mut done = 0;
    if way == "up" {
        done = head.len() - end - 4;
        while done < size {
            done += stream.read(&mut buffer).await.unwrap();
        }
        stream.write_all(b"done").await.unwrap();
    } else {
        let piece = noise();
        while done < size {
            let some = PIECE.min(size - done);
            stream.write_all(&piece[..some]).await.unwrap();
            done += some;
        }
    }
    // The client may have gone already.
    let _ = stream.flush().await;
}
