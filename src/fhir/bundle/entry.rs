//! What one command does on its ground.

use uuid::Uuid;

use super::binding::{Bindings, Bound};
use super::plan::{Action, Command};
use crate::fhir::authorize::Operation;
use crate::fhir::fault::Fault;
use crate::fhir::search::Handling;
use crate::fhir::service::{
    Checks, Condition, Found, Ground, Holder, Incoming, Leniency, Match, Stop, Stored,
};
use crate::r4::datetime::parse_instant;
use crate::r4::{Resource, ResourceType, logical_id};

/// What became of a command.
#[derive(Debug)]
pub(super) enum Done {
    Created(Stored),
    Updated(Stored),
    /// The condition of a create found this one.
    Existed(Stored),
    Deleted(ResourceType, Uuid),
    /// The condition of a delete found nothing.
    NothingToDelete,
    Read {
        stored: Stored,
        without_body: bool,
    },
    NotModified(Stored),
    NotFound,
    Searched {
        found: Found,
        without_body: bool,
    },
}

impl Ground<'_> {
    /// Checks the form of a write and gives it its id: a new one, or that of the resource which
    /// its condition finds.
    pub(super) async fn bind(
        &mut self,
        command: &Command,
        bindings: &Bindings,
    ) -> Result<Option<Bound>, Stop> {
        match &command.action {
            Action::Create {
                kind,
                resource,
                if_none_exist,
            } => {
                check_create(command, *kind, resource)?;
                self.admit(Operation::Create, *kind, "create")?;
                let Some(header) = if_none_exist else {
                    return Ok(Some(Bound::New(Uuid::new_v4())));
                };
                let condition = Condition::of_header(header)?;
                let stored = self.existing_id(*kind, &condition).await?;
                let before = || bindings.created(*kind, &condition);
                Ok(Some(match stored.or_else(before) {
                    Some(id) => Bound::Known(id),
                    None => Bound::New(Uuid::new_v4()),
                }))
            }
            Action::Update {
                kind,
                resource,
                url,
                ..
            } => match url.split_once('?') {
                Some((_, query)) => {
                    check_conditional(command, *kind, resource)?;
                    self.admit(Operation::Update, *kind, "update")?;
                    let found = self.found(*kind, query, url, command.index).await?;
                    Ok(Some(
                        found.map_or_else(|| Bound::New(Uuid::new_v4()), Bound::Known),
                    ))
                }
                None => {
                    let id = check_update(command, *kind, resource, url, self.base_url())?;
                    Ok(Some(Bound::Named(id)))
                }
            },
            Action::Delete(_) | Action::Read { .. } => Ok(None),
        }
    }

    pub(super) async fn run(
        &mut self,
        command: &Command,
        bindings: &Bindings,
        handling: Handling,
    ) -> Result<Done, Stop> {
        match &command.action {
            Action::Create {
                kind,
                resource,
                if_none_exist,
            } => {
                let incoming = self.bound(command, *kind, resource, bindings).await?;
                if let Some(header) = if_none_exist {
                    let condition = Condition::of_header(header)?;
                    if let Some(row) = self.existing(*kind, &condition).await? {
                        return Ok(Done::Existed(Stored::of(&row)?));
                    }
                }
                let new = self.prepare_create(&incoming).await?;
                let id = bindings.id(command);
                Ok(Done::Created(self.insert(id, &incoming, new, None).await?))
            }
            Action::Update {
                kind,
                resource,
                url,
                if_match,
            } => {
                let incoming = self.bound(command, *kind, resource, bindings).await?;
                let if_match = if_match.as_deref().and_then(version_of_tag);
                self.put(command, &incoming, url, if_match, bindings).await
            }
            Action::Delete(url) => self.delete_by_url(url, command.index).await,
            Action::Read { url, .. } => {
                let url = bindings.target(url).unwrap_or(url).to_owned();
                self.get(command, &url, handling).await
            }
        }
    }

    /// The literal references that waited until everything was written.
    pub(super) async fn check_written(
        &mut self,
        command: &Command,
        done: &Done,
    ) -> Result<(), Stop> {
        let (stored, leniency) = match done {
            Done::Created(stored) => (stored, Leniency::None),
            Done::Updated(stored) => (stored, Leniency::of_update(stored.resource())),
            _ => return Ok(()),
        };
        let holder = Holder {
            id: Some(stored.id.to_string()),
            index: Some(command.index),
        };
        match self.progress.unchecked.remove(&stored.id) {
            Some(full) => self.check_references(&full, &holder, leniency).await,
            None => Ok(()),
        }
    }

    async fn put(
        &mut self,
        command: &Command,
        incoming: &Incoming,
        url: &str,
        if_match: Option<i64>,
        bindings: &Bindings,
    ) -> Result<Done, Stop> {
        let kind = incoming.kind;
        let id = bindings.id(command);
        if let Some((_, query)) = url.split_once('?')
            && self.found(kind, query, url, command.index).await?.is_none()
        {
            let new = self.prepare_create(incoming).await?;
            return Ok(Done::Updated(self.insert(id, incoming, new, None).await?));
        }
        let old = self.base(kind, id).await?;
        Ok(Done::Updated(self.replace(&old, incoming, if_match).await?))
    }

    /// The one resource that a conditional update is about.
    async fn found(
        &mut self,
        kind: ResourceType,
        query: &str,
        url: &str,
        index: usize,
    ) -> Result<Option<Uuid>, Stop> {
        let bad = |more| {
            let text =
                format!("Bad conditional update request '{url}'{more} at bundle index {index}");
            Fault::bad_request(text)
        };
        match self.matching(kind, &Condition::of_query(query), bad).await? {
            Match::None => Ok(None),
            Match::One(id) => Ok(Some(id)),
            Match::Several => Err(Fault::multiple_matches(format!(
                "Multiple {kind} resources with criteria '{query}' exist for update request at bundle index {index}"
            ))
            .into()),
        }
    }

    /// The resource of an entry with its temporary and conditional references bound.
    async fn bound(
        &mut self,
        command: &Command,
        kind: ResourceType,
        resource: &Resource,
        bindings: &Bindings,
    ) -> Result<Incoming, Stop> {
        let id = bindings.id(command).to_string();
        let holder = Holder {
            id: Some(id),
            index: Some(command.index),
        };
        let mut resource = resource.clone();
        self.bind_references(&mut resource, &holder, bindings)
            .await?;
        Ok(Incoming {
            kind,
            resource,
            content: None,
            holder,
            checks: Checks::Later,
        })
    }

    async fn delete_by_url(&mut self, url: &str, index: usize) -> Result<Done, Stop> {
        let (path, query) = match url.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (url, None),
        };
        let (name, id) = match path.split_once('/') {
            Some((name, id)) => (name, Some(id)),
            None => (path, None),
        };
        let kind = ResourceType::from_name(name).ok_or_else(|| {
            let text = "not supported by this implementation";
            Fault::bad_request(format!(
                "Resource type {name} at bundle index {index} {text}"
            ))
        })?;
        match (id, query) {
            (Some(id), None) if !id.contains('/') => {
                let id = logical_id(id).ok_or_else(|| Fault::not_a_uuid(kind))?;
                self.delete(kind, id).await?;
                Ok(Done::Deleted(kind, id))
            }
            (None, Some(query)) => self.delete_found(kind, url, query, index).await,
            _ => {
                let text = format!("Bad delete request url {url} at bundle index {index}");
                Err(Fault::bad_request(text).into())
            }
        }
    }

    async fn delete_found(
        &mut self,
        kind: ResourceType,
        url: &str,
        query: &str,
        index: usize,
    ) -> Result<Done, Stop> {
        self.admit(Operation::Delete, kind, "delete")?;
        let bad = |more| {
            let text =
                format!("Bad conditional delete request '{url}'{more} at bundle index {index}");
            Fault::bad_request(text)
        };
        match self.matching(kind, &Condition::of_query(query), bad).await? {
            Match::None => Ok(Done::NothingToDelete),
            Match::One(id) => {
                self.delete(kind, id).await?;
                Ok(Done::Deleted(kind, id))
            }
            Match::Several => Err(Fault::multiple_matches(format!(
                "Multiple {kind} resources with criteria '{query}' exist for delete request at bundle index {index}"
            ))
            .into()),
        }
    }

    async fn get(
        &mut self,
        command: &Command,
        url: &str,
        handling: Handling,
    ) -> Result<Done, Stop> {
        let Action::Read {
            without_body,
            if_none_match,
            if_modified_since,
            ..
        } = &command.action
        else {
            return Ok(Done::NotFound);
        };
        let without_body = *without_body;
        let bad = || {
            let text = format!(
                "Bad read request url {url} at bundle index {}",
                command.index
            );
            Stop::from(Fault::bad_request(text))
        };
        if let Some((name, query)) = url.split_once('?') {
            if name.is_empty() || name.contains('/') || query.is_empty() {
                return Err(bad());
            }
            let Some(kind) = ResourceType::from_name(name) else {
                return Ok(Done::NotFound);
            };
            let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect();
            let found = self.search(kind, &pairs, handling).await?;
            return Ok(Done::Searched {
                found,
                without_body,
            });
        }
        let parts: Vec<&str> = url.split('/').collect();
        let (name, id, version) = match parts.as_slice() {
            [name, id] => (*name, *id, None),
            [name, id, "_history", version] => (*name, *id, Some(*version)),
            _ => return Err(bad()),
        };
        let Some(kind) = ResourceType::from_name(name) else {
            return Ok(Done::NotFound);
        };
        let id = logical_id(id).ok_or_else(|| Fault::not_a_uuid(kind))?;
        let version = match version.map(str::parse::<i64>) {
            None => None,
            Some(Ok(number)) => Some(number),
            Some(Err(_)) => return Ok(Done::NotFound),
        };
        let stored = match self.read(kind, id, version).await {
            Ok(stored) => stored,
            Err(Stop::Fault(fault)) if fault.is_unknown() => return Ok(Done::NotFound),
            Err(stop) => return Err(stop),
        };
        let same = if_none_match
            .as_deref()
            .is_some_and(|tag| tag.trim() == stored.etag());
        let since = if_modified_since.as_deref().and_then(parse_instant);
        if same || since.is_some_and(|since| stored.last_updated <= since) {
            return Ok(Done::NotModified(stored));
        }
        Ok(Done::Read {
            stored,
            without_body,
        })
    }
}

