//! What a resource must be beyond what its parser checks.

use crate::r4::outcome::{Issue, IssueType, Outcome, Severity};
use crate::r4::{Resource, ResourceType};

/// The errors of a resource that is about to be stored; `None` when it is fine.
#[must_use]
pub fn errors(resource: &Resource) -> Option<Outcome> {
    let mut issues = Vec::new();
    if resource.resource_type() == Some(ResourceType::Binary) && resource.get("contentType").is_none()
    {
        let text = "Binary.contentType: minimum required = 1, but only found 0";
        issues.push(Issue::new(Severity::Error, IssueType::Processing, text));
    }
    Outcome::of(issues)
}
