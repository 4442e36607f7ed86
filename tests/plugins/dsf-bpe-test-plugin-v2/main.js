// The activities of DSF's own test plugin, for spec/bpe.md §12: each check notes its name in an
// output of the start Task, as succeeded or as failed.

const TEST = "http://dsf.dev/fhir/CodeSystem/test";
const SERVICE = "dev.dsf.bpe.test.service.";
const OWN = { organization: "Test_Organization", endpoint: "Test_Endpoint" };
const OTHER = { organization: "External_Test_Organization", endpoint: "External_Test_Endpoint" };
const PARENT = "Parent_Organization";

/** Runs checks by name: one that throws or is false has failed. */
async function test(api, variables, checks) {
  const task = variables.getStartTask();
  const version = api.getProcessPluginDefinition().resourceVersion;
  for (const [name, check] of Object.entries(checks)) {
    let outcome = "succeeded";
    let text = name;
    try {
      if ((await check()) === false) outcome = "failed";
    } catch (exception) {
      outcome = "failed";
      text = `${name}: ${exception.message}`;
    }
    const output = api.getTaskHelper().createOutput(text, TEST, `test-method-${outcome}`, version);
    (task.output ??= []).push(output);
  }
  variables.updateTask(task);
}

const checks = (build) => (api, variables, ...rest) => test(api, variables, build(api, variables, ...rest));

async function throws(action) {
  try {
    await action();
  } catch {
    return true;
  }
  return false;
}

const idOf = (resource) => resource?.identifier?.find((one) => one.system.startsWith("http://dsf.dev/sid/"))?.value ?? null;
const ids = (resources) => resources.map(idOf).sort().join();
const BOTH = [OTHER.organization, OWN.organization].join();

function organizations(api) {
  const provider = api.getOrganizationProvider();
  return {
    local: async () => idOf(await provider.getLocalOrganization()) === OWN.organization,
    localIdentifier: async () => (await provider.getLocalOrganizationIdentifier()).value === OWN.organization,
    localValue: async () => (await provider.getLocalOrganizationIdentifierValue()) === OWN.organization,
    byId: async () => idOf(await provider.getOrganization(OTHER.organization)) === OTHER.organization,
    unknown: async () => (await provider.getOrganization("not-existing")) === null,
    ofParent: async () => ids(await provider.getOrganizations(PARENT)) === BOTH,
    ofParentInRole: async () => ids(await provider.getOrganizations(PARENT, "DIC")) === OTHER.organization,
    ofParentInNoRole: async () => (await provider.getOrganizations(PARENT, "HRP")).length === 0,
    ofUnknownParent: async () => (await provider.getOrganizations("not-existing", "DIC")).length === 0,
    remote: async () => ids(await provider.getRemoteOrganizations()) === OTHER.organization,
    parents: async () => ids(await provider.getParentOrganizations()) === PARENT,
  };
}

function endpoints(api) {
  const provider = api.getEndpointProvider();
  return {
    localAddress: () => provider.getLocalEndpointAddress().endsWith("/fhir"),
    local: async () => idOf(await provider.getLocalEndpoint()) === OWN.endpoint,
    localIdentifier: async () => (await provider.getLocalEndpointIdentifier()).value === OWN.endpoint,
    localValue: async () => (await provider.getLocalEndpointIdentifierValue()) === OWN.endpoint,
    byId: async () => idOf(await provider.getEndpoint(OTHER.endpoint)) === OTHER.endpoint,
    addressById: async () => (await provider.getEndpointAddress(OTHER.endpoint)).endsWith("/fhir"),
    unknown: async () => (await provider.getEndpoint("not-existing")) === null,
    unknownAddress: async () => (await provider.getEndpointAddress("not-existing")) === null,
    ofMember: async () => idOf(await provider.getEndpoint(PARENT, OTHER.organization, "DIC")) === OTHER.endpoint,
    ofMemberInOtherRole: async () => (await provider.getEndpoint(PARENT, OTHER.organization, "COS")) === null,
    ofUnknownMember: async () => (await provider.getEndpoint(PARENT, "not-existing", "DIC")) === null,
    ofUnknownParent: async () => (await provider.getEndpoint("not-existing", OTHER.organization, "DIC")) === null,
    all: async () => ids(await provider.getEndpoints(PARENT)) === [OTHER.endpoint, OWN.endpoint].join(),
    inRole: async () => ids(await provider.getEndpoints(PARENT, "COS")) === OWN.endpoint,
    inNoRole: async () => (await provider.getEndpoints(PARENT, "HRP")).length === 0,
  };
}

