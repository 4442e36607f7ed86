//! Literal references to servers of the allow list: does the target exist there (fhir-api §7.7)?

use super::Service;
use super::stop::RemoteTarget;
use crate::fhir::fault::Fault;
use crate::net::http::{HeaderValue, Method, Request, StatusCode, Url, header};

impl Service {
    /// Asks the other server. No connection to the database is held meanwhile.
    pub(super) async fn verify(&self, target: &RemoteTarget) -> Result<(), Fault> {
        let RemoteTarget { reference, base, place } = target;
        let text = format!("Reference target {reference} of reference{place}");
        match self.head(reference).await {
            Ok(StatusCode::OK) => Ok(()),
            Ok(StatusCode::NOT_FOUND) => {
                Err(Fault::reference(format!("{text} not found on server {base}")))
            }
            outcome => {
                tracing::warn!(?outcome, reference, "a reference cannot be checked");
                let text = format!("{text} could not be resolved on server {base} (reason hidden)");
                Err(Fault::reference(text))
            }
        }
    }

    async fn head(&self, reference: &str) -> Result<StatusCode, String> {
        let url = Url::parse(reference).map_err(|error| error.to_string())?;
        let accept = HeaderValue::from_static("application/fhir+json");
        let request = Request::new(Method::HEAD, url).header(header::ACCEPT, accept);
        let answer = self.remote.send(&request).await.map_err(|error| error.to_string())?;
        Ok(answer.status)
    }
}
