//! Every key of `dsf.toml`, with the one comment that documents it everywhere.
//!
//! A doc comment here is a line of `dsf.toml.example` and of `docs/configuration.md`: after a
//! change, write them anew with `dsf config example` (see [`crate::config::document`]).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use url::Url;

use crate::config::{
    AuditReads, Authorities, ByteSize, ClientCertificate, Directory, Encryption, ExtraInteraction,
    InputFile, RevocationList, Section, WithoutList,
};
use crate::kernel::Secret;
use crate::kernel::telemetry::Format;

/// All sections in the order of the documents.
pub fn sections() -> impl Iterator<Item = &'static Section> {
    const ALL: &[Section] = &[
        Organization::SECTION,
        Fhir::SECTION,
        Tls::SECTION,
        Client::SECTION,
        Auth::SECTION,
        Audit::SECTION,
        Bpe::SECTION,
        Mail::SECTION,
        Database::SECTION,
        Status::SECTION,
        Log::SECTION,
    ];
    ALL.iter()
}

section! {
    /// The organisation this node belongs to.
    Organization "organization" {
        /// Identifier of the organisation, as in its Organization resource and in every
        /// partner's allow list (system `http://dsf.dev/sid/organization-identifier`).
        identifier "identifier": required String = "hospital.example.org",
    }
}

section! {
    /// The FHIR role: the mailbox that partners reach.
    Fhir "fhir" {
        /// Address under which partners and the own BPE reach the FHIR role, as in the
        /// organisation's Endpoint resource; ends without a slash.
        base_url "base-url": by_role Url = "https://dsf.hospital.example.org/fhir",
        /// Address and port to listen on.
        listen "listen": default SocketAddr = "0.0.0.0:8443",
        /// Bundle (XML or JSON) with the own organisation and the allow list, loaded at start.
        initial_bundle "initial-bundle": optional InputFile = "bundle.xml",
        /// Matches on a page of a search when the request does not say.
        page_count "page-count": default u32 = "20",
        /// Largest request body; Binary content is streamed and not bound by it.
        max_body_size "max-body-size": default ByteSize = "8 MiB",
        /// Interactions that the Java DSF has not, and that are offered too: "validate"
        /// ($validate of types and instances) and "search-by-post" (POST TYPE/_search).
        extra_interactions "extra-interactions": default Vec<ExtraInteraction> = "",
        /// Requests a second that one client certificate may send for long; for a moment it may be
        /// more. Beyond that it is told 429. The own organisation's certificate is not limited.
        max_request_rate "max-request-rate": default u32 = "500",
        /// Requests of one client certificate that are worked on at the same time; further ones wait
        /// for these.
        max_parallel_requests "max-parallel-requests": default u32 = "16",
        /// Connections of one client certificate; requests on further ones are told 429.
        max_connections "max-connections": default u32 = "256",
        /// Addresses of the reverse proxies whose X-ClientCert header counts; used with
        /// `tls.client-certificate = "proxy"` only.
        trusted_proxies "trusted-proxies": default Vec<IpAddr> = "",
    }
}

section! {
    /// The server side of TLS: who we are to partners, and whose certificates we accept.
    Tls "tls" {
        /// Server certificate with its intermediate certificates (PEM). Read again when it changes.
        certificate "certificate": required InputFile = "server.crt",
        /// Private key of the server certificate (PEM).
        private_key "private-key": required InputFile = "server.key",
        /// Password of the private key, if it has one.
        private_key_password "private-key-password": optional Secret = "secret",
        /// Certificate authorities of the client certificates we accept: a PEM file, or a folder
        /// of .pem and .crt files.
        client_cas "client-cas": required Authorities = "client-cas.crt",
        /// Lists of client certificates that their CAs have taken back: files or folders (.crl,
        /// .pem), or http and https addresses. Without any, revocation is not looked at.
        revocation_lists "revocation-lists": default Vec<RevocationList> = "",
        /// What becomes of a certificate of whose CA there is no list, or none that is up to date:
        /// "accept" or "refuse".
        revocation_without_list "revocation-without-list": default WithoutList = "accept",
        /// How often lists are fetched from their addresses; files are read when they change.
        revocation_refresh "revocation-refresh": default Duration = "1h",
        /// Where the client certificate comes from: "required" in the TLS handshake, or "proxy"
        /// when a reverse proxy ends TLS and forwards it in X-ClientCert.
        client_certificate "client-certificate": default ClientCertificate = "required",
    }
}

