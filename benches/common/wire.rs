//! HTTP/1.1 over mutual TLS with the least that a client can do, so that what is measured is the
//! server: on one machine they share the processors.

use std::pin::Pin;
use std::sync::Arc;

use openssl::ssl::{Ssl, SslConnector, SslFiletype, SslMethod};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_openssl::SslStream;

use crate::harness::World;

/// One connection that is kept.
#[derive(Clone)]
pub struct Wire(Arc<Mutex<Connection>>);

struct Connection {
    stream: SslStream<TcpStream>,
    answer: Vec<u8>,
}

/// Settings of a client that shows the certificate of `name`.
pub fn connector(world: &World, name: &str) -> SslConnector {
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.set_ca_file(world.path("ca.crt")).unwrap();
    connector
        .set_certificate_chain_file(world.path(&format!("{name}.crt")))
        .unwrap();
    connector
        .set_private_key_file(world.path(&format!("{name}.key")), SslFiletype::PEM)
        .unwrap();
    connector.build()
}

impl Wire {
    /// Connections of their own to a port of this machine.
    pub async fn several(connector: &SslConnector, port: u16, count: usize) -> Vec<Self> {
        let mut wires = Vec::new();
        for _ in 0..count {
            wires.push(Self::open(connector, port).await);
        }
        wires
    }

    async fn open(connector: &SslConnector, port: u16) -> Self {
        let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let mut ssl = Ssl::new(connector.context()).unwrap();
        ssl.set_hostname("localhost").unwrap();
        let mut stream = SslStream::new(ssl, tcp).unwrap();
        Pin::new(&mut stream).connect().await.unwrap();
        let answer = Vec::new();
        Self(Arc::new(Mutex::new(Connection { stream, answer })))
    }

    /// Sends a whole request and reads the whole answer, which must have the status.
    pub async fn exchange(self, request: Arc<[u8]>, status: u16) {
        let mut connection = self.0.lock().await;
        let Connection { stream, answer } = &mut *connection;
        stream.write_all(&request).await.unwrap();
        answer.clear();
        let mut end = usize::MAX;
        while answer.len() < end {
            assert_ne!(stream.read_buf(answer).await.unwrap(), 0, "closed");
            if end == usize::MAX {
                end = length(answer).unwrap_or(end);
            }
        }
        let begin = format!("HTTP/1.1 {status} ");
        let text = String::from_utf8_lossy(answer);
        assert!(answer.starts_with(begin.as_bytes()), "{text}");
    }
}

/// The length of the whole answer, once its head is there.
fn length(answer: &[u8]) -> Option<usize> {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&answer[..head]).unwrap();
    let field = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then_some(value)
    });
    Some(head + 4 + field.map_or(0, |value| value.trim().parse().unwrap()))
}

/// A request of the FHIR API as bytes.
pub fn request(method: &str, port: u16, path: &str, body: &str) -> Arc<[u8]> {
    let text = format!(
        "{method} /fhir/{path} HTTP/1.1\r\nHost: localhost:{port}\r\n\
         Accept: application/fhir+json\r\nContent-Type: application/fhir+json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    text.into_bytes().into()
}
