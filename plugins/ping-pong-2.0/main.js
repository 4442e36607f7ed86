// Ping-pong with download: does every partner answer, and how fast is the way to it? Each side offers the other one a Binary, downloads what
// it is offered, and tells how long that took.

const PING = "http://dsf.dev/fhir/CodeSystem/ping-v2";
const PING_STATUS = "http://dsf.dev/fhir/CodeSystem/ping-status-v2";
const STATUS_EXTENSION = "http://dsf.dev/fhir/StructureDefinition/extension-ping-status-v2";
const BPMN_MESSAGE = "http://dsf.dev/fhir/CodeSystem/bpmn-message";
const ORGANIZATION = "http://dsf.dev/sid/organization-identifier";
const ENDPOINT = "http://dsf.dev/sid/endpoint-identifier";

const ALL_ENDPOINTS = `Endpoint?status=active&identifier=${ENDPOINT}|`;
const DEFAULT_INTERVAL = "PT24H";
const DEFAULT_SIZE = 10_000_000;
const LONGEST_ERROR = 200;
const PIECE = 64 * 1024;
const BYTES = "application/octet-stream";

export const activities = {
  // ping

  "dev.dsf.bpe.ping.SelectPingTargets": async (api, variables) => {
    const task = variables.getStartTask();
    const query = input(api, task, "target-endpoints") ?? ALL_ENDPOINTS;
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
    variables.setLong("size", number(api, task, "download-resource-size-bytes") ?? DEFAULT_SIZE);
  },

  "dev.dsf.bpe.ping.SendPing": {
    async additionalInputParameters(api, variables) {
      const helper = api.getTaskHelper();
      const value = await api.getEndpointProvider().getLocalEndpointIdentifierValue();
      const reference = { type: "Endpoint", identifier: { system: ENDPOINT, value } };
      return [
        helper.createInput({ valueReference: reference }, PING, "endpoint-identifier"),
        ...offered(api, variables),
        helper.createInput({ valueInteger: variables.getLong("size") }, PING, "download-resource-size-bytes"),
      ];
    },

    handleException(api, variables, exception) {
      // Local: every target goes its own way at the gateway that follows.
      variables.setStringLocal("sendError", shortened(exception.message));
    },
  },

  "dev.dsf.bpe.ping.SetCorrelationKey": (api, variables) => {
    variables.setStringLocal("correlationKey", variables.getTarget().getCorrelationKey());
  },

  // The same on both sides: what the last message offers is downloaded.
  "dev.dsf.bpe.ping.DownloadResource": async (api, variables) => {
    const task = variables.getLatestTask();
    const isPong = api.getTaskHelper().getFirstInputParameterStringValue(task, BPMN_MESSAGE, "message-name") === "pong";
    const result = { ...(await downloaded(api, task)) };
    if (isPong) {
      const target = variables.getTarget();
      api.logger.info(`pong from ${described(target)}, ${speed(result) ?? "no"} Mbit/s`);
      result.uploadBytes = number(api, task, "downloaded-bytes");
      result.uploadMillis = number(api, task, "downloaded-duration-millis");
      result.errors = [...result.errors, ...inputs(api, task, "error").map(String)];
      remember(variables, result);
    } else {
      api.logger.info(`ping from ${task.requester.identifier.value}, ${speed(result) ?? "no"} Mbit/s`);
      variables.setLong("size", number(api, task, "download-resource-size-bytes") ?? -1);
      variables.setJsonVariable("result", result);
    }
  },

  // The same on both sides, too. Whoever may see the own Endpoint may download it.
  "dev.dsf.bpe.ping.CreateResource": {
    async execute(api, variables) {
      const most = Number(api.getSetting("dev.dsf.ping.download.max.size.bytes"));
      const size = Math.min(variables.getLong("size"), most);
      if (size < 0) return;
      const endpoint = await api.getEndpointProvider().getLocalEndpoint();
      const client = api.getDsfClientProvider().getLocal().withMinimalReturn();
      const stored = await client.createBinary(random(size), BYTES, `Endpoint/${endpoint.id}`);
      variables.setString("resource", stored.id);
    },

    handleException(api, variables, exception) {
      api.logger.warn(`nothing is offered for download: ${exception.message}`);
      variables.setString("resourceError", `nothing is offered for download: ${shortened(exception.message)}`);
    },
  },

  "dev.dsf.bpe.ping.SendCleanup": {
    execute(api, variables, sendTaskValues, sender) {
      const target = variables.getTarget();
      // Without its correlation key: the other side has one instance for this business key.
      const plain = variables.createTarget(
        target.getOrganizationIdentifierValue(),
        target.getEndpointIdentifierValue(),
        target.getEndpointUrl(),
      );
      sender.send({ target: plain, additionalInputParameters: measured(api, resultOf(variables)) });
    },

    handleException(api, variables, exception) {
      // It cleans up by itself after a while.
      api.logger.info(`no clean-up at ${described(variables.getTarget())}: ${exception.message}`);
    },
  },

  "dev.dsf.bpe.ping.LogNoResponse": (api, variables) => {
    api.logger.warn(`no pong from ${described(variables.getTarget())}`);
    remember(variables, { errors: ["the ping was delivered, no pong came"] });
  },

  "dev.dsf.bpe.ping.LogSendError": (api, variables) => {
    const message = variables.getString("sendError");
    api.logger.warn(`no ping to ${described(variables.getTarget())}: ${message}`);
    remember(variables, { errors: [`the ping was not delivered: ${message}`] });
  },

  "dev.dsf.bpe.ping.DeleteResource": {
    async execute(api, variables) {
      const id = variables.getString("resource");
      if (id) await api.getDsfClientProvider().getLocal().delete("Binary", id);
    },

    handleException(api, variables, exception) {
      api.logger.warn(`Binary/${variables.getString("resource")} is left over: ${exception.message}`);
    },
  },

  "dev.dsf.bpe.ping.SaveResults": (api, variables) => {
    const task = variables.getStartTask();
    const own = variables.getString("resourceError");
    const targets = variables.getTargets().getEntries();
    for (const target of targets.toSorted((a, b) => compare(a.getEndpointIdentifierValue(), b.getEndpointIdentifierValue()))) {
      const result = resultOf(variables, target) ?? { errors: ["nothing is known of it"] };
      addOutput(api, task, "ping-status", target, own ? { ...result, errors: [own, ...result.errors] } : result);
    }
    variables.updateTask(task);
  },

  // pong

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
      addOutput(api, task, "pong-status", target, { errors: [message] });
      variables.updateTask(task);
      throw new ErrorBoundaryEvent("target_not_allowed", message);
    }
    variables.setTarget(variables.createTarget(sender, endpointIdentifier, address, correlationKey));
  },

  "dev.dsf.bpe.ping.SendPong": {
    additionalInputParameters(api, variables) {
      const result = variables.getJsonVariable("result");
      const own = variables.getString("resourceError");
      const errors = own ? [...result.errors, own] : result.errors;
      const helper = api.getTaskHelper();
      return [
        ...offered(api, variables),
        ...measured(api, result),
        ...errors.map((text) => helper.createInput({ valueString: text }, PING, "error")),
      ];
    },

    handleException(api, variables, exception, sendTaskValues, target) {
      api.logger.warn(`no pong to ${described(target)}: ${exception.message}`);
      variables.setString("sendError", `the pong was not delivered: ${shortened(exception.message)}`);
    },
  },

  "dev.dsf.bpe.ping.SavePongResults": (api, variables) => {
    const task = variables.getStartTask();
    const result = variables.getJsonVariable("result");
    const latest = variables.getLatestTask();
    const isCleanup = latest && latest.id !== task.id;
    if (isCleanup) {
      result.uploadBytes = number(api, latest, "downloaded-bytes");
      result.uploadMillis = number(api, latest, "downloaded-duration-millis");
    }
    const own = [variables.getString("resourceError"), variables.getString("sendError")].filter(Boolean);
    result.errors = [...result.errors, ...own];
    if (!isCleanup && !own.length) result.errors.push("the pong was delivered, no clean-up came");
    addOutput(api, task, "pong-status", variables.getTarget(), result);
    variables.updateTask(task);
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
      const helper = api.getTaskHelper();
      const task = variables.getStartTask();
      const query = input(api, task, "target-endpoints");
      const size = number(api, task, "download-resource-size-bytes");
      return [
        ...(query ? [helper.createInput(query, PING, "target-endpoints")] : []),
        ...(size === null ? [] : [helper.createInput({ valueInteger: size }, PING, "download-resource-size-bytes")]),
      ];
    },

    handleException(api, variables, exception) {
      api.logger.error(`this round of pings did not start: ${exception.message}`);
    },
  },
};

