//! The table of search parameters: type × name × kind × where the values are (§5.10).

use crate::r4::ResourceType;
use crate::r4::ResourceType::{
    ActivityDefinition, Binary, Bundle, CodeSystem, DocumentReference, Endpoint, Group,
    HealthcareService, Library, Location, Measure, MeasureReport, NamingSystem, Organization,
    OrganizationAffiliation, Patient, Practitioner, PractitionerRole, Provenance, Questionnaire,
    QuestionnaireResponse, ResearchStudy, StructureDefinition, Subscription, Task, ValueSet,
};

/// A bound code list, with the name that Java gives it in error texts.
#[derive(Debug, PartialEq, Eq)]
pub struct Codes {
    pub name: &'static str,
    pub codes: &'static [&'static str],
}

/// How a parameter reads its elements and compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Id,
    LastUpdated,
    Profile,
    Date,
    Identifier {
        negatable: bool,
    },
    /// Codings of CodeableConcepts.
    Concept,
    /// A code of a bound list.
    Enumerated {
        codes: &'static Codes,
        piped: Piped,
    },
    /// A code or text that is compared as a whole.
    Plain,
    Version,
    Boolean,
    Text,
    Uri {
        versioned: bool,
    },
    Reference(&'static [ResourceType]),
    /// A canonical of one type, compared as a whole or by its beginning.
    Canonical {
        target: ResourceType,
        by_prefix: bool,
    },
}

/// What a pipe in the value of a code does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piped {
    /// The parameter is ignored.
    Ignored,
    /// The code is what follows it.
    Token,
}

/// One search parameter.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub kind: Kind,
    /// Paths of the elements: names joined by dots, lists are entered, `(name=code)` selects.
    pub paths: &'static [&'static str],
}

