// Ping-pong: does every partner answer? An organisation sends a ping to each endpoint that it finds, the other side sends a pong back,
// and the Task that started it all lists what came of each.

const PING = "http://dsf.dev/fhir/CodeSystem/ping";
const PING_STATUS = "http://dsf.dev/fhir/CodeSystem/ping-status";
const STATUS_EXTENSION = "http://dsf.dev/fhir/StructureDefinition/extension-ping-status";
const BPMN_MESSAGE = "http://dsf.dev/fhir/CodeSystem/bpmn-message";
const ORGANIZATION = "http://dsf.dev/sid/organization-identifier";
const ENDPOINT = "http://dsf.dev/sid/endpoint-identifier";

const ALL_ENDPOINTS = `Endpoint?status=active&identifier=${ENDPOINT}|`;
const DEFAULT_INTERVAL = "PT24H";
const LONGEST_ERROR = 200;

export const activities = {
  // ping

  "dev.dsf.bpe.ping.SelectPingTargets": async (api, variables) => {
    const query = input(api, variables.getStartTask(), "target-endpoints") ?? ALL_ENDPOINTS;
    const endpoints = await endpointsOf(api, query);
    const partners = await api.getOrganizationProvider().getRemoteOrganizations();
    const partnerOf = new Map(partners.map((partner) => [`Organization/${partner.id}`, partner]));

    const targets = endpoints
      .filter((endpoint) => partnerOf.has(unversioned(endpoint.managingOrganization?.reference)))
      .map((endpoint) => {
        const partner = partnerOf.get(unversioned(endpoint.managingOrganization.reference));
        return variables.createTarget(
          identifierOf(partner, ORGANIZATION),
          identifierOf(endpoint, ENDPOINT),
          endpoint.address,
          api.randomUUID(),
        );
      });

    api.logger.info(`${targets.length} of ${endpoints.length} endpoints belong to partners and are pinged`);
    variables.setTargets(variables.createTargets(targets));
  },

  "dev.dsf.bpe.ping.SendPing": {
    async additionalInputParameters(api) {
      const value = await api.getEndpointProvider().getLocalEndpointIdentifierValue();
      const reference = { type: "Endpoint", identifier: { system: ENDPOINT, value } };
      return [api.getTaskHelper().createInput({ valueReference: reference }, PING, "endpoint-identifier")];
    },

    handleException(api, variables, exception) {
      // Local: every target goes its own way at the gateway that follows.
      variables.setStringLocal("statusCode", statusOfFailure(exception));
      variables.setStringLocal("errorMessage", shortened(exception.message));
    },
  },

  "dev.dsf.bpe.ping.SetCorrelationKey": (api, variables) => {
    variables.setStringLocal("correlationKey", variables.getTarget().getCorrelationKey());
  },

  "dev.dsf.bpe.ping.LogPong": (api, variables) => {
    api.logger.info(`pong from ${described(variables.getTarget())}`);
    remember(variables, "pong-received");
  },

  "dev.dsf.bpe.ping.LogNoResponse": (api, variables) => {
    api.logger.warn(`no pong from ${described(variables.getTarget())}`);
    remember(variables, "pong-missing");
  },

  "dev.dsf.bpe.ping.LogSendError": (api, variables) => {
    const status = variables.getString("statusCode");
    const message = variables.getString("errorMessage");
    api.logger.warn(`no ping to ${described(variables.getTarget())}: ${status}, ${message}`);
    remember(variables, status, message);
  },

  "dev.dsf.bpe.ping.SaveResults": (api, variables) => {
    const task = variables.getStartTask();
    for (const target of variables.getTargets().getEntries()) {
      const result = variables.getJsonVariable(resultName(target));
      if (result) addOutput(api, task, "ping-status", target, result.status, result.message);
    }
    variables.updateTask(task);
  },

  // pong

  "dev.dsf.bpe.ping.LogPing": (api, variables) => {
    const task = variables.getStartTask();
    api.logger.info(`ping from ${task.requester.identifier.value}, endpoint ${senderEndpoint(api, task)}`);
  },

  "dev.dsf.bpe.ping.SelectPongTarget": async (api, variables) => {
    const task = variables.getStartTask();
    const sender = task.requester.identifier.value;
    const correlationKey = api.getTaskHelper().getFirstInputParameterStringValue(task, BPMN_MESSAGE, "correlation-key");
    const endpointIdentifier = senderEndpoint(api, task);

    if (!endpointIdentifier) throw new Error("the ping names no endpoint to answer to");

    const address = await addressOf(api, sender, endpointIdentifier);
    if (!address) {
      const message = `endpoint ${endpointIdentifier} is not an active endpoint of ${sender}`;
      const target = variables.createTarget(sender, endpointIdentifier, "", correlationKey);
      addOutput(api, task, "pong-status", target, "not-allowed", message);
      variables.updateTask(task);
      throw new ErrorBoundaryEvent("target_not_allowed", message);
    }
    variables.setTarget(variables.createTarget(sender, endpointIdentifier, address, correlationKey));
  },

  "dev.dsf.bpe.ping.SendPong": {
    afterSend(api, variables, sendTaskValues, target) {
      savePongStatus(api, variables, target, "pong-send");
    },

    handleException(api, variables, exception, sendTaskValues, target) {
      api.logger.warn(`no pong to ${described(target)}: ${exception.message}`);
      savePongStatus(api, variables, target, statusOfFailure(exception), shortened(exception.message));
    },
  },

  // ping autostart

  "dev.dsf.bpe.ping.SetTargetAndConfigureTimer": async (api, variables) => {
    const organization = await api.getOrganizationProvider().getLocalOrganizationIdentifierValue();
    const endpoint = await api.getEndpointProvider().getLocalEndpointIdentifierValue();
    const address = api.getEndpointProvider().getLocalEndpointAddress();
    variables.setTarget(variables.createTarget(organization, endpoint, address));

    const interval = input(api, variables.getStartTask(), "timer-interval") ?? DEFAULT_INTERVAL;
    api.logger.info(`ping every ${interval}`);
    variables.setString("timerInterval", interval);
  },

  "dev.dsf.bpe.ping.SendStartPing": {
    // Rounds may overlap if the interval is short: each is a process instance of its own.
    businessKeyStrategy: "NEW",

    additionalInputParameters(api, variables) {
      const query = input(api, variables.getStartTask(), "target-endpoints");
      return query ? [api.getTaskHelper().createInput(query, PING, "target-endpoints")] : [];
    },

    handleException(api, variables, exception) {
      api.logger.error(`this round of pings did not start: ${exception.message}`);
    },
  },
};

