//! Where the references of a resource are (`spec/fhir-api.md` Appendix A).
//!
//! Only these places count: a reference elsewhere, in a contained resource or in an extension of
//! a data type, is neither resolved nor checked.

use serde_json::Value;

use crate::r4::{Resource, ResourceType};

/// How a place refers to other resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    Reference,
    Canonical,
    /// A RelatedArtifact or Attachment with a `url`.
    Url,
    /// Extensions whose value is a Reference, at any depth.
    Extension,
}

/// The types a reference may point to.
pub type Targets = &'static [&'static str];

/// Any type.
const ANY: Targets = &[];

/// A place in a resource type that refers to other resources.
#[derive(Clone, Copy, Debug)]
pub struct Location {
    /// Names of the elements from the resource down.
    path: &'static [&'static str],
    /// How error messages call the place: `Task.restriction.recipient`.
    pub text: &'static str,
    pub carrier: Carrier,
    targets: Targets,
    /// For canonicals: whether the target must exist.
    pub is_checked: bool,
}

impl Location {
    /// Whether a reference here may point to a resource of this type.
    #[must_use]
    pub fn allows(&self, type_name: &str) -> bool {
        self.targets.is_empty() || self.targets.contains(&type_name)
    }
}

/// A place that is filled: a Reference, RelatedArtifact or Attachment element, or a canonical.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    pub location: &'static Location,
    pub value: &'a Value,
}

/// Everything in this resource that refers to another.
#[must_use]
pub fn references(resource: &Resource) -> Vec<Found<'_>> {
    let mut found = Vec::new();
    for location in resource.resource_type().map(locations).unwrap_or_default() {
        let Some((first, rest)) = location.path.split_first() else {
            continue;
        };
        if let Some(value) = resource.get(first) {
            collect(value, rest, location, &mut found);
        }
    }
    found
}

fn collect<'a>(
    value: &'a Value,
    path: &[&str],
    location: &'static Location,
    found: &mut Vec<Found<'a>>,
) {
    if let Value::Array(items) = value {
        for item in items {
            collect(item, path, location, found);
        }
    } else if let Some((first, rest)) = path.split_first() {
        if let Some(child) = value.get(first) {
            collect(child, rest, location, found);
        }
    } else if location.carrier == Carrier::Extension {
        if let Some(value) = value.get("valueReference") {
            found.push(Found { location, value });
        }
        if let Some(nested) = value.get("extension") {
            collect(nested, path, location, found);
        }
    } else if carries(location, value) {
        found.push(Found { location, value });
    }
}

/// Visits every filled place of this resource; the visitor may change it.
pub fn for_each_mut(resource: &mut Resource, mut visit: impl FnMut(&'static Location, &mut Value)) {
    for location in resource.resource_type().map(locations).unwrap_or_default() {
        let Some((first, rest)) = location.path.split_first() else {
            continue;
        };
        if let Some(value) = resource.members_mut().get_mut(*first) {
            change(value, rest, location, &mut visit);
        }
    }
}

fn change(
    value: &mut Value,
    path: &[&str],
    location: &'static Location,
    visit: &mut impl FnMut(&'static Location, &mut Value),
) {
    if let Value::Array(items) = value {
        for item in items {
            change(item, path, location, visit);
        }
    } else if let Some((first, rest)) = path.split_first() {
        if let Some(child) = value.get_mut(*first) {
            change(child, rest, location, visit);
        }
    } else if location.carrier == Carrier::Extension {
        if let Some(value) = value.get_mut("valueReference") {
            visit(location, value);
        }
        if let Some(nested) = value.get_mut("extension") {
            change(nested, path, location, visit);
        }
    } else if carries(location, value) {
        visit(location, value);
    }
}

/// RelatedArtifacts and Attachments without a `url` refer to nothing.
fn carries(location: &Location, value: &Value) -> bool {
    match location.carrier {
        Carrier::Url => value.get("url").is_some_and(Value::is_string),
        Carrier::Canonical => value.is_string(),
        Carrier::Reference | Carrier::Extension => value.is_object(),
    }
}

const fn place(path: &'static [&'static str], text: &'static str, targets: Targets) -> Location {
    Location {
        path,
        text,
        carrier: Carrier::Reference,
        targets,
        is_checked: false,
    }
}

const fn canonical(
    path: &'static [&'static str],
    text: &'static str,
    targets: Targets,
) -> Location {
    Location {
        path,
        text,
        carrier: Carrier::Canonical,
        targets,
        is_checked: false,
    }
}

