// What plugin code sees of the host (docs/plugins.md §3 to §6), built on four native functions:
//
//   native.log(level, text)
//   native.uuid()                 a random UUID
//   native.ask(id, question)      starts something that takes time; `settle(id, answer)` ends it
//   plugin                        what is known when the plugin is loaded
//
// Questions and answers are JSON. `{ lookup: query }` is answered by all resources of a search, from
// a cache; `{ fhir: … }` is a request to the own FHIR server, as the plugin's capabilities allow.
//
// This file runs once for each call, before the plugin's module. It returns what the host calls.

(function (native, plugin) {
  "use strict";

  const SID_ORGANIZATION = "http://dsf.dev/sid/organization-identifier";
  const SID_ENDPOINT = "http://dsf.dev/sid/endpoint-identifier";
  const ORGANIZATION_ROLE = "http://dsf.dev/fhir/CodeSystem/organization-role";
  const READ_ACCESS_TAG = "http://dsf.dev/fhir/CodeSystem/read-access-tag";
  const PROFILE = "http://dsf.dev/fhir/StructureDefinition/";
  const ALTERNATIVE_KEY = "alternativeBusinessKey";

  // Taken before the plugin could change them.
  const { parse, stringify } = JSON;

  class ErrorBoundaryEvent extends Error {
    constructor(code, message) {
      super(message);
      if (typeof code !== "string" || code === "") {
        throw new TypeError("new ErrorBoundaryEvent(code, message): code must be a text");
      }
      this.name = "ErrorBoundaryEvent";
      this.code = code;
    }
  }
  globalThis.ErrorBoundaryEvent = ErrorBoundaryEvent;

  // ---- Questions to the host -------------------------------------------------------------------

  const open = new Map();
  let questions = 0;

  function ask(question) {
    return new Promise((resolve, reject) => {
      const id = questions++;
      open.set(id, { resolve, reject });
      native.ask(id, stringify(question));
    });
  }

  function settle(id, answer) {
    const waiting = open.get(id);
    open.delete(id);
    const { value, error } = parse(answer);
    if (error) waiting.reject(withDetails(new Error(error.message), error));
    else waiting.resolve(value);
  }

  function withDetails(exception, { status, operationOutcome }) {
    exception.status = status ?? undefined;
    if (operationOutcome) exception.operationOutcome = operationOutcome;
    return exception;
  }

  const lookup = (query) => ask({ lookup: query });

  // ---- Targets ---------------------------------------------------------------------------------

  class Target {
    #target;
    constructor(target) {
      this.#target = target;
    }
    getOrganizationIdentifierValue() {
      return this.#target.organization;
    }
    getEndpointIdentifierValue() {
      return this.#target.endpoint;
    }
    getEndpointUrl() {
      return this.#target.url;
    }
    getCorrelationKey() {
      return this.#target.correlationKey ?? null;
    }
    toJSON() {
      return this.#target;
    }
  }

  class Targets {
    #entries;
    constructor(entries) {
      this.#entries = entries;
    }
    getEntries() {
      return [...this.#entries];
    }
    isEmpty() {
      return this.#entries.length === 0;
    }
    size() {
      return this.#entries.length;
    }
    getFirst() {
      return this.#entries[0] ?? null;
    }
    removeByEndpointIdentifierValue(one) {
      return this.removeAllByEndpointIdentifierValue([one]);
    }
    removeAllByEndpointIdentifierValue(all) {
      const ids = new Set(
        [...all].map((one) => (one instanceof Target ? one.getEndpointIdentifierValue() : one)),
      );
      return new Targets(
        this.#entries.filter((target) => !ids.has(target.getEndpointIdentifierValue())),
      );
    }
    toJSON() {
      return this.#entries;
    }
  }

  function createTarget(organization, endpoint, url, correlationKey) {
    for (const [name, value] of Object.entries({ organization, endpoint, url })) {
      if (typeof value !== "string") throw new TypeError(`createTarget: ${name} must be a text`);
    }
    return new Target({ organization, endpoint, url, correlationKey: correlationKey ?? null });
  }

  function createTargets(targets) {
    const entries = [...targets];
    if (!entries.every((target) => target instanceof Target)) {
      throw new TypeError("createTargets: only Targets made by createTarget");
    }
    return new Targets(entries);
  }

  // ---- Values of variables: [type, value] on the way between host and code ---------------------

  const INT = 2 ** 31;

  const decoders = {
    null: () => null,
    boolean: (value) => value,
    integer: (value) => value,
    long: (text) => (Number.isSafeInteger(Number(text)) ? Number(text) : BigInt(text)),
    double: (value) => Number(value),
    string: (value) => value,
    date: (millis) => new Date(millis),
    bytes: (text) => Uint8Array.from(text, (byte) => byte.charCodeAt(0)),
    list: (items) => items.map(decode),
    map: (entries) => Object.fromEntries(entries.map(([name, value]) => [name, decode(value)])),
    // Copied: code may change what it is given.
    json: copy,
    resource: copy,
    target: (target) => new Target(target),
    targets: (targets) => new Targets(targets.map((target) => new Target(target))),
  };

  function decode([type, value]) {
    return decoders[type](value);
  }

  function copy(value) {
    return value === undefined ? undefined : parse(stringify(value));
  }

  function encodeNumber(value) {
    if (typeof value === "bigint") return encodeLong(value);
    if (!Number.isInteger(value) || Object.is(value, -0)) return ["double", plainDouble(value)];
    if (value >= -INT && value < INT) return ["integer", value];
    return Number.isSafeInteger(value) ? ["long", String(value)] : ["double", plainDouble(value)];
  }

  // JSON has no NaN and no infinity: these travel as text.
  function plainDouble(value) {
    return Number.isFinite(value) ? value : String(value);
  }

  function encodeLong(value) {
    const long = BigInt(value);
    if (BigInt.asIntN(64, long) !== long) throw new RangeError(`${long} does not fit 64 bits`);
    return ["long", String(long)];
  }

  function whole(bits) {
    const limit = 2 ** (bits - 1);
    return (value) => {
      if (!Number.isInteger(value) || value < -limit || value >= limit) {
        throw new TypeError(`${describe(value)} is not a whole number of ${bits} bits`);
      }
      return ["integer", value];
    };
  }

  function typed(type, fits, encoder) {
    return (value) => {
      if (!fits(value)) throw new TypeError(`${describe(value)} is not of type ${type}`);
      return encoder(value);
    };
  }

  const isDate = (value) => value instanceof Date && !Number.isNaN(value.getTime());
  const isNumber = (value) => typeof value === "number" || typeof value === "bigint";
  const isText = (value) => typeof value === "string";
  const isBytes = (value) => value instanceof Uint8Array;
  const isResource = (value) => typeof value?.resourceType === "string";
  const isListOf = (fits) => (value) => Array.isArray(value) && value.every(fits);

  const encodeText = (value) => ["string", value];
  const encodeDate = (value) => ["date", value.getTime()];
  const encodeResource = (value) => ["resource", copy(value)];

  function encodeBytes(value) {
    let text = "";
    for (const byte of value) text += String.fromCharCode(byte);
    return ["bytes", text];
  }

  // The types that have a getter and a setter of their own.
  const TYPES = {
    String: typed("String", isText, encodeText),
    Integer: whole(32),
    Short: whole(16),
    Long: typed("Long", (value) => typeof value === "bigint" || Number.isSafeInteger(value), encodeLong),
    Double: typed("Double", (value) => typeof value === "number", (value) => ["double", plainDouble(value)]),
    Number: typed("Number", isNumber, encodeNumber),
    Boolean: typed("Boolean", (value) => typeof value === "boolean", (value) => ["boolean", value]),
    Date: typed("Date", isDate, encodeDate),
    ByteArray: typed("ByteArray", isBytes, encodeBytes),
    StringList: typed("StringList", isListOf(isText), (value) => ["list", value.map(encodeText)]),
    FhirResource: typed("FhirResource", isResource, encodeResource),
    FhirResourceList: typed("FhirResourceList", isListOf(isResource), (value) => ["list", value.map(encodeResource)]),
  };

  function encodeAny(value) {
    if (value === undefined) throw new TypeError("a variable cannot be undefined; null or removeVariable?");
    if (isText(value)) return encodeText(value);
    if (typeof value === "boolean") return ["boolean", value];
    if (isNumber(value)) return encodeNumber(value);
    if (isDate(value)) return encodeDate(value);
    if (isBytes(value)) return encodeBytes(value);
    if (value instanceof Target) return ["target", copy(value)];
    if (value instanceof Targets) return ["targets", copy(value)];
    return encodeJson(value);
  }

  function encodeJson(value) {
    const json = copy(value);
    if (json === undefined) throw new TypeError(`${describe(value)} cannot be kept as JSON`);
    return ["json", json];
  }

  function describe(value) {
    if (value === null || typeof value !== "object") return String(value);
    return value.resourceType ?? value.constructor?.name ?? "object";
  }

  // ---- Variables -------------------------------------------------------------------------------

  class Variables {
    #visible;
    #settings = [];
    #context;
    #tasks;
    #changed = new Map();

    constructor(call) {
      this.#visible = new Map(call.visible);
      this.#context = call.context;
      this.#tasks = call.tasks;
    }

    /** What code has changed so far. */
    static effects(variables) {
      return { settings: variables.#settings, tasks: [...variables.#changed.values()] };
    }

    #read(name) {
      const value = this.#visible.get(name);
      return value === undefined ? null : decode(value);
    }

    #write(name, value, local) {
      if (typeof name !== "string" || name === "") throw new TypeError("the name of a variable must be a text");
      this.#settings.push([name, value, local]);
      this.#visible.set(name, value);
    }

    getBusinessKey() {
      return this.#context.businessKey;
    }
    getCurrentActivityId() {
      return this.#context.activityId;
    }
    getActivityInstanceId() {
      return this.#context.activityInstanceId;
    }
    getProcessDefinitionId() {
      return this.#context.processDefinitionId;
    }
    getAlternativeBusinessKey() {
      return this.#read(ALTERNATIVE_KEY);
    }
    setAlternativeBusinessKey(key) {
      this.#write(ALTERNATIVE_KEY, TYPES.String(key), false);
    }

    createTarget(organization, endpoint, url, correlationKey) {
      return createTarget(organization, endpoint, url, correlationKey);
    }
    createTargets(targets) {
      return createTargets(targets);
    }
    getTarget() {
      return this.#read("target");
    }
    setTarget(target) {
      if (!(target instanceof Target)) throw new TypeError("setTarget: only a Target made by createTarget");
      this.#write("target", encodeAny(target), false);
    }
    getTargets() {
      return this.#read("targets");
    }
    setTargets(targets) {
      if (!(targets instanceof Targets)) throw new TypeError("setTargets: only Targets made by createTargets");
      this.#write("targets", encodeAny(targets), false);
    }

    getStartTask() {
      return copy(this.#tasks.start) ?? null;
    }
    getLatestTask() {
      return copy(this.#tasks.current.at(-1)) ?? null;
    }
    getTasks() {
      return copy(this.#tasks.all);
    }
    getCurrentTasks() {
      return copy(this.#tasks.current);
    }
    updateTask(task) {
      const { start, current, all } = this.#tasks;
      const known = [start, ...current, ...all].some((one) => one && one.id === task?.id);
      if (!known) {
        native.log("warn", `updateTask: Task/${task?.id} is not a Task of this process instance`);
        return;
      }
      const changed = copy(task);
      const replaced = (one) => (one?.id === changed.id ? changed : one);
      this.#tasks = { start: replaced(start), current: current.map(replaced), all: all.map(replaced) };
      this.#changed.set(changed.id, changed);
    }

    getLatestReceivedQuestionnaireResponse() {
      return this.#read(plugin.receivedResponse);
    }

    getVariable(name) {
      return this.#read(name);
    }
    setVariable(name, value) {
      this.#write(name, value === null ? ["null"] : encodeAny(value), false);
    }
    setVariableLocal(name, value) {
      this.#write(name, value === null ? ["null"] : encodeAny(value), true);
    }
    hasVariable(name) {
      return this.#visible.has(name);
    }
    removeVariable(name) {
      this.#settings.push([name, null, false]);
      this.#visible.delete(name);
    }
    getJsonVariable(name) {
      return this.#read(name);
    }
    setJsonVariable(name, value) {
      this.#write(name, encodeJson(value), false);
    }

    static {
      // get…, set… and set…Local of every type.
      for (const [type, encoder] of Object.entries(TYPES)) {
        const encoded = (value) => (value === null ? ["null"] : encoder(value));
        this.prototype[`get${type}`] = function (name) {
          return this.#read(name);
        };
        this.prototype[`set${type}`] = function (name, value) {
          this.#write(name, encoded(value), false);
        };
        this.prototype[`set${type}Local`] = function (name, value) {
          this.#write(name, encoded(value), true);
        };
      }
    }
  }

  // ---- Organisations, endpoints, targets (spec/bpe.md §6.6) ------------------------------------

  const encoded = encodeURIComponent;
  const organizationToken = (id) => encoded(`${SID_ORGANIZATION}|${id}`);
  const identifierOf = (resource, system) =>
    resource?.identifier?.find((identifier) => identifier.system === system) ?? null;
  const ofType = (resources, type) => resources.filter((one) => one.resourceType === type);
  const plainReference = (reference) => reference?.reference?.split("/_history/")[0] ?? null;

  async function local() {
    const query = `Endpoint?status=active&address=${encoded(plugin.baseUrl)}&_include=Endpoint:organization`;
    const found = await lookup(query);
    return {
      endpoint: ofType(found, "Endpoint")[0] ?? null,
      organization: ofType(found, "Organization").find((one) => one.active) ?? null,
    };
  }

  /** Active memberships with their active members and endpoints. */
  async function memberships(parent, role, members) {
    let query = `OrganizationAffiliation?active=true&primary-organization:identifier=${organizationToken(parent)}`;
    if (role) {
      const { system, code } = typeof role === "string" ? { system: ORGANIZATION_ROLE, code: role } : role;
      query += `&role=${encoded(`${system}|${code}`)}`;
    }
    if (members?.length > 0) {
      query += `&participating-organization:identifier=${members.map(organizationToken).join(",")}`;
    }
    query += "&_include=OrganizationAffiliation:participating-organization&_include=OrganizationAffiliation:endpoint&_sort=_id";
    const found = await lookup(query);
    const byReference = new Map(found.map((one) => [`${one.resourceType}/${one.id}`, one]));
    return ofType(found, "OrganizationAffiliation")
      .map((affiliation) => ({
        affiliation,
        member: byReference.get(plainReference(affiliation.participatingOrganization)),
        endpoints: (affiliation.endpoint ?? [])
          .map((reference) => byReference.get(plainReference(reference)))
          .filter((endpoint) => endpoint?.status === "active"),
      }))
      .filter(({ member }) => member?.active);
  }

  function distinct(resources) {
    return [...new Map(resources.map((one) => [one.id, one])).values()];
  }

  async function only(query) {
    return (await lookup(query))[0] ?? null;
  }

  const organizationProvider = {
    async getLocalOrganization() {
      return (await local()).organization;
    },
    async getLocalOrganizationIdentifier() {
      return identifierOf((await local()).organization, SID_ORGANIZATION);
    },
    async getLocalOrganizationIdentifierValue() {
      return (await this.getLocalOrganizationIdentifier())?.value ?? null;
    },
    getOrganization(id) {
      return only(`Organization?active=true&identifier=${organizationToken(id)}`);
    },
    async getOrganizations(parent, role) {
      return distinct((await memberships(parent, role)).map(({ member }) => member));
    },
    async getRemoteOrganizations() {
      const own = await this.getLocalOrganizationIdentifierValue();
      if (own === null) throw new Error("the own organisation is not known to the FHIR server");
      const profile = encoded(`${PROFILE}organization`);
      return lookup(`Organization?active=true&identifier:not=${organizationToken(own)}&_profile=${profile}`);
    },
    getParentOrganizations() {
      return lookup(`Organization?active=true&_profile=${encoded(`${PROFILE}organization-parent`)}`);
    },
  };

  const endpointProvider = {
    getLocalEndpointAddress() {
      return plugin.baseUrl;
    },
    async getLocalEndpoint() {
      return (await local()).endpoint;
    },
    async getLocalEndpointIdentifier() {
      return identifierOf((await local()).endpoint, SID_ENDPOINT);
    },
    async getLocalEndpointIdentifierValue() {
      return (await this.getLocalEndpointIdentifier())?.value ?? null;
    },
    /** By its own identifier, or that of a member in the role it has under a parent. */
    async getEndpoint(id, member, role) {
      if (member === undefined) {
        return only(`Endpoint?status=active&identifier=${encoded(`${SID_ENDPOINT}|${id}`)}`);
      }
      const found = await memberships(id, role, [member]);
      return found.flatMap(({ endpoints }) => endpoints)[0] ?? null;
    },
    async getEndpointAddress(id, member, role) {
      return (await this.getEndpoint(id, member, role))?.address ?? null;
    },
    async getEndpoints(parent, role) {
      return distinct((await memberships(parent, role)).flatMap(({ endpoints }) => endpoints));
    },
  };

  class TargetBuilder {
    #found;
    #filters = [];
    constructor(parent, role, members) {
      this.#found = () => memberships(parent, role, members);
    }
    filter(predicate) {
      this.#filters.push(predicate);
      return this;
    }
    async #targets(correlationKey) {
      const targets = [];
      for (const { affiliation, member, endpoints } of await this.#found()) {
        for (const endpoint of endpoints) {
          if (!this.#filters.every((predicate) => predicate(affiliation, member, endpoint))) continue;
          const organization = identifierOf(member, SID_ORGANIZATION)?.value;
          const id = identifierOf(endpoint, SID_ENDPOINT)?.value;
          if (organization && id) {
            targets.push(createTarget(organization, id, endpoint.address, correlationKey()));
          }
        }
      }
      return new Targets(targets);
    }
    withCorrelationKey() {
      return this.#targets(() => native.uuid());
    }
    withoutCorrelationKey() {
      return this.#targets(() => null);
    }
  }

  const targetProvider = {
    create(parent, role, ...members) {
      return new TargetBuilder(parent, role, members.flat());
    },
  };

  // ---- The own FHIR server ---------------------------------------------------------------------

  const fhir = (method, path, rest) => ask({ fhir: { method, path, ...rest } });

  function nameOf(resource) {
    if (!isResource(resource)) throw new TypeError(`${describe(resource)} is not a FHIR resource`);
    return resource.resourceType;
  }

  function version(resource) {
    const id = resource.meta?.versionId;
    return id ? `W/"${id}"` : undefined;
  }

  const localClient = {
    async read(type, id, version) {
      const history = version === undefined ? "" : `/_history/${encoded(version)}`;
      return (await fhir("GET", `${type}/${encoded(id)}${history}`)).body;
    },
    async exists(type, id) {
      try {
        await fhir("GET", `${type}/${encoded(id)}`);
        return true;
      } catch (exception) {
        if (exception.status === 404 || exception.status === 410) return false;
        throw exception;
      }
    },
    async search(query) {
      return (await fhir("GET", query)).body;
    },
    async searchWithStrictHandling(query) {
      return (await fhir("GET", query, { prefer: "handling=strict" })).body;
    },
    async create(resource) {
      return (await fhir("POST", nameOf(resource), { body: resource, prefer: "return=representation" })).body;
    },
    async createConditionally(resource, condition) {
      const rest = { body: resource, ifNoneExist: condition, prefer: "return=representation" };
      return (await fhir("POST", nameOf(resource), rest)).body;
    },
    async update(resource) {
      const rest = { body: resource, ifMatch: version(resource), prefer: "return=representation" };
      return (await fhir("PUT", `${nameOf(resource)}/${encoded(resource.id)}`, rest)).body;
    },
    async updateConditionally(resource, condition) {
      const rest = { body: resource, ifMatch: version(resource), prefer: "return=representation" };
      return (await fhir("PUT", `${nameOf(resource)}?${condition}`, rest)).body;
    },
    async delete(type, id) {
      await fhir("DELETE", `${type}/${encoded(id)}`);
    },
    async postBundle(bundle) {
      return (await fhir("POST", "", { body: bundle, prefer: "return=representation" })).body;
    },
  };

  // ---- Tasks and read-access tags --------------------------------------------------------------

  const hasCoding = (parameter, system, code) =>
    (parameter.type?.coding ?? []).some((coding) => coding.system === system && coding.code === code);
  const valueMember = (element) => Object.keys(element).find((name) => name.startsWith("value"));
  const inputsOf = (task, system, code) =>
    (task?.input ?? []).filter((input) => hasCoding(input, system, code));

  function parameter(value, system, code, version) {
    const coding = version === undefined ? { system, code } : { system, version, code };
    return { type: { coding: [coding] }, ...element(value) };
  }

  function element(value) {
    if (isText(value)) return { valueString: value };
    if (typeof value === "boolean") return { valueBoolean: value };
    if (typeof value === "number") {
      return Number.isInteger(value) ? { valueInteger: value } : { valueDecimal: value };
    }
    if (value !== null && typeof value === "object" && valueMember(value)) return value;
    throw new TypeError(`${describe(value)} is no parameter value; pass { valueReference: … } or the like`);
  }

  const taskHelper = {
    getInputParameterStringValues(task, system, code) {
      return inputsOf(task, system, code)
        .map((input) => input.valueString)
        .filter(isText);
    },
    getFirstInputParameterStringValue(task, system, code) {
      return this.getInputParameterStringValues(task, system, code)[0] ?? null;
    },
    getInputParameterValues(task, system, code) {
      return inputsOf(task, system, code)
        .filter(valueMember)
        .map((input) => input[valueMember(input)]);
    },
    getFirstInputParameterValue(task, system, code) {
      return this.getInputParameterValues(task, system, code)[0] ?? null;
    },
    createInput: parameter,
    createOutput: parameter,
    getLocalVersionlessAbsoluteUrl(task) {
      return task?.id ? `${plugin.baseUrl}/Task/${task.id}` : null;
    },
  };

  const tagsOf = (resource) =>
    (resource?.meta?.tag ?? []).filter((tag) => tag.system === READ_ACCESS_TAG);

  function addTag(resource, tag) {
    resource.meta ??= {};
    const tags = (resource.meta.tag ??= []);
    if (!tags.some((one) => stringify(one) === stringify(tag))) tags.push(tag);
    return resource;
  }

  const organizationExtension = (url, id) => ({
    url,
    valueIdentifier: { system: SID_ORGANIZATION, value: id },
  });

  const readAccessHelper = {
    addLocal(resource) {
      return addTag(resource, { system: READ_ACCESS_TAG, code: "LOCAL" });
    },
    addOrganization(resource, id) {
      const extension = [organizationExtension(`${PROFILE}extension-read-access-organization`, id)];
      return addTag(this.addLocal(resource), { extension, system: READ_ACCESS_TAG, code: "ORGANIZATION" });
    },
    addRole(resource, parent, system, code) {
      const parts = [
        organizationExtension("parent-organization", parent),
        { url: "organization-role", valueCoding: { system, code } },
      ];
      const extension = [{ url: `${PROFILE}extension-read-access-parent-organization-role`, extension: parts }];
      return addTag(this.addLocal(resource), { extension, system: READ_ACCESS_TAG, code: "ROLE" });
    },
    addAll(resource) {
      resource.meta ??= {};
      resource.meta.tag = (resource.meta.tag ?? []).filter((tag) => tag.system !== READ_ACCESS_TAG);
      return addTag(resource, { system: READ_ACCESS_TAG, code: "ALL" });
    },
    hasLocal(resource) {
      return tagsOf(resource).some((tag) => tag.code === "LOCAL");
    },
    hasOrganization(resource, id) {
      return tagsOf(resource).some((tag) => tag.code === "ORGANIZATION" && organizationOf(tag) === id);
    },
    hasAll(resource) {
      return tagsOf(resource).some((tag) => tag.code === "ALL");
    },
    /** ALL alone, or LOCAL once with any number of well-formed others. */
    isValid(resource) {
      const tags = tagsOf(resource);
      const count = (code) => tags.filter((tag) => tag.code === code).length;
      if (count("ALL") > 0) return tags.length === 1;
      return count("LOCAL") === 1 && tags.every(isWellFormed);
    },
  };

  function organizationOf(tag) {
    const url = `${PROFILE}extension-read-access-organization`;
    const identifier = tag.extension?.find((one) => one.url === url)?.valueIdentifier;
    return identifier?.system === SID_ORGANIZATION ? identifier.value : undefined;
  }

  function isWellFormed(tag) {
    if (tag.code === "LOCAL") return true;
    if (tag.code === "ORGANIZATION") return Boolean(organizationOf(tag));
    if (tag.code !== "ROLE") return false;
    const url = `${PROFILE}extension-read-access-parent-organization-role`;
    const parts = tag.extension?.find((one) => one.url === url)?.extension ?? [];
    const parent = parts.find((part) => part.url === "parent-organization")?.valueIdentifier;
    const role = parts.find((part) => part.url === "organization-role")?.valueCoding;
    return parent?.system === SID_ORGANIZATION && Boolean(parent.value && role?.system && role?.code);
  }

  // ---- api -------------------------------------------------------------------------------------

  const log = (level) => (text) => native.log(level, String(text));
  const api = Object.freeze({
    logger: Object.freeze({ debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") }),
    randomUUID: () => native.uuid(),
    getProcessPluginDefinition: () => ({ ...plugin.definition }),
    getOrganizationProvider: () => organizationProvider,
    getEndpointProvider: () => endpointProvider,
    getTargetProvider: () => targetProvider,
    getDsfClientProvider: () => ({ getLocal: () => localClient }),
    getTaskHelper: () => taskHelper,
    getReadAccessHelper: () => readAccessHelper,
  });

  // ---- What the host calls ---------------------------------------------------------------------

  /** The shapes of all entries, as JSON. */
  function shapes(activities) {
    if (activities === null || typeof activities !== "object") {
      throw new TypeError("the module must export an object named activities");
    }
    return stringify(
      Object.entries(activities).map(([key, entry]) => ({
        key,
        kind: entry === null ? "null" : typeof entry,
        members: typeof entry === "object" ? membersOf(entry) : [],
        businessKeyStrategy: entry?.businessKeyStrategy ?? null,
      })),
    );
  }

  const FORM_MEMBERS = ["beforeQuestionnaireResponseCreate", "afterQuestionnaireResponseCreate"];
  const MEMBERS = [
    "execute", "notify", "additionalInputParameters", "afterSend", "handleException", ...FORM_MEMBERS,
  ];

  function membersOf(entry) {
    return MEMBERS.filter((name) => typeof entry?.[name] === "function");
  }

  /** Runs one member of an entry; never throws, the answer says what happened. */
  async function call(activities, json) {
    const call = parse(json);
    const variables = new Variables(call);
    const entry = activities[call.class];
    let outcome;
    try {
      outcome = { value: (await run(entry, call, variables)) ?? null };
    } catch (exception) {
      outcome = { error: failure(exception) };
    }
    return stringify({ ...outcome, ...Variables.effects(variables) });
  }

  /** What a function gets beside `api` and `variables`. */
  function extras(call) {
    const fields = Object.fromEntries(call.fields.map(([name, value]) => [name, decode(value)]));
    return call.values === null ? [fields] : [call.values, fields];
  }

  async function run(entry, call, variables) {
    const message = call.message
      ? [call.message.values, new Target(call.message.target)]
      : [];
    let thrown;
    if (call.member === "handleException") {
      thrown = withDetails(new Error(call.exception.message), call.exception);
    } else {
      try {
        return await invoke(entry, call, variables, message);
      } catch (exception) {
        const handled = call.handles && !(exception instanceof ErrorBoundaryEvent && call.mayThrowBoundary);
        if (!handled) throw exception;
        thrown = exception;
      }
    }
    await entry.handleException(api, variables, thrown, ...message);
    return { handled: true };
  }

  function invoke(entry, call, variables, message) {
    switch (call.member) {
      case "call":
        return entry(api, variables, ...extras(call));
      case "execute":
      case "notify":
        return entry[call.member](api, variables, ...extras(call));
      case "beforeQuestionnaireResponseCreate":
      case "afterQuestionnaireResponseCreate":
        return withForm(entry, call, variables);
      default:
        return entry[call.member](api, variables, ...message);
    }
  }

  /** The form as the code leaves it: changed in place, or returned anew. */
  async function withForm(entry, call, variables) {
    const form = call.form;
    const returned = await entry[call.member](api, variables, call.values, form);
    return { form: returned ?? form };
  }

  function failure(exception) {
    if (exception instanceof ErrorBoundaryEvent) {
      return { boundary: exception.code, kind: exception.name, message: exception.message };
    }
    if (exception instanceof Error) {
      const place = placeOf(exception);
      const text = exception.message || exception.name;
      return { kind: exception.name, message: place ? `${text} (${place})` : text };
    }
    return { kind: "Error", message: String(exception) };
  }

  /** Where in the plugin's own files it was thrown. */
  function placeOf(exception) {
    return /\(?([\w./-]+\.m?js:\d+(?::\d+)?)\)?/.exec(exception.stack ?? "")?.[1];
  }

  return { shapes, call, settle };
})
