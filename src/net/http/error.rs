//! Why a request got no answer, in words an operator can act on.

use reqwest::{StatusCode, Url};

/// A request without a usable answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the HTTP client cannot be built: {0}")]
    Settings(String),
    #[error(transparent)]
    File(#[from] crate::net::pem::Error),
    /// Nothing was sent.
    #[error("no connection to {server}: {detail}")]
    Connect { server: String, detail: String },
    /// One side does not believe the other's certificate.
    #[error("TLS with {server} failed: {detail}")]
    Tls { server: String, detail: String },
    #[error("{server} did not answer in time")]
    TimedOut { server: String },
    #[error("the answer of {server} is larger than {limit} bytes")]
    TooLarge { server: String, limit: usize },
    #[error("the connection to {server} broke: {detail}")]
    Broken { server: String, detail: String },
    /// From [`super::Response::success`].
    #[error("{server} answered {status}")]
    Status {
        server: String,
        status: StatusCode,
        body: String,
    },
}

impl Error {
    /// Whether the same request may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::TimedOut { .. } | Self::Broken { .. } => true,
            Self::Status { status, .. } => is_transient_status(*status),
            _ => false,
        }
    }

    /// Whether the server has certainly seen nothing of the request.
    pub(super) fn is_before_sending(&self) -> bool {
        matches!(self, Self::Connect { .. })
    }

    pub(super) fn of(error: &reqwest::Error, url: &Url) -> Self {
        let (server, detail) = (server(url), causes(error));
        if detail.contains("SSL routines") || detail.contains("certificate") {
            return Self::Tls {
                server,
                detail: explain_tls(&detail),
            };
        }
        match () {
            () if error.is_connect() => Self::Connect { server, detail },
            () if error.is_timeout() => Self::TimedOut { server },
            () if error.is_builder() => Self::Settings(detail),
            () => Self::Broken { server, detail },
        }
    }
}

pub(super) fn is_transient_status(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

/// Scheme, host and port: paths may hold what is nobody's business.
pub(super) fn server(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// The innermost causes: the outer layers say "error sending request" only.
fn causes(error: &reqwest::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
        cause = inner.source();
    }
    if texts.is_empty() {
        error.to_string()
    } else {
        texts.join(": ")
    }
}

/// OpenSSL's alerts in plain words; alerts come from the other side.
fn explain_tls(detail: &str) -> String {
    const WORDS: [(&str, &str); 9] = [
        (
            "alert certificate expired",
            "it says our client certificate is out of date",
        ),
        (
            "alert unknown ca",
            "it does not know the CA of our client certificate",
        ),
        (
            "certificate required",
            "it wants a client certificate, and we showed none",
        ),
        (
            "alert handshake failure",
            "it refused the handshake, perhaps for want of a client certificate",
        ),
        (
            "alert unsupported certificate",
            "it says our certificate is not one for clients",
        ),
        (
            "alert certificate unknown",
            "it refused our client certificate",
        ),
        ("alert bad certificate", "it refused our client certificate"),
        ("certificate has expired", "its certificate is out of date"),
        (
            "ostname mismatch",
            "its certificate is for another host name",
        ),
    ];
    let plain = WORDS
        .iter()
        .find(|(mark, _)| detail.contains(mark))
        .map(|(_, words)| *words);
    match plain {
        Some(words) => format!("{words} ({detail})"),
        None if detail.contains("certificate verify failed") => {
            format!("its certificate is not signed by a CA that is trusted here ({detail})")
        }
        None => detail.to_owned(),
    }
}
