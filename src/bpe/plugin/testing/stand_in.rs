//! A server on the loopback interface that answers as a test says, over real HTTP or HTTPS.

use std::sync::{Arc, Mutex};

use openssl::ssl::SslAcceptor;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::net::testing::accepted;

/// What a client sent.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub method: String,
    /// With the query, without the base.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The common name of the client's certificate.
    pub client: Option<String>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(one, _)| one == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// What it is answered.
#[derive(Clone, Debug)]
pub struct Answered {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Answered {
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/fhir+json".to_owned())],
            body: body.to_string().into_bytes(),
        }
    }

    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// The server; it ends with the runtime of the test.
pub struct StandIn {
    pub base: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

type Answer = dyn Fn(&Asked) -> Answered + Send + Sync;

impl StandIn {
    pub async fn start(answer: impl Fn(&Asked) -> Answered + Send + Sync + 'static) -> Self {
        Self::listen(None, Arc::new(answer)).await
    }

    /// The same behind TLS, under the name `localhost`.
    pub async fn secured(
        acceptor: SslAcceptor,
        answer: impl Fn(&Asked) -> Answered + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(acceptor), Arc::new(answer)).await
    }

    async fn listen(acceptor: Option<SslAcceptor>, answer: Arc<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let base = match &acceptor {
            None => format!("http://{address}/fhir"),
            Some(_) => format!("https://localhost:{}/fhir", address.port()),
        };
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, heard) = (Arc::clone(&answer), Arc::clone(&heard));
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Some(acceptor) = acceptor else {
                        return serve(stream, None, &*answer, &heard).await;
                    };
                    if let Some((stream, client)) = accepted(&acceptor, stream).await {
                        serve(stream, client, &*answer, &heard).await;
                    }
                });
            }
        });
        Self { base, asked }
    }

    /// What was asked since the last time.
    pub fn taken(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

async fn serve<S>(stream: S, client: Option<String>, answer: &Answer, heard: &Mutex<Vec<Asked>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = BufReader::new(stream);
    while let Some(mut asked) = read(&mut stream).await {
        asked.client.clone_from(&client);
        heard.lock().unwrap().push(asked.clone());
        write(&mut stream, answer(&asked)).await;
    }
}

async fn read<S>(stream: &mut BufReader<S>) -> Option<Asked>
where
    S: AsyncRead + Unpin,
{
    let mut line = String::new();
    stream
        .read_line(&mut line)
        .await
        .ok()
        .filter(|read| *read > 0)?;
    let mut parts = line.split_whitespace();
    let (method, target) = (parts.next()?.to_owned(), parts.next()?);
    let path = target.trim_start_matches("/fhir").trim_start_matches('/');
    let mut asked = Asked {
        method,
        path: path.to_owned(),
        ..Asked::default()
    };
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        let header = (name.to_ascii_lowercase(), value.trim().to_owned());
        asked.headers.push(header);
    }
    asked.body = match asked.header("content-length") {
        Some(length) => {
            let mut body = vec![0; length.parse().ok()?];
            stream.read_exact(&mut body).await.ok()?;
            body
        }
        None if asked.header("transfer-encoding").is_some() => chunks(stream).await?,
        None => Vec::new(),
    };
    Some(asked)
}

/// Nothing when the body breaks off.
async fn chunks<S>(stream: &mut BufReader<S>) -> Option<Vec<u8>>
where
    S: AsyncRead + Unpin,
{
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        stream.read_exact(&mut chunk).await.ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..length]);
    }
}

async fn write<S>(stream: &mut BufReader<S>, answered: Answered)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut head = format!("HTTP/1.1 {} x\r\n", answered.status);
    for (name, value) in &answered.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", answered.body.len()));
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(&answered.body).await;
    let _ = stream.flush().await;
}
