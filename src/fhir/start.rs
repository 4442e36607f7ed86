//! Starts the mailbox: store, initial data, listener.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::Roles;
use crate::fhir::service::Service;
use crate::fhir::settings::Settings;
use crate::fhir::subscribe::{Feed, Mailbox};
use crate::fhir::{initial, reindex, rest};
use crate::kernel::{Clock, Shutdown};
use crate::net::http::Client;
use crate::net::{pem, tls};
use crate::store::notify::Hub;
use crate::store::{self, Store};

/// How often old events and content without an owner are removed.
const SWEEP: Duration = Duration::from_secs(3600);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Initial(#[from] initial::Error),
    #[error(transparent)]
    Tls(#[from] tls::Error),
    #[error(transparent)]
    Certificate(#[from] pem::Error),
    #[error(
        "cannot listen on {address} (fhir.listen): {cause}; choose another address or stop the process that has it"
    )]
    Listen {
        address: std::net::SocketAddr,
        cause: std::io::Error,
    },
}

/// A mailbox at work. It ends when the shutdown it was started with begins.
pub struct Running {
    pub service: Arc<Service>,
}

/// Loads the initial data, then listens. The work itself runs on tasks of `shutdown`.
pub async fn start(
    settings: Settings,
    roles: Roles,
    store: Store,
    remote: Client,
    clock: Clock,
    shutdown: &Shutdown,
) -> Result<Running, Error> {
    reindex::run(&store).await?;
    let service = Arc::new(Service::open(settings, roles, store, remote, clock).await?);
    let thumbprint = match &service.settings().client_certificate {
        Some(path) => thumbprint(path)?,
        None => None,
    };
    initial::load(&service, thumbprint.as_deref()).await?;
    let mailbox = Arc::clone(&service) as Arc<dyn Mailbox>;
    let feed = Feed::open(service.store().clone(), mailbox, service.clock().clone()).await?;
    follow(&service, &feed, shutdown);
    rest::listen(&service, &feed, shutdown)?;
    // It ends when the listener has answered its last request.
    let recording = Arc::clone(&service);
    shutdown.spawn(async move { recording.audit().run(recording.store()).await });
    keep_house(&service, shutdown);
    Ok(Running { service })
}

/// The thumbprint of the first certificate in a file.
fn thumbprint(path: &Path) -> Result<Option<String>, Error> {
    let chain = pem::certificates_of_file(path)?;
    let leaf = chain
        .first()
        .and_then(|leaf| tls::PeerCertificate::try_from(&**leaf).ok());
    Ok(leaf.map(|leaf| leaf.thumbprint_hex().to_owned()))
}

/// Delivers events to sockets.
fn follow(service: &Arc<Service>, feed: &Arc<Feed>, shutdown: &Shutdown) {
    let (service, feed, shutdown) = (Arc::clone(service), Arc::clone(feed), shutdown.clone());
    shutdown.clone().spawn(async move {
        let hub = Hub::start(service.store());
        feed.run(&hub, &shutdown).await;
    });
}

/// Hints to other nodes, and the removal of what is past its time.
fn keep_house(service: &Arc<Service>, shutdown: &Shutdown) {
    let (announcer, begun) = (Arc::clone(service), shutdown.clone());
    shutdown.spawn(async move {
        tokio::select! {
            () = announcer.announce() => {}
            () = begun.begun() => {}
        }
    });
    let (holder, begun) = (Arc::clone(service), shutdown.clone());
    shutdown.spawn(async move {
        tokio::select! {
            () = holder.hold_lease() => {}
            () = begun.begun() => holder.give_lease_back().await,
        }
    });
    let (sweeper, begun) = (Arc::clone(service), shutdown.clone());
    shutdown.spawn(async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(SWEEP) => {}
                () = begun.begun() => return,
            }
            if let Err(error) = sweeper.sweep().await {
                tracing::warn!(%error, "old events are removed later");
            }
        }
    });
}
