// The api object, and what the host calls.

const log = (level) => (text) => native.log(level, String(text));

const dataLogger = Object.freeze({
  isEnabled: () => plugin.logsData,
  /** A resource or any value, to the log for sensitive data and nowhere else. */
  log: (message, value) => native.log("data", `${message}: ${isText(value) ? value : stringify(value)}`),
});

// What the parts that are loaded later build on.
const shared = {
  native, plugin, ask, part, stringify, encoded, milliseconds, copy, describe, isText, isBytes, isResource, asBytes,
  identifierOf, log, endpointProvider,
  CODE_SYSTEM, SID_ORGANIZATION, SID_ENDPOINT, SID_PRACTITIONER, PRACTITIONER_ROLE, READ_ACCESS_TAG, ALTERNATIVE_KEY,
  get api() {
    return api;
  },
};

/** What plugin.toml says, as members and, as in Java, by getters. */
function definition() {
  const { name, version, resourceVersion, releaseDate, title, publisher, license } = plugin.definition;
  const all = { name, version, resourceVersion, releaseDate, resourceReleaseDate: releaseDate, title, publisher, license };
  for (const [member, value] of Object.entries(all)) {
    all[`get${member[0].toUpperCase()}${member.slice(1)}`] = () => value ?? null;
  }
  return Object.freeze(all);
}

const api = Object.freeze({
  logger: Object.freeze({ debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") }),
  randomUUID: () => native.uuid(),
  /** Waits, in milliseconds. */
  delay: (time) => ask({ delay: { milliseconds: milliseconds(time) } }),
  /** The value of a `[[setting]]` of plugin.toml. */
  getSetting(name) {
    if (!Object.hasOwn(plugin.settings, name)) throw new Error(`plugin.toml has no [[setting]] named ${name}`);
    return plugin.settings[name];
  },
  getProcessPluginDefinition: definition,
  getOrganizationProvider: () => organizationProvider,
  getEndpointProvider: () => endpointProvider,
  getTargetProvider: () => targetProvider,
  getTaskHelper: () => part("tasks").taskHelper,
  getDataLogger: () => dataLogger,
  getDsfClientProvider: () => part("client").dsfClientProvider,
  getFhirClientProvider: () => part("client").dsfClientProvider,
  getFhirClientConfigProvider: () => part("connections").fhirClientConfigProvider,
  getOidcClientProvider: () => part("connections").oidcClientProvider,
  getReadAccessHelper: () => part("access").readAccessHelper,
  getProcessAuthorizationHelper: () => part("access").processAuthorizationHelper,
  getQuestionnaireResponseHelper: () => part("questionnaire").questionnaireResponseHelper,
  getCompressionService: () => part("services").compressionService,
  getCryptoService: () => part("services").cryptoService,
  getMailService: () => part("services").mailService,
  getMimeTypeService: () => part("services").mimeTypeService,
  getValidationServiceProvider: () => part("services").validationServiceProvider,
  getProxyConfig: () => part("services").proxyConfig,
});

/** What the module has for the host, as JSON. */
function offer({ activities, onProcessesDeployed }) {
  if (activities === null || typeof activities !== "object") {
    throw new TypeError("the module must export an object named activities");
  }
  if (onProcessesDeployed !== undefined && typeof onProcessesDeployed !== "function") {
    throw new TypeError("what the module exports as onProcessesDeployed must be a function");
  }
  return stringify({
    activities: Object.entries(activities).map(([key, entry]) => ({
      key,
      kind: entry === null ? "null" : typeof entry,
      members: typeof entry === "object" ? membersOf(entry) : [],
      businessKeyStrategy: entry?.businessKeyStrategy ?? null,
    })),
    listens: onProcessesDeployed !== undefined,
  });
}

const MEMBERS = [
  "execute", "notify", "additionalInputParameters", "afterSend", "handleException",
  "handleErrorBoundaryEvent", "getPractitioners", "getPractitionerRoles", "createQuestionnaireResponse",
  "beforeQuestionnaireResponseCreate", "afterQuestionnaireResponseCreate",
];

function membersOf(entry) {
  return MEMBERS.filter((name) => typeof entry?.[name] === "function");
}

/** Runs one member of an entry, or of the module itself; never throws, the answer says what happened. */
async function call(exports, json) {
  const call = parse(json);
  const variables = new Variables(call);
  const entry = call.class === null ? exports : exports.activities[call.class];
  let outcome;
  try {
    outcome = { value: (await run(entry, call, variables)) ?? null };
  } catch (exception) {
    outcome = { error: failure(exception) };
  }
  return stringify({ ...outcome, ...Variables.effects(variables) });
}

const HANDLERS = ["handleException", "handleErrorBoundaryEvent"];

async function run(entry, call, variables) {
  if (call.member === "handleException") {
    const thrown = withDetails(new Error(), call.exception);
    return handled(entry, call, variables, "handleException", thrown);
  }
  try {
    return await invoke(entry, call, variables);
  } catch (exception) {
    const isEvent = exception instanceof ErrorBoundaryEvent && call.mayThrowBoundary;
    const handler = HANDLERS[Number(isEvent)];
    if (typeof entry?.[handler] !== "function") throw exception;
    return handled(entry, call, variables, handler, exception);
  }
}

/** A handler that returns nothing has dealt with it; an exception that it returns or throws stands. */
async function handled(entry, call, variables, handler, exception) {
  const answer = await entry[handler](api, variables, exception, ...messageOf(call));
  if (answer instanceof Error) throw answer;
  return { handled: true };
}

const messageOf = (call) =>
  call.message ? [call.message.values, call.message.target && new Target(call.message.target)] : [];

/** What a function gets beside `api` and `variables`. */
function extras(call) {
  const fields = Object.fromEntries(call.fields.map(([name, value]) => [name, decode(value)]));
  return call.values === null ? [fields] : [call.values, fields];
}

async function invoke(entry, call, variables) {
  switch (call.member) {
    case "call":
      return entry(api, variables, ...extras(call));
    case "onProcessesDeployed":
      await entry.onProcessesDeployed(api, call.processes);
      return null;
    case "notify":
      return entry.notify(api, variables, ...extras(call));
    case "execute":
      return call.message ? sent(entry, call, variables) : entry.execute(api, variables, ...extras(call));
    case "beforeQuestionnaireResponseCreate":
      return part("questionnaire").composed(entry, call, variables);
    case "afterQuestionnaireResponseCreate":
      await entry[call.member](api, variables, call.values, call.form);
      return null;
    default:
      return entry[call.member](api, variables, ...messageOf(call));
  }
}

/** A message whose sending the code decides on: what it hands to `send` is sent after the call. */
async function sent(entry, call, variables) {
  let wanted = null;
  const send = (changes = {}) => {
    if (wanted) throw new Error("a message is sent once; for several receivers use a multi-instance activity");
    const target = changes.target ?? variables.getTarget();
    if (!(target instanceof Target)) throw new TypeError("there is no target to send to: setTarget, or send({ target })");
    wanted = { ...changes, target: target.toJSON() };
  };
  await entry.execute(api, variables, call.message.values, Object.freeze({ send }), ...extras(call));
  return { send: wanted };
}

function failure(exception) {
  if (exception instanceof ErrorBoundaryEvent) {
    return { boundary: exception.code, kind: exception.name, message: exception.message };
  }
  if (exception instanceof Error) {
    const message = exception.message || exception.name;
    return { kind: exception.name, message, stack: String(exception.stack ?? "") };
  }
  return { kind: "Error", message: String(exception) };
}

return { offer, call, settle, api, Variables };
