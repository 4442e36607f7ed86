//! The batch Bundles of a deployment, and what their answers mean (spec/bpe.md §5.7).

use serde_json::{Value, json};
use uuid::Uuid;

use super::plan::{Place, State, Step};
use crate::bpe::plugin::local_fhir::explanation;
use crate::bpe::plugin::package::Prepared;
use crate::r4::Node;

/// A resource that the server did not take, or did not give up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub place: Place,
    /// What was asked, and what the server said.
    pub message: String,
}

/// Asks whether the resources of all [`Step::Check`]s are there; nothing when there are none.
#[must_use]
pub fn checks(steps: &[Step<'_>]) -> Option<Value> {
    let entries = steps.iter().filter_map(|step| match step {
        Step::Check(one, _) => {
            let url = format!("{}?{}&_count=0", one.kind, one.condition);
            Some(json!({ "request": { "method": "GET", "url": url } }))
        }
        _ => None,
    });
    batch(entries.collect())
}

/// Turns the checks of what is missing into creations and leaves the others out.
pub fn resolve_checks(steps: &mut Vec<Step<'_>>, answer: Option<&Value>) {
    let mut entries = answer.into_iter().flat_map(|bundle| bundle.items("entry"));
    let mut resolved = Vec::with_capacity(steps.len());
    for step in steps.drain(..) {
        match step {
            Step::Check(one, state) => {
                let total = entries
                    .next()
                    .and_then(|entry| entry.member("resource")?.member("total")?.as_u64());
                // Without an answer a conditional creation does no harm.
                if total.is_none_or(|total| total == 0) {
                    resolved.push(Step::Create(one, state));
                }
            }
            other => resolved.push(other),
        }
    }
    *steps = resolved;
}

/// Makes the changes; nothing when there are none.
#[must_use]
pub fn changes(steps: &[Step<'_>]) -> Option<Value> {
    batch(steps.iter().map(change).collect())
}

fn batch(entries: Vec<Value>) -> Option<Value> {
    (!entries.is_empty())
        .then(|| json!({ "resourceType": "Bundle", "type": "batch", "entry": entries }))
}

fn change(step: &Step<'_>) -> Value {
    let search = |(kind, condition): &Place| format!("{kind}?{condition}");
    match step {
        Step::Delete(place) => json!({ "request": { "method": "DELETE", "url": search(place) } }),
        Step::Create(one, state) | Step::Check(one, state) => json!({
            "fullUrl": full_url(),
            "resource": resource(one, *state),
            "request": {
                "method": "POST",
                "url": one.kind.name(),
                "ifNoneExist": one.condition,
            },
        }),
        Step::Replace(one, state) => json!({
            "fullUrl": full_url(),
            "resource": resource(one, *state),
            "request": { "method": "PUT", "url": search(&step.place()) },
        }),
    }
}

fn full_url() -> String {
    format!("urn:uuid:{}", Uuid::new_v4())
}

/// The resource with the status of its processes; a draft Task stays a draft.
fn resource(prepared: &Prepared, state: State) -> Value {
    let mut resource = prepared.resource.clone();
    if prepared.is_released() {
        let members = resource.members_mut();
        members.insert("status".to_owned(), Value::from(state.name()));
    }
    resource.into_value()
}

/// The changes that the server did not make.
#[must_use]
pub fn refusals(steps: &[Step<'_>], answer: Option<&Value>) -> Vec<Refusal> {
    let mut entries = answer.into_iter().flat_map(|bundle| bundle.items("entry"));
    let refusals = steps.iter().filter_map(|step| {
        let response = entries.next().and_then(|entry| entry.member("response"));
        let status = response
            .and_then(|one| one.text("status"))
            .unwrap_or("no answer");
        let code = status
            .split(' ')
            .next()
            .and_then(|code| code.parse().ok())
            .unwrap_or(0);
        let accepted: &[u16] = match step {
            Step::Delete(_) => &[200, 204, 404],
            _ => &[200, 201],
        };
        if accepted.contains(&code) {
            return None;
        }
        let place = step.place();
        let said = response
            .and_then(|one| one.member("outcome"))
            .and_then(explanation);
        let said = said.map(|text| format!(": {text}")).unwrap_or_default();
        let message = format!("{} {}?{}: {status}{said}", verb(step), place.0, place.1);
        Some(Refusal { place, message })
    });
    refusals.collect()
}

fn verb(step: &Step<'_>) -> &'static str {
    match step {
        Step::Delete(_) => "DELETE",
        Step::Replace(..) => "PUT",
        Step::Create(..) | Step::Check(..) => "POST",
    }
}
