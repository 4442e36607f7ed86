//! REST: HTTP in, interactions out, answers back (fhir-api §1 to §3). Nothing is decided here but
//! what HTTP decides; the [`Service`] is the only way to a resource.

mod answer;
mod asked;
mod binary;
mod body;
mod compress;
mod flight;
mod limit;
mod listen;
mod media;
mod page;
mod resources;
mod results;
mod root;
mod snapshot;
mod socket;
mod summary;
mod validate;
mod visit;

use std::any::Any;
use std::sync::Arc;

use actix_web::dev::Extensions;
use actix_web::http::header;
use actix_web::http::{Method, Version};
use actix_web::{HttpRequest, HttpResponse, web};

use self::body::Body;
use self::flight::Flight;
use self::limit::{Limits, Seat};
use crate::auth::Certificate;
use crate::fhir::fault::Fault;
use crate::fhir::service::{Peer, Service};
use crate::net::tls::{self, Acceptor, PeerCertificate, Warrant};

/// The longest path with its query, in bytes.
const LONGEST_URI: usize = 16 * 1024;
/// The names and values of all headers, in bytes.
const LARGEST_HEADERS: usize = 32 * 1024;

pub use listen::listen;
pub use root::Statements;
pub use socket::Sockets;

/// Puts the routes below the path of the base URL.
pub fn configure(
    service: &Arc<Service>,
    sockets: Sockets,
    statements: Statements,
    config: &mut web::ServiceConfig,
) {
    config
        .app_data(web::Data::from(Arc::clone(service)))
        .app_data(web::Data::new(sockets))
        .app_data(web::Data::new(statements))
        .service(web::scope(service.base_path()).default_service(web::to(dispatch)))
        .default_service(web::to(elsewhere));
}

/// Outside of the base there is nothing, not even for those we know.
async fn elsewhere(request: HttpRequest, service: web::Data<Service>) -> HttpResponse {
    let peer = peer(&request, &service);
    let answer = async {
        let outcome = match &peer {
            Ok(peer) => service.identity(peer).await.map(|_| ()),
            Err(fault) => Err(fault.clone()),
        };
        let fault = outcome.err().unwrap_or_else(Fault::no_such_route);
        told(&request, &service, peer.as_ref().ok(), fault)
    };
    visit::logged(&request, peer.as_ref().ok(), answer).await
}

async fn dispatch(
    request: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
    flight: web::Data<Flight>,
) -> HttpResponse {
    let token = flight.begin();
    let service = service.into_inner();
    let mut body = Body::new(payload);
    let peer = peer(&request, &service);
    let answer = async {
        let outcome = match &peer {
            Ok(peer) => served(&request, &mut body, &service, peer)
                .await
                .map_err(|fault| service.told_to(peer, fault)),
            Err(fault) => Err(fault.clone()),
        };
        if request.version() == Version::HTTP_2 {
            body.drop_the_rest().await;
        }
        let peer = peer.as_ref().ok();
        let answer = outcome.unwrap_or_else(|fault| told(&request, &service, peer, fault));
        compress::fit(&request, answer).await
    };
    let answer = visit::logged(&request, peer.as_ref().ok(), answer).await;
    flight::until_fetched(answer, token)
}

/// The answer, when it is this client's turn.
async fn served(
    request: &HttpRequest,
    body: &mut Body,
    service: &Arc<Service>,
    peer: &Peer,
) -> Result<HttpResponse, Fault> {
    let limits = request.app_data::<web::Data<Limits>>();
    let (Some(limits), Peer::Certificate(certificate)) = (limits, peer) else {
        return route(request, body, service, peer.clone()).await;
    };
    // Behind a proxy a connection has many clients.
    let seat = request.conn_data::<Seat>();
    let client = seat.map_or_else(
        || limits.client(&certificate.thumbprint),
        |seat| Arc::clone(seat.client()),
    );
    let _turn = match limits.enter(&client, seat.is_some_and(Seat::is_excess)) {
        Ok(turn) => Some(turn),
        Err(_) if service.is_own_organization(certificate) => None,
        Err(what) => Some(limits.wait(&client, what).await?),
    };
    route(request, body, service, peer.clone()).await
}

/// Logs a fault and answers it.
fn told(
    request: &HttpRequest,
    service: &Service,
    peer: Option<&Peer>,
    fault: Fault,
) -> HttpResponse {
    let (method, path) = (request.method().as_str(), request.path());
    if fault.status() >= 500 {
        tracing::error!(method, path, %fault, "request failed");
    } else {
        tracing::info!(method, path, %fault, "request refused");
    }
    service.record_refusal(peer, &fault, format!("{method} {path}"));
    answer::fault(&fault, request)
}

/// For `HttpServer::on_connect`: leaves the certificate of a connection with it, so that it is read
/// once and not for every request.
fn remember_peer(
    acceptor: &Acceptor,
    limits: &Limits,
    connection: &dyn Any,
    data: &mut Extensions,
) {
    tls::end_when_stalled(connection);
    acceptor.remember_peer(connection, data);
    if let Some(Ok(certificate)) = data.get::<PeerCertificate>().map(read) {
        data.insert(limits.seat(&certificate.thumbprint));
        data.insert(certificate);
    }
}

