//! The response Bundle (fhir-api §6.3 to §6.8).

use std::sync::Arc;

use uuid::Uuid;

use super::entry::Done;
use crate::fhir::fault::Fault;
use crate::fhir::results;
use crate::fhir::search::Faults;
use crate::fhir::service::{Found, Service, Stored};
use crate::r4::Resource;
use crate::r4::bundle::{Builder, Response};
use crate::r4::datetime::format_instant;
use crate::r4::outcome::{IssueType, Outcome};

/// What entries that wrote something show of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preference {
    Minimal,
    Outcome,
    Representation,
}

/// One entry for each command.
pub(super) async fn bundle(
    service: &Arc<Service>,
    kind: &'static str,
    done: Vec<Result<Done, Fault>>,
    preference: Preference,
) -> Result<Resource, Fault> {
    let mut answers = Answers {
        service,
        bundle: Builder::new(kind),
        preference,
    };
    for one in done {
        match one {
            Ok(done) => answers.done(done).await?,
            Err(fault) => answers.fault(&fault),
        }
    }
    Ok(answers.bundle.build())
}

struct Answers<'a> {
    service: &'a Arc<Service>,
    bundle: Builder,
    preference: Preference,
}

impl Answers<'_> {
    fn base(&self) -> &str {
        &self.service.settings().base_url
    }

    fn fault(&mut self, fault: &Fault) {
        tracing::info!(%fault, "entry of a batch failed");
        let status = fault.status_line();
        let outcome = fault.outcome();
        self.bundle.response(
            None,
            None,
            Response {
                status,
                outcome,
                ..Response::default()
            },
        );
    }

    async fn done(&mut self, done: Done) -> Result<(), Fault> {
        match done {
            Done::Created(stored) => self.written(stored, "201 Created", "created").await,
            Done::Updated(stored) => self.written(stored, "200 OK", "updated").await,
            Done::Existed(stored) => {
                let response = self.about(&stored, "200 OK");
                self.bundle.response(None, None, response);
                Ok(())
            }
            Done::Deleted(kind, id) => {
                let text = format!("{kind} with id {id} marked as deleted");
                let outcome = Outcome::information(IssueType::Informational, text);
                let response = Response {
                    status: "200 OK".to_owned(),
                    outcome: Some(outcome.to_resource()),
                    ..Response::default()
                };
                self.bundle.response(None, None, response);
                Ok(())
            }
            Done::NothingToDelete => self.bare("204 No Content"),
            Done::NotFound => self.bare("404 Not Found"),
            Done::NotModified(stored) => {
                let mut response = self.about(&stored, "304 Not Modified");
                response.location = None;
                self.bundle.response(None, None, response);
                Ok(())
            }
            Done::Read {
                stored,
                without_body,
            } => self.read(stored, without_body, None).await,
            Done::Searched {
                found,
                without_body,
            } => self.searched(found, without_body).await,
        }
    }

    fn bare(&mut self, status: &str) -> Result<(), Fault> {
        let response = Response {
            status: status.to_owned(),
            ..Response::default()
        };
        self.bundle.response(None, None, response);
        Ok(())
    }

    fn about(&self, stored: &Stored, status: &str) -> Response {
        Response {
            status: status.to_owned(),
            location: Some(stored.location(self.base())),
            etag: Some(stored.etag()),
            last_modified: Some(format_instant(stored.last_updated)),
            outcome: None,
        }
    }

    async fn written(&mut self, stored: Stored, status: &str, word: &str) -> Result<(), Fault> {
        let mut response = self.about(&stored, status);
        if self.preference == Preference::Outcome {
            let location = stored.location(self.base());
            let text = format!("{} {word} at location {location}", stored.kind);
            let outcome = Outcome::information(IssueType::Informational, text);
            response.outcome = Some(outcome.to_resource());
        }
        let url = format!("{}/{}", self.base(), stored.path());
        let resource = match self.preference {
            Preference::Representation => Some(self.service.document(stored)),
            _ => None,
        };
        self.bundle.response(Some(&url), resource, response);
        Ok(())
    }

    async fn read(
        &mut self,
        stored: Stored,
        without_body: bool,
        warning: Option<String>,
    ) -> Result<(), Fault> {
        let mut response = self.about(&stored, "200 OK");
        response.outcome = warning.map(|text| results::warned(text).to_resource());
        let url = format!("{}/{}", self.base(), stored.path());
        let resource = match without_body {
            true => None,
            false => Some(self.service.document(stored)),
        };
        self.bundle.response(Some(&url), resource, response);
        Ok(())
    }

    /// A page with a single match is that match itself (§6.6).
    async fn searched(&mut self, mut found: Found, without_body: bool) -> Result<(), Fault> {
        if found.includes.is_empty() && found.matches.len() == 1 {
            let warning = found.warning();
            let only = found.matches.remove(0);
            return self.read(only, without_body, warning).await;
        }
        // The warning belongs to the answer, not to what was found.
        let outcome = found
            .warning()
            .map(|text| results::warned(text).to_resource());
        found.query.faults = Faults::default();
        let resource = match without_body {
            true => None,
            false => Some(results::searchset(self.service, found)),
        };
        let url = format!("urn:uuid:{}", Uuid::new_v4());
        let response = Response {
            status: "200 OK".to_owned(),
            outcome,
            ..Response::default()
        };
        self.bundle.response(Some(&url), resource, response);
        Ok(())
    }
}