const fn parameter(name: &'static str, kind: Kind, paths: &'static [&'static str]) -> Parameter {
    Parameter { name, kind, paths }
}

static PUBLICATION: Codes = Codes {
    name: "PublicationStatus",
    codes: &["draft", "active", "retired", "unknown"],
};
static ENDPOINT: Codes = Codes {
    name: "EndpointStatus",
    codes: &[
        "active",
        "suspended",
        "error",
        "off",
        "entered-in-error",
        "test",
    ],
};
static TASK: Codes = Codes {
    name: "TaskStatus",
    codes: &[
        "draft",
        "requested",
        "received",
        "accepted",
        "rejected",
        "ready",
        "cancelled",
        "in-progress",
        "on-hold",
        "failed",
        "completed",
        "entered-in-error",
    ],
};
static RESPONSE: Codes = Codes {
    name: "QuestionnaireResponseStatus",
    codes: &[
        "in-progress",
        "completed",
        "amended",
        "entered-in-error",
        "stopped",
    ],
};
static SUBSCRIPTION: Codes = Codes {
    name: "SubscriptionStatus",
    codes: &["requested", "active", "error", "off"],
};
static CHANNEL: Codes = Codes {
    name: "SubscriptionChannelType",
    codes: &["rest-hook", "websocket", "email", "sms", "message"],
};

const fn status(codes: &'static Codes) -> Parameter {
    parameter(
        "status",
        Kind::Enumerated {
            codes,
            piped: Piped::Ignored,
        },
        &["status"],
    )
}

const ID: Parameter = parameter("_id", Kind::Id, &[]);
const LAST_UPDATED: Parameter = parameter("_lastUpdated", Kind::LastUpdated, &[]);
const PROFILE: Parameter = parameter("_profile", Kind::Profile, &["meta.profile"]);
const DATE: Parameter = parameter("date", Kind::Date, &["date"]);
const IDENTIFIER: Parameter = parameter(
    "identifier",
    Kind::Identifier { negatable: true },
    &["identifier"],
);
const NAME: Parameter = parameter("name", Kind::Text, &["name"]);
const NAME_OR_ALIAS: Parameter = parameter("name", Kind::Text, &["name", "alias"]);
const URL: Parameter = parameter("url", Kind::Uri { versioned: true }, &["url"]);
const VERSION: Parameter = parameter("version", Kind::Version, &["version"]);
const ACTIVE: Parameter = parameter("active", Kind::Boolean, &["active"]);

/// The parameters of every type.
pub static GLOBAL: &[Parameter] = &[ID, LAST_UPDATED, PROFILE];

static CANONICAL: &[Parameter] = &[DATE, IDENTIFIER, NAME, status(&PUBLICATION), URL, VERSION];
static ONLY_IDENTIFIER: &[Parameter] = &[IDENTIFIER];
static ACTIVE_IDENTIFIER: &[Parameter] = &[ACTIVE, IDENTIFIER];

static ACTIVITY_DEFINITION: &[Parameter] = &[
    DATE,
    parameter(
        "identifier",
        Kind::Identifier { negatable: false },
        &["identifier"],
    ),
    NAME,
    status(&PUBLICATION),
    URL,
    VERSION,
];
static BINARY: &[Parameter] = &[parameter("contentType", Kind::Plain, &["contentType"])];
static DOCUMENT_REFERENCE: &[Parameter] = &[parameter(
    "identifier",
    Kind::Identifier { negatable: true },
    &["identifier", "masterIdentifier"],
)];
static ENDPOINTS: &[Parameter] = &[
    parameter("address", Kind::Uri { versioned: false }, &["address"]),
    IDENTIFIER,
    NAME,
    parameter(
        "organization",
        Kind::Reference(&[Organization]),
        &["managingOrganization"],
    ),
    status(&ENDPOINT),
];
static HEALTHCARE_SERVICE: &[Parameter] = &[ACTIVE, IDENTIFIER, NAME];
static LOCATION: &[Parameter] = &[IDENTIFIER, NAME_OR_ALIAS];
static MEASURE: &[Parameter] = &[
    DATE,
    parameter(
        "depends-on",
        Kind::Canonical {
            target: Library,
            by_prefix: false,
        },
        &["library", "relatedArtifact(type=depends-on).resource"],
    ),
    IDENTIFIER,
    NAME,
    status(&PUBLICATION),
    URL,
    VERSION,
];
static NAMING_SYSTEM: &[Parameter] = &[DATE, NAME, status(&PUBLICATION)];
static ORGANIZATION: &[Parameter] = &[
    ACTIVE,
    parameter("endpoint", Kind::Reference(&[Endpoint]), &["endpoint"]),
    IDENTIFIER,
    NAME_OR_ALIAS,
    parameter("type", Kind::Concept, &["type"]),
];
static AFFILIATION: &[Parameter] = &[
    ACTIVE,
    parameter("endpoint", Kind::Reference(&[Endpoint]), &["endpoint"]),
    IDENTIFIER,
    parameter(
        "participating-organization",
        Kind::Reference(&[Organization]),
        &["participatingOrganization"],
    ),
    parameter(
        "primary-organization",
        Kind::Reference(&[Organization]),
        &["organization"],
    ),
    parameter("role", Kind::Concept, &["code"]),
];
static PRACTITIONER_ROLE: &[Parameter] = &[
    ACTIVE,
    IDENTIFIER,
    parameter(
        "organization",
        Kind::Reference(&[Organization]),
        &["organization"],
    ),
    parameter(
        "practitioner",
        Kind::Reference(&[Practitioner]),
        &["practitioner"],
    ),
];
static QUESTIONNAIRE_RESPONSE: &[Parameter] = &[
    parameter(
        "author",
        Kind::Reference(&[Practitioner, Organization, Patient, PractitionerRole]),
        &["author"],
    ),
    parameter("authored", Kind::Date, &["authored"]),
    IDENTIFIER,
    parameter(
        "questionnaire",
        Kind::Canonical {
            target: Questionnaire,
            by_prefix: true,
        },
        &["questionnaire"],
    ),
    status(&RESPONSE),
    parameter(
        "subject",
        Kind::Reference(&[Organization, Practitioner, PractitionerRole]),
        &["subject"],
    ),
];
static RESEARCH_STUDY: &[Parameter] = &[
    parameter("enrollment", Kind::Reference(&[Group]), &["enrollment"]),
    IDENTIFIER,
    parameter(
        "principalinvestigator",
        Kind::Reference(&[Practitioner, PractitionerRole]),
        &["principalInvestigator"],
    ),
];
static SUBSCRIPTIONS: &[Parameter] = &[
    parameter("criteria", Kind::Text, &["criteria"]),
    parameter("payload", Kind::Plain, &["channel.payload"]),
    status(&SUBSCRIPTION),
    parameter(
        "type",
        Kind::Enumerated {
            codes: &CHANNEL,
            piped: Piped::Token,
        },
        &["channel.type"],
    ),
];
static TASKS: &[Parameter] = &[
    parameter("authored-on", Kind::Date, &["authoredOn"]),
    IDENTIFIER,
    parameter("modified", Kind::Date, &["lastModified"]),
    parameter(
        "requester",
        Kind::Reference(&[Practitioner, Organization, Patient, PractitionerRole]),
        &["requester"],
    ),
    status(&TASK),
];

/// The parameters of one type besides [`GLOBAL`], by name.
#[must_use]
pub fn parameters(kind: ResourceType) -> &'static [Parameter] {
    match kind {
        ActivityDefinition => ACTIVITY_DEFINITION,
        Binary => BINARY,
        CodeSystem | Library | Questionnaire | StructureDefinition | ValueSet => CANONICAL,
        DocumentReference => DOCUMENT_REFERENCE,
        Endpoint => ENDPOINTS,
        Bundle | Group | MeasureReport => ONLY_IDENTIFIER,
        HealthcareService => HEALTHCARE_SERVICE,
        Location => LOCATION,
        Measure => MEASURE,
        NamingSystem => NAMING_SYSTEM,
        Organization => ORGANIZATION,
        OrganizationAffiliation => AFFILIATION,
        Patient | Practitioner => ACTIVE_IDENTIFIER,
        PractitionerRole => PRACTITIONER_ROLE,
        Provenance => &[],
        QuestionnaireResponse => QUESTIONNAIRE_RESPONSE,
        ResearchStudy => RESEARCH_STUDY,
        Subscription => SUBSCRIPTIONS,
        Task => TASKS,
    }
}

