// Data sharing: a research platform coordinates, hospitals release and send their data sets, a data
// management site merges them.

const PLUGIN = "de.medizininformatik_initiative.process.data_sharing.";
const COORDINATE = `${PLUGIN}service.coordinate.`;
const EXECUTE = `${PLUGIN}service.execute.`;
const MERGE = `${PLUGIN}service.merge.`;
const MESSAGE = `${PLUGIN}message.`;
const FORM = `${PLUGIN}questionnaire.`;
const CODES = "http://medizininformatik-initiative.de/fhir/CodeSystem/data-sharing";
const STATUS = "http://medizininformatik-initiative.de/fhir/CodeSystem/data-set-status";
const PROJECT = "http://medizininformatik-initiative.de/sid/project-identifier";
const ORGANIZATION = "http://dsf.dev/sid/organization-identifier";
const DIC_EXTENSION = "http://medizininformatik-initiative.de/fhir/Extension/dic-identifier";
const BPMN = "http://dsf.dev/fhir/CodeSystem/bpmn-message";
const KEY = "http://medizininformatik-initiative.de/sid/test-key";
const PARENT = "medizininformatik-initiative.de";

const local = (api) => api.getDsfClientProvider().getLocal();
const store = (api) => api.getFhirClientProvider().getById("fhir-store");
const input = (api, task, code) => api.getTaskHelper().getFirstInputParameterValue(task, CODES, code);
const inputs = (api, task, code) => api.getTaskHelper().getInputParameterValues(task, CODES, code);
const parameter = (api, code, element) => api.getTaskHelper().createInput(element, CODES, code);
const organization = (value) => ({ type: "Organization", identifier: { system: ORGANIZATION, value } });

function output(api, variables, code, element) {
  const task = variables.getStartTask();
  (task.output ??= []).push(api.getTaskHelper().createOutput(element, CODES, code));
  variables.updateTask(task);
}

async function targetOf(api, variables, id, role, key) {
  const endpoint = await api.getEndpointProvider().getEndpoint(PARENT, id, role);
  const name = endpoint.identifier.find((one) => one.system.endsWith("/endpoint-identifier")).value;
  return variables.createTarget(id, name, endpoint.address, key);
}

async function document(client, system, value) {
  const found = await client.search("DocumentReference", { identifier: `${system}|${value}` });
  if (found.total !== 1) throw new Error(`${found.total} documents ${value}`);
  return found.entry[0].resource;
}

const contentOf = (document) => Uint8Array.fromBase64(document.content[0].attachment.data);

/** An activity whose failure the model catches. */
const guarded = (error, run) => ({
  execute: run,
  handleException(api, variables, exception) {
    variables.setString("error", exception.message);
    throw new ErrorBoundaryEvent(error, exception.message);
  },
});
const executed = (run) => guarded("executeDataSharingError", run);
const merged = (run) => guarded("mergeReceiveDataSharingError", run);
const released = (run) => guarded("mergeReleaseDataSharingError", run);

/** A message; where it cannot be sent, the model goes on with this error. */
const sends = (error, build = () => []) => ({
  additionalInputParameters: build,
  handleException(api, variables, exception) {
    if (error === null) return;
    throw new ErrorBoundaryEvent(error, exception.message);
  },
});

/** Fills the placeholders of the text that people read. */
const asks = (values) => ({
  beforeQuestionnaireResponseCreate(api, variables, _, form) {
    const display = form.item.find((item) => item.linkId === "display");
    for (const [name, value] of Object.entries(values(variables, api))) {
      display.text = display.text.replaceAll(`{${name}-placeholder}`, value);
    }
  },
});

const answer = (variables, id) => {
  const form = variables.getLatestReceivedQuestionnaireResponse();
  const [given] = form.item.find((item) => item.linkId === id)?.answer ?? [];
  return given && Object.values(given)[0];
};

const common = (api, variables) => [
  parameter(api, "project-identifier", { valueIdentifier: { system: PROJECT, value: variables.getString("project") } }),
  parameter(api, "contract-url", { valueUrl: variables.getString("contract") }),
];

function remember(api, variables) {
  const task = variables.getStartTask();
  variables.setString("project", input(api, task, "project-identifier").value);
  variables.setString("contract", input(api, task, "contract-url"));
  return task;
}