const fn checked(location: Location) -> Location {
    Location {
        is_checked: true,
        ..location
    }
}

const fn url(path: &'static [&'static str], text: &'static str) -> Location {
    Location {
        path,
        text,
        carrier: Carrier::Url,
        targets: ANY,
        is_checked: false,
    }
}

const fn extension(path: &'static [&'static str], text: &'static str) -> Location {
    Location {
        path,
        text,
        carrier: Carrier::Extension,
        targets: ANY,
        is_checked: false,
    }
}

macro_rules! places {
    ($($type:ident { $($place:expr),* $(,)? })+) => {
        /// The places of a resource type, in the order they are checked.
        #[must_use]
        pub fn locations(resource_type: ResourceType) -> &'static [Location] {
            match resource_type {
                $(ResourceType::$type => const { &[$($place),*] },)+
            }
        }
    };
}

places! {
    ActivityDefinition {
        place(&["subjectReference"], "ActivityDefinition.subjectReference", &["Group"]),
        place(&["location"], "ActivityDefinition.location", &["Location"]),
        place(&["productReference"], "ActivityDefinition.productReference", &["Medication", "Substance"]),
        place(&["specimenRequirement"], "ActivityDefinition.specimenRequirement", &["SpecimenDefinition"]),
        place(&["observationRequirement"], "ActivityDefinition.observationRequirement", &["ObservationDefinition"]),
        place(&["observationResultRequirement"], "ActivityDefinition.observationResultRequirement", &["ObservationDefinition"]),
        url(&["relatedArtifact"], "ActivityDefinition.relatedArtifact"),
        extension(&["participant", "extension"], "ActivityDefinition.participant.extension"),
        extension(&["dynamicValue", "extension"], "ActivityDefinition.dynamicValue.extension"),
        extension(&["extension"], "ActivityDefinition.extension"),
    }
    Binary {
        place(&["securityContext"], "Binary.securityContext", ANY),
    }
    Bundle {
    }
    CodeSystem {
        canonical(&["supplements"], "CodeSystem.supplements", &["CodeSystem"]),
        canonical(&["valueSet"], "CodeSystem.valueSet", &["ValueSet"]),
        extension(&["extension"], "CodeSystem.extension"),
    }
    DocumentReference {
        place(&["subject"], "DocumentReference.subject", &["Patient", "Practitioner", "Group", "Device"]),
        place(&["author"], "DocumentReference.author", &["Practitioner", "PractitionerRole", "Organization", "Device", "Patient", "RelatedPerson"]),
        place(&["authenticator"], "DocumentReference.authenticator", &["Practitioner", "PractitionerRole", "Organization"]),
        place(&["custodian"], "DocumentReference.custodian", &["Organization"]),
        place(&["relatesTo", "target"], "DocumentReference.relatesTo.target", &["DocumentReference"]),
        place(&["context", "encounter"], "DocumentReference.context.encounter", &["Encounter", "EpisodeOfCare"]),
        place(&["context", "sourcePatientInfo"], "DocumentReference.context.sourcePatientInfo", &["Patient"]),
        place(&["context", "related"], "DocumentReference.context.related", ANY),
        url(&["content", "attachment"], "DocumentReference.content.attachment"),
        extension(&["relatesTo", "extension"], "DocumentReference.relatesTo.extension"),
        extension(&["context", "extension"], "DocumentReference.context.extension"),
        extension(&["content", "extension"], "DocumentReference.content.extension"),
        extension(&["extension"], "DocumentReference.extension"),
    }
    Endpoint {
        place(&["managingOrganization"], "Endpoint.managingOrganization", &["Organization"]),
        extension(&["extension"], "Endpoint.extension"),
    }
    Group {
        place(&["managingEntity"], "Group.managingEntity", &["Organization", "RelatedPerson", "Practitioner", "PractitionerRole"]),
        place(&["member", "entity"], "Group.member.entity", &["Patient", "Practitioner", "PractitionerRole", "Device", "Medication", "Substance", "Group"]),
        extension(&["member", "extension"], "Group.member.extension"),
        extension(&["extension"], "Group.extension"),
    }
    HealthcareService {
        place(&["providedBy"], "HealthcareService.providedBy", &["Organization"]),
        place(&["location"], "HealthcareService.location", &["Location"]),
        place(&["coverageArea"], "HealthcareService.coverageArea", &["Location"]),
        place(&["endpoint"], "HealthcareService.endpoint", &["Endpoint"]),
        extension(&["extension"], "HealthcareService.extension"),
    }
    Library {
        place(&["subjectReference"], "Library.subject", &["Group"]),
        url(&["relatedArtifact"], "Library.relatedArtifact"),
        url(&["content"], "Library.content"),
        extension(&["extension"], "Library.extension"),
    }
    Location {
        place(&["managingOrganization"], "Location.managingOrganization", &["Organization"]),
        place(&["partOf"], "Location.partOf", &["Location"]),
        place(&["endpoint"], "Location.endpoint", &["Endpoint"]),
        extension(&["extension"], "Location.extension"),
    }
    Measure {
        canonical(&["library"], "Measure.library", &["Library"]),
        place(&["subjectReference"], "Measure.subjectReference", &["Group"]),
        url(&["relatedArtifact"], "Measure.relatedArtifact"),
        extension(&["extension"], "Measure.extension"),
    }
    MeasureReport {
        canonical(&["measure"], "MeasureReport.measure", &["Measure"]),
        place(&["subject"], "MeasureReport.subject", &["Patient", "Practitioner", "PractitionerRole", "Location", "Device", "RelatedPerson", "Group"]),
        place(&["reporter"], "MeasureReport.reporter", &["Practitioner", "PractitionerRole", "Location", "Organization"]),
        place(&["group", "population", "subjectResults"], "MeasureReport.group.population.subjectResults", &["List"]),
        place(&["group", "stratifier", "stratum", "population", "subjectResults"], "MeasureReport.group.stratifier.stratum.population.subjectResults", &["List"]),
        place(&["evaluatedResource"], "Measure.evaluatedResource", ANY),
        extension(&["group", "extension"], "MeasureReport.group.extension"),
        extension(&["group", "population", "extension"], "MeasureReport.group.population.extension"),
        extension(&["group", "stratifier", "extension"], "MeasureReport.group.stratifier.extension"),
        extension(&["group", "stratifier", "stratum", "extension"], "MeasureReport.group.stratifier.stratum.extension"),
        extension(&["group", "stratifier", "stratum", "population", "extension"], "MeasureReport.group.stratifier.stratum.population.extension"),
        extension(&["extension"], "MeasureReport.extension"),
    }
    NamingSystem {
        extension(&["extension"], "NamingSystem.extension"),
    }
    Organization {
        place(&["partOf"], "Organization.partOf", &["Organization"]),
        place(&["endpoint"], "Organization.endpoint", &["Endpoint"]),
        extension(&["extension"], "Organization.extension"),
    }
    OrganizationAffiliation {
        place(&["organization"], "OrganizationAffiliation.organization", &["Organization"]),
        place(&["participatingOrganization"], "OrganizationAffiliation.participatingOrganization", &["Organization"]),
        place(&["network"], "OrganizationAffiliation.network", &["Organization"]),
        place(&["location"], "OrganizationAffiliation.location", &["Location"]),
        place(&["healthcareService"], "OrganizationAffiliation.healthcareService", &["HealthcareService"]),
        place(&["endpoint"], "OrganizationAffiliation.endpoint", &["Endpoint"]),
        extension(&["extension"], "OrganizationAffiliation.extension"),
    }
    Patient {
        place(&["contact", "organization"], "Patient.contact.organization", &["Organization"]),
        place(&["generalPractitioner"], "Patient.generalPractitioner", &["Organization", "Practitioner", "PractitionerRole"]),
        place(&["managingOrganization"], "Patient.managingOrganization", &["Organization"]),
        place(&["link", "other"], "Patient.link.other", &["Patient", "RelatedPerson"]),
        extension(&["contact", "extension"], "Patient.contact.extension"),
        extension(&["link", "extension"], "Patient.link.extension"),
        extension(&["extension"], "Patient.extension"),
    }
    Practitioner {
        place(&["qualification", "issuer"], "Practitioner.qualification.issuer", &["Organization"]),
        extension(&["qualification", "extension"], "Practitioner.qualification.extension"),
        extension(&["extension"], "Practitioner.extension"),
    }
    PractitionerRole {
        place(&["practitioner"], "PractitionerRole.practitioner", &["Practitioner"]),
        place(&["organization"], "PractitionerRole.organization", &["Organization"]),
        place(&["location"], "PractitionerRole.location", &["Location"]),
        place(&["healthcareService"], "PractitionerRole.healthcareService", &["HealthcareService"]),
        place(&["endpoint"], "PractitionerRole.endpoint", &["Endpoint"]),
        extension(&["extension"], "PractitionerRole.extension"),
    }
    Provenance {
        place(&["target"], "Provenance.target", ANY),
        place(&["location"], "Provenance.location", &["Location"]),
        place(&["agent", "who"], "Provenance.agent.who", &["Practitioner", "PractitionerRole", "RelatedPerson", "Patient", "Device", "Organization"]),
        place(&["agent", "onBehalfOf"], "Provenance.agent.onBehalfOf", &["Practitioner", "PractitionerRole", "RelatedPerson", "Patient", "Device", "Organization"]),
        place(&["entity", "what"], "Provenance.entity.what", ANY),
        extension(&["agent", "extension"], "Provenance.agent.extension"),
        extension(&["entity", "extension"], "Provenance.entity.extension"),
        extension(&["extension"], "Provenance.extension"),
    }
    Questionnaire {
        canonical(&["derivedFrom"], "Questionnaire.derivedFrom", &["Questionnaire"]),
        place(&["item", "enableWhen", "answerReference"], "Questionnaire.item.enableWhen.answerReference", ANY),
        place(&["item", "answerOption", "valueReference"], "Questionnaire.item.answerOption.valueReference", ANY),
        place(&["item", "initial", "valueReference"], "Questionnaire.item.initial.valueReference", ANY),
        canonical(&["item", "answerValueSet"], "Questionnaire.item.answerValueSet", &["ValueSet"]),
        extension(&["item", "extension"], "Questionnaire.item.extension"),
        extension(&["item", "enableWhen", "extension"], "Questionnaire.item.enableWhen.extension"),
        extension(&["item", "answerOption", "extension"], "Questionnaire.item.answerOption.extension"),
        extension(&["item", "initial", "extension"], "Questionnaire.item.initial.extension"),
        extension(&["extension"], "Questionnaire.extension"),
    }
    QuestionnaireResponse {
        place(&["author"], "QuestionnaireResponse.author", &["Device", "Organization", "Patient", "Practitioner", "PractitionerRole", "RelatedPerson"]),
        place(&["basedOn"], "QuestionnaireResponse.basedOn", &["CarePlan", "ServiceRequest"]),
        place(&["encounter"], "QuestionnaireResponse.encounter", &["Encounter"]),
        place(&["partOf"], "QuestionnaireResponse.partOf", &["Observation", "Procedure"]),
        checked(canonical(&["questionnaire"], "QuestionnaireResponse.questionnaire", &["Questionnaire"])),
        place(&["source"], "QuestionnaireResponse.source", &["Patient", "Practitioner", "PractitionerRole", "RelatedPerson"]),
        place(&["subject"], "QuestionnaireResponse.subject", ANY),
        extension(&["extension"], "QuestionnaireResponse.extension"),
    }
    ResearchStudy {
        place(&["protocol"], "ResearchStudy.protocol", &["PlanDefinition"]),
        place(&["partOf"], "ResearchStudy.partOf", &["ResearchStudy"]),
        place(&["enrollment"], "ResearchStudy.enrollment", &["Group"]),
        place(&["sponsor"], "ResearchStudy.sponsor", &["Organization"]),
        place(&["principalInvestigator"], "ResearchStudy.principalInvestigator", &["Practitioner", "PractitionerRole"]),
        place(&["site"], "ResearchStudy.site", &["Location"]),
        url(&["relatedArtifact"], "ResearchStudy.relatedArtifact"),
        extension(&["extension"], "ResearchStudy.extension"),
    }
    StructureDefinition {
        canonical(&["baseDefinition"], "StructureDefinition.baseDefinition", &["StructureDefinition"]),
        extension(&["extension"], "StructureDefinition.extension"),
    }
    Subscription {
        extension(&["extension"], "Subscription.extension"),
    }
    Task {
        place(&["basedOn"], "Task.basedOn", ANY),
        place(&["encounter"], "Task.encounter", &["Encounter"]),
        place(&["focus"], "Task.focus", ANY),
        place(&["for"], "Task.for", ANY),
        checked(canonical(&["instantiatesCanonical"], "Task.instantiatesCanonical", &["ActivityDefinition"])),
        place(&["insurance"], "Task.insurance", &["Coverage", "ClaimResponse"]),
        place(&["location"], "Task.location", &["Location"]),
        place(&["owner"], "Task.owner", &["Practitioner", "PractitionerRole", "Organization", "CareTeam", "HealthcareService", "Patient", "Device", "RelatedPerson"]),
        place(&["partOf"], "Task.partOf", &["Task"]),
        place(&["reasonReference"], "Task.reasonReference", ANY),
        place(&["relevantHistory"], "Task.relevantHistory", &["Provenance"]),
        place(&["requester"], "Task.requester", &["Device", "Organization", "Patient", "Practitioner", "PractitionerRole", "RelatedPerson"]),
        place(&["restriction", "recipient"], "Task.restriction.recipient", &["Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Group", "Organization"]),
        place(&["input", "valueReference"], "Task.input", ANY),
        place(&["output", "valueReference"], "Task.output", ANY),
        extension(&["restriction", "extension"], "Task.restriction.extension"),
        extension(&["input", "extension"], "Task.input.extension"),
        extension(&["output", "extension"], "Task.output.extension"),
        extension(&["extension"], "Task.extension"),
    }
    ValueSet {
        extension(&["extension"], "ValueSet.extension"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::r4::table::{Content, table};

    #[test]
    fn every_location_is_an_element_of_its_type() {
        for resource_type in ResourceType::ALL {
            for location in locations(*resource_type) {
                let mut block = table().resource(resource_type.name()).unwrap();
                for (depth, name) in location.path.iter().enumerate() {
                    let element = table().block(block).element(name);
                    let element = element.unwrap_or_else(|| panic!("{}", location.text));
                    match element.content {
                        Content::Block(id) => block = id,
                        _ => assert_eq!(depth + 1, location.path.len(), "{}", location.text),
                    }
                }
            }
        }
    }

    #[test]
    fn references_are_found_in_lists_and_nested_extensions_and_can_be_changed() {
        let mut task = Resource::from_value(json!({
            "resourceType": "Task",
            "extension": [{"url": "a", "extension": [{"url": "b",
                "valueReference": {"reference": "Task/1"}}]}],
            "restriction": {"recipient": [{"reference": "Organization/2"}]},
            "input": [{"valueString": "x"}, {"valueReference": {"reference": "Binary/3"}}],
        }))
        .unwrap();
        let mut texts: Vec<_> = references(&task)
            .iter()
            .map(|found| found.location.text)
            .collect();
        texts.sort_unstable();
        assert_eq!(
            texts,
            ["Task.extension", "Task.input", "Task.restriction.recipient"]
        );
        for_each_mut(&mut task, |_, value| value["reference"] = json!("Task/9"));
        assert!(
            references(&task)
                .iter()
                .all(|found| found.value["reference"] == "Task/9")
        );
    }
}
