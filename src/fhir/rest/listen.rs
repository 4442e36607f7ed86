//! The listener: TLS, workers, and the order in which they end.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpServer, web};

use super::flight::Flight;
use super::{Sockets, Statements};
use crate::fhir::service::Service;
use crate::fhir::start::Error;
use crate::fhir::subscribe::Feed;
use crate::kernel::Shutdown;
use crate::net::tls;

/// How long requests that were accepted may take when the end has begun, in seconds.
const PATIENCE: u64 = 25;

/// How long an idle connection is kept: longer than clients keep theirs (ours: 50 s), or a request
/// may be on its way while the connection is closed.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long the head of a request may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

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
    let (proxies, flight) = (acceptor.clone(), Flight::default());
    let (under_way, statements) = (flight.clone(), Statements::default());
    let server = HttpServer::new(move || {
        let (service, sockets) = (Arc::clone(&shared), sockets.clone());
        let statements = statements.clone();
        let app = App::new()
            .app_data(web::Data::new(proxies.clone()))
            .app_data(web::Data::new(under_way.clone()));
        app.configure(move |config| super::configure(&service, sockets, statements, config))
    })
    .on_connect(super::remember_peer)
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(HEAD_TIMEOUT)
    .tls_handshake_timeout(tls::HANDSHAKE_TIMEOUT)
    .shutdown_timeout(PATIENCE)
    .disable_signals()
    .bind_openssl(address, acceptor.builder()?)
    .map_err(broken)?
    .run();
    tracing::info!(%address, base = settings.base_url, "the mailbox listens");
    let (watch, begun, service) = (acceptor.watch(), shutdown.clone(), Arc::clone(service));
    shutdown.spawn(async move {
        run(server, &begun, flight).await;
        watch.abort();
        service.audit().finish();
    });
    Ok(())
}

/// Serves until the end begins and nothing is under way any more.
async fn run(mut server: Server, shutdown: &Shutdown, flight: Flight) {
    let handle = server.handle();
    let end = async {
        shutdown.begun().await;
        tokio::select! {
            () = handle.stop(true) => {}
            () = flight.landed() => {}
        }
    };
    tokio::select! {
        ended = &mut server => if let Err(error) = ended {
            tracing::error!(%error, "the mailbox stopped listening");
        },
        () = end => {}
    }
}