export const activities = {
  // ---- Research platform -----------------------------------------------------------------------

  [`${COORDINATE}PrepareCoordination`]: (api, variables) => {
    const task = remember(api, variables);
    variables.setString("extractionPeriod", input(api, task, "extraction-period") ?? "P28D");
    variables.setString("dms", input(api, task, "dms-identifier").identifier.value);
    variables.setStringList("researchers", inputs(api, task, "researcher-identifier").map((one) => one.value));
    variables.setStringList("dics", inputs(api, task, "dic-identifier").map((one) => one.identifier.value));
    variables.setBoolean("allDataSetsReceived", false);
  },

  [`${COORDINATE}SelectDicTargets`]: async (api, variables) => {
    const members = variables.getStringList("dics");
    variables.setTargets(await api.getTargetProvider().create(PARENT, "DIC", ...members).withCorrelationKey());
  },

  [`${COORDINATE}SelectDmsTarget`]: async (api, variables) => {
    variables.setTarget(await targetOf(api, variables, variables.getString("dms"), "DMS"));
  },

  [`${MESSAGE}SendMergeDataSharing`]: sends("coordinateDataSharingError", (api, variables) => [
    ...common(api, variables),
    ...variables.getStringList("researchers").map((value) =>
      parameter(api, "researcher-identifier", {
        valueIdentifier: { system: "http://medizininformatik-initiative.de/sid/researcher-identifier", value },
      }),
    ),
    ...variables.getTargets().getEntries().map((target) => ({
      extension: [{ url: DIC_EXTENSION, valueReference: organization(target.getOrganizationIdentifierValue()) }],
      ...parameter(api, "dic-correlation-key", target.getCorrelationKey()),
    })),
  ]),

  [`${MESSAGE}SendExecuteDataSharing`]: sends(null, (api, variables) => [
    ...common(api, variables),
    parameter(api, "dms-identifier", { valueReference: organization(variables.getString("dms")) }),
  ]),

  [`${COORDINATE}CommunicateReceivedDataSet`]: (api, variables) => {
    const received = inputs(api, variables.getLatestTask(), "dic-identifier").map((one) => one.identifier.value);
    api.logger.info(`data set of ${received} received`);
    const left = variables.getTargets().getEntries();
    variables.setTargets(variables.createTargets(left.filter((one) => !received.includes(one.getOrganizationIdentifierValue()))));
  },

  [`${COORDINATE}CheckReceivedDataSets`]: (api, variables) => {
    if (variables.getTargets().isEmpty()) variables.setBoolean("allDataSetsReceived", true);
  },

  [`${FORM}ReleaseConsolidateDataSetsListener`]: asks((variables) => ({
    "project-identifier": variables.getString("project"),
    "dms-identifier": variables.getString("dms"),
    "dic-identifiers": variables.getTargets().getEntries().map((one) => one.getOrganizationIdentifierValue()).join(),
  })),

  [`${COORDINATE}CheckQuestionnaireConsolidateDataSetsReleaseInput`]: (api, variables) => {
    const isReleased = answer(variables, "release") === true;
    variables.setBoolean("consolidateDataSetReleased", isReleased);
    if (!isReleased) variables.setString("extractionPeriod", answer(variables, "extended-extraction-period"));
  },

  [`${COORDINATE}CommunicateMissingDataSetsCoordinate`]: (api, variables) => {
    for (const target of variables.getTargets().getEntries()) {
      const missing = organization(target.getOrganizationIdentifierValue());
      output(api, variables, "data-set-missing", { valueReference: missing });
    }
  },

  [`${MESSAGE}SendStopExecuteDataSharing`]: sends(null),
  [`${MESSAGE}SendConsolidateDataSets`]: sends("coordinateDataSharingError"),

  [`${COORDINATE}ExtractMergedDataSetUrl`]: (api, variables) => {
    const tasks = variables.getTasks();
    const url = tasks.map((task) => input(api, task, "data-set-url")).find(Boolean);
    output(api, variables, "data-set-url", { valueUrl: url });
  },

  // ---- Hospital --------------------------------------------------------------------------------

  [`${EXECUTE}PrepareExecution`]: (api, variables) => {
    const task = remember(api, variables);
    variables.setString("dms", input(api, task, "dms-identifier").identifier.value);
    variables.setString("key", api.getTaskHelper().getFirstInputParameterStringValue(task, BPMN, "correlation-key"));
  },

  [`${FORM}ReleaseDataSetListener`]: asks((variables, api) => ({
    "project-identifier": variables.getString("project"),
    "dms-identifier": variables.getString("dms"),
    "fhir-store-base-url": api.getEndpointProvider().getLocalEndpointAddress(),
  })),

  [`${EXECUTE}CheckQuestionnaireDataSetReleaseInput`]: executed((api, variables) => {
    if (answer(variables, "release") !== variables.getString("project")) throw new Error("not released: another project");
  }),

  [`${EXECUTE}SelectDataSetTarget`]: async (api, variables) => {
    variables.setTarget(await targetOf(api, variables, variables.getString("dms"), "DMS", variables.getString("key")));
  },

  [`${EXECUTE}ReadDataSet`]: executed(async (api, variables) => {
    variables.setFhirResource("document", await document(await store(api), PROJECT, variables.getString("project")));
  }),

  [`${EXECUTE}ValidateDataSetExecute`]: executed(async (api, variables) => {
    const document = variables.getFhirResource("document");
    await api.getMimeTypeService().validateWithException(contentOf(document), document.content[0].attachment.contentType);
  }),

  [`${EXECUTE}CreateDataSetBundle`]: executed((api, variables) => {
    const { id, meta, ...resource } = variables.getFhirResource("document");
    const entry = [{ fullUrl: `urn:uuid:${api.randomUUID()}`, resource, request: { method: "POST", url: "DocumentReference" } }];
    variables.setFhirResource("bundle", { resourceType: "Bundle", type: "transaction", entry });
  }),

  [`${EXECUTE}EncryptDataSet`]: executed(async (api, variables) => {
    const site = api.getDsfClientProvider().getByEndpointUrl(variables.getTarget().getEndpointUrl());
    const key = new TextDecoder().decode(contentOf(await document(site, KEY, "public")));
    const text = JSON.stringify(variables.getFhirResource("bundle"));
    variables.setByteArray("sealed", await api.getCryptoService().createRsaKem().encrypt(text, key));
  }),

  [`${EXECUTE}StoreDataSet`]: executed(async (api, variables) => {
    const site = await api.getOrganizationProvider().getOrganization(variables.getString("dms"));
    const stored = await local(api)
      .withMinimalReturn()
      .createBinary(variables.getByteArray("sealed"), "application/octet-stream", `Organization/${site.id}`);
    variables.setString("binary", stored.id);
  }),

  [`${MESSAGE}SendDataSet`]: sends("executeDataSharingError", (api, variables) => {
    const reference = `${api.getEndpointProvider().getLocalEndpointAddress()}/Binary/${variables.getString("binary")}`;
    return [parameter(api, "data-set-reference", { valueReference: { reference, type: "Binary" } })];
  }),

  [`${EXECUTE}HandleReceipt`]: executed((api, variables) => {
    const receipt = input(api, variables.getLatestTask(), "data-set-status");
    if (!receipt) throw new Error("no receipt");
    output(api, variables, "data-set-status", { valueCoding: receipt });
  }),

  [`${EXECUTE}DeleteDataSet`]: async (api, variables) => {
    await local(api).delete("Binary", variables.getString("binary"));
  },

  [`${EXECUTE}HandleErrorExecute`]: (api, variables) => {
    api.logger.warn(`data set not sent: ${variables.getString("error")}`);
  },

  [`${EXECUTE}StopReleaseDataSet`]: (api) => {
    api.logger.info("the platform has closed the period");
  },

  // ---- Data management site --------------------------------------------------------------------

  [`${MERGE}PrepareMerging`]: async (api, variables) => {
    const task = remember(api, variables);
    const keys = task.input.filter((one) => one.type.coding[0].code === "dic-correlation-key");
    const targets = [];
    for (const { extension, valueString } of keys) {
      targets.push(await targetOf(api, variables, extension[0].valueReference.identifier.value, "DIC", valueString));
    }
    variables.setTargets(variables.createTargets(targets));
    variables.setBoolean("mergeReceiveDataSharingErrorExists", false);
    const own = await api.getOrganizationProvider().getLocalOrganizationIdentifierValue();
    variables.setTarget(await targetOf(api, variables, own, "DMS"));
  },

  // A process of the site that is not part of this package: without it nothing has to be set up.
  [`${MESSAGE}SendInitializeNewProjectDataSharing`]: sends(null),

  [`${MERGE}DownloadDataSet`]: merged(async (api, variables) => {
    const { reference } = input(api, variables.getLatestTask(), "data-set-reference");
    const [, base, id] = /^(https:.*)\/Binary\/([^/]+)$/.exec(reference);
    const stream = await api.getDsfClientProvider().getByEndpointUrl(base).readBinary(id, "application/octet-stream");
    variables.setByteArray("sealed", await stream.readAllBytes());
  }),

  [`${MERGE}DecryptDataSet`]: merged(async (api, variables) => {
    const key = new TextDecoder().decode(contentOf(await document(await store(api), KEY, "private")));
    const text = await api.getCryptoService().createRsaKem().decrypt(variables.getByteArray("sealed"), key);
    variables.setFhirResource("bundle", JSON.parse(new TextDecoder().decode(text)));
  }),

  [`${MERGE}ValidateDataSetMerge`]: merged((api, variables) => {
    const [{ resource }] = variables.getFhirResource("bundle").entry;
    if (resource.masterIdentifier.value !== variables.getString("project")) throw new Error("the data set is of another project");
  }),

  [`${MERGE}InsertDataSet`]: merged(async (api, variables) => {
    const [{ resource }] = variables.getFhirResource("bundle").entry;
    const stored = await (await store(api)).create(resource);
    api.logger.info(`stored as DocumentReference/${stored.id}`);
  }),

  [`${MERGE}SelectDicTarget`]: async (api, variables) => {
    const sender = variables.getLatestTask().requester.identifier.value;
    variables.setString("sender", sender);
    variables.setTarget(await targetOf(api, variables, sender, "DIC"));
  },

  [`${MESSAGE}SendReceipt`]: sends("mergeReceiveDataSharingError", (api, variables) => {
    const code = variables.getBoolean("mergeReceiveDataSharingErrorExists") ? "receive-error" : "receive-ok";
    return [parameter(api, "data-set-status", { valueCoding: { system: STATUS, code } })];
  }),

  [`${MERGE}SelectHrpTarget`]: async (api, variables) => {
    const requester = variables.getStartTask().requester.identifier.value;
    variables.setTarget(await targetOf(api, variables, requester, "HRP"));
  },

  [`${MESSAGE}SendReceivedDataSet`]: sends(null, (api, variables) => [
    parameter(api, "dic-identifier", { valueReference: organization(variables.getString("sender")) }),
  ]),

  [`${MERGE}HandleErrorMergeReceiveDownloadInsert`]: (api, variables) => {
    api.logger.warn(`data set not received: ${variables.getString("error")}`);
    variables.setBoolean("mergeReceiveDataSharingErrorExists", true);
  },

  [`${MERGE}HandleErrorMergeReceiveSendReceipt`]: (api) => {
    api.logger.warn("receipt not sent");
  },

  [`${MERGE}ReinsertTarget`]: async (api, variables) => {
    const sender = variables.getString("sender");
    const known = variables.getTargets().getEntries();
    variables.setTarget(known.find((one) => one.getOrganizationIdentifierValue() === sender));
    variables.setBoolean("mergeReceiveDataSharingErrorExists", false);
  },

  [`${MERGE}CommunicateMissingDataSetsMerge`]: (api) => {
    api.logger.info("merging begins");
  },

  [`${FORM}ReleaseMergedDataSetListener`]: asks((variables) => ({
    "project-identifier": variables.getString("project"),
  })),

  [`${MERGE}CheckQuestionnaireMergedDataSetReleaseInput`]: released((api, variables) => {
    if (answer(variables, "release") !== variables.getString("project")) throw new Error("not released: another project");
    variables.setString("url", answer(variables, "data-set-url"));
  }),

  [`${MERGE}HandleErrorMergeRelease`]: (api, variables) => {
    api.logger.warn(`not released: ${variables.getString("error")}`);
  },

  [`${MESSAGE}SendMergedDataSet`]: sends("mergeReleaseDataSharingError", (api, variables) => {
    output(api, variables, "data-set-url", { valueUrl: variables.getString("url") });
    return [parameter(api, "data-set-url", { valueUrl: variables.getString("url") })];
  }),
};
