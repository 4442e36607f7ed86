"""The cases of the host interface; main.js has the same. Each leaves what it found in `result`."""

import datetime

from dsf import CodeSystems, ErrorBoundaryEvent
from dsf.api import ValidationService

MESSAGE = "http://dsf.dev/fhir/CodeSystem/bpmn-message"


def result(work):
    def activity(api, variables, fields):
        variables.setJsonVariable("result", work(api, variables, fields))

    return activity


def refused(work):
    try:
        work()
        return "not refused"
    except Exception as exception:
        return [getattr(exception, "status", None), str(exception)]


def variables_(api, variables):
    variables.setString("text", "t")
    variables.setInteger("integer", -5)
    variables.setLong("long", 5_000_000_000)
    variables.setDouble("double", 0.5)
    variables.setBoolean("boolean", True)
    variables.setByteArray("bytes", bytes([0, 127, 128, 255]))
    variables.setStringList("list", ["a", "b"])
    date = datetime.datetime.fromtimestamp(1763712000, datetime.timezone.utc)
    variables.setDate("date", date + datetime.timedelta(milliseconds=123))
    variables.setFhirResource("resource", {"resourceType": "Patient", "id": "1"})
    variables.setFile("file", {"filename": "a.txt", "mimeType": "text/plain", "content": b"hi"})
    variables.setJsonVariable("json", {"a": [1, None]})
    variables.setStringLocal("here", "l")
    variables.setString("nothing", None)
    variables.removeVariable("outer")
    variables.setJsonVariable("result", [
        variables.getString("text"), variables.getInteger("integer"), len(variables.getFile("file")["content"]),
        variables.getStringLocal("here"), variables.getStringLocal("text"), variables.hasVariable("outer"),
        variables.getString("missing"), variables.getVariable("given"), variables.getBusinessKey(),
    ])


def targets(api, variables):
    one = variables.createTarget("org-1", "end-1", "https://one", "key")
    two = variables.createTarget("org-2", "end-2", "https://two")
    both = variables.createTargets([one, two])
    variables.setTarget(one)
    variables.setTargets(both)
    left = both.removeByEndpointIdentifierValue(one)
    variables.setJsonVariable("result", [
        both.size(), left.size(), left.getFirst().getEndpointUrl(), left.getFirst().getCorrelationKey(),
        variables.getTarget().getCorrelationKey(), left.removeAllByEndpointIdentifierValue(["end-2"]).isEmpty(),
    ])


@result
def task(api, variables, fields):
    helper = api.getTaskHelper()
    start = variables.getStartTask()
    updater = variables.getStartTaskUpdater()
    updater.addOutput("http://a", "code", "1.0", "first")
    updater.addOutput({"system": "http://a", "version": "1.0", "code": "other"}, {"valueInteger": 3})
    updater.modifyOutput("http://a", "code", "1.0", "second")
    updater.removeOutput("http://a", "other", "1.0")
    return [
        helper.getFirstInputParameterStringValue(start, MESSAGE, "message-name"),
        helper.getInputParameterStringValues(start, {"system": MESSAGE, "code": "missing"}),
        helper.getFirstInputParameterValue(start, "http://a", "reference", "Reference")["reference"],
        helper.getFirstInputParameterValue(start, "http://a", "reference", "String"),
        len(helper.getFirstInputParameterWithExtension(start, "http://a", "reference", "http://extension")["extension"]),
        helper.createInput(True, "http://a", "flag", "1"),
        helper.getLocalVersionlessAbsoluteUrl(start),
        updater.hasOutput("http://a", "code", "1.0"), updater.hasOuput("http://a", "other", "1.0"),
        variables.getStartTask()["output"],
    ]


