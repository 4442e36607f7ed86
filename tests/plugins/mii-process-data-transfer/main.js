// Data sets of a project on their way from a hospital to a data management site: encrypted, fetched
// by the receiver, acknowledged.

const SERVICE = "de.medizininformatik_initiative.process.data_transfer.service.";
const MESSAGE = "de.medizininformatik_initiative.process.data_transfer.message.";
const CODES = "http://medizininformatik-initiative.de/fhir/CodeSystem/data-transfer";
const STATUS = "http://medizininformatik-initiative.de/fhir/CodeSystem/data-set-status";
const PROJECT = "http://medizininformatik-initiative.de/sid/project-identifier";
const KEY = "http://medizininformatik-initiative.de/sid/test-key";
const PARENT = "medizininformatik-initiative.de";

const local = (api) => api.getDsfClientProvider().getLocal();
const store = (api) => api.getFhirClientProvider().getById("fhir-store");
const input = (api, task, code) => api.getTaskHelper().getFirstInputParameterValue(task, CODES, code);
const status = (code) => ({ valueCoding: { system: STATUS, code } });

async function document(client, system, value) {
  const found = await client.search("DocumentReference", { identifier: `${system}|${value}` });
  if (found.total !== 1) throw new Error(`${found.total} documents ${value}`);
  return found.entry[0].resource;
}

const contentOf = (document) => Uint8Array.fromBase64(document.content[0].attachment.data);

async function setTarget(api, variables, organization, role) {
  const endpoint = await api.getEndpointProvider().getEndpoint(PARENT, organization, role);
  const id = endpoint.identifier.find((one) => one.system.endsWith("/endpoint-identifier")).value;
  variables.setTarget(variables.createTarget(organization, id, endpoint.address));
}

function note(api, variables, code) {
  const task = variables.getStartTask();
  (task.output ??= []).push(api.getTaskHelper().createOutput(status(code), CODES, "data-set-status"));
  variables.updateTask(task);
}

/** An activity whose failure the model catches. */
const guarded = (error, run) => ({
  execute: run,
  handleException(api, variables, exception) {
    variables.setString("error", exception.message);
    throw new ErrorBoundaryEvent(error, exception.message);
  },
});
const received = (run) => guarded("dataReceiveError", run);

export const activities = {
  [`${SERVICE}ReadData`]: async (api, variables) => {
    const task = variables.getStartTask();
    const dms = input(api, task, "dms-identifier").identifier.value;
    const project = input(api, task, "project-identifier").value;
    variables.setString("project", project);
    variables.setFhirResource("document", await document(await store(api), PROJECT, project));
    await setTarget(api, variables, dms, "DMS");
  },

  [`${SERVICE}ValidateDataDic`]: async (api, variables) => {
    const document = variables.getFhirResource("document");
    await api.getMimeTypeService().validateWithException(contentOf(document), document.content[0].attachment.contentType);
  },

  [`${SERVICE}CreateBundle`]: (api, variables) => {
    const { id, meta, ...document } = variables.getFhirResource("document");
    variables.setFhirResource("bundle", {
      resourceType: "Bundle",
      type: "transaction",
      entry: [{ fullUrl: `urn:uuid:${api.randomUUID()}`, resource: document, request: { method: "POST", url: "DocumentReference" } }],
    });
  },

  [`${SERVICE}EncryptData`]: async (api, variables) => {
    const site = api.getDsfClientProvider().getByEndpointUrl(variables.getTarget().getEndpointUrl());
    const key = new TextDecoder().decode(contentOf(await document(site, KEY, "public")));
    const text = JSON.stringify(variables.getFhirResource("bundle"));
    variables.setByteArray("sealed", await api.getCryptoService().createRsaKem().encrypt(text, key));
  },

  // Only the site that it is sealed for may read it.
  [`${SERVICE}StoreData`]: async (api, variables) => {
    const site = await api.getOrganizationProvider().getOrganization(variables.getTarget().getOrganizationIdentifierValue());
    const stored = await local(api)
      .withMinimalReturn()
      .createBinary(variables.getByteArray("sealed"), "application/octet-stream", `Organization/${site.id}`);
    variables.setString("binary", stored.id);
  },

  [`${MESSAGE}SendData`]: {
    additionalInputParameters(api, variables) {
      const helper = api.getTaskHelper();
      const reference = `${api.getEndpointProvider().getLocalEndpointAddress()}/Binary/${variables.getString("binary")}`;
      return [
        helper.createInput({ valueIdentifier: { system: PROJECT, value: variables.getString("project") } }, CODES, "project-identifier"),
        helper.createInput({ valueReference: { reference, type: "Binary" } }, CODES, "data-set-reference"),
      ];
    },
    handleException(api, variables, exception) {
      throw new ErrorBoundaryEvent("dataSendError", exception.message);
    },
  },

  [`${SERVICE}HandleErrorSend`]: (api, variables) => note(api, variables, "not-reachable"),

  [`${SERVICE}StoreReceipt`]: (api, variables) => {
    const latest = variables.getLatestTask();
    const receipt = latest && input(api, latest, "data-set-status");
    note(api, variables, receipt?.code ?? "receipt-missing");
  },

  [`${SERVICE}DeleteData`]: async (api, variables) => {
    await local(api).delete("Binary", variables.getString("binary"));
  },

  [`${SERVICE}DownloadData`]: received(async (api, variables) => {
    const { reference } = input(api, variables.getStartTask(), "data-set-reference");
    const [, base, id] = /^(https:.*)\/Binary\/([^/]+)$/.exec(reference);
    const stream = await api.getDsfClientProvider().getByEndpointUrl(base).readBinary(id, "application/octet-stream");
    variables.setByteArray("sealed", await stream.readAllBytes());
  }),

  [`${SERVICE}DecryptData`]: received(async (api, variables) => {
    const key = new TextDecoder().decode(contentOf(await document(await store(api), KEY, "private")));
    const text = await api.getCryptoService().createRsaKem().decrypt(variables.getByteArray("sealed"), key);
    variables.setFhirResource("bundle", JSON.parse(new TextDecoder().decode(text)));
  }),

  [`${SERVICE}ValidateDataDms`]: received((api, variables) => {
    const [{ resource }] = variables.getFhirResource("bundle").entry;
    const project = input(api, variables.getStartTask(), "project-identifier").value;
    if (resource.masterIdentifier.value !== project) throw new Error(`the data set is not of ${project}`);
  }),

  [`${SERVICE}InsertData`]: received(async (api, variables) => {
    const [{ resource }] = variables.getFhirResource("bundle").entry;
    const stored = await (await store(api)).create(resource);
    api.logger.info(`stored as DocumentReference/${stored.id}`);
    note(api, variables, "receive-ok");
    variables.setString("outcome", "receive-ok");
  }),

  [`${SERVICE}HandleErrorReceive`]: (api, variables) => {
    api.logger.warn(`not received: ${variables.getString("error")}`);
    note(api, variables, "receive-error");
    variables.setString("outcome", "receive-error");
  },

  [`${SERVICE}SelectTargetDic`]: (api, variables) =>
    setTarget(api, variables, variables.getStartTask().requester.identifier.value, "DIC"),

  [`${MESSAGE}SendReceipt`]: {
    additionalInputParameters: (api, variables) => [
      api.getTaskHelper().createInput(status(variables.getString("outcome")), CODES, "data-set-status"),
    ],
  },
};
