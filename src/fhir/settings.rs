//! What the mailbox must be told; `config` builds it from the file.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use jiff::SignedDuration;

use super::audit;
use crate::net::pem::KeyFiles;
use crate::net::{http, tls};

/// See the module.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address that clients use, without a slash at its end; every absolute URL starts with it.
    pub base_url: String,
    pub listen: SocketAddr,
    /// Identifier of the own organisation.
    pub organization: String,
    pub tls: tls::Settings,
    /// Proxies whose `X-ClientCert` header is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// A Bundle in JSON or XML that is posted at every start where it, or anything the
    /// environment puts into it, has changed.
    pub initial_bundle: Option<PathBuf>,
    /// The file of our own client certificate, whose thumbprint the initial Bundle may ask for.
    pub client_certificate: Option<PathBuf>,
    /// Entries on a page of a search or history if the client does not say.
    pub page_count: usize,
    /// Largest request body that is taken as a resource; raw Binary content has no limit.
    pub max_body_size: usize,
    pub extra: ExtraInteractions,
    pub validation: Validation,
    pub audit: audit::Settings,
    pub limits: Limits,
}

impl Settings {
    /// Of a mailbox that listens nowhere and takes what it is given: one within a program.
    #[must_use]
    pub fn within(base_url: String, organization: String) -> Self {
        Self {
            base_url,
            listen: ([127, 0, 0, 1], 0).into(),
            organization,
            tls: tls::Settings {
                server: KeyFiles {
                    certificate: PathBuf::new(),
                    private_key: PathBuf::new(),
                    password: None,
                },
                client_cas: None,
                client_certificate: tls::ClientCertificate::Required,
                revocation: None,
                fetch: http::Settings::default(),
            },
            trusted_proxies: Vec::new(),
            initial_bundle: None,
            client_certificate: None,
            page_count: 20,
            max_body_size: 64 << 20,
            extra: ExtraInteractions::default(),
            validation: Validation::On,
            audit: audit::Settings {
                reads: audit::Reads::None,
                keep: SignedDuration::from_hours(24),
            },
            limits: Limits {
                rate: u32::MAX,
                connections: u32::MAX,
                parallel: u32::MAX,
            },
        }
    }
}

/// What is offered beside the interactions of the Java DSF (docs/adr/0034).
#[derive(Clone, Copy, Debug, Default)]
pub struct ExtraInteractions {
    /// `$validate` of types and instances.
    pub validate: bool,
    /// `POST TYPE/_search`.
    pub search_by_post: bool,
}

/// Whether resources are judged by their profiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validation {
    #[default]
    On,
    /// What it costs is told by a bench that leaves it out. No key of the configuration leads here.
    Off,
}

/// What one client certificate may take; see `rest::limit`.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests a second.
    pub rate: u32,
    pub connections: u32,
    /// Requests at work at the same time.
    pub parallel: u32,
}
