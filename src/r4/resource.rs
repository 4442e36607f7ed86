//! A resource is an ordered JSON object that knows its type.

use std::fmt;

use serde_json::{Map, Value};
use uuid::Uuid;

/// Declares the resource types a mailbox stores, with the number each has in the database.
macro_rules! resource_types {
    ($($name:ident = $code:literal),+ $(,)?) => {
        /// The 26 resource types a DSF mailbox stores (`spec/fhir-api.md` §1.2).
        ///
        /// The number is the type's key in the database: never change or reuse one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        pub enum ResourceType { $($name = $code),+ }

        impl ResourceType {
            pub const ALL: &[Self] = &[$(Self::$name),+];

            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            #[must_use]
            pub const fn code(self) -> i16 {
                self as i16
            }

            #[must_use]
            pub fn from_code(code: i16) -> Option<Self> {
                match code { $($code => Some(Self::$name),)+ _ => None }
            }

            /// The type with this exact name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $(stringify!($name) => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

resource_types! {
    ActivityDefinition = 1,
    Binary = 2,
    Bundle = 3,
    CodeSystem = 4,
    DocumentReference = 5,
    Endpoint = 6,
    Group = 7,
    HealthcareService = 8,
    Library = 9,
    Location = 10,
    Measure = 11,
    MeasureReport = 12,
    NamingSystem = 13,
    Organization = 14,
    OrganizationAffiliation = 15,
    Patient = 16,
    Practitioner = 17,
    PractitionerRole = 18,
    Provenance = 19,
    Questionnaire = 20,
    QuestionnaireResponse = 21,
    ResearchStudy = 22,
    StructureDefinition = 23,
    Subscription = 24,
    Task = 25,
    ValueSet = 26,
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The id that this server gives: a UUID with hyphens, in either case. `uuid` takes other spellings,
/// by which nothing is stored.
#[must_use]
pub fn logical_id(text: &str) -> Option<Uuid> {
    let parsed = (text.len() == 36).then(|| Uuid::parse_str(text).ok());
    parsed.flatten()
}

/// One FHIR resource: its JSON object, member order and decimals kept as they came.
///
/// `resourceType` is always present and a string; everything else is as the parsers left it.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    type_name: String,
    members: Map<String, Value>,
}

impl Resource {
    /// An empty resource of this type.
    #[must_use]
    pub fn of_type(type_name: &str) -> Self {
        let mut members = Map::new();
        members.insert(
            "resourceType".to_owned(),
            Value::String(type_name.to_owned()),
        );
        Self {
            type_name: type_name.to_owned(),
            members,
        }
    }

    /// The same with one more member, or another value for it.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Wraps an object that carries a `resourceType`; `None` when it does not.
    #[must_use]
    pub fn from_members(members: Map<String, Value>) -> Option<Self> {
        let type_name = members.get("resourceType")?.as_str()?.to_owned();
        Some(Self { type_name, members })
    }

    /// As [`Resource::from_members`], for any JSON value. Does not check the content: the
    /// parsers in [`crate::r4`] do.
    #[must_use]
    pub fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Object(members) => Self::from_members(members),
            _ => None,
        }
    }

    #[must_use]
    pub fn into_value(self) -> Value {
        Value::Object(self.members)
    }

    /// The name in `resourceType`, also of types that a mailbox does not store.
    #[must_use]
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// The stored type, `None` for any other (an OperationOutcome, a CapabilityStatement …).
    #[must_use]
    pub fn resource_type(&self) -> Option<ResourceType> {
        ResourceType::from_name(&self.type_name)
    }

    #[must_use]
    pub fn members(&self) -> &Map<String, Value> {
        &self.members
    }

    pub fn members_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.members
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// A top-level string member.
    #[must_use]
    pub fn str(&self, name: &str) -> Option<&str> {
        self.members.get(name)?.as_str()
    }

    /// The items of a top-level list; empty when the member is absent.
    pub fn list(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.members
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    }

    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.str("id")
    }

    fn meta_str(&self, name: &str) -> Option<&str> {
        self.members.get("meta")?.get(name)?.as_str()
    }

    #[must_use]
    pub fn version_id(&self) -> Option<&str> {
        self.meta_str("versionId")
    }

    #[must_use]
    pub fn last_updated(&self) -> Option<&str> {
        self.meta_str("lastUpdated")
    }

    /// The canonicals in `meta.profile`.
    pub fn profiles(&self) -> impl Iterator<Item = &str> {
        self.members
            .get("meta")
            .and_then(|meta| meta.get("profile"))
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
    }

    /// The codings in `meta.tag`.
    pub fn tags(&self) -> impl Iterator<Item = &Value> {
        self.members
            .get("meta")
            .and_then(|meta| meta.get("tag"))
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    }

    /// Sets `id`, `meta.versionId` and `meta.lastUpdated`, and puts `resourceType`, `id`, `meta`
    /// first, as every FHIR server prints them.
    pub fn stamp(&mut self, id: &str, version: i64, last_updated: &str) {
        let mut old = std::mem::take(&mut self.members);
        let mut meta = match old.shift_remove("meta") {
            Some(Value::Object(meta)) => meta,
            _ => Map::new(),
        };
        meta.shift_remove("versionId");
        meta.shift_remove("lastUpdated");
        let mut stamped = Map::new();
        stamped.insert("versionId".to_owned(), Value::String(version.to_string()));
        stamped.insert(
            "lastUpdated".to_owned(),
            Value::String(last_updated.to_owned()),
        );
        stamped.extend(meta);
        self.members.insert(
            "resourceType".to_owned(),
            Value::String(self.type_name.clone()),
        );
        self.members
            .insert("id".to_owned(), Value::String(id.to_owned()));
        self.members
            .insert("meta".to_owned(), Value::Object(stamped));
        for (name, value) in old {
            if name != "resourceType" && name != "id" {
                self.members.insert(name, value);
            }
        }
    }
}
