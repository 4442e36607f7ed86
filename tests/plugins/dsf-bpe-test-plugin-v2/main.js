// The activities of DSF's own test plugin, for spec/bpe.md §12: each check notes its name in an
// output of the start Task, as succeeded or as failed.

import { material } from "./certificates.js";
import { documents } from "./documents.js";

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
const sid = (kind, value) => ({ system: `http://dsf.dev/sid/${kind}-identifier`, value });
const BOTH = [OTHER.organization, OWN.organization].join();

function organizations(api) {
  const provider = api.getOrganizationProvider();
  return {
    local: async () => idOf(await provider.getLocalOrganization()) === OWN.organization,
    localIdentifier: async () => (await provider.getLocalOrganizationIdentifier()).value === OWN.organization,
    localValue: async () => (await provider.getLocalOrganizationIdentifierValue()) === OWN.organization,
    byId: async () => idOf(await provider.getOrganization(OTHER.organization)) === OTHER.organization,
    byIdentifier: async () => idOf(await provider.getOrganization(sid("organization", OTHER.organization))) === OTHER.organization,
    unknown: async () => (await provider.getOrganization("not-existing")) === null,
    unknownIdentifier: async () => (await provider.getOrganization(sid("organization", "not-existing"))) === null,
    nothing: async () => (await provider.getOrganization(null)) === null,
    ofNothing: async () => (await provider.getOrganizations(null)).length === 0,
    ofNothingInRole: async () => (await provider.getOrganizations(null, "DIC")).length === 0,
    inNoRole: async () => (await provider.getOrganizations(PARENT, null)).length === 0,
    ofIdentifier: async () => ids(await provider.getOrganizations(sid("organization", PARENT))) === BOTH,
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
    byIdentifier: async () => idOf(await provider.getEndpoint(sid("endpoint", OTHER.endpoint))) === OTHER.endpoint,
    nothing: async () => (await provider.getEndpoint(null)) === null,
    nothingsAddress: async () => (await provider.getEndpointAddress(null)) === null,
    addressOfMember: async () => (await provider.getEndpointAddress(PARENT, OTHER.organization, "DIC")).endsWith("/fhir"),
    addressOfUnknownMember: async () => (await provider.getEndpointAddress(PARENT, "not-existing", "DIC")) === null,
    ofNoParent: async () => (await provider.getEndpoint(null, OTHER.organization, "DIC")) === null,
    ofNoMember: async () => (await provider.getEndpoint(PARENT, null, "DIC")) === null,
    ofMemberInNoRole: async () => (await provider.getEndpoint(PARENT, OTHER.organization, null)) === null,
    allOfNoParent: async () => (await provider.getEndpoints(null, "DIC")).length === 0,
    allOfUnknownParent: async () => (await provider.getEndpoints("not-existing", "DIC")).length === 0,
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
    ofIdentifiers: async () =>
      (await names(provider.create(sid("organization", PARENT), "DIC", sid("organization", OTHER.organization)))) === OTHER.organization,
    ofSeveral: async () => (await names(provider.create(PARENT, "COS", OWN.organization, OTHER.organization))) === OWN.organization,
    ofNoParent: async () => (await names(provider.create(null))) === "",
    byEndpoint: async () =>
      (await names(provider.create(PARENT).filter((one, member, endpoint) => idOf(endpoint) === OWN.endpoint))) === OWN.organization,
    withoutKeys: async () => (await found(provider.create(PARENT))).every((target) => target.getCorrelationKey() === null),
    withKeys: async () => {
      const all = (await provider.create(PARENT).withCorrelationKey()).getEntries();
      const keys = new Set(all.map((target) => target.getCorrelationKey()));
      return keys.size === 2 && [...keys].every((key) => /^[0-9a-f-]{36}$/.test(key));
    },
  };
}

