// The cases of the host interface; main.py has the same. Each leaves what it found in `result`.

const MESSAGE = "http://dsf.dev/fhir/CodeSystem/bpmn-message";
const result = (work) => async (api, variables, fields) =>
  variables.setJsonVariable("result", await work(api, variables, fields));
const refused = async (work) => {
  try {
    await work();
    return "not refused";
  } catch (exception) {
    return [exception.status ?? null, exception.message];
  }
};

export const activities = {
  variables(api, variables) {
    variables.setString("text", "t");
    variables.setInteger("integer", -5);
    variables.setLong("long", 5_000_000_000);
    variables.setDouble("double", 0.5);
    variables.setBoolean("boolean", true);
    variables.setByteArray("bytes", new Uint8Array([0, 127, 128, 255]));
    variables.setStringList("list", ["a", "b"]);
    variables.setDate("date", new Date(1763712000123));
    variables.setFhirResource("resource", { resourceType: "Patient", id: "1" });
    variables.setFile("file", { filename: "a.txt", mimeType: "text/plain", content: new Uint8Array([104, 105]) });
    variables.setJsonVariable("json", { a: [1, null] });
    variables.setStringLocal("here", "l");
    variables.setString("nothing", null);
    variables.removeVariable("outer");
    variables.setJsonVariable("result", [
      variables.getString("text"), variables.getInteger("integer"), variables.getFile("file").content.length,
      variables.getStringLocal("here"), variables.getStringLocal("text"), variables.hasVariable("outer"),
      variables.getString("missing"), variables.getVariable("given"), variables.getBusinessKey(),
    ]);
  },

  targets(api, variables) {
    const one = variables.createTarget("org-1", "end-1", "https://one", "key");
    const two = variables.createTarget("org-2", "end-2", "https://two");
    const targets = variables.createTargets([one, two]);
    variables.setTarget(one);
    variables.setTargets(targets);
    const left = targets.removeByEndpointIdentifierValue(one);
    variables.setJsonVariable("result", [
      targets.size(), left.size(), left.getFirst().getEndpointUrl(), left.getFirst().getCorrelationKey(),
      variables.getTarget().getCorrelationKey(), left.removeAllByEndpointIdentifierValue(["end-2"]).isEmpty(),
    ]);
  },

  task: result((api, variables) => {
    const helper = api.getTaskHelper();
    const task = variables.getStartTask();
    const updater = variables.getStartTaskUpdater();
    updater.addOutput("http://a", "code", "1.0", "first");
    updater.addOutput({ system: "http://a", version: "1.0", code: "other" }, { valueInteger: 3 });
    updater.modifyOutput("http://a", "code", "1.0", "second");
    updater.removeOutput("http://a", "other", "1.0");
    return [
      helper.getFirstInputParameterStringValue(task, MESSAGE, "message-name"),
      helper.getInputParameterStringValues(task, { system: MESSAGE, code: "missing" }),
      helper.getFirstInputParameterValue(task, "http://a", "reference", "Reference").reference,
      helper.getFirstInputParameterValue(task, "http://a", "reference", "String"),
      helper.getFirstInputParameterWithExtension(task, "http://a", "reference", "http://extension").extension.length,
      helper.createInput(true, "http://a", "flag", "1"),
      helper.getLocalVersionlessAbsoluteUrl(task),
      updater.hasOutput("http://a", "code", "1.0"), updater.hasOuput("http://a", "other", "1.0"),
      variables.getStartTask().output,
    ];
  }),

  access: result((api) => {
    const helper = api.getReadAccessHelper();
    const resource = { resourceType: "Patient" };
    helper.addOrganization(resource, "org");
    helper.addRole(resource, "parent", "http://role", "DIC");
    const valid = helper.isValid(resource);
    const known = helper.isValid(resource, () => false);
    const has = [
      helper.hasLocal(resource), helper.hasOrganization(resource, "org"), helper.hasOrganization(resource, "no"),
      helper.hasRole(resource, "parent", "http://role", "DIC"), helper.hasAnyRole(resource), helper.hasAll(resource),
    ];
    return [valid, known, has, resource.meta.tag.length, helper.addAll(resource).meta.tag];
  }),

  authorization: result((api) => {
    const helper = api.getProcessAuthorizationHelper();
    const requesters = helper.getRequesterFactory();
    const definition = { resourceType: "ActivityDefinition", url: "http://p", version: "1.0" };
    helper.add(definition, "start", "http://profile|1.0",
      [requesters.remoteRole("parent", "http://role", "DIC"), requesters.localAllPractitioner("http://pr", "DIC_USER")],
      helper.getRecipientFactory().localOrganization("org"));
    const member = {
      organization: { resourceType: "Organization", active: true,
        identifier: [{ system: "http://dsf.dev/sid/organization-identifier", value: "member" }] },
      local: false,
    };
    const affiliation = { active: true, organization: { identifier: { value: "parent" } },
      participatingOrganization: { identifier: { value: "member" } },
      code: [{ coding: [{ system: "http://role", code: "DIC" }] }] };
    const [role, person] = helper.getRequesters(definition, "http://p|1.0", "start", ["http://profile|1.0"]);
    return [
      helper.isValid(definition), helper.isValid(definition, () => false), helper.isValid({}),
      role.isRequesterAuthorized(member, [affiliation]), role.isRequesterAuthorized(member, []),
      person.isRequesterAuthorized({ ...member, local: true, practitionerRoles: [{ system: "http://pr", code: "DIC_USER" }] }),
      person.getProcessAuthorizationCode().code, role.requesterMatches(role.toRequesterExtension()),
      helper.getRecipients(definition, "http://p", "1.0", "start", "http://profile|1.0").length,
      helper.getRecipients(definition, "http://p", "2.0", "start", "http://profile|1.0").length,
      definition,
    ];
  }),

  questionnaire: result((api) => {
    const helper = api.getQuestionnaireResponseHelper();
    const response = { resourceType: "QuestionnaireResponse", id: "1", item: [{ linkId: "group", item: [{ linkId: "leaf" }] }] };
    helper.addItemLeafWithAnswer(response, "new", "text", { valueString: "answer" });
    helper.addItemLeafWithoutAnswer(response, "bare", "text");
    const identifier = { system: "http://p", value: "v" };
    return [
      helper.getItemLeaves(response).map((item) => item.linkId), helper.getFirstItemLeaveMatchingLinkId(response, "new"),
      helper.getFirstItemLeaveMatchingLinkId(response, "group"), helper.transformQuestionTypeToAnswerType({ type: "quantity" }),
      helper.createQuestionnaireAuthorizationExtension([identifier], [{ system: "http://r", code: "c" }]),
      helper.getLocalVersionlessAbsoluteUrl(response),
    ];
  }),

  providers: result(async (api) => {
    const organizations = api.getOrganizationProvider();
    const endpoints = api.getEndpointProvider();
    const builder = api.getTargetProvider().create("parent", "DIC");
    const targets = await builder.filter((affiliation, member, endpoint) => endpoint.id !== "no").withCorrelationKey();
    return [
      await organizations.getLocalOrganizationIdentifierValue(), (await organizations.getOrganization("member")).id,
      await organizations.getOrganization("unknown"), await organizations.getOrganization(null),
      (await organizations.getOrganizations("parent")).length, endpoints.getLocalEndpointAddress(),
      await endpoints.getLocalEndpointIdentifierValue(), await endpoints.getEndpointAddress("parent", "member", "DIC"),
      targets.getEntries().map((one) => [one.getOrganizationIdentifierValue(), one.getCorrelationKey().length]),
    ];
  }),

  client: result(async (api) => {
    const client = api.getDsfClientProvider().getLocal();
    const patient = { resourceType: "Patient", name: [{ family: "Müller" }] };
    const created = await client.create(patient);
    const minimal = await client.withMinimalReturn().createConditionally(patient, { identifier: ["a|b"] });
    const updated = await client.update({ ...created, active: true });
    const same = await client.read(created);
    const found = await client.searchWithStrictHandling("Patient", { name: "a b", _count: ["1"] });
    const history = await client.history("Patient", "p1", 2, 10);
    await client.deleteConditionally("Patient", "identifier=x");
    const later = await client.searchAsync([10], "Patient", { late: "yes" });
    const outcome = await client.withOperationOutcomeReturn().operation("Patient", "p1", "check", null);
    const retried = await client.withRetry(2, 10).read("Patient", "sometimes");
    return [
      created.id, minimal, updated.active, same.id, found.total, history.type, later.total, outcome.resourceType, retried.id,
      await client.exists("Patient", "missing"), await refused(() => client.read("Patient", "missing")),
      await refused(() => client.read("Patient", "../x")), await refused(() => client.search("http://other/Patient")),
    ];
  }),

  remote: result(async (api) => {
    const provider = api.getDsfClientProvider();
    const [endpoint] = [await api.getEndpointProvider().getEndpoint("partner")];
    const client = provider.getByEndpoint(endpoint);
    const read = await client.read("Patient", "p1");
    return [
      read.id, await provider.getById("nobody"), await provider.getById("store") !== null,
      (await (await provider.getById("store")).read("Patient", "p1")).id,
      (await api.getFhirClientConfigProvider().getClientConfig("store")).getBasicAuthentication().getUsername(),
      await refused(() => provider.getByEndpointUrl("https://stranger.example/fhir").read("Patient", "1")),
      await refused(() => client.create({ resourceType: "Patient" })),
    ];
  }),

  configs: result(async (api) => {
    const provider = api.getFhirClientConfigProvider();
    const clients = api.getFhirClientProvider();
    const told = async (id) => {
      const config = await provider.getClientConfig(id);
      return config && [
        config.getFhirServerId(), config.getBaseUrl(), config.isStartupConnectionTestEnabled() || config.isDebugLoggingEnabled(),
        config.getConnectTimeout(), config.getReadTimeout(), config.getTrustStore()?.certificates.length ?? null,
        config.getCertificateAuthentication()?.getKeyStore()?.length > 0 ||
          (config.getCertificateAuthentication() && config.getCertificateAuthentication().getKeyStorePassword()),
        config.getBasicAuthentication()?.getPassword() ?? null, config.getBearerAuthentication()?.getToken() ?? null,
        config.getOidcAuthentication() && [
          config.getOidcAuthentication().getClientId(), config.getOidcAuthentication().getClientSecret(),
          config.getOidcAuthentication().getReadTimeout(), config.getOidcAuthentication().getTrustStore(),
          config.getOidcAuthentication().isStartupConnectionTestEnabled(), config.getOidcAuthentication().isDebugLoggingEnabled(),
          config.getOidcAuthentication().isVerifyAuthorizedPartyEnabled(),
          api.getOidcClientProvider().getOidcClient(config.getOidcAuthentication()) !== null,
        ],
        config.getProxy() && [config.getProxy().getUrl(), config.getProxy().getUsername(), config.getProxy().getPassword()],
      ];
    };
    return [
      await told("store"), await told("keyed"), await told("token"), await told("oidc"), await told("#local"),
      await told("#partner"), await told("#unknown"), await told("nobody"), await provider.createDefaultTrustStore(),
      (await clients.getById("#partner"))?.getBaseUrl() ?? null, await clients.getById("#unknown"),
      (await clients.getById("#local")).getBaseUrl(), api.getProxyConfig().getPassword(),
    ];
  }),

  binary: result(async (api) => {
    const client = api.getDsfClientProvider().getLocal();
    async function* content() {
      yield new Uint8Array(100_000).fill(65);
      yield "end";
    }
    const stored = await client.withMinimalReturn().createBinary(content(), "text/plain", "Organization/1");
    const stream = await client.readBinary("b1", "text/plain", 0, 9);
    const range = stream.getRange();
    const text = await stream.text();
    const whole = await (await client.readBinary("b1", "text/plain")).readAllBytes();
    return [
      stored.id, stream.getContentType(), range, text, whole.length,
      await refused(() => client.readBinary("missing", "text/plain")),
      await refused(() => client.createBinary("x", "refused/type")),
    ];
  }),

  services: result(async (api) => {
    const text = "Hello compression World!";
    const compression = api.getCompressionService();
    const packed = [await compression.toGzip(text), await compression.toBzip2(text), await compression.toLzma2(text)];
    const unpacked = [
      await compression.fromGzip(packed[0]), await compression.fromBzip2(packed[1]), await compression.fromLzma2(packed[2]),
    ];
    const crypto = api.getCryptoService();
    const pair = await crypto.createKeyPairGeneratorX25519AndInitialize().generateKeyPair();
    const sealed = await crypto.createEcDhKem().encrypt(text, pair.publicKey);
    const opened = await crypto.createEcDhKem().decrypt(sealed, pair.privateKey);
    const mime = api.getMimeTypeService();
    await api.getMailService().send("subject", "text");
    const validation = await api.getValidationServiceProvider().getValidationService();
    return [
      packed.map((one) => one.length), unpacked.map((one) => new TextDecoder().decode(one)),
      sealed.length, new TextDecoder().decode(opened), await crypto.isKeyPair(pair.privateKey, pair.publicKey),
      await refused(() => compression.fromGzip("no gzip")), await refused(() => crypto.createRsaKem().encrypt("a", pair.publicKey)),
      await mime.validateWithBoolean("a;b\n", "text/csv"), (await mime.validateWithResult("<a/>", "text/csv")).detected,
      validation, api.getSetting("limit"), api.getProxyConfig().isNoProxyUrl("https://a.hospital.example"),
      api.getProcessPluginDefinition().name, api.randomUUID().length, CodeSystems.BpmnMessage.MESSAGE_NAME,
    ];
  }),

  unallowed: result(async (api) => [
    await refused(() => api.getDsfClientProvider().getLocal().read("Patient", "1")),
    await refused(() => api.getMailService().send("subject", "text")),
    await refused(() => api.getOidcClientProvider().getOidcClient("https://idp.example", "id", "secret").getAccessToken()),
    await api.getDsfClientProvider().getById("store"),
  ]),

  bpmnError() {
    throw new ErrorBoundaryEvent("code", "message");
  },

  handledError: {
    execute() {
      throw new ErrorBoundaryEvent("code", "message");
    },
    handleErrorBoundaryEvent(api, variables, event) {
      variables.setString("result", event.getErrorCode());
    },
  },

  translated: {
    execute() {
      throw new RangeError("too far");
    },
    handleException: (api, variables, exception) => new ErrorBoundaryEvent("translated", exception.message),
  },

  absorbed: {
    notify() {
      throw new Error("no");
    },
    handleException(api, variables, exception) {
      variables.setString("result", exception.message);
    },
  },

  fields(api, variables, fields) {
    variables.setJsonVariable("result", fields);
  },

  form: {
    notify() {},
    beforeQuestionnaireResponseCreate(api, variables, values, form) {
      form.status = "completed";
      variables.setString("result", values.formKey);
    },
  },

  // The listener of a user task with every function that it may have.
  composing: {
    getPractitioners: (api, variables, values) => [`${values.userTaskId.length}@x`, "http://s|b@x", { system: "http://i", value: "c@x" }],
    getPractitionerRoles: () => null,
    createQuestionnaireResponse: (api, variables, values, questionnaire) => ({
      resourceType: "QuestionnaireResponse", status: "in-progress", questionnaire: values.formKey, item: [{ linkId: questionnaire.id }],
    }),
    beforeQuestionnaireResponseCreate: (api, variables, values, form) => ({ ...form, authored: "2026" }),
    afterQuestionnaireResponseCreate(api, variables, values, form) {
      variables.setString("result", form.id);
    },
  },

  rolesOnly: { getPractitionerRoles: async () => "DIC_USER" },

  sender: {
    businessKeyStrategy: "NEW",
    additionalInputParameters: (api, variables, values, target) => [
      api.getTaskHelper().createInput(target.getEndpointIdentifierValue(), "http://a", values.messageName),
    ],
    afterSend(api, variables) {
      variables.setString("result", "sent");
    },
    handleException(api, variables, exception) {
      variables.setString("result", `${exception.status} ${exception.message}`);
    },
  },

  choosing: {
    execute(api, variables, values, sender) {
      const target = variables.createTarget("org-9", "end-9", "https://nine");
      if (!variables.getBoolean("quiet")) sender.send({ target, messageName: "other", additionalInputParameters: [] });
    },
  },
};

export async function onProcessesDeployed(api, processes) {
  if (processes.length === 0) throw new Error("nothing runs");
  await api.getDsfClientProvider().getLocal().create({ resourceType: "List", title: processes.join(" ") });
}
