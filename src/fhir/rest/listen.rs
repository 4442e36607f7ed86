//! The listener: TLS, workers, and the order in which they end.

use std::sync::Arc;

use actix_web::{App, HttpServer, web};

use super::Sockets;
use crate::fhir::service::Service;
use crate::fhir::start::Error;
use crate::fhir::subscribe::Feed;
use crate::kernel::Shutdown;
use crate::net::tls;

/// How long requests that were accepted may take when the end has begun, in seconds.
const PATIENCE: u64 = 25;

/// Listens until the end begins, and lets accepted requests finish.
pub fn listen(service: &Arc<Service>, feed: &Arc<Feed>, shutdown: &Shutdown) -> Result<(), Error> {
    let settings = service.settings();
    let address = settings.listen;
    let broken = |cause| Error::Listen { address, cause };
    let acceptor = tls::Acceptor::new(settings.tls.clone())?;
    let sockets = Sockets {
        feed: Arc::clone(feed),
        shutdown: shutdown.clone(),
    };
    let shared = Arc::clone(service);
    let proxies = acceptor.clone();
    let server = HttpServer::new(move || {
        let (service, sockets) = (Arc::clone(&shared), sockets.clone());
        let app = App::new().app_data(web::Data::new(proxies.clone()));
        app.configure(move |config| super::configure(&service, sockets, config))
    })
    .on_connect(tls::remember_peer)
    .tls_handshake_timeout(tls::HANDSHAKE_TIMEOUT)
    .shutdown_timeout(PATIENCE)
    .disable_signals()
    .bind_openssl(address, acceptor.builder()?)
    .map_err(broken)?
    .run();
    tracing::info!(%address, base = settings.base_url, "the mailbox listens");
    let handle = server.handle();
    let watch = acceptor.watch();
    let begun = shutdown.clone();
    shutdown.spawn(async move {
        begun.begun().await;
        watch.abort();
        handle.stop(true).await;
    });
    shutdown.spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the mailbox stopped listening");
        }
    });
    Ok(())
}