const received = (variables) => variables.getLatestReceivedQuestionnaireResponse();
const ANSWERS = [
  ["string-example", (one) => one.valueString === "an answer"],
  ["text-example", (one) => one.valueString === "a longer answer"],
  ["integer-example", (one) => one.valueInteger === 42],
  ["decimal-example", (one) => one.valueDecimal === 3.25],
  ["boolean-example", (one) => one.valueBoolean === true],
  ["date-example", (one) => one.valueDate === "2026-11-21"],
  ["time-example", (one) => one.valueTime === "09:41:26"],
  ["date-time-example", (one) => Date.parse(one.valueDateTime) === Date.parse("2026-11-21T09:41:26+01:00")],
  ["reference-example", (one) => one.valueReference.reference === "http://test.com/fhir/Patient/1"],
  ["url-example", (one) => one.valueUri === "http://test.com/foo"],
  ["choice-example", (one) => one.valueCoding.code === "given"],
  ["quantity-example", (one) => one.valueQuantity.value === 12.5 && one.valueQuantity.code === "kg"],
];
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
      password: () => proxy.getPassword() === "proxy_password",
      enabled: () => proxy.isEnabled() && proxy.isEnabled("https://other") && !proxy.isEnabled("https://localhost"),
      noProxy: () => proxy.getNoProxyUrls().join() === "localhost,noproxy:443",
      host: () => excepted("https://localhost") && excepted("http://localhost") && excepted("http://localhost:8080"),
      noAddress: async () => !excepted("http://noproxy") && !excepted("http://noproxy:8080") && !excepted("foo") &&
        excepted("https://noproxy") && (await throws(() => excepted("localhost:1234"))) && (await throws(() => excepted("ftp://localhost"))),
    };
  }),

  [`${SERVICE}ApiTest`]: checks((api) => {
    const { name, version, resourceVersion, releaseDate } = api.getProcessPluginDefinition();
    const members = [
      "getProcessPluginDefinition", "getProxyConfig", "getDsfClientProvider", "getFhirClientProvider",
      "getFhirClientConfigProvider", "getOidcClientProvider", "getMailService", "getMimeTypeService",
      "getOrganizationProvider", "getEndpointProvider", "getTargetProvider", "getProcessAuthorizationHelper",
      "getReadAccessHelper", "getTaskHelper", "getQuestionnaireResponseHelper", "getCompressionService",
      "getCryptoService", "getDataLogger", "getValidationServiceProvider",
    ];
    return {
      ...Object.fromEntries(members.map((member) => [member, () => Boolean(api[member]())])),
      name: () => name === "dsf-bpe-test-plugin-v2",
      version: () => version === "2.0.0.0",
      resourceVersion: () => resourceVersion === "2.0",
      releaseDate: () => releaseDate === "2026-11-21",
    };
  }),

  [`${SERVICE}OrganizationProviderTest`]: checks(organizations),
  [`${SERVICE}EndpointProviderTest`]: checks(endpoints),
  [`${SERVICE}TargetProviderTest`]: checks(targets),

  [`${SERVICE}FhirClientProviderTest`]: checks((api) => {
    const provider = api.getFhirClientProvider();
    const isOurs = async (id) => {
      const client = await provider.getById(id);
      return (await client.getConformance()).software.name === "Data Sharing Framework";
    };
    return {
      connection: () => isOurs("dsf-fhir-server"),
      endpoint: () => isOurs(`#${OWN.endpoint}`),
      local: () => isOurs("#local"),
      unknown: async () => (await provider.getById("not-existing")) === null,
      unknownEndpoint: async () => (await provider.getById("#not-existing")) === null,
    };
  }),
  [`${SERVICE}FhirClientConfigProviderTest`]: checks((api) => {
    const provider = api.getFhirClientConfigProvider();
    // What holds for a server that is known by certificate; the node keeps its own key to itself.
    const byCertificate = async (id, store, tested) => {
      const config = await provider.getClientConfig(id);
      const certificate = config.getCertificateAuthentication();
      const keyStore = certificate.getKeyStore();
      const content = keyStore && (await api.getCryptoService().readKeyStorePkcs12(keyStore, certificate.getKeyStorePassword()));
      return (
        config.getFhirServerId() === id && config.getBaseUrl() === api.getEndpointProvider().getLocalEndpointAddress() &&
        Boolean(content?.privateKey) === store && config.getBasicAuthentication() === null &&
        config.getBearerAuthentication() === null && config.getOidcAuthentication() === null && config.getProxy() === null &&
        config.isStartupConnectionTestEnabled() === tested && config.getTrustStore().certificates.length === 1
      );
    };
    const viaProxy = () => provider.getClientConfig("via-proxy");
    return {
      connection: () => byCertificate("dsf-fhir-server", true, true),
      local: () => byCertificate("#local", false, false),
      endpoint: () => byCertificate(`#${OWN.endpoint}`, false, false),
      withoutCertificate: async () => (await viaProxy()).getCertificateAuthentication() === null,
      untested: async () => !(await viaProxy()).isStartupConnectionTestEnabled(),
      proxy: async () => {
        const proxy = (await viaProxy()).getProxy();
        return proxy.getUrl() === "http://proxy:8080" && proxy.getUsername() === "proxy_username" && proxy.getPassword() === "proxy_password";
      },
      unknown: async () => (await provider.getClientConfig("not-existing")) === null,
      trustStore: async () => (await provider.createDefaultTrustStore()).certificates.length === 1,
    };
  }),

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
      return packed.length === size && new TextDecoder().decode(await service[from](packed)) === text;
    };
    return { gzip: both("toGzip", "fromGzip", 44), bzip2: both("toBzip2", "fromBzip2", 63), lzma2: both("toLzma2", "fromLzma2", 80) };
  }),

  [`${SERVICE}CryptoServiceTest`]: checks((api) => {
    const service = api.getCryptoService();
    const round = (kem, generator) => async () => {
      const keys = await service[generator]().generateKeyPair();
      const sealed = await service[kem]().encrypt("secret", keys.publicKey);
      return new TextDecoder().decode(await service[kem]().decrypt(sealed, keys.privateKey)) === "secret";
    };
    const { ca, client, key, lockedKey, otherKey, server, expired, rogue } = material;
    const publicKey = async (certificate) => (await service.readCertificate(certificate)).publicKey;
    const generated = async (generator) => service[generator]().generateKeyPair();
    const trusted = service.createKeyStoreForTrustedCertificates(ca);
    const packed = () => service.createKeyStoreForPrivateKeyAndCertificateChain(key, "password", client, ca);
    return {
      rsa: round("createRsaKem", "createKeyPairGeneratorRsa4096AndInitialize"),
      p256: round("createEcDhKem", "createKeyPairGeneratorSecp256r1AndInitialize"),
      p384: round("createEcDhKem", "createKeyPairGeneratorSecp384r1AndInitialize"),
      p521: round("createEcDhKem", "createKeyPairGeneratorSecp521r1AndInitialize"),
      x25519: round("createEcDhKem", "createKeyPairGeneratorX25519AndInitialize"),
      x448: round("createEcDhKem", "createKeyPairGeneratorX448AndInitialize"),
      otherKey: () => throws(async () => {
        const [one, other] = [await generated("createKeyPairGeneratorX25519AndInitialize"), await generated("createKeyPairGeneratorX25519AndInitialize")];
        await service.createEcDhKem().decrypt(await service.createEcDhKem().encrypt("secret", one.publicKey), other.privateKey);
      }),
      changed: () => throws(async () => {
        const keys = await generated("createKeyPairGeneratorSecp256r1AndInitialize");
        const sealed = await service.createEcDhKem().encrypt("secret", keys.publicKey);
        sealed[sealed.length - 1] ^= 1;
        await service.createEcDhKem().decrypt(sealed, keys.privateKey);
      }),
      otherKind: () => throws(async () => {
        const keys = await generated("createKeyPairGeneratorX448AndInitialize");
        await service.createRsaKem().encrypt("secret", keys.publicKey);
      }),
      pairs: async () => {
        const [one, other] = [await generated("createKeyPairGeneratorX25519AndInitialize"), await generated("createKeyPairGeneratorX25519AndInitialize")];
        return (await service.isKeyPair(one.privateKey, one.publicKey)) && !(await service.isKeyPair(one.privateKey, other.publicKey));
      },
      certificate: async () => (await service.readCertificate(client)).subject.includes("CN=bpe-a"),
      certificates: async () => (await service.readCertificates(client + ca)).length === 2,
      noCertificate: () => throws(() => service.readCertificate(key)),
      privateKey: async () => (await service.readPrivateKey(key)).includes("PRIVATE KEY"),
      lockedKey: async () => service.isKeyPair(await service.readPrivateKey(lockedKey, "password"), await publicKey(client)),
      wrongPassword: () => throws(() => service.readPrivateKey(lockedKey, "other")),
      noPrivateKey: () => throws(() => service.readPrivateKey(client)),
      pairOfCertificate: async () => service.isKeyPair(key, await publicKey(client)),
      noPairOfCertificate: async () => !(await service.isKeyPair(otherKey, await publicKey(client))),
      clientCertificate: () => service.isClientCertificate(client),
      noClientCertificate: async () => !(await service.isClientCertificate(server)),
      serverCertificate: () => service.isServerCertificate(server),
      noServerCertificate: async () => !(await service.isServerCertificate(client)),
      expired: () => service.isCertificateExpired(expired),
      notExpired: async () => !(await service.isCertificateExpired(client)),
      clientChain: async () => (await service.validateClientCertificate(trusted, client)) === null,
      serverChain: async () => (await service.validateServerCertificate(trusted, server)) === null,
      otherPurpose: async () =>
        (await throws(() => service.validateClientCertificate(trusted, server))) &&
        (await throws(() => service.validateServerCertificate(trusted, client))),
      untrustedChain: () => throws(() => service.validateClientCertificate(trusted, rogue)),
      expiredChain: () => throws(() => service.validateClientCertificate(trusted, expired)),
      keyStore: async () => (await service.readKeyStorePkcs12(await packed(), "password")).certificates.length === 2,
      keyOfStore: async () => service.isKeyPair((await service.readKeyStorePkcs12(await packed(), "password")).privateKey, await publicKey(client)),
      lockedStore: () => throws(async () => service.readKeyStorePkcs12(await packed(), "other")),
    };
  }),

  [`${SERVICE}MimeTypeServiceTest`]: checks((api) => {
    const service = api.getMimeTypeService();
    const agrees = ([declared, data]) => async () => {
      const content = Uint8Array.fromBase64(data);
      await service.validateWithException(content, declared);
      return (await service.validateWithBoolean(content, declared)) && (await service.validateWithResult(content, declared)).mimeTypesMatch;
    };
    return Object.fromEntries(Object.entries(documents).map(([name, document]) => [name, agrees(document)]));
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
    mandatory: () => api.getSetting("dev.dsf.bpe.test.env.mandatory") === "test-value",
    optional: () => api.getSetting("dev.dsf.bpe.test.env.optional") === "default-value",
    proxy: () => api.getSetting("dev.dsf.proxy.url") === "http://proxy:8080",
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
      binary: async () => {
        const binary = await client.withMinimalReturn().createBinary("0123456789", "text/plain", `Patient/${stored.id}`);
        const text = async (...how) => (await client.readBinary(binary.id, ...how)).text();
        const part = await client.readBinary(binary.id, "text/plain", 2, 5);
        const [range, content] = [part.getRange(), await part.text()];
        return (
          (await text("text/plain")) === "0123456789" && (await text("1", "text/plain")) === "0123456789" &&
          content === "2345" && range.size === 10 && range.start === 2 && range.end === 5
        );
      },
      searchAsync: async () => (await client.searchAsync("Patient", { _id: stored.id })).total === 1,
      operationAsync: async () => {
        const source = "http://dsf.dev/fhir/StructureDefinition/task-test";
        const parameter = [{ name: "url", valueString: `${source}|2.0` }];
        const answer = await client.operationAsync("StructureDefinition", "snapshot", { resourceType: "Parameters", parameter });
        return answer.url === source && answer.snapshot.element.length > 0;
      },
      retry: async () => (await client.withRetry(2, 100).read("Patient", stored.id)).id === stored.id,
      delete: async () => {
        await client.delete("Patient", stored.id);
        return !(await client.exists("Patient", stored.id));
      },
    };
  }),

  [`${SERVICE}DataLoggerTest`]: checks((api) => ({
    enabled: () => api.getDataLogger().isEnabled(),
    resource: () => api.getDataLogger().log("a resource", { resourceType: "Patient" }),
    object: () => api.getDataLogger().log("an object", { some: "thing" }),
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
    ...Object.fromEntries(ANSWERS.map(([id, is]) => [id, () => is(answerTo(received(variables), id))])),
    userTask: () => /^[0-9a-f-]{36}$/.test(answerTo(received(variables), "user-task-id").valueString),
    businessKey: () => answerTo(received(variables), "business-key").valueString === variables.getBusinessKey(),
  })),
  [`${SERVICE}QuestionnaireTestSetIdentifies`]: (api, variables) => {
    variables.setStringList("identifierValues", ["dic-user@test.org", "foo@invalid", "bar@invalid"]);
  },
};
