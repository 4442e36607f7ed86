//! `StructureDefinition/$snapshot` (fhir-api §4.11).

use actix_web::HttpResponse;
use serde_json::Value;

use super::body::Body;
use super::resources::uuid;
use super::{Call, answer, asked};
use crate::fhir::fault::Fault;
use crate::r4::{Node, Resource, ResourceType};

const KIND: ResourceType = ResourceType::StructureDefinition;

impl Call<'_> {
    /// By `url` in the query, or by `url` or `resource` in Parameters.
    pub(super) async fn snapshot(&self, body: &mut Body) -> Result<HttpResponse, Fault> {
        let asked = self.asked()?;
        self.service.identity(&self.peer).await?;
        let (url, profile) = if self.method() == "POST" {
            self.snapshot_parameters(body).await?
        } else {
            let pairs = asked::pairs(self.request);
            (
                pairs
                    .into_iter()
                    .find(|(name, _)| name == "url")
                    .map(|(_, url)| url),
                None,
            )
        };
        let found = match (url, profile) {
            (Some(url), None) => self.service.snapshot_by_url(&self.peer, &url).await?,
            (None, Some(profile)) => self.service.snapshot_of(&self.peer, &profile).await?,
            _ => return Err(Fault::bad_request("Give either url or resource")),
        };
        Ok(answer::resource(self.service, &found, &asked.wanted))
    }

    async fn snapshot_parameters(
        &self,
        body: &mut Body,
    ) -> Result<(Option<String>, Option<Resource>), Fault> {
        if self.has_no_body() {
            return Ok((None, None));
        }
        let parameters = self.any_resource(body).await?;
        if parameters.type_name() != "Parameters" {
            return Err(Fault::bad_request("Send Parameters with url or resource"));
        }
        let named = |name: &str| {
            let mut all = parameters.list("parameter");
            all.find(|parameter| parameter.text("name") == Some(name))
        };
        let url = named("url").and_then(|parameter| {
            let types = ["valueUri", "valueString", "valueUrl", "valueCanonical"];
            types
                .iter()
                .find_map(|name| parameter.text(name))
                .map(str::to_owned)
        });
        let profile = named("resource").and_then(|parameter| parameter.member("resource"));
        let profile = profile.cloned().and_then(Resource::from_value);
        if let Some(profile) = &profile
            && (profile.resource_type() != Some(KIND)
                || !profile.get("differential").is_some_and(Value::is_object))
        {
            return Err(Fault::bad_request(
                "resource must be a StructureDefinition with differential",
            ));
        }
        Ok((url, profile))
    }

    pub(super) async fn snapshot_of(&self, id: &str) -> Result<HttpResponse, Fault> {
        let asked = self.asked()?;
        self.service.identity(&self.peer).await?;
        let found = self
            .service
            .snapshot_by_id(&self.peer, uuid(KIND, id)?)
            .await?;
        Ok(answer::resource(self.service, &found, &asked.wanted))
    }
}
