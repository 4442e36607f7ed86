//! The configuration as a whole: what each role needs, and what must fit together.

use url::Url;

use crate::auth::roles::Roles;
use crate::config::keys::{
    Audit, Auth, Bpe, Client, Database, Fhir, Log, Mail, Organization, Status, Tls,
};
use crate::config::reader::Reader;
use crate::config::{ClientCertificate, role};

/// The roles that a process is going to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    pub fhir: bool,
    pub bpe: bool,
}

impl Needs {
    /// Of commands that serve nothing: neither certificates nor addresses must be set.
    pub const NOTHING: Self = Self {
        fhir: false,
        bpe: false,
    };
}

/// A configuration in which everything is set that the roles asked for need.
#[derive(Clone, Debug)]
pub struct Config {
    pub organization: Organization,
    pub fhir: Fhir,
    pub client: Option<Client>,
    pub auth: Auth,
    pub audit: Audit,
    /// The rights of persons, from the `[[role]]` tables and the roles file.
    pub roles: Roles,
    pub bpe: Bpe,
    /// Set when the BPE role was asked for.
    pub mail: Option<Mail>,
    pub database: Database,
    pub status: Status,
    pub log: Log,
    /// Set when the FHIR role was asked for.
    pub fhir_role: Option<FhirRole>,
    /// Set when the BPE role was asked for.
    pub bpe_role: Option<BpeRole>,
}

/// What only the FHIR role cannot do without.
#[derive(Clone, Debug)]
pub struct FhirRole {
    pub base_url: Url,
    pub tls: Tls,
}

/// What only the BPE role cannot do without.
#[derive(Clone, Debug)]
pub struct BpeRole {
    pub fhir_base_url: Url,
    pub client: Client,
}

impl Config {
    pub(super) fn read(reader: &mut Reader<'_>, needs: Needs) -> Option<Self> {
        let organization = Organization::read(reader, "organization");
        need_base_url(reader, needs);
        let fhir = Fhir::read(reader, "fhir");
        if let Some(url) = fhir.as_ref().and_then(|fhir| fhir.base_url.as_ref()) {
            without_slash(reader, "fhir", "base-url", url);
        }
        // Files of the other role may be on the other role's machine.
        let tls = when(needs.fhir, || Tls::read(reader, "tls"));
        let calls = needs.bpe || needs.fhir && reader.mentions("client");
        let client = when(calls, || Client::read(reader, "client"));
        let auth = Auth::read(reader, "auth");
        let roles = role::roles(reader, auth.as_ref());
        let audit = Audit::read(reader, "audit");
        let bpe = Bpe::read(reader, "bpe");
        let mail = when(needs.bpe, || Mail::read(reader, "mail"));
        if let Some(Some(mail)) = &mail {
            whole_identity(reader, mail);
            reachable_administrators(reader, mail);
        }
        let database = Database::read(reader, "database");
        let status = Status::read(reader, "status");
        let log = Log::read(reader, "log");
        let (fhir, bpe, tls, client) = (fhir?, bpe?, tls?, client?);
        Some(Self {
            fhir_role: when(needs.fhir, || FhirRole::read(reader, &fhir, tls.as_ref()))?,
            bpe_role: when(needs.bpe, || {
                BpeRole::read(reader, &bpe, &fhir, client.as_ref())
            })?,
            organization: organization?,
            fhir,
            client,
            auth: auth?,
            audit: audit?,
            roles: roles?,
            bpe,
            mail: mail?,
            database: database?,
            status: status?,
            log: log?,
        })
    }
}

/// `Some(None)` when not wanted, `None` when wanted and faulty.
fn when<T>(wanted: bool, read: impl FnOnce() -> Option<T>) -> Option<Option<T>> {
    if wanted { read().map(Some) } else { Some(None) }
}

impl FhirRole {
    fn read(reader: &mut Reader<'_>, fhir: &Fhir, tls: Option<&Tls>) -> Option<Self> {
        let tls = tls?.clone();
        if tls.client_certificate == ClientCertificate::Proxy && fhir.trusted_proxies.is_empty() {
            reader.fault(
                "tls",
                "client-certificate",
                "trusts a proxy, but fhir.trusted-proxies names none",
                "list the proxy's addresses in fhir.trusted-proxies",
            );
        }
        let base_url = fhir.base_url.clone()?;
        Some(Self { base_url, tls })
    }
}

/// A certificate is of use with its key only.
fn whole_identity(reader: &mut Reader<'_>, mail: &Mail) {
    if mail.client_certificate.is_some() != mail.client_private_key.is_some() {
        reader.fault(
            "mail",
            "client-certificate",
            "and mail.client-private-key belong together, and one is missing",
            "set both, or neither",
        );
    }
}

/// Mails to administrators need a server and somebody who reads them.
fn reachable_administrators(reader: &mut Reader<'_>, mail: &Mail) {
    let wanted = [
        ("test-on-start", mail.test_on_start),
        ("on-error", mail.on_error),
    ];
    for (key, _) in wanted.into_iter().filter(|(_, wanted)| *wanted) {
        if mail.host.is_none() || mail.to.is_empty() {
            reader.fault(
                "mail",
                key,
                "is on, but mail.host or mail.to is not set",
                "set both, or switch it off",
            );
        }
    }
}

impl BpeRole {
    fn read(
        reader: &mut Reader<'_>,
        bpe: &Bpe,
        fhir: &Fhir,
        client: Option<&Client>,
    ) -> Option<Self> {
        let client = client?.clone();
        let fhir_base_url = bpe
            .fhir_base_url
            .clone()
            .or_else(|| fhir.base_url.clone())?;
        if bpe.fhir_base_url.is_some() {
            without_slash(reader, "bpe", "fhir-base-url", &fhir_base_url);
        }
        Some(Self {
            fhir_base_url,
            client,
        })
    }
}

/// Every role knows the own FHIR role; the BPE role may know it under another address.
fn need_base_url(reader: &mut Reader<'_>, needs: Needs) {
    let example = "https://dsf.hospital.example.org/fhir";
    if needs.fhir || needs.bpe && !reader.has("bpe", "fhir-base-url") {
        reader.need("fhir", "base-url", example);
    }
}

/// References are compared letter by letter, so there is one way to write a base URL.
fn without_slash(reader: &mut Reader<'_>, table: &str, key: &str, url: &Url) {
    if url.path().ends_with('/') {
        reader.fault(
            table,
            key,
            "ends with a slash or has no path",
            "write it with its path and without a slash at the end, \
             such as https://dsf.hospital.example.org/fhir",
        );
    }
}
