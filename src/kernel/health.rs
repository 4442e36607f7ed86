//! Is this process well? Parts register a probe; the status listener asks them all.
//!
//! The listener speaks just enough HTTP/1.1 for a container's health check, on an address that
//! is not meant for partners: `GET …/status` answers 200 when every probe is content and 500
//! otherwise, with one line a probe in JSON; everything else is answered 403
//! (`spec/fhir-api.md` §1.7).

use std::fmt::Write as _;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::kernel::Shutdown;

/// A probe that has not answered by then counts as failed.
const PROBE_TIME: Duration = Duration::from_secs(3);
/// A caller that has not sent its request by then is dropped.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// A health check's request is a few lines; nobody needs more.
const REQUEST_SIZE: u64 = 8 * 1024;

type Answer = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type Probe = Arc<dyn Fn() -> Answer + Send + Sync>;

/// The probes of a process. Cloning shares them.
#[derive(Clone, Default)]
pub struct Health(Arc<Mutex<Vec<(String, Probe)>>>);

/// What one probe said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub part: String,
    pub trouble: Option<String>,
}

impl Health {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a probe: `Ok` when `part` is well, else what is wrong, in words for an operator.
    pub fn register<F>(
        &self,
        part: impl Into<String>,
        probe: impl Fn() -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let probe: Probe = Arc::new(move || Box::pin(probe()));
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((part.into(), probe));
    }

    /// Asks every probe, one after the other.
    pub async fn findings(&self) -> Vec<Finding> {
        let probes = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let mut findings = Vec::with_capacity(probes.len());
        for (part, probe) in probes {
            let trouble = match tokio::time::timeout(PROBE_TIME, probe()).await {
                Ok(answer) => answer.err(),
                Err(_) => Some(format!("no answer within {} s", PROBE_TIME.as_secs())),
            };
            findings.push(Finding { part, trouble });
        }
        findings
    }

    /// Answers health checks on `listener` until the shutdown begins.
    pub async fn serve(self, listener: TcpListener, shutdown: Shutdown) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.begun() => return,
            };
            match accepted {
                Ok((stream, _)) => drop(tokio::spawn(self.clone().answer(stream))),
                Err(error) => {
                    tracing::warn!(%error, "status listener could not accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn answer(self, mut stream: TcpStream) {
        let Ok(Ok(request)) = tokio::time::timeout(REQUEST_TIME, request_line(&mut stream)).await
        else {
            return;
        };
        let (status, body) = match is_status_request(&request) {
            true => self.report().await,
            false => ("403 Forbidden", String::new()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n",
            body.len()
        );
        // A caller that went away meanwhile does not want the answer any more.
        let _ = stream.write_all((head + &body).as_bytes()).await;
        let _ = stream.shutdown().await;
    }

    async fn report(&self) -> (&'static str, String) {
        let findings = self.findings().await;
        let well = findings.iter().all(|finding| finding.trouble.is_none());
        let status = if well {
            "200 OK"
        } else {
            "500 Internal Server Error"
        };
        let mut parts = serde_json::Map::new();
        for Finding { part, trouble } in findings {
            parts.insert(part, trouble.unwrap_or_else(|| "ok".to_owned()).into());
        }
        let mut body = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(body, "{}", serde_json::Value::Object(parts));
        (status, body)
    }
}

/// Reads the whole head, so that closing the connection does not reset it; answers its first line.
async fn request_line(stream: &mut TcpStream) -> io::Result<String> {
    let mut lines = BufReader::new(stream.take(REQUEST_SIZE)).lines();
    let first = lines.next_line().await?.unwrap_or_default();
    while lines
        .next_line()
        .await?
        .is_some_and(|line| !line.is_empty())
    {}
    Ok(first)
}

fn is_status_request(line: &str) -> bool {
    let mut words = line.split(' ');
    let (method, target) = (words.next(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    method == Some("GET") && path.ends_with("/status")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(health: Health, request: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        shutdown.spawn(health.serve(listener, shutdown.clone()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        shutdown.drain(Duration::from_secs(1)).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn the_status_is_200_only_while_every_part_is_well() {
        let health = Health::new();
        health.register("fhir", || async { Ok(()) });
        let request = "GET /fhir/status HTTP/1.1\r\nHost: x\r\n\r\n";
        let answer = ask(health.clone(), request).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        health.register("bpe", || async { Err("no database".to_owned()) });
        let answer = ask(health, request).await;
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert!(
            answer.ends_with("{\"fhir\":\"ok\",\"bpe\":\"no database\"}\n"),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn the_status_listener_serves_nothing_else() {
        for line in ["GET /fhir/Task", "POST /fhir/status", "nonsense", "GET /"] {
            let answer = ask(Health::new(), &format!("{line} HTTP/1.1\r\n\r\n")).await;
            assert!(answer.starts_with("HTTP/1.1 403 "), "{line}: {answer}");
        }
    }
}