function input(api, task, code) {
  return api.getTaskHelper().getFirstInputParameterStringValue(task, PING, code);
}

/** The endpoints among all matches and includes of a search, page by page. */
async function endpointsOf(api, query) {
  const client = api.getDsfClientProvider().getLocal();
  const endpoints = new Map();
  for (let page = 1, more = true; more; page++) {
    const bundle = await client.searchWithStrictHandling(`${query}&_page=${page}`);
    for (const { resource } of bundle.entry ?? []) {
      if (resource?.resourceType === "Endpoint") endpoints.set(resource.id, resource);
    }
    more = (bundle.link ?? []).some((link) => link.relation === "next");
  }
  return [...endpoints.values()];
}

/** Where to send the pong: only to an endpoint of the organisation that sent the ping, so that nobody is pinged in another's name. */
async function addressOf(api, organization, endpoint) {
  const client = api.getDsfClientProvider().getLocal();
  const value = encodeURIComponent(`${ENDPOINT}|${endpoint}`);
  const bundle = await client.searchWithStrictHandling(
    `Endpoint?status=active&identifier=${value}&_include=Endpoint:organization`,
  );
  const found = (bundle.entry ?? []).map((entry) => entry.resource);
  const owner = found.find((one) => one.resourceType === "Organization");
  if (!owner || !owner.active || identifierOf(owner, ORGANIZATION) !== organization) return null;
  return found.find((one) => one.resourceType === "Endpoint").address;
}

function senderEndpoint(api, task) {
  const reference = api.getTaskHelper().getFirstInputParameterValue(task, PING, "endpoint-identifier");
  return reference?.identifier?.value ?? null;
}

function identifierOf(resource, system) {
  return resource.identifier?.find((identifier) => identifier.system === system)?.value;
}

function unversioned(reference) {
  return reference?.split("/_history/")[0];
}

function statusOfFailure(exception) {
  return exception.status === 403 ? "not-allowed" : "not-reachable";
}

function shortened(text) {
  const plain = String(text ?? "unknown error");
  return plain.length > LONGEST_ERROR ? `${plain.slice(0, LONGEST_ERROR)}…` : plain;
}

function described(target) {
  return `${target.getOrganizationIdentifierValue()}, endpoint ${target.getEndpointIdentifierValue()}`;
}

/** One variable for each target: branches run side by side and must not write to the same one. */
function resultName(target) {
  return `pingResult_${target.getCorrelationKey()}`;
}

function remember(variables, status, message) {
  variables.setJsonVariable(resultName(variables.getTarget()), { status, message: message ?? null });
}

function savePongStatus(api, variables, target, status, message) {
  const task = variables.getStartTask();
  addOutput(api, task, "pong-status", target, status, message);
  variables.updateTask(task);
}

/** Appends what came of a message to the outputs of a Task. */
function addOutput(api, task, code, target, status, message) {
  const about = [
    { url: "correlation-key", valueString: target.getCorrelationKey() },
    { url: "organization-identifier", valueIdentifier: { system: ORGANIZATION, value: target.getOrganizationIdentifierValue() } },
    { url: "endpoint-identifier", valueIdentifier: { system: ENDPOINT, value: target.getEndpointIdentifierValue() } },
  ];
  if (message) about.push({ url: "error-message", valueString: message });

  const output = api.getTaskHelper().createOutput({ valueCoding: { system: PING_STATUS, code: status } }, PING, code);
  const extension = [{ url: STATUS_EXTENSION, extension: about }];
  task.output = [...(task.output ?? []), { extension, ...output }];
}
