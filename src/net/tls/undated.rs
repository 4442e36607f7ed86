//! Answers without `Date`: DSF's have none (`spec/fhir-api.md` §0), and actix writes one in any
//! case, or the one that the answer brings along. So an answer brings a mark that nobody can
//! guess, and the connection leaves out the line with the mark.

use std::io;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use actix_web::http::header::{DATE, HeaderMap, HeaderValue};
use memchr::memmem::Finder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// As actix writes a header of HTTP/1.1 with its name in lower case.
static LINE: LazyLock<(HeaderValue, Finder<'static>)> = LazyLock::new(|| {
    let mark: u64 = rand::random();
    let line = format!("date: {mark}\r\n");
    (HeaderValue::from(mark), Finder::new(&line).into_owned())
});

/// Keeps `Date` out of an answer over HTTP/1.1. Only for a connection that is [`Undated`].
pub fn leave_out_date(headers: &mut HeaderMap) {
    headers.insert(DATE, LINE.0.clone());
}

/// A connection that leaves out what [`leave_out_date`] has marked.
pub struct Undated<S>(S);

impl<S> Undated<S> {
    pub fn new(inner: S) -> Self {
        Self(inner)
    }

    pub fn get_ref(&self) -> &S {
        &self.0
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Undated<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Undated<S> {
    /// The head of an answer is in `bytes` as a whole, and what is before the line is written
    /// first: so the line is never cut in two.
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let line = &LINE.1;
        let before = match line.find(bytes) {
            Some(0) => return Poll::Ready(Ok(line.needle().len())),
            Some(at) => &bytes[..at],
            None => bytes,
        };
        Pin::new(&mut self.0).poll_write(context, before)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[actix_web::test]
    async fn what_is_marked_is_left_out_however_little_is_taken_at_once() {
        let mark = LINE.0.to_str().unwrap();
        let answer = format!("HTTP/1.1 200 OK\r\netag: 1\r\ndate: {mark}\r\n\r\ndate: today\r\n");
        for room in [1, 7, 20, 4096] {
            let (ours, mut theirs) = tokio::io::duplex(room);
            let wanted = answer.repeat(2);
            let written = wanted.clone();
            let writing = actix_web::rt::spawn(async move {
                let mut ours = Undated::new(ours);
                ours.write_all(written.as_bytes()).await.unwrap();
                ours.shutdown().await.unwrap();
            });
            let mut read = String::new();
            theirs.read_to_string(&mut read).await.unwrap();
            writing.await.unwrap();
            let line = format!("date: {mark}\r\n");
            assert_eq!(read, wanted.replace(&line, ""), "room for {room} bytes");
        }
    }
}
