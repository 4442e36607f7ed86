//! The listener: TLS, workers, and the order in which they end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{Extensions, HttpService};
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, map_config};
use actix_tls::accept::openssl::TlsStream;
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use actix_web::{App, web};
use openssl::ssl::SslAcceptor;

use super::flight::Flight;
use super::limit::Limits;
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
/// How long a client may take to close its side.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

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
    let flight = Flight::default();
    let stage = Stage {
        service: Arc::clone(service),
        sockets,
        statements: Statements::default(),
        flight: flight.clone(),
        limits: web::Data::new(Limits::new(settings.limits)),
        acceptor: acceptor.clone(),
        shutdown: shutdown.clone(),
    };
    let server = stage
        .server(address, acceptor.builder()?.build())
        .map_err(broken)?;
    tracing::info!(%address, base = settings.base_url, "the mailbox listens");
    let (watch, begun, service) = (acceptor.watch(), shutdown.clone(), Arc::clone(service));
    shutdown.spawn(async move {
        run(server, &begun, flight).await;
        watch.abort();
        service.audit().finish();
    });
    Ok(())
}

/// What every worker serves from.
#[derive(Clone)]
struct Stage {
    service: Arc<Service>,
    sockets: Sockets,
    statements: Statements,
    flight: Flight,
    limits: web::Data<Limits>,
    acceptor: tls::Acceptor,
    shutdown: Shutdown,
}

impl Stage {
    fn configure(&self, config: &mut web::ServiceConfig) {
        config
            .app_data(web::Data::new(self.acceptor.clone()))
            .app_data(web::Data::new(self.flight.clone()))
            .app_data(self.limits.clone());
        let (sockets, statements) = (self.sockets.clone(), self.statements.clone());
        super::configure(&self.service, sockets, statements, config);
    }

    /// As actix's `HttpServer` would make it, but failed handshakes are told.
    fn server(self, address: SocketAddr, handshake: SslAcceptor) -> io::Result<Server> {
        let server = Server::build()
            .shutdown_timeout(PATIENCE)
            .disable_signals()
            .bind("mailbox", address, move || {
                let (stage, placing) = (self.clone(), self.clone());
                let app = App::new().configure(move |config| placing.configure(config));
                let app = app
                    .into_factory()
                    .map_err(|error: actix_web::Error| error.error_response());
                let (shutdown, acceptor, limits) = (stage.shutdown, stage.acceptor, stage.limits);
                let http = HttpService::build()
                    .keep_alive(KEEP_ALIVE)
                    .client_request_timeout(HEAD_TIMEOUT)
                    .client_disconnect_timeout(DISCONNECT_TIMEOUT)
                    .local_addr(address)
                    .graceful_shutdown_signal(move || {
                        let shutdown = shutdown.clone();
                        async move { shutdown.begun().await }
                    })
                    .on_connect_ext(
                        move |connection: &tls::Undated<TlsStream<TcpStream>>,
                              data: &mut Extensions| {
                            super::remember_peer(&acceptor, &limits, connection.get_ref(), data);
                        },
                    )
                    .finish(map_config(app, |()| AppConfig::default()));
                tls::served(http, handshake.clone())
            })?;
        Ok(server.run())
    }
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