@result
def access(api, variables, fields):
    helper = api.getReadAccessHelper()
    resource = {"resourceType": "Patient"}
    helper.addOrganization(resource, "org")
    helper.addRole(resource, "parent", "http://role", "DIC")
    valid = helper.isValid(resource)
    known = helper.isValid(resource, lambda _: False)
    has = [
        helper.hasLocal(resource), helper.hasOrganization(resource, "org"), helper.hasOrganization(resource, "no"),
        helper.hasRole(resource, "parent", "http://role", "DIC"), helper.hasAnyRole(resource), helper.hasAll(resource),
    ]
    return [valid, known, has, len(resource["meta"]["tag"]), helper.addAll(resource)["meta"]["tag"]]


@result
def authorization(api, variables, fields):
    helper = api.getProcessAuthorizationHelper()
    requesters = helper.getRequesterFactory()
    definition = {"resourceType": "ActivityDefinition", "url": "http://p", "version": "1.0"}
    senders = [
        requesters.remoteRole("parent", "http://role", "DIC"),
        requesters.localAllPractitioner("http://pr", "DIC_USER"),
    ]
    helper.add(definition, "start", "http://profile|1.0", senders, helper.getRecipientFactory().localOrganization("org"))
    identifier = [{"system": "http://dsf.dev/sid/organization-identifier", "value": "member"}]
    member = {
        "organization": {"resourceType": "Organization", "active": True, "identifier": identifier},
        "local": False,
    }
    affiliation = {
        "active": True,
        "organization": {"identifier": {"value": "parent"}},
        "participatingOrganization": {"identifier": {"value": "member"}},
        "code": [{"coding": [{"system": "http://role", "code": "DIC"}]}],
    }
    role, person = helper.getRequesters(definition, "http://p|1.0", "start", ["http://profile|1.0"])
    roles = [{"system": "http://pr", "code": "DIC_USER"}]
    return [
        helper.isValid(definition), helper.isValid(definition, lambda _: False), helper.isValid({}),
        role.isRequesterAuthorized(member, [affiliation]), role.isRequesterAuthorized(member, []),
        person.isRequesterAuthorized({**member, "local": True, "practitionerRoles": roles}),
        person.getProcessAuthorizationCode()["code"], role.requesterMatches(role.toRequesterExtension()),
        len(helper.getRecipients(definition, "http://p", "1.0", "start", "http://profile|1.0")),
        len(helper.getRecipients(definition, "http://p", "2.0", "start", "http://profile|1.0")),
        definition,
    ]


@result
def questionnaire(api, variables, fields):
    helper = api.getQuestionnaireResponseHelper()
    group = {"linkId": "group", "item": [{"linkId": "leaf"}]}
    response = {"resourceType": "QuestionnaireResponse", "id": "1", "item": [group]}
    helper.addItemLeafWithAnswer(response, "new", "text", {"valueString": "answer"})
    helper.addItemLeafWithoutAnswer(response, "bare", "text")
    identifier = {"system": "http://p", "value": "v"}
    return [
        [item["linkId"] for item in helper.getItemLeaves(response)],
        helper.getFirstItemLeaveMatchingLinkId(response, "new"),
        helper.getFirstItemLeaveMatchingLinkId(response, "group"),
        helper.transformQuestionTypeToAnswerType({"type": "quantity"}),
        helper.createQuestionnaireAuthorizationExtension([identifier], [{"system": "http://r", "code": "c"}]),
        helper.getLocalVersionlessAbsoluteUrl(response),
    ]


@result
def providers(api, variables, fields):
    organizations = api.getOrganizationProvider()
    endpoints = api.getEndpointProvider()
    builder = api.getTargetProvider().create("parent", "DIC")
    found = builder.filter(lambda affiliation, member, endpoint: endpoint["id"] != "no").withCorrelationKey()
    return [
        organizations.getLocalOrganizationIdentifierValue(), organizations.getOrganization("member")["id"],
        organizations.getOrganization("unknown"), organizations.getOrganization(None),
        len(organizations.getOrganizations("parent")), endpoints.getLocalEndpointAddress(),
        endpoints.getLocalEndpointIdentifierValue(), endpoints.getEndpointAddress("parent", "member", "DIC"),
        [[one.getOrganizationIdentifierValue(), len(one.getCorrelationKey())] for one in found.getEntries()],
    ]


