//! What the commands of a Bundle will ask of the store, so that it can be asked together.

use uuid::Uuid;

use super::plan::{Action, Command};
use crate::fhir::reference;
use crate::fhir::service::Condition;
use crate::r4::reference::{Target, references};
use crate::r4::{Resource, ResourceType, logical_id};

/// The conditions of entries and references. Those that cannot be understood are left out.
pub(super) fn conditions(commands: &[Command]) -> Vec<(ResourceType, Condition)> {
    let mut conditions = Vec::new();
    for command in commands {
        match &command.action {
            Action::Create {
                kind,
                resource,
                if_none_exist,
            } => {
                let header = if_none_exist.as_deref();
                let condition = header.and_then(|header| Condition::of_header(header).ok());
                conditions.extend(condition.map(|condition| (*kind, condition)));
                conditions.extend(of_references(resource));
            }
            Action::Update { resource, url, .. } => {
                conditions.extend(of_url(url));
                conditions.extend(of_references(resource));
            }
            Action::Delete(url) => conditions.extend(of_url(url)),
            Action::Read { .. } => {}
        }
    }
    conditions
}

/// The ids of what will be deleted, in the order of the entries.
pub(super) fn deleted(commands: &[Command]) -> impl Iterator<Item = Uuid> {
    commands.iter().filter_map(|command| match &command.action {
        Action::Delete(url) => logical_id(url.split_once('/')?.1),
        _ => None,
    })
}

/// `Type?query`
fn of_url(url: &str) -> Option<(ResourceType, Condition)> {
    let (name, query) = url.split_once('?')?;
    Some((ResourceType::from_name(name)?, Condition::of_query(query)))
}

fn of_references(resource: &Resource) -> Vec<(ResourceType, Condition)> {
    let found = references(resource);
    let conditions = found.iter().filter_map(|found| {
        match reference::target(found.location.carrier, found.value, "") {
            Target::Conditional { type_name, query } => Some((
                ResourceType::from_name(type_name)?,
                Condition::of_query(query),
            )),
            _ => None,
        }
    });
    conditions.collect()
}
