//! The questions that runners ask for plugin code, as JSON: the host interface below its names.
//!
//! `docs/plugin-worker.md` describes each; a new question is added there, to the prelude of the
//! JavaScript runner and to the Python package.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A question: an object with one member, which names it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::bpe::plugin) enum Question {
    /// All resources of a search on the own server, from a cache.
    Lookup(String),
    Fhir(Box<FhirQuestion>),
    Download(Box<DownloadQuestion>),
    Upload(Box<UploadQuestion>),
    Transform(TransformQuestion),
    Read(Stream),
    Write(Piece),
    Finish(Stream),
    Close(Stream),
    Connection(Named),
    Oidc(Box<OidcQuestion>),
    Mail(Box<MailQuestion>),
    Mime(MimeQuestion),
    Crypto(Box<CryptoQuestion>),
    Validates(Nothing),
    Validate(Box<ValidateQuestion>),
    Delay(Delay),
}

/// A server other than the own one: `{ "url": … }` or `{ "id": … }`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(in crate::bpe::plugin) enum ServerName {
    /// Base address of a partner's server.
    Url { url: String },
    /// Id of a configured connection.
    Id { id: String },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::bpe::plugin) struct FhirQuestion {
    pub server: Option<ServerName>,
    pub method: String,
    pub path: String,
    pub prefer: Option<String>,
    pub if_match: Option<String>,
    pub if_none_match: Option<String>,
    pub if_none_exist: Option<String>,
    pub body: Option<Value>,
    pub retry: Option<Retry>,
    /// Milliseconds between looks for an answer that comes late.
    pub poll: Option<Vec<u64>>,
}

/// How often a request is repeated that met a passing failure; `None` means until the call ends.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::bpe::plugin) struct Retry {
    pub times: Option<u32>,
    pub delays: Vec<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::bpe::plugin) struct DownloadQuestion {
    pub server: Option<ServerName>,
    pub path: String,
    pub accept: String,
    pub range: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub retry: Option<Retry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::bpe::plugin) struct UploadQuestion {
    pub server: Option<ServerName>,
    pub method: String,
    pub path: String,
    pub content_type: String,
    pub security_context: Option<String>,
    pub prefer: Option<String>,
}

/// One of four: what happens to the bytes that are written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::bpe::plugin) struct TransformQuestion {
    pub compress: Option<String>,
    pub decompress: Option<String>,
    pub level: Option<u32>,
    pub encrypt: Option<String>,
    pub decrypt: Option<String>,
    /// The key, as PEM.
    pub key: Option<String>,
    pub password: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(in crate::bpe::plugin) struct Stream {
    pub stream: u32,
}

#[derive(Debug, Deserialize)]
pub(in crate::bpe::plugin) struct Piece {
    pub stream: u32,
    /// Base64.
    pub data: String,
}

#[derive(Debug, Deserialize)]
pub(in crate::bpe::plugin) struct Named {
    pub id: String,
}

#[derive(Debug, Deserialize)]
pub(in crate::bpe::plugin) struct Nothing {}

#[derive(Debug, Deserialize)]
pub(in crate::bpe::plugin) struct OidcQuestion {
    /// Of a configured connection.
    pub id: Option<String>,
    pub provider: Option<OidcProvider>,
    /// `configuration`, `jwks` or `token`.
    pub wanted: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::bpe::plugin) struct OidcProvider {
    pub base_url: String,
    pub client_id: String,
    pub client_secret: String,
    pub discovery_path: Option<String>,
    #[serde(default)]
    pub required_audiences: Vec<String>,
    pub verify_authorized_party: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::bpe::plugin) struct MailQuestion {
    pub subject: String,
    pub text: Option<String>,
    pub html: Option<String>,
    #[serde(default)]
    pub attachments: Vec<Attachment>,
    /// The configured receivers unless given.
    pub to: Option<Vec<String>>,
    pub cc: Option<Vec<String>>,
    #[serde(default)]
    pub bcc: Vec<String>,
    pub reply_to: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::bpe::plugin) struct Attachment {
    pub filename: String,
    pub mime_type: Option<String>,
    /// Base64.
    pub content: String,
}

#[derive(Debug, Deserialize)]
pub(in crate::bpe::plugin) struct MimeQuestion {
    /// The beginning of the content, base64.
    pub data: String,
    pub declared: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(in crate::bpe::plugin) enum CryptoQuestion {
    Generate {
        kind: String,
    },
    ReadCertificates {
        pem: String,
    },
    ReadPrivateKey {
        pem: String,
        password: Option<String>,
    },
    IsKeyPair {
        private_key: String,
        public_key: String,
    },
    IsExpired {
        certificate: String,
    },
    IsFor {
        certificate: String,
        purpose: String,
    },
    Validate {
        trusted: String,
        chain: String,
        purpose: String,
    },
    PackKeyStore {
        private_key: String,
        password: String,
        chain: String,
    },
    ReadKeyStore {
        /// Base64.
        data: String,
        password: String,
    },
}

#[derive(Debug, Deserialize)]
pub(in crate::bpe::plugin) struct ValidateQuestion {
    pub resource: Value,
    #[serde(default)]
    pub profiles: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(in crate::bpe::plugin) struct Delay {
    pub milliseconds: u64,
}