function targets(api) {
  const provider = api.getTargetProvider();
  const found = async (builder) => (await builder.withoutCorrelationKey()).getEntries();
  const names = async (builder) =>
    (await found(builder)).map((target) => target.getOrganizationIdentifierValue()).sort().join();
  return {
    all: async () => (await names(provider.create(PARENT))) === BOTH,
    inRole: async () => (await names(provider.create(PARENT, "DIC"))) === OTHER.organization,
    inNoRole: async () => (await provider.create(PARENT, "HRP").withoutCorrelationKey()).isEmpty(),
    ofMember: async () => (await names(provider.create(PARENT, "COS", OWN.organization))) === OWN.organization,
    ofUnknownMember: async () => (await names(provider.create(PARENT, "COS", "not-existing"))) === "",
    filtered: async () =>
      (await names(provider.create(PARENT).filter((_, member) => idOf(member) !== OWN.organization))) === OTHER.organization,
    endpoints: async () => (await found(provider.create(PARENT, "DIC")))[0].getEndpointIdentifierValue() === OTHER.endpoint,
    withoutKeys: async () => (await found(provider.create(PARENT))).every((target) => target.getCorrelationKey() === null),
    withKeys: async () => {
      const all = (await provider.create(PARENT).withCorrelationKey()).getEntries();
      const keys = new Set(all.map((target) => target.getCorrelationKey()));
      return keys.size === 2 && [...keys].every((key) => /^[0-9a-f-]{36}$/.test(key));
    },
  };
}

const received = (variables) => variables.getLatestReceivedQuestionnaireResponse();
const answerTo = (form, id) => form.item.find((item) => item.linkId === id).answer[0];

