//! `GET <base>/ws`: the socket of Subscriptions (bpe §1.3).

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpResponse, web};

use super::Call;
use super::body::Body;
use crate::fhir::fault::Fault;
use crate::fhir::subscribe::{Feed, socket};
use crate::kernel::Shutdown;

/// What sockets need besides the service.
#[derive(Clone)]
pub struct Sockets {
    pub feed: Arc<Feed>,
    pub shutdown: Shutdown,
}

impl Call<'_> {
    /// Without an upgrade there is nothing here; nobody without identity gets one.
    pub(super) async fn socket(&self, body: &mut Body) -> Result<HttpResponse, Fault> {
        let identity = self.service.identity(&self.peer).await?;
        let sockets = self.request.app_data::<web::Data<Sockets>>();
        let upgrade = self.request.headers().contains_key(header::UPGRADE);
        let sockets = sockets.filter(|_| upgrade && self.method() == "GET");
        let (Some(sockets), Some(payload)) = (sockets, body.take()) else {
            return Err(Fault::no_such_route());
        };
        let client = socket::Client {
            peer: self.peer.clone(),
            identity,
            is_trusted: super::trusted(self.request),
        };
        let Sockets { feed, shutdown } = sockets.as_ref().clone();
        socket::open(self.request, payload, client, feed, shutdown)
            .map_err(|error| Fault::bad_request(error.to_string()))
    }
}
