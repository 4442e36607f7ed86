//! A mail server for tests.

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::{Encryption, Settings};

/// Takes one mail and answers all that it was told.
pub(crate) async fn stand_in(listener: TcpListener) -> String {
    let (stream, _) = listener.accept().await.unwrap();
    let mut heard = Heard::default();
    heard.listen(BufReader::new(stream), true).await;
    heard.told
}

/// What a server was told.
#[derive(Default)]
pub(crate) struct Heard {
    pub told: String,
    /// The common name of the client's certificate.
    pub client: Option<String>,
}

impl Heard {
    /// Until the client takes its leave, or wants to go on with TLS: then the stream is returned.
    pub(crate) async fn listen<S>(&mut self, mut stream: BufReader<S>, greets: bool) -> Option<S>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if greets {
            stream.write_all(b"220 ready\r\n").await.unwrap();
        }
        let mut content = false;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap() == 0 {
                return None;
            }
            self.told.push_str(&line);
            let answer: &[u8] = match line.trim_end() {
                "." => b"250 taken\r\n",
                _ if content => continue,
                "DATA" => b"354 go on\r\n",
                "QUIT" => b"221 bye\r\n",
                "STARTTLS" => b"220 go on\r\n",
                line if line.starts_with("EHLO") => {
                    b"250-here\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n"
                }
                line if line.starts_with("AUTH") => b"235 welcome\r\n",
                line if line.starts_with("RCPT TO:<nobody@") => b"550 unknown\r\n",
                _ => b"250 fine\r\n",
            };
            content = answer.starts_with(b"354");
            stream.write_all(answer).await.unwrap();
            stream.flush().await.unwrap();
            match line.trim_end() {
                "QUIT" if !content => return None,
                "STARTTLS" => return Some(stream.into_inner()),
                _ => {}
            }
        }
    }
}

/// Of a client of a server on this port.
pub(crate) fn settings(port: u16) -> Settings {
    Settings {
        host: Some("127.0.0.1".to_owned()),
        port: Some(port),
        encryption: Encryption::None,
        username: None,
        password: None,
        server_cas: None,
        identity: None,
        signature: None,
        from: "BPE <bpe@hospital.example>".to_owned(),
        to: vec!["admin@hospital.example".to_owned()],
        cc: vec!["office@hospital.example".to_owned()],
        reply_to: Vec::new(),
    }
}
