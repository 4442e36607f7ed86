// Downloads the allow list of a network, says what it would change here, and applies it.

const CODES = "http://dsf.dev/fhir/CodeSystem/allow-list";
const READ_ACCESS = "http://dsf.dev/fhir/CodeSystem/read-access-tag";
const THUMBPRINT = "http://dsf.dev/fhir/StructureDefinition/extension-certificate-thumbprint";
const TYPES = ["Organization", "Endpoint", "OrganizationAffiliation"];

/** Under this identifier the list that was applied last is kept; its versions are the history. */
const KEPT = { system: "http://dsf.dev/sid/allow-list", value: "applied" };

export const activities = {
  "dev.dsf.bpe.service.DownloadAllowList": async (api, variables) => {
    const reference = input(api, variables, "allow_list")?.reference;
    const [, base, id, version] = /^(?:(.*)\/)?Bundle\/([^/]+)(?:\/_history\/([^/]+))?$/.exec(reference ?? "") ?? [];
    if (!id) throw new Error(`the input allow_list must refer to a Bundle like https://server/fhir/Bundle/id, not ${reference}`);

    const clients = api.getDsfClientProvider();
    const own = api.getEndpointProvider().getLocalEndpointAddress();
    const client = (base ?? own) === own ? clients.getLocal() : clients.getByEndpointUrl(base);
    const list = await (version ? client.read("Bundle", id, version) : client.read("Bundle", id));
    refuseStrange(list, reference);
    api.logger.info(`${list.entry.length} entries from ${reference}`);
    variables.setFhirResource("allowList", list);
  },

  "dev.dsf.bpe.service.CheckAllowList": async (api, variables) => {
    const client = api.getDsfClientProvider().getLocal();
    const changes = [];
    for (const entry of variables.getFhirResource("allowList").entry) {
      const change = await changeOf(client, entry);
      if (change) changes.push(change);
    }
    const name = named(changes);
    const task = variables.getStartTask();
    for (const change of changes) addOutput(api, task, { valueString: change }, "change");
    addOutput(api, task, { valueString: name }, "changes");
    variables.updateTask(task);

    const isDryRun = input(api, variables, "dry-run") === true;
    const expected = input(api, variables, "expected-changes");
    if (!isDryRun && expected && expected !== name) {
      throw new Error(`the changes are not those expected (${expected}) but ${name}: look at the outputs, then start again`);
    }
    api.logger.info(`${changes.length} changes (${name})${isDryRun ? ", nothing is applied" : ""}`);
    variables.setBoolean("apply", !isDryRun && changes.length > 0);
  },

  "dev.dsf.bpe.service.InsertAllowList": async (api, variables) => {
    const client = api.getDsfClientProvider().getLocal();
    const list = variables.getFhirResource("allowList");
    await client.postBundle({ resourceType: "Bundle", type: "transaction", entry: list.entry });

    const kept = await client.updateConditionally(
      {
        resourceType: "Bundle",
        meta: { tag: [{ system: READ_ACCESS, code: "LOCAL" }] },
        identifier: KEPT,
        type: "transaction",
        entry: list.entry,
      },
      `identifier=${KEPT.system}|${KEPT.value}`,
    );
    const task = variables.getStartTask();
    const reference = `Bundle/${kept.id}/_history/${kept.meta.versionId}`;
    addOutput(api, task, { valueReference: { reference } }, "applied");
    variables.updateTask(task);
    api.logger.info(`applied, kept as ${reference}`);
  },
};

function input(api, variables, code) {
  return api.getTaskHelper().getFirstInputParameterValue(variables.getStartTask(), CODES, code);
}

function addOutput(api, task, value, code) {
  task.output = [...(task.output ?? []), api.getTaskHelper().createOutput(value, CODES, code)];
}

/** A list may hold nothing but what an allow list is made of: it is stored with all rights of this organisation. */
function refuseStrange(list, reference) {
  if (list?.resourceType !== "Bundle" || !list.entry?.length) throw new Error(`${reference} is no Bundle with entries`);
  for (const { resource, request } of list.entry) {
    const type = request?.url?.split(/[?/]/)[0];
    const isFit = TYPES.includes(type) && (request.method === "DELETE" || (["PUT", "POST"].includes(request.method) && resource?.resourceType === type));
    if (!isFit) throw new Error(`${reference} wants ${request?.method} ${request?.url}: an allow list holds ${TYPES.join(", ")} only`);
  }
}

/** In words what an entry would change; nothing when it is here already. */
async function changeOf(client, { resource, request }) {
  const [type, query] = request.url.split("?");
  const condition = query ?? request.ifNoneExist?.replace(/^\?/, "");
  const found = condition ? ((await client.search(`${type}?${condition}`)).entry ?? []).map((entry) => entry.resource) : [];
  const current = found.find((one) => one?.resourceType === type);
  if (request.method === "DELETE") return current ? `removed ${type} ${condition}` : null;
  if (!current) return `added ${type} ${described(resource, condition)}`;
  if (request.method === "POST") return null;
  const different = differences(facts(current), facts(resource));
  return different.length ? `changed ${type} ${described(resource, condition)}: ${different.join(", ")}` : null;
}

function described(resource, condition) {
  return resource.identifier?.[0]?.value ?? condition ?? "without identifier";
}

/** What people decide by. References are left out: here they have other ids than there. */
function facts(resource) {
  return {
    name: resource.name,
    active: resource.active,
    status: resource.status,
    address: resource.address,
    identifiers: texts(resource.identifier, (one) => `${one.system}|${one.value}`),
    thumbprints: texts(resource.extension?.filter((one) => one.url === THUMBPRINT), (one) => one.valueString),
    roles: texts(resource.code, (one) => one.coding?.map((coding) => coding.code).join("+")),
    contacts: texts(resource.contact, (one) => JSON.stringify(one)),
    telecom: texts(resource.telecom, (one) => one.value),
  };
}

function texts(list, text) {
  return (list ?? []).map(text).sort().join(" ");
}

function differences(before, after) {
  const shown = (value) => (value === undefined || value === "" ? "nothing" : value);
  return Object.keys(after)
    .filter((name) => shown(before[name]) !== shown(after[name]))
    .map((name) => `${name} ${shown(before[name])} → ${shown(after[name])}`);
}

/** A short name for a set of changes (FNV-1a, 64 bits): nobody needs to compare long texts. */
function named(changes) {
  let hash = 0xcbf29ce484222325n;
  for (const letter of [...changes].sort().join("\n")) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(letter.codePointAt(0))) * 0x100000001b3n);
  }
  return `${changes.length}-${hash.toString(16).padStart(16, "0")}`;
}
