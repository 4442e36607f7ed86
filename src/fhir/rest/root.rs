//! The base itself: Bundles to execute, and the CapabilityStatement.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use arc_swap::ArcSwapOption;
use bytes::Bytes;

use super::asked::Return;
use super::body::Body;
use super::media::{Format, Wanted};
use super::{Call, answer, page};
use crate::fhir::bundle::{self, Preference};
use crate::fhir::fault::Fault;
use crate::fhir::metadata;
use crate::fhir::service::{Profiles, Service};
use crate::r4::ResourceType;

/// Most representations that are kept.
const MOST_WRITTEN: usize = 8;

/// The CapabilityStatement as it was written last. Cloning shares it.
#[derive(Clone, Default)]
pub struct Statements(Arc<ArcSwapOption<Written>>);

/// The statement with certain profiles, in each representation that was asked for.
struct Written {
    profiles: Arc<Profiles>,
    documents: Vec<(Wanted, Bytes)>,
}

impl Statements {
    fn document(&self, service: &Service, profiles: &Arc<Profiles>, wanted: &Wanted) -> Bytes {
        let Self(last) = self;
        let known = last.load();
        let known = known
            .as_ref()
            .filter(|known| Arc::ptr_eq(&known.profiles, profiles));
        let mut documents = known.map_or_else(Vec::new, |known| known.documents.clone());
        if let Some((_, document)) = documents.iter().find(|(other, _)| other == wanted) {
            return document.clone();
        }
        let statement = metadata::statement(service, profiles);
        let document = Bytes::from(answer::document(&statement, wanted));
        if documents.len() == MOST_WRITTEN {
            documents.remove(0);
        }
        documents.push((*wanted, document.clone()));
        last.store(Some(Arc::new(Written {
            profiles: Arc::clone(profiles),
            documents,
        })));
        document
    }
}

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
        let (sent, _) = self.resource(ResourceType::Bundle, body).await?;
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
        let profiles = self.service.profiles().await?;
        let written = self.request.app_data::<web::Data<Statements>>();
        let written = written.ok_or_else(|| Fault::internal("no place for statements"))?;
        let body = written.document(self.service, &profiles, &asked.wanted);
        let mut builder = HttpResponse::Ok();
        builder.insert_header(("Content-Type", asked.wanted.media.name));
        if asked.wanted.media.format == Format::Html {
            page::policy(&mut builder);
        }
        Ok(builder.body(body))
    }
}
