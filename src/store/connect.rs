//! From a database URL to connections: TLS by `sslmode` and `sslrootcert` as libpq understands
//! them, application name, name of the node, time-outs and search path sent with the first packet.

use std::sync::Arc;

use diesel::result::{ConnectionError, ConnectionResult};
use diesel_async::AsyncPgConnection;
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use postgres_openssl::MakeTlsConnector;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Config, NoTls};
use uuid::Uuid;

use super::{Error, Schema, Settings};

/// Makes connections for one role.
#[derive(Clone)]
pub(super) struct Connector(Arc<Inner>);

struct Inner {
    /// Names the store that these connections belong to, different in every process.
    node: String,
    application: String,
    config: Config,
    /// Built once: loading the system's trust store takes tens of milliseconds.
    tls: Option<MakeTlsConnector>,
}

impl Connector {
    pub(super) fn new(settings: &Settings, schema: Schema) -> Result<Self, Error> {
        let url = settings.url.as_deref().ok_or_else(|| {
            Error::Configuration("no database.url, and no private cluster was started".to_owned())
        })?;
        let (mut config, tls) = parse(url)?;
        let node = Uuid::new_v4().simple().to_string();
        let application = format!("dsf-{}-{}", schema.name(), &node[..8]);
        config
            .application_name(&application)
            .connect_timeout(settings.connect_timeout)
            .keepalives_idle(std::time::Duration::from_secs(30))
            // What is asked for often is in memory, and disks seek no more.
            .options(format!(
                "-c statement_timeout={} -c search_path={},public -c random_page_cost=1.1 -c dsf.node={node}{}",
                settings.statement_timeout.as_millis(),
                schema.name(),
                planning(schema)
            ));
        Ok(Self(Arc::new(Inner {
            node,
            application,
            config,
            tls,
        })))
    }

    pub(super) fn node(&self) -> &str {
        &self.0.node
    }

    pub(super) fn application(&self) -> &str {
        &self.0.application
    }

    pub(super) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(super) fn tls(&self) -> Option<MakeTlsConnector> {
        self.0.tls.clone()
    }

    pub(super) async fn connect(&self) -> ConnectionResult<AsyncPgConnection> {
        match self.tls() {
            Some(tls) => {
                let (client, connection) = self.config().connect(tls).await.map_err(refused)?;
                AsyncPgConnection::try_from_client_and_connection(client, connection).await
            }
            None => {
                let (client, connection) = self.config().connect(NoTls).await.map_err(refused)?;
                AsyncPgConnection::try_from_client_and_connection(client, connection).await
            }
        }
    }
}

/// How statements of a role are planned. Those of the BPE role look a few rows up by an index; they
/// are planned once for each connection, and a plan made while a table had a page must still do when
/// it has thousands.
fn planning(schema: Schema) -> &'static str {
    match schema {
        Schema::Fhir => "",
        Schema::Bpe => {
            " -c plan_cache_mode=force_generic_plan -c enable_seqscan=off \
              -c enable_hashjoin=off -c enable_mergejoin=off"
        }
    }
}

fn refused(error: tokio_postgres::Error) -> ConnectionError {
    let told = explain(&error);
    let remedy = remedy(&told);
    ConnectionError::BadConnection(match remedy {
        Some(remedy) => format!("{told}; {remedy}"),
        None => told,
    })
}

/// What to do about a failed handshake, by the words of OpenSSL and tokio-postgres.
fn remedy(told: &str) -> Option<&'static str> {
    const REMEDIES: [(&str, &str); 4] = [
        (
            "mismatch",
            "its certificate is for another host name: write that one in database.url, or \
             sslmode=verify-ca to believe the CA alone",
        ),
        (
            "certificate verify failed",
            "name the CA of its certificate in database.url, as sslrootcert=FILE",
        ),
        (
            "does not support TLS",
            "turn TLS on at the server (ssl = on), or write sslmode=disable in database.url",
        ),
        (
            "no encryption",
            "the server wants TLS: write sslmode=verify-full in database.url",
        ),
    ];
    let found = REMEDIES.iter().find(|(words, _)| told.contains(words));
    found.map(|(_, remedy)| *remedy)
}

/// The error with its causes: tokio-postgres alone says "db error".
pub(super) fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Splits off what tokio-postgres does not know of libpq's TLS parameters.
fn parse(url: &str) -> Result<(Config, Option<MakeTlsConnector>), Error> {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut mode, mut root, mut rest) = (None, None, Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value.to_owned()),
            Some(("sslrootcert", value)) => root = Some(percent_decoded(value)),
            _ => rest.push(pair),
        }
    }
    let mut config: Config = format!("{address}?{}", rest.join("&"))
        .parse()
        .map_err(|error| Error::Configuration(format!("database.url: {}", explain(&error))))?;
    let local = config
        .get_hosts()
        .iter()
        .all(|host| matches!(host, Host::Unix(_)));
    let mode = if local {
        "disable"
    } else {
        mode.as_deref().unwrap_or("prefer")
    };
    config.ssl_mode(match mode {
        "disable" => SslMode::Disable,
        "prefer" => SslMode::Prefer,
        "require" | "verify-ca" | "verify-full" => SslMode::Require,
        other => {
            return Err(Error::Configuration(format!(
                "database.url: sslmode={other} is not one of disable, prefer, require, verify-ca, verify-full"
            )));
        }
    });
    let tls = (mode != "disable")
        .then(|| tls(mode, root.as_deref()))
        .transpose()?;
    Ok((config, tls))
}

fn tls(mode: &str, root: Option<&str>) -> Result<MakeTlsConnector, Error> {
    let broken = |error: &dyn std::error::Error| {
        Error::Configuration(format!("database.url: TLS cannot be set up: {error}"))
    };
    let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(|e| broken(&e))?;
    if let Some(file) = root {
        builder.set_ca_file(file).map_err(|error| {
            Error::Configuration(format!(
                "database.url: sslrootcert={file} is unusable: {error}"
            ))
        })?;
    }
    // libpq: `require` checks the chain only where a root certificate is given.
    if !mode.starts_with("verify") && root.is_none() {
        builder.set_verify(SslVerifyMode::NONE);
    }
    let mut connector = MakeTlsConnector::new(builder.build());
    let check_name = mode == "verify-full";
    connector.set_callback(move |connection, _| {
        connection.set_verify_hostname(check_name);
        Ok(())
    });
    Ok(connector)
}

fn percent_decoded(value: &str) -> String {
    url::form_urlencoded::parse(format!("v={}", value.replace('+', "%2B")).as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}