function input(api, task, code) {
  return api.getTaskHelper().getFirstInputParameterStringValue(task, PING, code);
}

function inputs(api, task, code) {
  return api.getTaskHelper().getInputParameterValues(task, PING, code);
}

function number(api, task, code) {
  const value = api.getTaskHelper().getFirstInputParameterValue(task, PING, code);
  return value === null ? null : Number(value);
}

/** The input that offers the own resource, if there is one. */
function offered(api, variables) {
  const id = variables.getString("resource");
  if (!id) return [];
  const reference = `${api.getEndpointProvider().getLocalEndpointAddress()}/Binary/${id}`;
  return [api.getTaskHelper().createInput({ valueReference: { reference, type: "Binary" } }, PING, "download-resource-reference")];
}

/** The inputs that tell the other side how fast the way to it is. */
function measured(api, result) {
  if (result?.bytes === undefined) return [];
  const helper = api.getTaskHelper();
  return [
    helper.createInput({ valueDecimal: result.bytes }, PING, "downloaded-bytes"),
    helper.createInput({ valueDecimal: result.millis }, PING, "downloaded-duration-millis"),
  ];
}

/** Reads what a message offers, keeps nothing of it, and tells how long that took. */
async function downloaded(api, task) {
  const reference = api.getTaskHelper().getFirstInputParameterValue(task, PING, "download-resource-reference")?.reference;
  if (!reference) return { errors: [] };
  const [, base, id] = /^(https?:.*)\/Binary\/([^/]+)(?:\/_history\/[^/]+)?$/.exec(reference) ?? [];
  if (!id) return { errors: [`${reference} is no Binary`] };
  try {
    const began = Date.now();
    const stream = await api.getDsfClientProvider().getByEndpointUrl(base).readBinary(id, BYTES);
    let bytes = 0;
    for await (const piece of stream) bytes += piece.length;
    return { bytes, millis: Math.max(1, Date.now() - began), errors: [] };
  } catch (error) {
    return { errors: [`${reference} was not downloaded: ${shortened(error.message)}`] };
  }
}

