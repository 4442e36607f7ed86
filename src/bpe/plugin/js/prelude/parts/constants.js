// Names of the DSF: code systems, identifier systems, variables.

export default ({ milliseconds, CODE_SYSTEM, SID_ORGANIZATION, SID_ENDPOINT, SID_PRACTITIONER, ALTERNATIVE_KEY }) => {
  const SID_TASK = "http://dsf.dev/sid/task-identifier";

  const DelayStrategy = Object.freeze({
    /** Milliseconds; the last one repeats. */
    TRUNCATED_EXPONENTIAL_BACKOFF: Object.freeze([100, 200, 400, 800]),
    CONSTANT: Object.freeze([200]),
    constant: (delay) => Object.freeze([milliseconds(delay)]),
  });

  const CodeSystems = codeSystems();
  const NamingSystems = Object.freeze({
    OrganizationIdentifier: SID_ORGANIZATION,
    EndpointIdentifier: SID_ENDPOINT,
    PractitionerIdentifier: SID_PRACTITIONER,
    TaskIdentifier: SID_TASK,
  });
  const BpmnExecutionVariables = Object.freeze({
    TARGET: "target",
    TARGETS: "targets",
    CORRELATION_KEY: "correlationKey",
    ALTERNATIVE_BUSINESS_KEY: ALTERNATIVE_KEY,
  });
  function codeSystems() {
    const codes = (system, all) =>
      Object.freeze({
        SYSTEM: `${CODE_SYSTEM}${system}`,
        ...Object.fromEntries(all.map((code) => [code.toUpperCase().replaceAll("-", "_"), code])),
      });
    const roles = ["UAC", "COS", "CRR", "DIC", "DMS", "DTS", "HRP", "TTP", "AMS", "ASP", "SPR", "TSP", "PPH", "BIO"];
    return Object.freeze({
      BpmnMessage: codes("bpmn-message", ["message-name", "business-key", "correlation-key", "error"]),
      BpmnUserTask: codes("bpmn-user-task", ["business-key", "user-task-id"]),
      OrganizationRole: codes("organization-role", roles),
      PractitionerRole: codes("practitioner-role", [...roles.map((role) => `${role}_USER`), "DSF_ADMIN"]),
      ProcessAuthorization: codes("process-authorization", [
        "LOCAL_ORGANIZATION", "LOCAL_ORGANIZATION_PRACTITIONER", "REMOTE_ORGANIZATION", "LOCAL_ROLE",
        "LOCAL_ROLE_PRACTITIONER", "REMOTE_ROLE", "LOCAL_ALL", "LOCAL_ALL_PRACTITIONER", "REMOTE_ALL",
      ]),
      ReadAccessTag: codes("read-access-tag", ["LOCAL", "ORGANIZATION", "ROLE", "ALL"]),
    });
  }

  return { CodeSystems, NamingSystems, BpmnExecutionVariables, DelayStrategy };
};
