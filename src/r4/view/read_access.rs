//! Read-access tags in `meta.tag`: who besides the local organisation may read a resource.

use serde_json::Value;

use crate::r4::{Coding, Identifier, Node, Resource, dsf};

/// One tag of the read-access system, as far as the resource itself tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tag {
    Local,
    All,
    Organization(Identifier),
    Role {
        parent: Identifier,
        role: Coding,
    },
    /// ORGANIZATION or ROLE without the extension it needs, or with a malformed one.
    Malformed,
}

/// The read-access tags of a resource in their order; tags of other systems, and codes that the
/// rule ignores (`spec/auth-config.md` §4.3), are left out.
pub fn tags(resource: &Resource) -> impl Iterator<Item = Tag> + '_ {
    resource
        .tags()
        .filter(|tag| tag.text("system") == Some(dsf::system::READ_ACCESS_TAG))
        .filter_map(tag)
}

fn tag(element: &Value) -> Option<Tag> {
    match element.text("code")? {
        "LOCAL" => Some(Tag::Local),
        "ALL" => Some(Tag::All),
        "ORGANIZATION" => Some(organization(element).unwrap_or(Tag::Malformed)),
        "ROLE" => Some(role(element).unwrap_or(Tag::Malformed)),
        _ => None,
    }
}

fn organization(element: &Value) -> Option<Tag> {
    let extension = element.only_extension(dsf::extension::READ_ACCESS_ORGANIZATION)?;
    Some(Tag::Organization(organization_identifier(extension)?))
}

fn role(element: &Value) -> Option<Tag> {
    let extension = element.only_extension(dsf::extension::READ_ACCESS_ROLE)?;
    let parent = extension.only_extension(dsf::extension::PARENT_ORGANIZATION)?;
    let role = extension.only_extension(dsf::extension::ORGANIZATION_ROLE)?;
    let parts = extension.items("extension").count();
    let tag = Tag::Role {
        parent: organization_identifier(parent)?,
        role: Coding::from_element(role.member("valueCoding")?)?,
    };
    (parts == 2).then_some(tag)
}

/// The `valueIdentifier` of an extension, if it is of the organisation system.
pub(super) fn organization_identifier(extension: &Value) -> Option<Identifier> {
    Identifier::from_element(extension.member("valueIdentifier")?)
        .filter(|identifier| identifier.system == dsf::sid::ORGANIZATION)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `spec/auth-config.md` §4.3.
    #[test]
    fn tags_say_who_may_read_and_malformed_ones_stay_visible() {
        let tag = |code: &str, extension: Value| json!({"system": dsf::system::READ_ACCESS_TAG, "code": code, "extension": extension});
        let parent = json!({"system": dsf::sid::ORGANIZATION, "value": "parent"});
        let role = json!({"system": dsf::system::ORGANIZATION_ROLE, "code": "DIC"});
        let resource = Resource::of_type("Binary").with(
            "meta",
            json!({"tag": [
                tag("LOCAL", json!([])),
                tag("ROLE", json!([{"url": dsf::extension::READ_ACCESS_ROLE, "extension": [
                    {"url": "parent-organization", "valueIdentifier": parent},
                    {"url": "organization-role", "valueCoding": role},
                ]}])),
                tag("ORGANIZATION", json!([])),
                {"system": "other", "code": "ALL"},
            ]}),
        );
        let expected = [
            Tag::Local,
            Tag::Role {
                parent: Identifier::new(dsf::sid::ORGANIZATION, "parent"),
                role: Coding::new(dsf::system::ORGANIZATION_ROLE, "DIC"),
            },
            Tag::Malformed,
        ];
        assert_eq!(tags(&resource).collect::<Vec<_>>(), expected);
    }
}