section! {
    /// The client side of TLS: who we are when we call the own FHIR role and partners.
    Client "client" {
        /// Client certificate of the organisation with its intermediate certificates (PEM).
        certificate "certificate": required InputFile = "client.crt",
        /// Private key of the client certificate (PEM).
        private_key "private-key": required InputFile = "client.key",
        /// Password of the private key, if it has one.
        private_key_password "private-key-password": optional Secret = "secret",
        /// Certificate authorities of the servers we trust: a PEM file, or a folder of .pem and
        /// .crt files; the operating system's when not set.
        server_cas "server-cas": optional Authorities = "server-cas.crt",
        /// Longest wait for a connection.
        connect_timeout "connect-timeout": default Duration = "2s",
        /// Longest wait for an answer to go on.
        read_timeout "read-timeout": default Duration = "10s",
        /// HTTP proxy for outgoing requests.
        proxy "proxy": optional Url = "http://proxy.hospital.example.org:3128",
        /// User name at the proxy.
        proxy_username "proxy-username": optional String = "dsf",
        /// Password at the proxy.
        proxy_password "proxy-password": optional Secret = "secret",
        /// Hosts, domains or address ranges that are reached without the proxy.
        proxy_except "proxy-except": default Vec<String> = "",
    }
}

section! {
    /// Persons: which certificates hold which rights. Rules are `[[role]]` tables, see below.
    Auth "auth" {
        /// Rules in the YAML form of the Java DSF, in addition to the `[[role]]` tables.
        roles_file "roles-file": optional InputFile = "roles.yaml",
    }
}

section! {
    /// The audit trail of the FHIR role: every write, every refusal, reads of personal data. See
    /// `dsf audit` and docs/security.md.
    Audit "audit" {
        /// Whose reads are recorded: "others" (persons and partners), "all" (also the own
        /// organisation's engine, which reads all the time), or "none".
        reads "reads": default AuditReads = "others",
        /// Days after which records are removed.
        keep_days "keep-days": default u16 = "1095",
    }
}

section! {
    /// The BPE role: the engine that runs the processes.
    Bpe "bpe" {
        /// The own FHIR role; fhir.base-url when not set.
        fhir_base_url "fhir-base-url": optional Url = "https://dsf.hospital.example.org/fhir",
        /// Folder with process plugins, in addition to the built-in ones.
        plugin_dir "plugin-dir": optional Directory = "plugins",
        /// FHIR servers that plugins may use by their names, with certificates, passwords or
        /// tokens: YAML in the form of the Java DSF (docs/plugin-api.md).
        fhir_connections "fhir-connections": optional InputFile = "fhir-connections.yaml",
        /// Process instances worked on at the same time.
        threads "threads": default u16 = "4",
        /// How long plugin code may compute in one call; waiting for an answer does not count.
        compute_limit "compute-limit": default Duration = "60s",
        /// How long the delivery of a message to a partner is tried before the process is told
        /// that it failed.
        send_deadline "send-deadline": default Duration = "1h",
        /// How long a message is kept whose receiver does not wait for it yet.
        message_grace "message-grace": default Duration = "30s",
        /// Days for which the history of ended process instances is kept.
        history_days "history-days": default u16 = "30",
        /// Processes that finish what runs but start nothing new, as key|version.
        retired "retired": default Vec<String> = "",
        /// Processes that are not deployed at all, as key|version.
        excluded "excluded": default Vec<String> = "",
        /// Address for health checks of a process that runs the BPE role alone; status.listen
        /// when not set. Needed when both roles run on one host as two processes.
        status_listen "status-listen": optional SocketAddr = "127.0.0.1:10001",
    }
}