@result
def client(api, variables, fields):
    own = api.getDsfClientProvider().getLocal()
    patient = {"resourceType": "Patient", "name": [{"family": "Müller"}]}
    created = own.create(patient)
    minimal = own.withMinimalReturn().createConditionally(patient, {"identifier": ["a|b"]})
    updated = own.update({**created, "active": True})
    same = own.read(created)
    found = own.searchWithStrictHandling("Patient", {"name": "a b", "_count": ["1"]})
    history = own.history("Patient", "p1", 2, 10)
    own.deleteConditionally("Patient", "identifier=x")
    later = own.searchAsync([10], "Patient", {"late": "yes"})
    outcome = own.withOperationOutcomeReturn().operation("Patient", "p1", "check", None)
    retried = own.withRetry(2, 10).read("Patient", "sometimes")
    return [
        created["id"], minimal, updated["active"], same["id"], found["total"], history["type"], later["total"],
        outcome["resourceType"], retried["id"], own.exists("Patient", "missing"),
        refused(lambda: own.read("Patient", "missing")), refused(lambda: own.read("Patient", "../x")),
        refused(lambda: own.search("http://other/Patient")),
    ]


@result
def remote(api, variables, fields):
    provider = api.getDsfClientProvider()
    partner = provider.getByEndpoint(api.getEndpointProvider().getEndpoint("partner"))
    stranger = provider.getByEndpointUrl("https://stranger.example/fhir")
    return [
        partner.read("Patient", "p1")["id"], provider.getById("nobody"), provider.getById("store") is not None,
        provider.getById("store").read("Patient", "p1")["id"],
        api.getFhirClientConfigProvider().getClientConfig("store").getBasicAuthentication().getUsername(),
        refused(lambda: stranger.read("Patient", "1")), refused(lambda: partner.create({"resourceType": "Patient"})),
    ]


@result
def configs(api, variables, fields):
    provider = api.getFhirClientConfigProvider()
    clients = api.getFhirClientProvider()

    def told(id):
        config = provider.getClientConfig(id)
        if config is None:
            return None
        store, certificate = config.getTrustStore(), config.getCertificateAuthentication()
        basic, bearer = config.getBasicAuthentication(), config.getBearerAuthentication()
        oidc, proxy = config.getOidcAuthentication(), config.getProxy()
        return [
            config.getFhirServerId(), config.getBaseUrl(), config.isStartupConnectionTestEnabled() or config.isDebugLoggingEnabled(),
            config.getConnectTimeout(), config.getReadTimeout(), store and len(store["certificates"]),
            certificate and (bool(certificate.getKeyStore()) or certificate.getKeyStorePassword()),
            basic and basic.getPassword(), bearer and bearer.getToken(),
            oidc and [
                oidc.getClientId(), oidc.getClientSecret(), oidc.getReadTimeout(), oidc.getTrustStore(),
                oidc.isStartupConnectionTestEnabled(), oidc.isDebugLoggingEnabled(), oidc.isVerifyAuthorizedPartyEnabled(),
                api.getOidcClientProvider().getOidcClient(oidc) is not None,
            ],
            proxy and [proxy.getUrl(), proxy.getUsername(), proxy.getPassword()],
        ]

    partner = clients.getById("#partner")
    return [
        told("store"), told("keyed"), told("token"), told("oidc"), told("#local"), told("#partner"), told("#unknown"),
        told("nobody"), provider.createDefaultTrustStore(), partner and partner.getBaseUrl(),
        clients.getById("#unknown"), clients.getById("#local").getBaseUrl(), api.getProxyConfig().getPassword(),
    ]