fn check_create(command: &Command, kind: ResourceType, resource: &Resource) -> Result<(), Fault> {
    let index = command.index;
    let full_url = command.full_url.as_deref();
    let Some(url) = full_url.filter(|url| url.starts_with("urn:uuid:")) else {
        let shown = full_url.unwrap_or("null");
        return Err(Fault::bad_request(format!(
            "Bad create request url {shown} at bundle index {index}"
        )));
    };
    check_temporary_id(kind, resource, url, index)
}

/// An id in the resource must be the temporary one of the entry.
fn check_temporary_id(
    kind: ResourceType,
    resource: &Resource,
    url: &str,
    index: usize,
) -> Result<(), Fault> {
    match resource.id() {
        None => Ok(()),
        Some(id) if !id.starts_with("urn:uuid:") => Err(Fault::bad_request(format!(
            "Bundle entry of type {kind} at bundle index {index} id value not starting with urn:uuid:"
        ))),
        Some(id) if id != url => Err(Fault::bad_request(format!(
            "Resource id not equal to entry fullUrl ({id} vs. {url}) at bundle index {index}"
        ))),
        Some(_) => Ok(()),
    }
}

fn check_conditional(
    command: &Command,
    kind: ResourceType,
    resource: &Resource,
) -> Result<(), Fault> {
    let index = command.index;
    let full_url = command.full_url.as_deref();
    match full_url.filter(|url| url.starts_with("urn:uuid:")) {
        Some(url) => check_temporary_id(kind, resource, url, index),
        None => {
            let shown = full_url.unwrap_or("null");
            let text = format!("Bad entry fullUrl '{shown}' at bundle index {index}");
            Err(Fault::bad_request(text))
        }
    }
}