/// Who sent this: the certificate of the connection, or the one a trusted proxy passes on, which
/// must be one that the handshake would have taken (auth-config §1.2).
fn peer(request: &HttpRequest, service: &Service) -> Result<Peer, Fault> {
    still_trusted(request)?;
    if let Some(certificate) = request.conn_data::<Arc<Certificate>>() {
        return Ok(Peer::Certificate(Arc::clone(certificate)));
    }
    let passed_on = || {
        let address = request.peer_addr()?.ip();
        let trusted = service.settings().trusted_proxies.contains(&address);
        let value =
            asked::header(request, "x-clientcert").filter(|value| trusted && !value.is_empty())?;
        let certificate = PeerCertificate::from_header(value);
        let Some(certificate) = certificate else {
            tracing::warn!(%address, "the X-ClientCert of a proxy holds no certificate");
            return None;
        };
        let handshake = request.app_data::<web::Data<Acceptor>>()?;
        match handshake.verify(&certificate, &[]) {
            Ok(()) => Some(certificate),
            Err(reason) => {
                let subject = certificate.subject();
                tracing::info!(%address, subject, %reason, "a certificate from a proxy is refused");
                None
            }
        }
    };
    // One of the connection that is still not read cannot be read.
    let certificate = match asked::certificate(request) {
        Some(certificate) => Some(certificate.clone()),
        None => passed_on(),
    };
    let certificate = certificate.ok_or_else(|| Fault::unauthenticated("no-certificate"))?;
    Ok(Peer::Certificate(read(&certificate)?))
}

/// What is trusted may have changed since the handshake.
fn still_trusted(request: &HttpRequest) -> Result<(), Fault> {
    let Some((acceptor, warrant)) = warrant(request) else {
        return Ok(());
    };
    acceptor.upholds(warrant).map_err(|reason| {
        let address = request.peer_addr().map(tracing::field::display);
        tracing::info!(address, %reason, "a connection has lost its trust");
        Fault::unauthenticated("certificate-no-longer-trusted")
    })
}

fn warrant(request: &HttpRequest) -> Option<(&Acceptor, &Arc<Warrant>)> {
    let acceptor = request.app_data::<web::Data<Acceptor>>()?;
    Some((acceptor, request.conn_data::<Arc<Warrant>>()?))
}

/// The same question for as long as a socket is open.
fn trusted(request: &HttpRequest) -> Arc<dyn Fn() -> bool + Send + Sync> {
    match warrant(request) {
        Some((acceptor, warrant)) => {
            let (acceptor, warrant) = (acceptor.clone(), Arc::clone(warrant));
            Arc::new(move || acceptor.upholds(&warrant).is_ok())
        }
        None => Arc::new(|| true),
    }
}

fn read(certificate: &PeerCertificate) -> Result<Arc<Certificate>, Fault> {
    let read = Certificate::from_der(certificate.der()).map_err(|error| {
        tracing::warn!(%error, subject = certificate.subject(), "unreadable certificate");
        Fault::unauthenticated("unreadable-certificate")
    })?;
    Ok(Arc::new(read))
}

async fn route(
    request: &HttpRequest,
    body: &mut Body,
    service: &Arc<Service>,
    peer: Peer,
) -> Result<HttpResponse, Fault> {
    check_head(request)?;
    let path = request.path();
    if path.contains("%2F") || path.contains("%2f") || path.contains("%00") || path.contains("..") {
        return Err(Fault::bad_request_without_words());
    }
    let path = path
        .strip_prefix(service.base_path())
        .unwrap_or(path)
        .replace("%24", "$");
    let path = path.strip_prefix('/').unwrap_or(&path);
    let segments: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
    let call = Call {
        request,
        service,
        peer,
    };
    match segments.as_slice() {
        [""] => call.root(body).await,
        ["metadata"] => call.metadata().await,
        ["ws"] => call.socket(body).await,
        ["status"] => Err(Fault::unauthenticated("status-elsewhere")),
        ["_history"] => call.history_of_everything().await,
        [name, rest @ ..] => call.typed(name, rest, body).await,
        [] => Err(Fault::no_such_route()),
    }
}

/// What a request may say before its body. Java's limit is 8 KiB for everything; long searches and
/// certificates that a proxy passes on get more room here.
fn check_head(request: &HttpRequest) -> Result<(), Fault> {
    let uri = request.uri().path_and_query();
    if uri.map_or(0, |uri| uri.as_str().len()) > LONGEST_URI {
        return Err(Fault::uri_too_long(LONGEST_URI));
    }
    let lines = request.headers().iter();
    let size: usize = lines
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if size > LARGEST_HEADERS {
        return Err(Fault::headers_too_large(LARGEST_HEADERS));
    }
    Ok(())
}

/// One request on its way.
struct Call<'a> {
    request: &'a HttpRequest,
    service: &'a Arc<Service>,
    peer: Peer,
}

impl Call<'_> {
    fn asked(&self) -> Result<asked::Asked, Fault> {
        asked::Asked::of(self.request)
    }

    fn method(&self) -> &str {
        match self.request.method().as_str() {
            "HEAD" => "GET",
            other => other,
        }
    }

    /// 405 for a path that has other methods. Strangers learn of no path.
    async fn no_method(&self, allow: &str) -> Result<HttpResponse, Fault> {
        self.service.identity(&self.peer).await?;
        if self.request.method() == Method::OPTIONS {
            return Ok(HttpResponse::Ok()
                .insert_header((header::ALLOW, allow))
                .finish());
        }
        Err(Fault::method(allow))
    }

    async fn no_route(&self) -> Result<HttpResponse, Fault> {
        self.service.identity(&self.peer).await?;
        Err(Fault::no_such_route())
    }
}