@result
def binary(api, variables, fields):
    own = api.getDsfClientProvider().getLocal()
    stored = own.withMinimalReturn().createBinary((part for part in [b"A" * 100_000, "end"]), "text/plain", "Organization/1")
    stream = own.readBinary("b1", "text/plain", 0, 9)
    part = stream.getRange()
    text = stream.text()
    whole = own.readBinary("b1", "text/plain").readAllBytes()
    return [
        stored["id"], stream.getContentType(), part, text, len(whole),
        refused(lambda: own.readBinary("missing", "text/plain")),
        refused(lambda: own.createBinary("x", "refused/type")),
    ]


@result
def services(api, variables, fields):
    text = "Hello compression World!"
    compression = api.getCompressionService()
    packed = [compression.toGzip(text), compression.toBzip2(text), compression.toLzma2(text)]
    unpacked = [
        compression.fromGzip(packed[0]), compression.fromBzip2(packed[1]), compression.fromLzma2(packed[2]),
    ]
    crypto = api.getCryptoService()
    pair = crypto.createKeyPairGeneratorX25519AndInitialize().generateKeyPair()
    sealed = crypto.createEcDhKem().encrypt(text, pair["publicKey"])
    opened = crypto.createEcDhKem().decrypt(sealed, pair["privateKey"])
    mime = api.getMimeTypeService()
    api.getMailService().send("subject", "text")
    validation = api.getValidationServiceProvider().getValidationService()
    return [
        [len(one) for one in packed], [one.decode() for one in unpacked],
        len(sealed), opened.decode(), crypto.isKeyPair(pair["privateKey"], pair["publicKey"]),
        refused(lambda: compression.fromGzip("no gzip")),
        refused(lambda: crypto.createRsaKem().encrypt("a", pair["publicKey"])),
        mime.validateWithBoolean("a;b\n", "text/csv"), mime.validateWithResult("<a/>", "text/csv")["detected"],
        validation, api.getSetting("limit"), api.getProxyConfig().isNoProxyUrl("https://a.hospital.example"),
        api.getProcessPluginDefinition()["name"], len(api.randomUUID()), CodeSystems.BpmnMessage.MESSAGE_NAME,
    ]


@result
def unallowed(api, variables, fields):
    oidc = api.getOidcClientProvider().getOidcClient("https://idp.example", "id", "secret")
    return [
        refused(lambda: api.getDsfClientProvider().getLocal().read("Patient", "1")),
        refused(lambda: api.getMailService().send("subject", "text")),
        refused(oidc.getAccessToken),
        api.getDsfClientProvider().getById("store"),
    ]


def bpmn_error():
    raise ErrorBoundaryEvent("code", "message")


class HandledError:
    def execute(self):
        raise ErrorBoundaryEvent("code", "message")

    def handleErrorBoundaryEvent(self, api, variables, event):
        variables.setString("result", event.getErrorCode())


class Translated:
    def execute(self):
        raise ValueError("too far")

    def handleException(self, api, variables, exception):
        return ErrorBoundaryEvent("translated", str(exception))


class Absorbed:
    def notify(self):
        raise RuntimeError("no")

    def handleException(self, api, variables, exception):
        variables.setString("result", str(exception))


def fields_(api, variables, fields):
    variables.setJsonVariable("result", fields)


class Form:
    def notify(self):
        pass

    def beforeQuestionnaireResponseCreate(self, api, variables, values, form):
        form["status"] = "completed"
        variables.setString("result", values["formKey"])


class Composing:
    """The listener of a user task with every function that it may have."""

    def getPractitioners(self, api, variables, values):
        return [f"{len(values['userTaskId'])}@x", "http://s|b@x", {"system": "http://i", "value": "c@x"}]

    def getPractitionerRoles(self):
        return None

    def createQuestionnaireResponse(self, api, variables, values, questionnaire):
        return {
            "resourceType": "QuestionnaireResponse", "status": "in-progress", "questionnaire": values["formKey"],
            "item": [{"linkId": questionnaire["id"]}],
        }

    def beforeQuestionnaireResponseCreate(self, api, variables, values, form):
        return {**form, "authored": "2026"}

    def afterQuestionnaireResponseCreate(self, api, variables, values, form):
        variables.setString("result", form["id"])


