//! The paths below a resource type (fhir-api §1.3).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use bytes::Bytes;
use uuid::Uuid;

use super::answer;
use super::asked::{self, Asked, Precondition};
use super::body::{Body, position};
use super::{Call, binary};
use crate::fhir::authorize::Operation;
use crate::fhir::fault::Fault;
use crate::fhir::service::{
    Checks, Condition, Created, Holder, Incoming, Scope, Stored, Updated, http_date,
};
use crate::r4::outcome::IssueType;
use crate::r4::{Resource, ResourceType, logical_id};

const OF_TYPE: &str = "GET, HEAD, POST, PUT, DELETE";
const OF_INSTANCE: &str = "GET, HEAD, PUT, DELETE";

impl Call<'_> {
    pub(super) async fn typed(
        &self,
        name: &str,
        rest: &[&str],
        body: &mut Body,
    ) -> Result<HttpResponse, Fault> {
        let Some(kind) = ResourceType::from_name(name) else {
            return self.no_route().await;
        };
        let is_structure = kind == ResourceType::StructureDefinition;
        let extra = self.service.settings().extra;
        match (self.method(), rest) {
            ("GET", []) => self.search(kind).await,
            ("POST", []) => self.create(kind, body).await,
            ("PUT", []) => self.update_where(kind, body).await,
            ("DELETE", []) => self.delete_where(kind).await,
            (_, []) => self.no_method(OF_TYPE).await,
            ("GET", ["_history"]) => self.history(Scope::Type(kind)).await,
            ("GET" | "POST", ["$snapshot"]) if is_structure => self.snapshot(body).await,
            ("GET" | "POST", [id, "$snapshot"]) if is_structure => self.snapshot_of(id).await,
            (_, ["$snapshot"] | [_, "$snapshot"]) if is_structure => {
                self.no_method("GET, HEAD, POST").await
            }
            ("POST", ["$validate"]) if extra.validate => self.validate(kind, None, body).await,
            ("GET" | "POST", [id, "$validate"]) if extra.validate => {
                self.validate(kind, Some(id), body).await
            }
            (_, ["$validate"]) if extra.validate => self.no_method("POST").await,
            (_, [_, "$validate"]) if extra.validate => self.no_method("GET, HEAD, POST").await,
            ("POST", ["_search"]) if extra.search_by_post => self.search_by_post(kind, body).await,
            (_, ["_search"]) if extra.search_by_post => self.no_method("POST").await,
            ("GET", [id]) => self.read(kind, id, None).await,
            ("PUT", [id]) => self.update(kind, id, body).await,
            ("DELETE", [id]) => self.delete(kind, id).await,
            (_, [_]) => self.no_method(OF_INSTANCE).await,
            ("GET", [id, "_history"]) => self.history(Scope::Instance(kind, uuid(kind, id)?)).await,
            ("GET", [id, "_history", version]) => self.read(kind, id, Some(version)).await,
            ("POST", [id, "$permanent-delete"]) => self.remove(kind, id).await,
            (_, [_, "_history"] | [_, "_history", _]) => self.no_method("GET, HEAD").await,
            (_, [_, "$permanent-delete"]) => self.no_method("POST").await,
            _ => self.no_route().await,
        }
    }

    /// A stored version; Binary may answer raw.
    async fn read(
        &self,
        kind: ResourceType,
        id: &str,
        version: Option<&str>,
    ) -> Result<HttpResponse, Fault> {
        if kind == ResourceType::Binary && binary::wants_raw(self.request) {
            let stored = self.load(kind, id, version).await?;
            return self.raw(stored);
        }
        let asked = self.asked()?;
        let stored = self.load(kind, id, version).await?;
        let tag = answer::tag(&stored, &asked.wanted);
        match asked::precondition(self.request, &stored, &tag) {
            Precondition::Holds => Ok(answer::stored(self.service, stored, &asked.wanted)),
            Precondition::Failed => Err(Fault::precondition_failed()),
            Precondition::NotModified => Ok(not_modified(&stored, tag)),
        }
    }

    async fn load(
        &self,
        kind: ResourceType,
        id: &str,
        version: Option<&str>,
    ) -> Result<Stored, Fault> {
        let version = match version.map(str::parse::<i64>) {
            None => None,
            Some(Ok(number)) if number > 0 => Some(number),
            Some(_) => return Err(Fault::unknown()),
        };
        self.service
            .read(&self.peer, kind, uuid(kind, id)?, version)
            .await
    }

    async fn create(&self, kind: ResourceType, body: &mut Body) -> Result<HttpResponse, Fault> {
        let asked = self.asked()?;
        let condition = asked::header(self.request, "if-none-exist");
        let condition = condition.map(Condition::of_header);
        let (incoming, text) = self.incoming(kind, body, Operation::Create).await?;
        let condition = condition.transpose()?;
        let key = asked::idempotency_key(self.request)?;
        let created = self
            .service
            .create(&self.peer, &incoming, condition.as_ref(), key)
            .await
            .map_err(|fault| located(fault, &text));
        let created = self.unless_refused(incoming.content, created).await?;
        let (Created::New(stored) | Created::Existing(stored)) = &created;
        // One that was there before has content of its own.
        if let Some(content) = incoming.content.filter(|new| stored.content != Some(*new)) {
            self.service.discard(content.id).await;
        }
        match created {
            Created::New(stored) => Ok(answer::written(
                self.service,
                StatusCode::CREATED,
                stored,
                &asked,
            )),
            Created::Existing(stored) => {
                let criteria = condition
                    .map(|condition| condition.text)
                    .unwrap_or_default();
                Ok(self.existing(&stored, &criteria))
            }
        }
    }

    /// The resource that a conditional create found: written like an error (§2.3).
    fn existing(&self, stored: &Stored, criteria: &str) -> HttpResponse {
        let text = format!("Resource with criteria '{criteria}' exists");
        let (mut builder, body) = answer::plain(IssueType::Duplicate, text, self.request);
        builder
            .insert_header((header::ETAG, stored.etag()))
            .insert_header((header::LAST_MODIFIED, http_date(stored.last_updated)))
            .insert_header((
                header::LOCATION,
                stored.location(&self.service.settings().base_url),
            ))
            .insert_header((header::CACHE_CONTROL, "private, no-cache, no-transform"))
            .insert_header((header::VARY, "Cookie"));
        builder.body(body)
    }

    /// The body as a resource, and its text; of a Binary perhaps raw, then with its content already taken in.
    async fn incoming(
        &self,
        kind: ResourceType,
        body: &mut Body,
        operation: Operation,
    ) -> Result<(Incoming, Bytes), Fault> {
        let admitted = self.service.admit(&self.peer, operation, kind).await?;
        if !admitted.is_allowed() {
            let word = if operation == Operation::Create {
                "create"
            } else {
                "update"
            };
            return Err(Fault::denied(word, Some(admitted.reason())));
        }
        if kind == ResourceType::Binary && binary::is_raw(self.request) {
            return Ok((self.upload(body).await?, Bytes::new()));
        }
        let (resource, text) = self.resource(kind, body).await?;
        Ok((incoming(kind, resource), text))
    }

    async fn update(
        &self,
        kind: ResourceType,
        id: &str,
        body: &mut Body,
    ) -> Result<HttpResponse, Fault> {
        let asked = self.asked()?;
        let id = uuid(kind, id)?;
        let (mut incoming, text) = self.incoming(kind, body, Operation::Update).await?;
        if incoming.content.is_some() {
            incoming.resource = incoming.resource.with("id", id.to_string());
        }
        let if_match = asked::if_match(self.request);
        let stored = self
            .service
            .update(&self.peer, id, &incoming, if_match)
            .await
            .map_err(|fault| located(fault, &text));
        let stored = self.unless_refused(incoming.content, stored).await?;
        Ok(answer::written(
            self.service,
            StatusCode::OK,
            stored,
            &asked,
        ))
    }

    async fn update_where(
        &self,
        kind: ResourceType,
        body: &mut Body,
    ) -> Result<HttpResponse, Fault> {
        let asked = self.asked()?;
        let (incoming, text) = self.incoming(kind, body, Operation::Update).await?;
        let condition = Condition::of_query(self.request.query_string());
        let if_match = asked::if_match(self.request);
        let updated = self
            .service
            .update_where(&self.peer, &incoming, &condition, if_match)
            .await
            .map_err(|fault| located(fault, &text));
        let updated = self.unless_refused(incoming.content, updated).await?;
        let (status, stored) = match updated {
            Updated::Created(stored) => (StatusCode::CREATED, stored),
            Updated::Replaced(stored) => (StatusCode::OK, stored),
        };
        Ok(answer::written(self.service, status, stored, &asked))
    }

    async fn delete(&self, kind: ResourceType, id: &str) -> Result<HttpResponse, Fault> {
        let asked = self.asked()?;
        let id = uuid(kind, id)?;
        self.service.delete(&self.peer, kind, id).await?;
        Ok(deleted(kind, id, &asked))
    }

    async fn delete_where(&self, kind: ResourceType) -> Result<HttpResponse, Fault> {
        let asked = self.asked()?;
        let condition = Condition::of_query(self.request.query_string());
        match self
            .service
            .delete_where(&self.peer, kind, &condition)
            .await?
        {
            Some(id) => Ok(deleted(kind, id, &asked)),
            None => Ok(HttpResponse::NoContent().finish()),
        }
    }

    async fn remove(&self, kind: ResourceType, id: &str) -> Result<HttpResponse, Fault> {
        let asked = self.asked()?;
        let id = uuid(kind, id)?;
        self.service.remove(&self.peer, kind, id).await?;
        let text = format!("{kind} with id {id} permanently deleted");
        Ok(answer::outcome(
            IssueType::Informational,
            text,
            &asked.wanted,
        ))
    }
}

/// Findings of a validator get their lines and columns in the text that was sent.
fn located(fault: Fault, text: &[u8]) -> Fault {
    let findings = fault.issue_count();
    fault.placed(|path| position(text, findings, path))
}

pub(super) fn incoming(kind: ResourceType, resource: Resource) -> Incoming {
    let holder = Holder {
        id: resource.id().map(str::to_owned),
        index: None,
    };
    Incoming {
        kind,
        resource,
        content: None,
        holder,
        checks: Checks::Now,
    }
}

fn deleted(kind: ResourceType, id: Uuid, asked: &Asked) -> HttpResponse {
    let text = format!("{kind} with id {id} marked as deleted");
    answer::outcome(IssueType::Informational, text, &asked.wanted)
}

pub(super) fn not_modified(stored: &Stored, tag: String) -> HttpResponse {
    HttpResponse::NotModified()
        .insert_header((header::ETAG, tag))
        .insert_header((header::LAST_MODIFIED, http_date(stored.last_updated)))
        .finish()
}

/// The id of a path.
pub(super) fn uuid(kind: ResourceType, id: &str) -> Result<Uuid, Fault> {
    logical_id(id).ok_or_else(|| Fault::not_a_uuid(kind))
}
