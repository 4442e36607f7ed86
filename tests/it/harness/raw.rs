//! A connection that a test drives byte by byte.

use std::pin::Pin;

use openssl::ssl::{SslConnector, SslFiletype, SslMethod};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::Server;

pub type Connection = SslStream<TcpStream>;

/// Connects with the certificate `<name>.crt` and offers one protocol: `http/1.1` or `h2`.
pub async fn connect(server: &Server, name: &str, protocol: &str) -> Connection {
    let world = &server.world;
    let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
    builder.set_ca_file(world.path("ca.crt")).unwrap();
    builder
        .set_certificate_chain_file(world.path(&format!("{name}.crt")))
        .unwrap();
    builder
        .set_private_key_file(world.path(&format!("{name}.key")), SslFiletype::PEM)
        .unwrap();
    let length = u8::try_from(protocol.len()).unwrap();
    let offered = [&[length], protocol.as_bytes()].concat();
    builder.set_alpn_protos(&offered).unwrap();
    let ssl = builder
        .build()
        .configure()
        .unwrap()
        .into_ssl("localhost")
        .unwrap();
    let stream = TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    let mut connection = SslStream::new(ssl, stream).unwrap();
    Pin::new(&mut connection).connect().await.unwrap();
    connection
}

/// Sends the head of a request, without waiting for anything.
pub async fn send_head(connection: &mut Connection, line: &str, headers: &[(&str, &str)]) {
    let mut head = format!("{line} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    connection
        .write_all((head + "\r\n").as_bytes())
        .await
        .unwrap();
    connection.flush().await.unwrap();
}

/// Whatever comes until the other side closes.
pub async fn rest(connection: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    // A reset is an end, too.
    let _ = connection.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