class RolesOnly:
    def getPractitionerRoles(self):
        return "DIC_USER"


class Sender:
    businessKeyStrategy = "NEW"

    def additionalInputParameters(self, api, variables, values, target):
        parameter = api.getTaskHelper().createInput(target.getEndpointIdentifierValue(), "http://a", values["messageName"])
        return [parameter]

    def afterSend(self, api, variables):
        variables.setString("result", "sent")

    def handleException(self, api, variables, exception):
        variables.setString("result", f"{exception.status} {exception}")


class Choosing:
    def execute(self, api, variables, values, sender):
        target = variables.createTarget("org-9", "end-9", "https://nine")
        if not variables.getBoolean("quiet"):
            sender.send(target=target, messageName="other", additionalInputParameters=[])


def members(api, variables, fields):
    """Of every object of the interface, by the names of dsf.d.ts."""
    target = variables.createTarget("o", "e", "u")
    authorization, crypto = api.getProcessAuthorizationHelper(), api.getCryptoService()
    requesters, recipients = authorization.getRequesterFactory(), authorization.getRecipientFactory()
    client, configs = api.getDsfClientProvider().getLocal(), api.getFhirClientConfigProvider()
    definition = api.getProcessPluginDefinition()
    objects = {
        "Api": api, "ProcessPluginDefinition": definition, "Logger": api.logger, "DataLogger": api.getDataLogger(),
        "Variables": variables, "Target": target, "Targets": variables.createTargets(target),
        "StartTaskUpdater": variables.getStartTaskUpdater(), "OrganizationProvider": api.getOrganizationProvider(),
        "EndpointProvider": api.getEndpointProvider(), "TargetProvider": api.getTargetProvider(),
        "TargetBuilder": api.getTargetProvider().create("p"), "TaskHelper": api.getTaskHelper(),
        "DsfClientProvider": api.getDsfClientProvider(), "DsfClient": client, "BinaryStream": client.readBinary("b1"),
        "FhirClientConfigProvider": configs, "ClientConfig": configs.getClientConfig("store"),
        "OidcClientProvider": api.getOidcClientProvider(), "OidcClient": api.getOidcClientProvider().getOidcClient("oidc"),
        "ReadAccessHelper": api.getReadAccessHelper(), "ProcessAuthorizationHelper": authorization,
        "RequesterFactory": requesters, "RecipientFactory": recipients, "Requester": requesters.localAll(),
        "Recipient": recipients.localAll(), "QuestionnaireResponseHelper": api.getQuestionnaireResponseHelper(),
        "CompressionService": api.getCompressionService(), "CryptoService": crypto, "Kem": crypto.createRsaKem(),
        "KeyPairGenerator": crypto.createKeyPairGeneratorX448AndInitialize(), "MailService": api.getMailService(),
        "MimeTypeService": api.getMimeTypeService(), "ValidationServiceProvider": api.getValidationServiceProvider(),
        "ValidationService": ValidationService(None), "ProxyConfig": api.getProxyConfig(),
    }
    listed = {name: dir(one) for name, one in objects.items()}
    listed["ProcessPluginDefinition"] += list(definition)
    variables.setJsonVariable("result", listed)


def onProcessesDeployed(api, processes):
    if not processes:
        raise ValueError("nothing runs")
    api.getDsfClientProvider().getLocal().create({"resourceType": "List", "title": " ".join(processes)})


activities = {
    "variables": variables_, "targets": targets, "task": task, "access": access, "authorization": authorization,
    "questionnaire": questionnaire, "providers": providers, "client": client, "remote": remote, "configs": configs, "binary": binary,
    "services": services, "unallowed": unallowed, "bpmnError": bpmn_error, "handledError": HandledError,
    "translated": Translated, "absorbed": Absorbed, "fields": fields_, "form": Form, "sender": Sender,
    "choosing": Choosing, "composing": Composing, "rolesOnly": RolesOnly, "members": members,
}
