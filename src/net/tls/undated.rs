//! Answers without `Date`: DSF's have none (`spec/fhir-api.md` §0), and actix writes one in any
//! case, or the one that the answer brings along. So an answer brings a mark that nobody can
//! guess, and the connection leaves out the line with the mark.

use std::io;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};

use actix_web::http::header::{DATE, HeaderMap, HeaderValue};
use bytes::{Buf, BytesMut};
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
pub struct Undated<S> {
    inner: S,
    /// Accepted and still to be written: an answer that was put together without its line.
    joined: BytesMut,
}

/// What one record of TLS holds: to join more would save nothing.
const RECORD: usize = 16 * 1024;

/// How many of the first bytes, at most so many, have nothing of the line.
fn clear(bytes: &[u8], most: usize) -> usize {
    let looked_at = bytes.len().min(most + LINE.1.needle().len() - 1);
    let line = LINE.1.find(&bytes[..looked_at]);
    line.unwrap_or_else(|| bytes.len().min(most))
}

impl<S> Undated<S> {
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            joined: BytesMut::new(),
        }
    }

    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S: AsyncWrite + Unpin> Undated<S> {
    /// Writes what was joined.
    fn poll_joined(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.joined.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_write(context, &self.joined))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.joined.advance(written),
            }
        }
        // An idle connection holds no buffer.
        self.joined = BytesMut::new();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Undated<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Undated<S> {
    /// The head of an answer is in `bytes` as a whole, so the line is never cut in two. What stands
    /// around it is joined: a small answer is one record and one packet. No more than a record is
    /// looked at, since no more is written at once, and a large body comes by again and again.
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_joined(context))?;
        let line = LINE.1.needle();
        let before = clear(bytes, RECORD);
        let Some(after) = bytes[before..].strip_prefix(line) else {
            return Pin::new(&mut self.inner).poll_write(context, &bytes[..before]);
        };
        let after = &after[..clear(after, RECORD - before)];
        self.joined.reserve(before + after.len());
        self.joined.extend_from_slice(&bytes[..before]);
        self.joined.extend_from_slice(after);
        if let Poll::Ready(Err(error)) = self.poll_joined(context) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(before + line.len() + after.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_joined(context))?;
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_joined(context))?;
        Pin::new(&mut self.inner).poll_shutdown(context)
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

    #[actix_web::test]
    async fn a_line_is_found_wherever_it_stands_among_large_answers() {
        let mark = LINE.0.to_str().unwrap();
        let line = format!("date: {mark}\r\n");
        for before in (RECORD - 40..RECORD + 3).chain([0, 1, 2 * RECORD - 5]) {
            for between in [0, 1, 50, RECORD - 30, RECORD] {
                let plain = ["a".repeat(before), "b".repeat(between), "c".repeat(30)];
                let mut ours = Undated::new(Vec::new());
                ours.write_all(plain.join(&line).as_bytes()).await.unwrap();
                ours.flush().await.unwrap();
                let written = ours.get_ref() == plain.concat().as_bytes();
                assert!(written, "lines after {before} and {between} bytes");
            }
        }
    }

    /// Counts what is written to it at once.
    struct Counting(Vec<usize>);

    impl AsyncWrite for Counting {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.push(bytes.len());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[actix_web::test]
    async fn a_small_answer_is_written_at_once_and_a_large_one_by_records() {
        let mark = LINE.0.to_str().unwrap();
        for (body, most) in [(2_000, 1), (50_000, 4)] {
            let mut answer = format!("HTTP/1.1 200 OK\r\ndate: {mark}\r\n\r\n");
            let head = answer.len() - LINE.1.needle().len();
            answer.push_str(&"x".repeat(body));
            let mut ours = Undated::new(Counting(Vec::new()));
            ours.write_all(answer.as_bytes()).await.unwrap();
            let written = &ours.get_ref().0;
            assert_eq!(written.iter().sum::<usize>(), head + body);
            assert_eq!(written.len(), most);
            assert!(written.iter().all(|size| *size <= RECORD));
        }
    }
}
