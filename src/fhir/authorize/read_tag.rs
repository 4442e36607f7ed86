//! The 24 types whose visibility their read-access tags decide (auth-config §4.3).

use serde_json::Value;

use crate::r4::{Resource, ResourceType};

use super::access::{
    ORGANIZATION_IDENTIFIER, READ_ORGANIZATION, READ_ROLE, READ_TAG, access_keys, identity_keys,
};
use super::content::{keeps_immutable, well_formed};
use super::decide::{Case, Verdict};
use super::decision::Reason;
use super::fact::Inquiry;
use super::json::{Literal, coding, extensions, identifier_value, list, only, string};
use super::reference::target;
use super::unique::{keys_are_free, unique_keys};

pub(super) fn read(case: &Case<'_>, old: &Resource) -> Verdict {
    let base_url = case.inquiry.base_url();
    let held = identity_keys(case.identity, case.kind, case.inquiry);
    let opens = |resource: &Resource| {
        access_keys(resource, base_url)
            .iter()
            .any(|key| held.contains(key))
    };
    if case.kind == ResourceType::Binary
        && let Some(context) = security_context(old, base_url)
    {
        let context = case.inquiry.target(context);
        return match context {
            Some(context) if opens(context) => Ok(Reason::SecurityContext),
            _ => Err(Reason::NoSecurityContext),
        };
    }
    if opens(old) {
        Ok(Reason::ReadTag)
    } else {
        Err(Reason::NoReadTag)
    }
}

/// The context that decides instead of tags: one that points to this server.
fn security_context(binary: &Resource, base_url: &str) -> Option<super::Target> {
    let reference = string(binary.get("securityContext")?, "reference")?;
    Literal::parse(reference, base_url).map(Into::into)
}

pub(super) fn create(case: &Case<'_>, new: &Resource) -> Verdict {
    new_resource_ok(case, new)?;
    let keys = unique_keys(new, case.inquiry.base_url());
    if !keys_are_free(case.inquiry, case.kind, keys, None) {
        return Err(Reason::AlreadyExists);
    }
    Ok(Reason::HasRight)
}

pub(super) fn update(case: &Case<'_>, old: &Resource, new: &Resource) -> Verdict {
    new_resource_ok(case, new)?;
    let base_url = case.inquiry.base_url();
    if !keeps_immutable(case.kind, old, new, base_url) {
        return Err(Reason::ImmutableChanged);
    }
    let had = unique_keys(old, base_url);
    let added = unique_keys(new, base_url)
        .into_iter()
        .filter(|key| !had.contains(key))
        .collect();
    if !keys_are_free(case.inquiry, case.kind, added, old.id()) {
        return Err(Reason::AlreadyExists);
    }
    Ok(Reason::HasRight)
}

fn new_resource_ok(case: &Case<'_>, new: &Resource) -> Result<(), Reason> {
    if case.kind == ResourceType::Binary {
        // Exactly one of the two: tags that contradict the context would say who is right.
        let (tags, context) = (
            tags_valid(new, case.inquiry),
            context_valid(new, case.inquiry),
        );
        return if tags != context {
            Ok(())
        } else {
            Err(Reason::BadSecurityContext)
        };
    }
    well_formed(case.kind, new, case.inquiry)?;
    if tags_valid(new, case.inquiry) {
        Ok(())
    } else {
        Err(Reason::BadReadTags)
    }
}

/// A context that resolves on this server to a resource that is neither Binary nor Task (§4.4).
fn context_valid(binary: &Resource, inquiry: &Inquiry<'_>) -> bool {
    binary
        .get("securityContext")
        .and_then(|context| target(context, inquiry.base_url()))
        .filter(|t| !matches!(t.kind(), ResourceType::Binary | ResourceType::Task))
        .is_some_and(|t| inquiry.target(t).is_some())
}

/// Either one `ALL` and nothing else, or one `LOCAL` with any number of `ORGANIZATION` and `ROLE`
/// tags that name what exists (§4.3). `ALL` next to `LOCAL` and unknown codes are refused here
/// too, so that no way round the profiles opens a resource (§11.1 row 14).
pub(super) fn tags_valid(resource: &Resource, inquiry: &Inquiry<'_>) -> bool {
    let tags: Vec<&Value> = resource
        .tags()
        .filter(|tag| string(tag, "system") == Some(READ_TAG))
        .collect();
    let count = |code: &str| {
        tags.iter()
            .filter(|tag| string(tag, "code") == Some(code))
            .count()
    };
    let for_all = count("ALL") == 1 && tags.len() == 1;
    let for_some = count("LOCAL") == 1 && count("ALL") == 0;
    // No short cut: all questions to the store are to be asked at once.
    let each = tags
        .iter()
        .fold(true, |valid, tag| tag_valid(tag, inquiry) & valid);
    (for_all || for_some) && each
}

fn tag_valid(tag: &Value, inquiry: &Inquiry<'_>) -> bool {
    match string(tag, "code") {
        Some("ALL" | "LOCAL") => true,
        Some("ORGANIZATION") => only(extensions(tag, READ_ORGANIZATION))
            .is_some_and(|extension| organization_known(extension, inquiry)),
        Some("ROLE") => {
            only(extensions(tag, READ_ROLE)).is_some_and(|extension| role_known(extension, inquiry))
        }
        _ => false,
    }
}

fn organization_known(extension: &Value, inquiry: &Inquiry<'_>) -> bool {
    extension
        .get("valueIdentifier")
        .and_then(|identifier| identifier_value(identifier, ORGANIZATION_IDENTIFIER))
        .is_some_and(|identifier| inquiry.organization_exists(identifier))
}

fn role_known(extension: &Value, inquiry: &Inquiry<'_>) -> bool {
    if list(extension, "extension").count() != 2 {
        return false;
    }
    let parent = only(extensions(extension, "parent-organization"));
    let role = only(extensions(extension, "organization-role")).and_then(|e| e.get("valueCoding"));
    let (Some(parent), Some(role)) = (parent, role) else {
        return false;
    };
    let Some(concept) = coding(role) else {
        return false;
    };
    let version = string(role, "version");
    organization_known(parent, inquiry)
        & inquiry.concept_exists(&concept.system, version, &concept.code)
}