/** Bytes that nothing on the way makes smaller. */
function* random(size) {
  const piece = new Uint8Array(Math.min(size, PIECE));
  for (let left = size; left > 0; left -= piece.length) {
    for (let at = 0; at < piece.length; at += 16) piece[at] = Math.floor(Math.random() * 256);
    yield left < piece.length ? piece.slice(0, left) : piece.slice();
  }
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

function shortened(text) {
  const plain = String(text ?? "unknown error");
  return plain.length > LONGEST_ERROR ? `${plain.slice(0, LONGEST_ERROR)}…` : plain;
}

function described(target) {
  return `${target.getOrganizationIdentifierValue()}, endpoint ${target.getEndpointIdentifierValue()}`;
}

function compare(one, other) {
  return one < other ? -1 : Number(one > other);
}

/** One variable for each target: branches run side by side and must not write to the same one. */
function resultName(target) {
  return `pingResult_${target.getCorrelationKey()}`;
}

function resultOf(variables, target = variables.getTarget()) {
  return variables.getJsonVariable(resultName(target));
}

function remember(variables, result) {
  variables.setJsonVariable(resultName(variables.getTarget()), result);
}

/** Megabits a second, with two digits. */
function speed({ bytes, millis }) {
  return bytes > 0 && millis > 0 ? Math.round((bytes * 8) / millis / 10) / 100 : null;
}

/** Appends what came of a message to the outputs of a Task. */
function addOutput(api, task, code, target, result) {
  const about = [
    { url: "organization-identifier", valueIdentifier: { system: ORGANIZATION, value: target.getOrganizationIdentifierValue() } },
    { url: "endpoint-identifier", valueIdentifier: { system: ENDPOINT, value: target.getEndpointIdentifierValue() } },
  ];
  if (target.getCorrelationKey()) about.unshift({ url: "correlation-key", valueString: target.getCorrelationKey() });
  const down = speed(result);
  const up = speed({ bytes: result.uploadBytes, millis: result.uploadMillis });
  if (down !== null) about.push({ url: "download-speed", valueDecimal: down });
  if (up !== null) about.push({ url: "upload-speed", valueDecimal: up });
  for (const text of result.errors) about.push({ url: "error-message", valueString: text });

  const status = result.errors.length ? "error" : "completed";
  const output = api.getTaskHelper().createOutput({ valueCoding: { system: PING_STATUS, code: status } }, PING, code);
  const extension = [{ url: STATUS_EXTENSION, extension: about }];
  task.output = [...(task.output ?? []), { extension, ...output }];
}
