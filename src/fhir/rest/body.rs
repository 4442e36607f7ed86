//! Bodies: read whole up to a limit, and parsed.

use actix_web::web;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::Call;
use super::asked;
use super::media::Format;
use crate::fhir::fault::Fault;
use crate::r4::{ParseError, Resource, ResourceType, json, xml};

/// The whole body.
async fn read(mut payload: web::Payload, limit: usize) -> Result<Bytes, Fault> {
    let mut body = BytesMut::new();
    while let Some(piece) = payload.next().await {
        let piece = piece.map_err(|error| Fault::unparsable(error.to_string()))?;
        if body.len() + piece.len() > limit {
            return Err(Fault::too_large(limit));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

impl Call<'_> {
    /// The resource in the body; it must be of this type.
    pub(super) async fn resource(
        &self,
        kind: ResourceType,
        payload: web::Payload,
    ) -> Result<Resource, Fault> {
        let resource = self.any_resource(payload).await?;
        if resource.resource_type() == Some(kind) {
            return Ok(resource);
        }
        Err(Fault::unparsable(format!(
            "{} instead of {kind}",
            resource.type_name()
        )))
    }

    async fn any_resource(&self, payload: web::Payload) -> Result<Resource, Fault> {
        let format = asked::body_format(self.request)?;
        let limit = self.service.settings().max_body_size;
        // What announces itself as too large need not be sent.
        let announced = asked::header(self.request, "content-length");
        if announced.is_some_and(|size| size.parse().is_ok_and(|size: usize| size > limit)) {
            return Err(Fault::too_large(limit));
        }
        let body = read(payload, limit).await?;
        let unparsable = |error: ParseError| Fault::unparsable(error.to_string());
        let (resource, left_out) = match format {
            Format::Xml => xml::parse_leniently(&body),
            Format::Json | Format::Html => json::parse_leniently(&body),
        }
        .map_err(unparsable)?;
        if !left_out.is_empty() {
            tracing::info!(
                kind = resource.type_name(),
                ?left_out,
                "parts of a body are left out"
            );
        }
        Ok(resource)
    }
}
