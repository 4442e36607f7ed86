//! What is asked and what is answered.

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use reqwest::{Method, StatusCode, Url};

use super::Error;
use super::error::server;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A request; its body is kept so that it can be sent again.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Request {
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    #[must_use]
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Whether sending it twice does what sending it once does. A conditional PUT or DELETE is
    /// not: the second copy would be told 412 about its own success.
    pub(super) fn is_repeatable(&self) -> bool {
        let conditional =
            self.headers.contains_key(IF_MATCH) || self.headers.contains_key(IF_NONE_MATCH);
        match self.method {
            Method::GET | Method::HEAD | Method::OPTIONS => true,
            Method::PUT | Method::DELETE if !conditional => true,
            _ => self.headers.contains_key(IDEMPOTENCY_KEY),
        }
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Response {
    pub url: Url,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Response {
    /// The answer if its status says so (2xx), else [`Error::Status`].
    pub fn success(self) -> Result<Self, Error> {
        if self.status.is_success() {
            return Ok(self);
        }
        let body = String::from_utf8_lossy(&self.body).into_owned();
        Err(Error::Status {
            server: server(&self.url),
            status: self.status,
            body,
        })
    }

    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
