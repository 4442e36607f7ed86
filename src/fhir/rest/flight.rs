//! Requests that are begun and not yet answered.
//!
//! actix ends idle HTTP/1.1 connections at a graceful stop, but not idle HTTP/2 connections: these
//! would hold up the end for the whole patience. So we count what really is under way.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Time for the last bytes of the last answer to leave.
const LAST_BYTES: Duration = Duration::from_secs(1);
/// Larger answers are under way until their last byte is fetched.
const SMALL: u64 = 64 << 10;

/// The requests under way. Cloning shares them.
#[derive(Clone, Default)]
pub struct Flight(TaskTracker);

impl Flight {
    /// One more, until the token is dropped.
    pub fn begin(&self) -> TaskTrackerToken {
        self.0.token()
    }

    /// Waits until nothing is under way any more.
    pub async fn landed(&self) {
        self.0.close();
        loop {
            self.0.wait().await;
            tokio::time::sleep(LAST_BYTES).await;
            if self.0.is_empty() {
                return;
            }
        }
    }
}

/// Keeps the request under way while its answer is fetched.
pub fn until_fetched(answer: HttpResponse, token: TaskTrackerToken) -> HttpResponse {
    match answer.body().size() {
        BodySize::Sized(size) if size <= SMALL => answer,
        BodySize::None => answer,
        _ => answer.map_body(|_, body| BoxBody::new(Fetched { body, token })),
    }
}

struct Fetched {
    body: BoxBody,
    #[expect(dead_code, reason = "held for its drop")]
    token: TaskTrackerToken,
}

impl MessageBody for Fetched {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
