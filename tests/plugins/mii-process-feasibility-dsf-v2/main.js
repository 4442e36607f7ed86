// A feasibility query: a research platform asks hospitals how many patients they have.

const SERVICE = "de.medizininformatik_initiative.process.feasibility.service.";
const MESSAGE = "de.medizininformatik_initiative.process.feasibility.message.";
const CODES = "http://medizininformatik-initiative.de/fhir/CodeSystem/feasibility";
const PARENT = "medizininformatik-initiative.de";

const store = (api) => api.getFhirClientProvider().getById("fhir-store");

/** The reference that a Task carries in an input. */
function referenceIn(api, task, code) {
  return api.getTaskHelper().getFirstInputParameterValue(task, CODES, code).reference;
}

const parameter = (api, code, reference) => api.getTaskHelper().createInput({ valueReference: { reference } }, CODES, code);

/** The server of an absolute reference, and what is read there. */
function located(api, reference) {
  const [, base, type, id] = /^(https:.*)\/([A-Za-z]+)\/([^/]+)$/.exec(reference);
  return { client: api.getDsfClientProvider().getByEndpointUrl(base), type, id };
}

async function read(api, reference) {
  const { client, type, id } = located(api, reference);
  return client.read(type, id);
}

/** A copy for the own store. */
function own(api, resource) {
  const { id, meta, ...rest } = resource;
  return api.getReadAccessHelper().addLocal({ ...rest });
}

export const activities = {
  [`${SERVICE}SelectRequestTargets`]: async (api, variables) => {
    variables.setTargets(await api.getTargetProvider().create(PARENT, "DIC").withCorrelationKey());
    variables.setString("measure", referenceIn(api, variables.getStartTask(), "measure-reference"));
  },

  [`${MESSAGE}SendDicRequest`]: {
    additionalInputParameters: (api, variables) => [parameter(api, "measure-reference", variables.getString("measure"))],
    handleException(api, variables, exception) {
      variables.setStringLocal("sendError", exception.message);
    },
  },

  "de.medizininformatik_initiative.process.feasibility.client.listener.SetCorrelationKeyListener": (api, variables) => {
    variables.setStringLocal("correlationKey", variables.getTarget().getCorrelationKey());
  },

  [`${SERVICE}DownloadMeasureReport`]: async (api, variables) => {
    const reference = referenceIn(api, variables.getLatestTask(), "measure-report-reference");
    variables.setFhirResource("measureReport", await read(api, reference));
  },

  [`${SERVICE}StoreLiveResult`]: async (api, variables) => {
    const report = own(api, variables.getFhirResource("measureReport"));
    const stored = await api.getDsfClientProvider().getLocal().create(report);
    const task = variables.getStartTask();
    const reference = { valueReference: { reference: `MeasureReport/${stored.id}` } };
    (task.output ??= []).push(api.getTaskHelper().createOutput(reference, CODES, "measure-report-reference"));
    variables.updateTask(task);
  },

  [`${SERVICE}LogReceiveTimeout`]: (api, variables) => {
    api.logger.warn(`no result of ${variables.getTarget().getOrganizationIdentifierValue()}`);
  },

  [`${SERVICE}SetupEvaluationSettings`]: (api, variables) => {
    variables.setString("evaluation-strategy", "cql");
    variables.setBoolean("evaluation-obfuscation", true);
  },

  [`${SERVICE}EvaluateRequestRate`]: (api, variables) => {
    variables.setBoolean("request-rate-below-limit", true);
  },

  [`${SERVICE}RateLimitExceededTaskRejecter`]: (api, variables) => {
    api.logger.warn("too many requests");
  },

  [`${SERVICE}DownloadFeasibilityResources`]: async (api, variables) => {
    const reference = referenceIn(api, variables.getStartTask(), "measure-reference");
    const measure = await read(api, reference);
    const { client } = located(api, reference);
    const libraries = await client.search("Library", { url: measure.library[0] });
    variables.setFhirResource("measure", measure);
    variables.setFhirResource("library", libraries.entry[0].resource);
  },

  [`${SERVICE}StoreFeasibilityResources`]: async (api, variables) => {
    const client = await store(api);
    for (const name of ["library", "measure"]) {
      const { id, meta, ...copy } = variables.getFhirResource(name);
      await client.create(copy);
    }
  },

  [`${SERVICE}EvaluateCqlMeasure`]: async (api, variables) => {
    const patients = await (await store(api)).search("Patient?_count=0");
    const measure = variables.getFhirResource("measure");
    const now = new Date().toISOString();
    variables.setFhirResource("measure-report", {
      resourceType: "MeasureReport",
      status: "complete",
      type: "summary",
      measure: measure.url,
      date: now,
      period: { start: "1900-01-01", end: now },
      group: [{ population: [{ code: measure.group[0].population[0].code, count: patients.total }] }],
    });
  },

  [`${SERVICE}EvaluateStructuredQueryMeasure`]: () => {
    throw new Error("this hospital evaluates CQL only");
  },

  [`${SERVICE}ObfuscateEvaluationResult`]: (api, variables) => {
    const report = variables.getFhirResource("measure-report");
    const [population] = report.group[0].population;
    population.count = Math.round(population.count / 10) * 10;
    variables.setFhirResource("measure-report", report);
  },

  [`${SERVICE}StoreMeasureReport`]: async (api, variables) => {
    const requester = variables.getStartTask().requester.identifier.value;
    const report = api.getReadAccessHelper().addOrganization(variables.getFhirResource("measure-report"), requester);
    const client = api.getDsfClientProvider().getLocal();
    const stored = await client.create(report);
    variables.setString("measureReport", `${api.getEndpointProvider().getLocalEndpointAddress()}/MeasureReport/${stored.id}`);
  },

  [`${SERVICE}SelectResponseTarget`]: async (api, variables) => {
    const task = variables.getStartTask();
    const requester = task.requester.identifier.value;
    const endpoint = await api.getEndpointProvider().getEndpoint(PARENT, requester, "HRP");
    const key = api.getTaskHelper().getFirstInputParameterStringValue(task, "http://dsf.dev/fhir/CodeSystem/bpmn-message", "correlation-key");
    const id = endpoint.identifier.find((one) => one.system.endsWith("/endpoint-identifier")).value;
    variables.setTarget(variables.createTarget(requester, id, endpoint.address, key));
  },

  [`${MESSAGE}SendDicResponse`]: {
    additionalInputParameters: (api, variables) => [parameter(api, "measure-report-reference", variables.getString("measureReport"))],
  },
};
