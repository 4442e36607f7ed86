//! The one HTTP client of a role: mutual TLS with the organisation's certificate, time-outs, a pool
//! of kept-alive connections, bounded answers, retries only where a repetition does no harm.
//!
//! HTTP/1.1 only: the WebSocket upgrade needs it, and the Java servers speak nothing else.
//! Building a client loads the system's trust store (30–140 ms): build it once.

mod client;
mod error;
mod request;
mod upload;

pub use client::{Client, Download, Proxy, Settings};
pub use error::Error;
pub use request::{Request, Response};
pub use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
pub use reqwest::{Method, StatusCode, Url};
pub use upload::{Body, Ended, Pieces, pieces};
