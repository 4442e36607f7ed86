//! The fixed URLs and codes of the Data Sharing Framework (`spec/auth-config.md` §0.2).

/// Identifier systems.
pub mod sid {
    pub const ORGANIZATION: &str = "http://dsf.dev/sid/organization-identifier";
    pub const ENDPOINT: &str = "http://dsf.dev/sid/endpoint-identifier";
    pub const PRACTITIONER: &str = "http://dsf.dev/sid/practitioner-identifier";
    pub const TASK: &str = "http://dsf.dev/sid/task-identifier";
}

/// Code systems.
pub mod system {
    pub const READ_ACCESS_TAG: &str = "http://dsf.dev/fhir/CodeSystem/read-access-tag";
    pub const ORGANIZATION_ROLE: &str = "http://dsf.dev/fhir/CodeSystem/organization-role";
    pub const PRACTITIONER_ROLE: &str = "http://dsf.dev/fhir/CodeSystem/practitioner-role";
    pub const PROCESS_AUTHORIZATION: &str = "http://dsf.dev/fhir/CodeSystem/process-authorization";
    pub const BPMN_MESSAGE: &str = "http://dsf.dev/fhir/CodeSystem/bpmn-message";
}

/// Codes of [`system::BPMN_MESSAGE`], the kinds of Task inputs and outputs.
pub mod message {
    pub const NAME: &str = "message-name";
    pub const BUSINESS_KEY: &str = "business-key";
    pub const CORRELATION_KEY: &str = "correlation-key";
    pub const ERROR: &str = "error";
}

/// Link ids of the items that every QuestionnaireResponse of a user task carries.
pub mod item {
    pub const USER_TASK_ID: &str = "user-task-id";
    pub const BUSINESS_KEY: &str = "business-key";
}

/// Extensions, and the relative URLs of their parts.
pub mod extension {
    pub const THUMBPRINT: &str =
        "http://dsf.dev/fhir/StructureDefinition/extension-certificate-thumbprint";
    pub const READ_ACCESS_ORGANIZATION: &str =
        "http://dsf.dev/fhir/StructureDefinition/extension-read-access-organization";
    pub const READ_ACCESS_ROLE: &str =
        "http://dsf.dev/fhir/StructureDefinition/extension-read-access-parent-organization-role";
    pub const QUESTIONNAIRE_AUTHORIZATION: &str =
        "http://dsf.dev/fhir/StructureDefinition/extension-questionnaire-authorization";
    pub const CHECK_LOGICAL_REFERENCE: &str =
        "http://dsf.dev/fhir/StructureDefinition/extension-check-logical-reference";
    pub const PROCESS_AUTHORIZATION: &str =
        "http://dsf.dev/fhir/StructureDefinition/extension-process-authorization";
    pub const AUTHORIZED_ORGANIZATION: &str =
        "http://dsf.dev/fhir/StructureDefinition/extension-process-authorization-organization";
    pub const AUTHORIZED_PRACTITIONER: &str =
        "http://dsf.dev/fhir/StructureDefinition/extension-process-authorization-practitioner";
    pub const AUTHORIZED_ORGANIZATION_PRACTITIONER: &str = "http://dsf.dev/fhir/StructureDefinition/extension-process-authorization-organization-practitioner";
    pub const AUTHORIZED_ROLE: &str = "http://dsf.dev/fhir/StructureDefinition/extension-process-authorization-parent-organization-role";
    pub const AUTHORIZED_ROLE_PRACTITIONER: &str = "http://dsf.dev/fhir/StructureDefinition/extension-process-authorization-parent-organization-role-practitioner";

    pub const MESSAGE_NAME: &str = "message-name";
    pub const TASK_PROFILE: &str = "task-profile";
    pub const REQUESTER: &str = "requester";
    pub const RECIPIENT: &str = "recipient";
    pub const ORGANIZATION: &str = "organization";
    pub const PARENT_ORGANIZATION: &str = "parent-organization";
    pub const ORGANIZATION_ROLE: &str = "organization-role";
    pub const PRACTITIONER: &str = "practitioner";
    pub const PRACTITIONER_ROLE: &str = "practitioner-role";
}

/// The practitioner role that may do what the local organization may.
pub const ADMIN_ROLE: &str = "DSF_ADMIN";
