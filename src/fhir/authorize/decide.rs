//! One question, one answer: picks the rule of the type and the operation.

use crate::auth::{Identity, Operation};
use crate::r4::{Resource, ResourceType};

use super::decision::{Decision, Reason};
use super::fact::{Facts, Inquiry, Lookup};
use super::request::{Request, admit};
use super::{questionnaire_response, read_tag, task};

/// What a rule answers: why it allows or why it denies.
pub(super) type Verdict = Result<Reason, Reason>;

/// A request as a rule sees it.
pub(super) struct Case<'a> {
    pub(super) identity: &'a Identity,
    pub(super) kind: ResourceType,
    pub(super) inquiry: &'a Inquiry<'a>,
}

/// Judges a request. Create, update and delete are to be asked in the transaction that writes.
///
/// # Errors
///
/// The lookups that are still missing among the facts: answer all of them and ask again.
pub fn decide(
    identity: &Identity,
    request: &Request<'_>,
    facts: &Facts,
) -> Result<Decision, Vec<Lookup>> {
    let admission = admit(identity, request.operation, request.kind);
    if !admission.is_allowed() {
        return Ok(admission);
    }
    let inquiry = Inquiry::new(facts);
    let verdict = judge(
        &Case {
            identity,
            kind: request.kind,
            inquiry: &inquiry,
        },
        request,
    );
    let missing = inquiry.into_missing();
    if !missing.is_empty() {
        return Err(missing);
    }
    Ok(match verdict {
        Ok(reason) => Decision::Allow(reason),
        Err(reason) => Decision::Deny(reason),
    })
}

/// A resource of another type than the rule is for is a mistake of the caller: denied.
fn of_kind(resource: Option<&Resource>, kind: ResourceType) -> Result<&Resource, Reason> {
    resource
        .filter(|r| r.resource_type() == Some(kind))
        .ok_or(Reason::NotStored)
}

fn judge(case: &Case<'_>, request: &Request<'_>) -> Verdict {
    let (old, new) = (
        of_kind(request.old, case.kind),
        of_kind(request.new, case.kind),
    );
    match request.operation {
        Operation::Search | Operation::History => Ok(Reason::HasRight),
        Operation::Read | Operation::Websocket => read(case, old?),
        Operation::Create => create(case, new?),
        Operation::Update => update(case, old?, new?),
        Operation::Delete | Operation::PermanentDelete => delete(case, old?),
    }
}

fn read(case: &Case<'_>, old: &Resource) -> Verdict {
    match case.kind {
        ResourceType::Task => task::read(case, old),
        ResourceType::QuestionnaireResponse => questionnaire_response::read(case, old),
        _ => read_tag::read(case, old),
    }
}

fn create(case: &Case<'_>, new: &Resource) -> Verdict {
    match case.kind {
        ResourceType::Task => task::create(case, new),
        ResourceType::QuestionnaireResponse => questionnaire_response::create(case, new),
        _ => read_tag::create(case, new),
    }
}

fn update(case: &Case<'_>, old: &Resource, new: &Resource) -> Verdict {
    match case.kind {
        ResourceType::Task => task::update(case, old, new),
        ResourceType::QuestionnaireResponse => questionnaire_response::update(case, old, new),
        _ => read_tag::update(case, old, new),
    }
}

fn delete(case: &Case<'_>, old: &Resource) -> Verdict {
    match case.kind {
        ResourceType::Task => task::delete(case, old),
        ResourceType::QuestionnaireResponse => questionnaire_response::delete(case),
        _ => Ok(Reason::HasRight),
    }
}