/// The id of an update, which url, fullUrl and resource must agree on.
fn check_update(
    command: &Command,
    kind: ResourceType,
    resource: &Resource,
    url: &str,
    base: &str,
) -> Result<Uuid, Fault> {
    let index = command.index;
    let bad_url = || {
        Fault::bad_request(format!(
            "Bad update request url {url} at bundle index {index}"
        ))
    };
    let full_url = command.full_url.as_deref();
    if full_url != Some(&format!("{base}/{url}")) {
        let shown = full_url.unwrap_or("null");
        let text = format!("Bad entry fullUrl '{shown}' at bundle index {index}");
        return Err(Fault::bad_request(text));
    }
    let body_id = resource.id().ok_or_else(|| {
        let text =
            format!("Bundle entry of type {kind} at bundle index {index} is missing id value");
        Fault::bad_request(text)
    })?;
    let id = url
        .strip_prefix(kind.name())
        .and_then(|rest| rest.strip_prefix('/'));
    let id = id.ok_or_else(bad_url)?;
    if id != body_id {
        let text =
            format!("Path id not equal to {kind} id ({id} vs. {body_id}) at bundle index {index}");
        return Err(Fault::bad_request(text));
    }
    logical_id(id).ok_or_else(|| Fault::not_a_uuid(kind))
}

fn version_of_tag(tag: &str) -> Option<i64> {
    let tag = tag.trim();
    tag.strip_prefix("W/")
        .unwrap_or(tag)
        .strip_prefix('"')?
        .strip_suffix('"')?
        .parse()
        .ok()
}