export const activities = {
  [`${SERVICE}TestActivitySelector`]: (api, variables) => {
    const task = variables.getStartTask();
    variables.setString("testActivity", api.getTaskHelper().getFirstInputParameterStringValue(task, TEST, "test-activity"));
  },

  [`${SERVICE}ProxyTest`]: checks((api) => {
    const proxy = api.getProxyConfig();
    const excepted = (url) => proxy.isNoProxyUrl(url);
    return {
      url: () => proxy.getUrl() === "http://proxy:8080",
      username: () => proxy.getUsername() === "proxy_username",
      enabled: () => proxy.isEnabled(),
      noProxy: () => proxy.getNoProxyUrls().length === 2,
      host: () => excepted("https://localhost") && excepted("http://localhost") && excepted("http://localhost:8080"),
      hostAndPort: () => excepted("https://noproxy") && !excepted("http://noproxy") && !excepted("http://noproxy:8080"),
      noAddress: async () => (await throws(() => excepted("localhost:1234"))) && (await throws(() => excepted("ftp://localhost"))),
    };
  }),

  [`${SERVICE}ApiTest`]: checks((api) => {
    const { name, version, resourceVersion, releaseDate } = api.getProcessPluginDefinition();
    const members = ["getOrganizationProvider", "getEndpointProvider", "getTargetProvider", "getDsfClientProvider", "getTaskHelper", "getReadAccessHelper"];
    return {
      ...Object.fromEntries(members.map((member) => [member, () => Boolean(api[member]())])),
      definition: () => name === "dsf-bpe-test-plugin-v2" && version === "2.0.0.0" && resourceVersion === "2.0" && Boolean(releaseDate),
    };
  }),

  [`${SERVICE}OrganizationProviderTest`]: checks(organizations),
  [`${SERVICE}EndpointProviderTest`]: checks(endpoints),
  [`${SERVICE}TargetProviderTest`]: checks(targets),

  [`${SERVICE}FhirClientProviderTest`]: checks((api) => ({
    local: async () => (await api.getFhirClientProvider().getById("#local")).getBaseUrl().endsWith("/fhir"),
    unknown: async () => (await api.getFhirClientProvider().getById("not-existing")) === null,
  })),
  [`${SERVICE}FhirClientConfigProviderTest`]: checks((api) => ({
    unknown: async () => (await api.getFhirClientConfigProvider().getClientConfig("not-existing")) === null,
  })),

  "dev.dsf.bpe.test.listener.StartSendTaskTestListener": (api, variables) => {
    variables.setString("testVariable", "profileValue");
  },
  "dev.dsf.bpe.test.message.SendTaskTest": {
    execute: (api, variables, values) =>
      test(api, variables, {
        instantiatesCanonical: () => values.instantiatesCanonical === "instantiatesCanonicalValue",
        messageName: () => values.messageName === "messageNameValue",
        profile: () => values.profile === "profileValue",
      }),
  },

  "dev.dsf.bpe.test.listener.StartFieldInjectionTestListener": (api, variables, fields) => {
    variables.setString("testVariable", fields.testVariable);
    variables.setInteger("intVariable", 42);
  },
  [`${SERVICE}FieldInjectionTest`]: checks((api, variables, fields) => ({
    text: () => fields.stringField === "stringFieldValue",
    expression: () => fields.stringFieldFromExpression === "testVariableValue",
    nativeType: () => fields.intField === 42,
  })),

  [`${SERVICE}ErrorBoundaryEventTestThrow`]: {
    execute() {
      throw new Error("testErrorMessage");
    },
    handleException(api, variables, exception) {
      throw new ErrorBoundaryEvent("testErrorCode", exception.message);
    },
  },
  [`${SERVICE}ErrorBoundaryEventTestVerify`]: checks((api, variables) => ({
    code: () => variables.getString("errorCodeVariable") === "testErrorCode",
    message: () => variables.getString("errorMessageVariable") === "testErrorMessage",
  })),

  [`${SERVICE}ExceptionTest`]: {
    execute() {
      throw new Error("TestMessage");
    },
    handleException: (api, variables, exception) =>
      test(api, variables, { message: () => exception.message === "TestMessage" }),
  },

  [`${SERVICE}ContinueSendTest`]: async (api, variables) => {
    const provider = api.getEndpointProvider();
    const id = await provider.getLocalEndpointIdentifierValue();
    variables.setTarget(variables.createTarget(OWN.organization, id, provider.getLocalEndpointAddress()));
  },
  "dev.dsf.bpe.test.message.ContinueSendTestSend": {},
  [`${SERVICE}ContinueSendTestEvaluate`]: checks((api, variables) => ({
    result: () => variables.getString("result") === "received",
    latestTask: () => variables.getLatestTask().input[0].valueString === "continue-send-test",
    tasks: () => variables.getTasks().length === 2,
  })),

  [`${SERVICE}JsonVariableTestSet`]: (api, variables) => {
    variables.setJsonVariable("json", { first: "one", second: "two", at: new Date(0).toISOString() });
    variables.setString("text", "test-string");
    variables.setInteger("number", 1234);
  },
  [`${SERVICE}JsonVariableTestGet`]: checks((api, variables) => ({
    json: () => JSON.stringify(variables.getJsonVariable("json")) === '{"first":"one","second":"two","at":"1970-01-01T00:00:00.000Z"}',
    text: () => variables.getString("text") === "test-string",
    number: () => variables.getInteger("number") === 1234,
  })),

  [`${SERVICE}CompressionServiceTest`]: checks((api) => {
    const service = api.getCompressionService();
    const text = "Hello compression World!";
    const both = (to, from, size) => async () => {
      const packed = await service[to](text);
      return packed.length <= size && new TextDecoder().decode(await service[from](packed)) === text;
    };
    return { gzip: both("toGzip", "fromGzip", 48), bzip2: both("toBzip2", "fromBzip2", 64), lzma2: both("toLzma2", "fromLzma2", 84) };
  }),

  [`${SERVICE}CryptoServiceTest`]: checks((api) => {
    const service = api.getCryptoService();
    const round = (kem, generator) => async () => {
      const keys = await service[generator]().generateKeyPair();
      const sealed = await service[kem]().encrypt("secret", keys.publicKey);
      return new TextDecoder().decode(await service[kem]().decrypt(sealed, keys.privateKey)) === "secret";
    };
    return {
      rsa: round("createRsaKem", "createKeyPairGeneratorRsa4096AndInitialize"),
      p256: round("createEcDhKem", "createKeyPairGeneratorSecp256r1AndInitialize"),
      p384: round("createEcDhKem", "createKeyPairGeneratorSecp384r1AndInitialize"),
      p521: round("createEcDhKem", "createKeyPairGeneratorSecp521r1AndInitialize"),
      x25519: round("createEcDhKem", "createKeyPairGeneratorX25519AndInitialize"),
      x448: round("createEcDhKem", "createKeyPairGeneratorX448AndInitialize"),
      pairs: async () => {
        const [one, other] = [await service.createKeyPairGeneratorX25519AndInitialize().generateKeyPair(), await service.createKeyPairGeneratorX25519AndInitialize().generateKeyPair()];
        return (await service.isKeyPair(one.privateKey, one.publicKey)) && !(await service.isKeyPair(one.privateKey, other.publicKey));
      },
    };
  }),

  [`${SERVICE}MimeTypeServiceTest`]: checks((api) => {
    const service = api.getMimeTypeService();
    const matches = (text, declared) => async () =>
      (await service.validateWithBoolean(text, declared)) && (await service.validateWithResult(text, declared)).mimeTypesMatch;
    return {
      csv: matches("a,b\n1,2\n3,4\n", "text/csv"),
      ndjson: matches('{"a":1}\n{"a":2}\n{"a":3}\n', "application/x-ndjson"),
      xml: matches('<Bundle xmlns="http://hl7.org/fhir"></Bundle>', "application/fhir+xml"),
      other: async () => throws(() => service.validateWithException("a,b\n1,2\n", "application/zip")),
    };
  }),

  [`${SERVICE}FhirBinaryVariableTestSet`]: (api, variables) => {
    variables.setFhirResource("binary", { resourceType: "Binary", contentType: "text/plain", data: "SGVsbG8gV29ybGQ=" });
    variables.setString("text", "test-string");
    variables.setInteger("number", 1234);
  },
  [`${SERVICE}FhirBinaryVariableTestGet`]: checks((api, variables) => ({
    binary: () => variables.getFhirResource("binary").data === "SGVsbG8gV29ybGQ=",
    type: () => variables.getFhirResource("binary").contentType === "text/plain",
    text: () => variables.getString("text") === "test-string",
    number: () => variables.getInteger("number") === 1234,
  })),

  // What the environment of a Java plugin holds are the [[setting]]s of a package here.
  [`${SERVICE}EnvironmentVariableTest`]: checks((api) => ({
    mandatory: () => api.getSetting("mandatory") === "test-value",
    optional: () => api.getSetting("optional") === "default-value",
  })),

  [`${SERVICE}DsfClientTest`]: checks((api) => {
    const client = api.getDsfClientProvider().getLocal();
    const patient = { resourceType: "Patient", meta: { tag: [{ system: "http://dsf.dev/fhir/CodeSystem/read-access-tag", code: "LOCAL" }] } };
    let stored;
    return {
      create: async () => (stored = await client.create(patient)).meta.versionId === "1",
      read: async () => (await client.read("Patient", stored.id)).id === stored.id,
      readVersion: async () => (await client.read("Patient", stored.id, "1")).meta.versionId === "1",
      update: async () => (stored = await client.update({ ...stored, active: true })).meta.versionId === "2",
      search: async () => (await client.search(`Patient?_id=${stored.id}`)).total === 1,
      strict: async () => throws(() => client.searchWithStrictHandling("Patient?no-such-parameter=1")),
      exists: async () => (await client.exists("Patient", stored.id)) && !(await client.exists("Patient", api.randomUUID())),
      delete: async () => {
        await client.delete("Patient", stored.id);
        return !(await client.exists("Patient", stored.id));
      },
    };
  }),

  [`${SERVICE}DataLoggerTest`]: checks((api) => ({
    resource: () => api.getDataLogger().log("a resource", { resourceType: "Patient" }),
    object: () => api.getDataLogger().log("an object", { some: "thing" }),
    enabled: () => typeof api.getDataLogger().isEnabled() === "boolean",
  })),

  // Code of the package is there by importing it: nothing is injected.
  [`${SERVICE}AutowireTest`]: checks((api) => ({
    service: () => typeof organizations === "function",
    definition: () => api.getProcessPluginDefinition() !== null,
  })),

  // The test itself answers: an instance does one thing at a time, so its code could not wait for the
  // form of its other branch.
  [`${SERVICE}QuestionnaireTestAnswer`]: checks(() => ({ updateQuestionnaireResponse: () => true })),
  [`${SERVICE}QuestionnaireTestAnswerCheck`]: checks((api, variables) => ({
    status: () => received(variables).status === "completed",
    authored: () => Boolean(received(variables).authored && received(variables).author),
    text: () => answerTo(received(variables), "string-example").valueString === "an answer",
    url: () => answerTo(received(variables), "url-example").valueUri === "http://test.com/foo",
    businessKey: () => answerTo(received(variables), "business-key").valueString === variables.getBusinessKey(),
  })),
  [`${SERVICE}QuestionnaireTestSetIdentifies`]: (api, variables) => {
    variables.setStringList("identifierValues", ["dic-user@test.org", "foo@invalid", "bar@invalid"]);
  },
};