section! {
    /// Mail that plugins send, and mails to administrators. Without a host, mails are written to the
    /// log.
    Mail "mail" {
        /// Mail server.
        host "host": optional String = "mail.hospital.example.org",
        /// Its port; 587, 465 or 25 as of encryption when not set.
        port "port": optional u16 = "587",
        /// "starttls", "tls" from the first byte on, or "none" for a relay on the same host.
        encryption "encryption": default Encryption = "starttls",
        /// User name at the mail server.
        username "username": optional String = "dsf",
        /// Password at the mail server.
        password "password": optional Secret = "secret",
        /// Certificate authorities of the mail server: a PEM file, or a folder of .pem and .crt
        /// files; the operating system's when not set.
        server_cas "server-cas": optional Authorities = "mail-cas.crt",
        /// Certificate that is shown to a mail server that asks for one (PEM).
        client_certificate "client-certificate": optional InputFile = "mail-client.crt",
        /// Private key of that certificate (PEM).
        client_private_key "client-private-key": optional InputFile = "mail-client.key",
        /// Password of that private key, if it has one.
        client_private_key_password "client-private-key-password": optional Secret = "secret",
        /// Mails are signed (S/MIME) with what this PKCS#12 file holds: a certificate for the address
        /// in `from`, its key, and the certificates above it.
        smime_keystore "smime-keystore": optional InputFile = "smime.p12",
        /// Password of that file.
        smime_keystore_password "smime-keystore-password": optional Secret = "secret",
        /// Who sends.
        from "from": default String = "DSF BPE <noreply@localhost>",
        /// Who receives mails to administrators, and what plugins do not address.
        to "to": default Vec<String> = "",
        /// Who receives a copy.
        cc "cc": default Vec<String> = "",
        /// Who receives answers.
        reply_to "reply-to": default Vec<String> = "",
        /// Whether each start of the BPE role sends a mail to `to`, to see that mail works.
        test_on_start "test-on-start": default bool = "false",
        /// Whether errors in the log of a process with the BPE role are sent to `to`, at most one mail
        /// a minute.
        on_error "on-error": default bool = "false",
        /// Lines of the log before an error that the mail has, too.
        on_error_lines "on-error-lines": default u16 = "4",
        /// Where the whole log is, for those who read such a mail.
        on_error_location "on-error-location": optional String = "journalctl -u dsf-bpe",
    }
}

section! {
    /// PostgreSQL. Without a url, dsf starts and owns a private cluster in data-dir.
    Database "database" {
        /// Address of an external database; `sslrootcert=FILE` names its certificate authorities.
        url "url": optional Secret = "postgresql://dsf:password@db.example.org/dsf?sslmode=verify-full",
        /// Folder of the private cluster; two processes need a folder each.
        data_dir "data-dir": default Directory = "data",
        /// Folder with PostgreSQL's programs (initdb, postgres) for the private cluster; looked
        /// for in the usual places when not set.
        bin_dir "bin-dir": optional Directory = "/usr/lib/postgresql/15/bin",
        /// Most connections of each role.
        pool_size "pool-size": default u16 = "10",
    }
}

section! {
    /// Health checks, for `dsf healthcheck` and container runtimes; plain HTTP, never for partners.
    Status "status" {
        /// Address and port to listen on.
        listen "listen": default SocketAddr = "127.0.0.1:10000",
    }
}

section! {
    /// Logging, on standard error.
    Log "log" {
        /// "human", "json", or "auto": human on a terminal, JSON otherwise.
        format "format": default Format = "auto",
        /// error, warn, info, debug or trace; or by module, such as "info,dsf::bpe=debug".
        level "level": default LogLevel = "info",
    }
}

/// A level that the logging floor understands.
#[derive(Clone, Debug)]
pub struct LogLevel(pub String);
