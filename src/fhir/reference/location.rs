//! Where references stand in each type, and what they may point to (fhir-api Appendix A).

use crate::r4::ResourceType;

/// What carries a reference at a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    Reference,
    Canonical,
    /// `RelatedArtifact.url`
    Artifact,
    /// `Attachment.url`
    Attachment,
}

/// A place for references within a type.
#[derive(Clone, Copy, Debug)]
pub struct Location {
    /// Member names from the resource down.
    pub path: &'static str,
    /// The path as messages show it.
    pub name: &'static str,
    pub carrier: Carrier,
    /// Allowed target types; empty: any.
    pub targets: &'static [&'static str],
}

impl Location {
    #[must_use]
    pub fn allows(&self, type_name: &str) -> bool {
        self.targets.is_empty() || self.targets.contains(&type_name)
    }
}

const fn reference(path: &'static str, targets: &'static [&'static str]) -> Location {
    Location { path, name: path, carrier: Carrier::Reference, targets }
}

const fn other(path: &'static str, carrier: Carrier) -> Location {
    Location { path, name: path, carrier, targets: &[] }
}

const ORG: &[&str] = &["Organization"];
const ENDPOINT: &[&str] = &["Endpoint"];
const LOCATION: &[&str] = &["Location"];
const GROUP: &[&str] = &["Group"];
const ANY: &[&str] = &[];
const PERSONS: &[&str] =
    &["Device", "Organization", "Patient", "Practitioner", "PractitionerRole", "RelatedPerson"];

/// The locations of a type; its extensions come on top, see [`backbones`].
#[must_use]
pub fn of(kind: ResourceType) -> &'static [Location] {
    use Carrier::{Artifact, Attachment, Canonical};
    match kind {
        ResourceType::ActivityDefinition => &const {
            [
                reference("subjectReference", GROUP),
                reference("location", LOCATION),
                reference("productReference", &["Medication", "Substance"]),
                reference("specimenRequirement", &["SpecimenDefinition"]),
                reference("observationRequirement", &["ObservationDefinition"]),
                reference("observationResultRequirement", &["ObservationDefinition"]),
                other("relatedArtifact", Artifact),
            ]
        },
        ResourceType::Binary => &const { [reference("securityContext", ANY)] },
        ResourceType::DocumentReference => &const {
            [
                reference("subject", &["Patient", "Practitioner", "Group", "Device"]),
                reference("author", PERSONS),
                reference("authenticator", &["Practitioner", "PractitionerRole", "Organization"]),
                reference("custodian", ORG),
                reference("relatesTo.target", &["DocumentReference"]),
                reference("context.encounter", &["Encounter", "EpisodeOfCare"]),
                reference("context.sourcePatientInfo", &["Patient"]),
                reference("context.related", ANY),
                other("content.attachment", Attachment),
            ]
        },
        ResourceType::Endpoint => &const { [reference("managingOrganization", ORG)] },
        ResourceType::Group => &const {
            [
                reference(
                    "managingEntity",
                    &["Organization", "RelatedPerson", "Practitioner", "PractitionerRole"],
                ),
                reference(
                    "member.entity",
                    &[
                        "Patient",
                        "Practitioner",
                        "PractitionerRole",
                        "Device",
                        "Medication",
                        "Substance",
                        "Group",
                    ],
                ),
            ]
        },
        ResourceType::HealthcareService => &const {
            [
                reference("providedBy", ORG),
                reference("location", LOCATION),
                reference("coverageArea", LOCATION),
                reference("endpoint", ENDPOINT),
            ]
        },
        ResourceType::Library => &const {
            [
                Location {
                    path: "subjectReference",
                    name: "subject",
                    carrier: Carrier::Reference,
                    targets: GROUP,
                },
                other("relatedArtifact", Artifact),
                other("content", Attachment),
            ]
        },
        ResourceType::Location => &const {
            [
                reference("managingOrganization", ORG),
                reference("partOf", LOCATION),
                reference("endpoint", ENDPOINT),
            ]
        },
        ResourceType::Measure => {
            &const { [reference("subjectReference", GROUP), other("relatedArtifact", Artifact)] }
        }
        ResourceType::MeasureReport => &const {
            [
                reference(
                    "subject",
                    &[
                        "Patient",
                        "Practitioner",
                        "PractitionerRole",
                        "Location",
                        "Device",
                        "RelatedPerson",
                        "Group",
                    ],
                ),
                reference(
                    "reporter",
                    &["Practitioner", "PractitionerRole", "Location", "Organization"],
                ),
                reference("group.population.subjectResults", &["List"]),
                reference("group.stratifier.stratum.population.subjectResults", &["List"]),
                reference("evaluatedResource", ANY),
            ]
        },
        ResourceType::Organization => {
            &const { [reference("partOf", ORG), reference("endpoint", ENDPOINT)] }
        }
        ResourceType::OrganizationAffiliation => &const {
            [
                reference("organization", ORG),
                reference("participatingOrganization", ORG),
                reference("network", ORG),
                reference("location", LOCATION),
                reference("healthcareService", &["HealthcareService"]),
                reference("endpoint", ENDPOINT),
            ]
        },
        ResourceType::Patient => &const {
            [
                reference("contact.organization", ORG),
                reference("generalPractitioner", &["Organization", "Practitioner", "PractitionerRole"]),
                reference("managingOrganization", ORG),
                reference("link.other", &["Patient", "RelatedPerson"]),
            ]
        },
        ResourceType::Practitioner => &const { [reference("qualification.issuer", ORG)] },
        ResourceType::PractitionerRole => &const {
            [
                reference("practitioner", &["Practitioner"]),
                reference("organization", ORG),
                reference("location", LOCATION),
                reference("healthcareService", &["HealthcareService"]),
                reference("endpoint", ENDPOINT),
            ]
        },
        ResourceType::Provenance => &const {
            [
                reference("target", ANY),
                reference("location", LOCATION),
                reference("agent.who", PERSONS),
                reference("agent.onBehalfOf", PERSONS),
                reference("entity.what", ANY),
            ]
        },
        ResourceType::Questionnaire => &const {
            [
                reference("item.enableWhen.answerReference", ANY),
                reference("item.answerOption.valueReference", ANY),
                reference("item.initial.valueReference", ANY),
            ]
        },
        ResourceType::QuestionnaireResponse => &const {
            [
                reference("author", PERSONS),
                reference("basedOn", &["CarePlan", "ServiceRequest"]),
                reference("encounter", &["Encounter"]),
                reference("partOf", &["Observation", "Procedure"]),
                other("questionnaire", Canonical),
                reference("source", &["Patient", "Practitioner", "PractitionerRole", "RelatedPerson"]),
                reference("subject", ANY),
            ]
        },
        ResourceType::ResearchStudy => &const {
            [
                reference("protocol", &["PlanDefinition"]),
                reference("partOf", &["ResearchStudy"]),
                reference("enrollment", GROUP),
                reference("sponsor", ORG),
                reference("principalInvestigator", &["Practitioner", "PractitionerRole"]),
                reference("site", LOCATION),
                other("relatedArtifact", Artifact),
            ]
        },
        ResourceType::Task => &const {
            [
                reference("basedOn", ANY),
                reference("focus", ANY),
                reference("for", ANY),
                reference("reasonReference", ANY),
                reference("encounter", &["Encounter"]),
                other("instantiatesCanonical", Canonical),
                reference("insurance", &["Coverage", "ClaimResponse"]),
                reference("location", LOCATION),
                reference(
                    "owner",
                    &[
                        "Practitioner",
                        "PractitionerRole",
                        "Organization",
                        "CareTeam",
                        "HealthcareService",
                        "Patient",
                        "Device",
                        "RelatedPerson",
                    ],
                ),
                reference("partOf", &["Task"]),
                reference("relevantHistory", &["Provenance"]),
                reference("requester", PERSONS),
                reference(
                    "restriction.recipient",
                    &[
                        "Patient",
                        "Practitioner",
                        "PractitionerRole",
                        "RelatedPerson",
                        "Group",
                        "Organization",
                    ],
                ),
                reference("input.valueReference", ANY),
                reference("output.valueReference", ANY),
            ]
        },
        _ => &[],
    }
}

/// The nested elements whose extensions are looked at beside those of the resource itself.
#[must_use]
pub fn backbones(kind: ResourceType) -> &'static [&'static str] {
    match kind {
        ResourceType::DocumentReference => &["relatesTo", "content", "context"],
        ResourceType::Group => &["member"],
        ResourceType::MeasureReport => &["group"],
        ResourceType::Patient => &["contact", "link"],
        ResourceType::Practitioner => &["qualification"],
        ResourceType::Provenance => &["agent", "entity"],
        ResourceType::Questionnaire => &["item"],
        ResourceType::Task => &["restriction", "input", "output"],
        _ => &[],
    }
}

/// The place of a Reference within an extension; any type may stand there.
pub static EXTENSION: Location = reference("extension", ANY);
