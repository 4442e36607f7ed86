//! The base itself: Bundles to execute, and the CapabilityStatement.

use actix_web::HttpResponse;

use super::asked::Return;
use super::body::Body;
use super::media::Format;
use super::{Call, answer, page};
use crate::fhir::bundle::{self, Preference};
use crate::fhir::fault::Fault;
use crate::fhir::metadata;
use crate::r4::ResourceType;

impl Call<'_> {
    pub(super) async fn root(&self, body: &mut Body) -> Result<HttpResponse, Fault> {
        match self.method() {
            "POST" => {}
            "GET" => {
                self.service.identity(&self.peer).await?;
                return Err(Fault::base_takes_bundles());
            }
            _ => return self.no_method("POST").await,
        }
        let asked = self.asked()?;
        self.service.identity(&self.peer).await?;
        let sent = self.resource(ResourceType::Bundle, body).await?;
        let preference = match asked.prefer {
            Return::Minimal => Preference::Minimal,
            Return::Outcome => Preference::Outcome,
            Return::Representation => Preference::Representation,
        };
        let answered =
            bundle::execute(self.service, &self.peer, &sent, preference, asked.handling).await?;
        Ok(answer::resource(self.service, &answered, &asked.wanted))
    }

    pub(super) async fn metadata(&self) -> Result<HttpResponse, Fault> {
        if self.method() != "GET" {
            return self.no_method("GET, HEAD").await;
        }
        let asked = self.asked()?;
        self.service.identity(&self.peer).await?;
        let statement = metadata::statement(self.service).await?;
        let body = answer::document(&statement, &asked.wanted);
        let mut builder = HttpResponse::Ok();
        builder.insert_header(("Content-Type", asked.wanted.media.name));
        if asked.wanted.media.format == Format::Html {
            page::policy(&mut builder);
        }
        Ok(builder.body(body))
    }
}