/// A parameter of a type by its name without modifier, the global ones included.
#[must_use]
pub fn find(kind: ResourceType, name: &str) -> Option<&'static Parameter> {
    GLOBAL
        .iter()
        .chain(parameters(kind))
        .find(|parameter| parameter.name == name)
}

impl Kind {
    /// The modifiers this kind of parameter knows.
    #[must_use]
    pub const fn modifiers(&self) -> &'static [&'static str] {
        match self {
            Self::Identifier { negatable: true }
            | Self::Concept
            | Self::Enumerated { .. }
            | Self::Plain
            | Self::Version => &["not"],
            Self::Text => &["exact", "contains"],
            Self::Uri { .. } | Self::Profile => &["below"],
            Self::Reference(_) | Self::Canonical { .. } => &["identifier"],
            Self::Identifier { negatable: false }
            | Self::Id
            | Self::LastUpdated
            | Self::Date
            | Self::Boolean => &[],
        }
    }

    /// The code in `CapabilityStatement.rest.resource.searchParam.type`.
    #[must_use]
    pub const fn type_code(&self) -> &'static str {
        match self {
            Self::Id | Self::Text => "string",
            Self::LastUpdated | Self::Date => "date",
            Self::Profile | Self::Uri { .. } => "uri",
            Self::Identifier { .. }
            | Self::Concept
            | Self::Enumerated { .. }
            | Self::Plain
            | Self::Version
            | Self::Boolean => "token",
            Self::Reference(_) | Self::Canonical { .. } => "reference",
        }
    }
}

impl Parameter {
    /// The canonical of the SearchParameter, with the spellings of the DSF (§5.10).
    #[must_use]
    pub fn definition(&self, kind: ResourceType) -> String {
        const FHIR: &str = "http://hl7.org/fhir/SearchParameter";
        let name = self.name;
        match (kind, name) {
            (_, "_id" | "_lastUpdated" | "_profile") => {
                format!("{FHIR}/Resource-{}", name.trim_start_matches('_'))
            }
            (CodeSystem | StructureDefinition | ValueSet, "date" | "identifier" | "name")
            | (NamingSystem, "date" | "name") => format!("{FHIR}/conformance-{name}"),
            (DocumentReference, "identifier") => format!("{FHIR}/clinical-identifier"),
            (QuestionnaireResponse, "authored") => {
                format!("{FHIR}/QuestionnaireRespone-authored")
            }
            (ResearchStudy, "enrollment") => {
                "http://dsf.dev/fhir/SearchParameter/ResearchStudy-enrollment".to_owned()
            }
            _ => format!("{FHIR}/{kind}-{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parameter names stand in SQL as literals.
    #[test]
    fn every_name_is_unique_in_its_type_and_plain() {
        for kind in ResourceType::ALL {
            let names: Vec<_> = GLOBAL
                .iter()
                .chain(parameters(*kind))
                .map(|p| p.name)
                .collect();
            for (index, name) in names.iter().enumerate() {
                assert!(!names[..index].contains(name), "{kind} {name}");
                assert!(
                    name.chars()
                        .all(|c| c.is_ascii_alphabetic() || c == '-' || c == '_')
                );
            }
        }
    }
}
