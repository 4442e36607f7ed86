"""What code reaches of the host: providers and services."""

import base64
import json
import uuid
from urllib.parse import quote

from . import helpers
from .client import DsfClientProvider, OidcClientProvider
from .config import ClientConfigProvider
from .helpers import SID_ENDPOINT, SID_ORGANIZATION, identifier_of
from .variables import Targets, create_target

ORGANIZATION_ROLE = "http://dsf.dev/fhir/CodeSystem/organization-role"
PROFILE = "http://dsf.dev/fhir/StructureDefinition/"
PIECE = 1024 * 1024
ENOUGH = 64 * 1024


class ErrorBoundaryEvent(Exception):
    """A BPMN error: a boundary event with this code, or without one, catches it."""

    def __init__(self, code, message=""):
        super().__init__(message)
        if not isinstance(code, str) or code == "":
            raise TypeError("ErrorBoundaryEvent(code, message): code must be a text")
        self.code = code

    def getErrorCode(self):
        return self.code

    def getErrorMessage(self):
        return str(self)


class HostError(Exception):
    """What the host or a server refused."""

    def __init__(self, message, data):
        super().__init__(message)
        self.status = data.get("status")
        self.operationOutcome = data.get("operationOutcome")


class DelayStrategy:
    """Milliseconds; the last one repeats."""

    TRUNCATED_EXPONENTIAL_BACKOFF = [100, 200, 400, 800]
    CONSTANT = [200]

    @staticmethod
    def constant(delay):
        return [delay]


def encoded(text):
    return quote(str(text), safe="!'()*")


def value_of(identifier, system):
    if not isinstance(identifier, dict):
        return identifier
    return identifier.get("value") if identifier.get("system", system) == system else None


def organization_token(value):
    return encoded(f"{SID_ORGANIZATION}|{value}")


def plain_reference(reference):
    return (reference or {}).get("reference", "").split("/_history/")[0]


class Directory:
    """Organisations and their endpoints, as the own FHIR server knows them."""

    def __init__(self, host, plugin):
        self.host = host
        self.base = plugin["baseUrl"]

    def lookup(self, query):
        return self.host.ask({"lookup": query})

    def only(self, query):
        return next(iter(self.lookup(query)), None)

    def local(self):
        found = self.lookup(f"Endpoint?status=active&address={encoded(self.base)}&_include=Endpoint:organization")
        endpoint = next((one for one in found if one["resourceType"] == "Endpoint"), None)
        active = (one for one in found if one["resourceType"] == "Organization" and one.get("active"))
        return endpoint, next(active, None)

    def memberships(self, parent, role=None, members=()):
        """Active memberships with their active members and endpoints."""
        parent = value_of(parent, SID_ORGANIZATION)
        members = [value_of(one, SID_ORGANIZATION) for one in members]
        if parent is None or None in members:
            return []
        query = f"OrganizationAffiliation?active=true&primary-organization:identifier={organization_token(parent)}"
        if role:
            coding = {"system": ORGANIZATION_ROLE, "code": role} if isinstance(role, str) else role
            query += f"&role={encoded(coding['system'] + '|' + coding['code'])}"
        # A server of the DSF looks for one identifier at a time.
        if len(members) == 1:
            query += f"&participating-organization:identifier={organization_token(members[0])}"
        query += (
            "&_include=OrganizationAffiliation:participating-organization"
            "&_include=OrganizationAffiliation:endpoint&_sort=_id"
        )
        found = self.lookup(query)
        known = {f"{one['resourceType']}/{one['id']}": one for one in found}
        memberships = []
        for one in found:
            if one["resourceType"] != "OrganizationAffiliation":
                continue
            member = known.get(plain_reference(one.get("participatingOrganization")))
            endpoints = [known.get(plain_reference(reference)) for reference in one.get("endpoint", [])]
            wanted = len(members) < 2 or (identifier_of(member, SID_ORGANIZATION) or {}).get("value") in members
            if member and member.get("active") and wanted:
                active = [endpoint for endpoint in endpoints if endpoint and endpoint.get("status") == "active"]
                memberships.append((one, member, active))
        return memberships


def distinct(resources):
    return list({one["id"]: one for one in resources}.values())


class OrganizationProvider:
    def __init__(self, directory):
        self._directory = directory

    def getLocalOrganization(self):
        return self._directory.local()[1]

    def getLocalOrganizationIdentifier(self):
        return identifier_of(self.getLocalOrganization(), SID_ORGANIZATION)

    def getLocalOrganizationIdentifierValue(self):
        return (self.getLocalOrganizationIdentifier() or {}).get("value")

    def getOrganization(self, identifier):
        value = value_of(identifier, SID_ORGANIZATION)
        if value is None:
            return None
        return self._directory.only(f"Organization?active=true&identifier={organization_token(value)}")

    def getOrganizations(self, parent, role=None):
        return distinct(member for _, member, _ in self._directory.memberships(parent, role))

    def getRemoteOrganizations(self):
        own = self.getLocalOrganizationIdentifierValue()
        if own is None:
            raise RuntimeError("the own organisation is not known to the FHIR server")
        profile = encoded(f"{PROFILE}organization")
        return self._directory.lookup(
            f"Organization?active=true&identifier:not={organization_token(own)}&_profile={profile}"
        )

    def getParentOrganizations(self):
        profile = encoded(f"{PROFILE}organization-parent")
        return self._directory.lookup(f"Organization?active=true&_profile={profile}")


class EndpointProvider:
    def __init__(self, directory):
        self._directory = directory

    def getLocalEndpointAddress(self):
        return self._directory.base

    def getLocalEndpoint(self):
        return self._directory.local()[0]

    def getLocalEndpointIdentifier(self):
        return identifier_of(self.getLocalEndpoint(), SID_ENDPOINT)

    def getLocalEndpointIdentifierValue(self):
        return (self.getLocalEndpointIdentifier() or {}).get("value")

    def getEndpoint(self, identifier, member=None, role=None):
        if member is None:
            value = value_of(identifier, SID_ENDPOINT)
            if value is None:
                return None
            return self._directory.only(f"Endpoint?status=active&identifier={encoded(f'{SID_ENDPOINT}|{value}')}")
        found = self._directory.memberships(identifier, role, [member])
        return next((one for _, _, endpoints in found for one in endpoints), None)

    def getEndpointAddress(self, identifier, member=None, role=None):
        return (self.getEndpoint(identifier, member, role) or {}).get("address")

    def getEndpoints(self, parent, role=None):
        found = self._directory.memberships(parent, role)
        return distinct(one for _, _, endpoints in found for one in endpoints)


class TargetBuilder:
    def __init__(self, find):
        self._find = find
        self._filters = []

    def filter(self, predicate):
        self._filters.append(predicate)
        return self

    def _targets(self, correlation_key):
        targets = []
        for affiliation, member, endpoints in self._find():
            for endpoint in endpoints:
                organization = (identifier_of(member, SID_ORGANIZATION) or {}).get("value")
                identifier = (identifier_of(endpoint, SID_ENDPOINT) or {}).get("value")
                wanted = all(predicate(affiliation, member, endpoint) for predicate in self._filters)
                if wanted and organization and identifier:
                    targets.append(create_target(organization, identifier, endpoint["address"], correlation_key()))
        return Targets(targets)

    def withCorrelationKey(self):
        return self._targets(lambda: str(uuid.uuid4()))

    def withoutCorrelationKey(self):
        return self._targets(lambda: None)


class TargetProvider:
    def __init__(self, directory):
        self._directory = directory

    def create(self, parent, role=None, *members):
        flat = [one for item in members for one in (item if isinstance(item, (list, tuple)) else [item])]
        return TargetBuilder(lambda: self._directory.memberships(parent, role, flat))


def as_bytes(data):
    return data.encode() if isinstance(data, str) else bytes(data)


def pieces(data):
    """Pieces of bytes, of a text, of something to read from, or of an iterable of these."""
    if isinstance(data, (str, bytes, bytearray, memoryview)):
        data = [data]
    elif hasattr(data, "read"):
        stream = data
        data = iter(lambda: stream.read(PIECE), b"")
    for item in data:
        item = as_bytes(item)
        for start in range(0, len(item), PIECE):
            yield item[start : start + PIECE]


def base64_of(data):
    return base64.b64encode(as_bytes(data)).decode()


class Streams:
    """Bytes that the host transforms, piece by piece."""

    def __init__(self, host):
        self._host = host

    def _through(self, transform, data):
        stream = self._host.ask({"transform": transform})["stream"]
        try:
            for piece in pieces(data):
                written = self._host.ask({"write": {"stream": stream, "data": base64_of(piece)}})
                yield from self._answered(stream, written)
            yield from self._answered(stream, self._host.ask({"finish": {"stream": stream}}))
        finally:
            self._host.ask({"close": {"stream": stream}})

    def _answered(self, stream, answer):
        while True:
            if answer["data"]:
                yield base64.b64decode(answer["data"])
            if not answer["more"]:
                return
            answer = self._host.ask({"read": {"stream": stream}})

    def _transformed(self, transform, data):
        output = self._through(transform, data)
        return b"".join(output) if isinstance(data, (str, bytes, bytearray)) else output


class CompressionService(Streams):
    def toGzip(self, data):
        return self._transformed({"compress": "gzip"}, data)

    def toBzip2(self, data, blockSize=9):
        return self._transformed({"compress": "bzip2", "level": blockSize}, data)

    def toLzma2(self, data, preset=6):
        return self._transformed({"compress": "lzma2", "level": preset}, data)

    def fromGzip(self, data):
        return self._transformed({"decompress": "gzip"}, data)

    def fromBzip2(self, data):
        return self._transformed({"decompress": "bzip2"}, data)

    def fromLzma2(self, data):
        return self._transformed({"decompress": "lzma2"}, data)


def pem(one):
    text = one.get("pem") if isinstance(one, dict) else one
    text = text.decode() if isinstance(text, bytes) else text
    if not isinstance(text, str) or "-----BEGIN " not in text:
        raise TypeError(f"{one!r} is not a PEM text")
    return text


def flat(items):
    for item in items:
        yield from flat(item) if isinstance(item, (list, tuple)) else [item]


def chain(items):
    return "\n".join(pem(one) for one in flat(items))


class Kem(Streams):
    def __init__(self, host, kind):
        super().__init__(host)
        self._kind = kind

    def encrypt(self, data, publicKey):
        return self._transformed({"encrypt": self._kind, "key": pem(publicKey)}, data)

    def decrypt(self, data, privateKey, password=None):
        return self._transformed({"decrypt": self._kind, "key": pem(privateKey), "password": password}, data)


class KeyPairGenerator:
    def __init__(self, ask, kind):
        self._ask = ask
        self._kind = kind

    def generateKeyPair(self):
        return self._ask({"generate": {"kind": self._kind}})


class CryptoService:
    """Keys and certificates are PEM texts."""

    def __init__(self, host):
        self._host = host

    def _ask(self, operation):
        return self._host.ask({"crypto": operation})

    def createRsaKem(self):
        return Kem(self._host, "rsa")

    def createEcDhKem(self):
        return Kem(self._host, "ecdh")

    def createKeyPairGeneratorRsa4096AndInitialize(self):
        return KeyPairGenerator(self._ask, "rsa4096")

    def createKeyPairGeneratorSecp256r1AndInitialize(self):
        return KeyPairGenerator(self._ask, "secp256r1")

    def createKeyPairGeneratorSecp384r1AndInitialize(self):
        return KeyPairGenerator(self._ask, "secp384r1")

    def createKeyPairGeneratorSecp521r1AndInitialize(self):
        return KeyPairGenerator(self._ask, "secp521r1")

    def createKeyPairGeneratorX25519AndInitialize(self):
        return KeyPairGenerator(self._ask, "x25519")

    def createKeyPairGeneratorX448AndInitialize(self):
        return KeyPairGenerator(self._ask, "x448")

    def readCertificate(self, text):
        return self.readCertificates(text)[0]

    def readCertificates(self, text):
        return self._ask({"readCertificates": {"pem": pem(text)}})

    def readPrivateKey(self, text, password=None):
        return self._ask({"readPrivateKey": {"pem": pem(text), "password": password}})

    def isKeyPair(self, privateKey, publicKey):
        return self._ask({"isKeyPair": {"privateKey": pem(privateKey), "publicKey": pem(publicKey)}})

    def isCertificateExpired(self, certificate):
        return self._ask({"isExpired": {"certificate": pem(certificate)}})

    def isClientCertificate(self, certificate):
        return self._ask({"isFor": {"certificate": pem(certificate), "purpose": "client"}})

    def isServerCertificate(self, certificate):
        return self._ask({"isFor": {"certificate": pem(certificate), "purpose": "server"}})

    def _validate(self, trusted, certificates, purpose):
        store = trusted["certificates"] if isinstance(trusted, dict) else [trusted]
        self._ask({"validate": {"trusted": chain(store), "chain": chain(certificates), "purpose": purpose}})

    def validateClientCertificate(self, trusted, *certificates):
        self._validate(trusted, certificates, "client")

    def validateServerCertificate(self, trusted, *certificates):
        self._validate(trusted, certificates, "server")

    def createKeyStoreForPrivateKeyAndCertificateChain(self, privateKey, password, *certificates):
        parts = {"privateKey": pem(privateKey), "password": password, "chain": chain(certificates)}
        return base64.b64decode(self._ask({"packKeyStore": parts}))

    def createKeyStoreForTrustedCertificates(self, *certificates):
        return {"certificates": [pem(one) for one in flat(certificates)]}

    def readKeyStoreJks(self, data, password):
        """Java's own form is refused with the way to convert it."""
        return self.readKeyStorePkcs12(data, password)

    def readKeyStorePkcs12(self, data, password):
        return self._ask({"readKeyStore": {"data": base64_of(data), "password": password}})


class MimeTypeService:
    def __init__(self, host):
        self._host = host

    def validateWithResult(self, data, declared):
        start = bytearray()
        for piece in pieces(data):
            start += piece
            if len(start) >= ENOUGH:
                break
        found = self._host.ask({"mime": {"data": base64_of(start[:ENOUGH]), "declared": declared}})
        declared_type = f"{found['declaredBaseType']}/{found['declaredSubType']}"
        detected_type = f"{found['detectedBaseType']}/{found['detectedSubType']}"
        matches = declared_type == detected_type
        return {**found, "declared": declared_type, "detected": detected_type, "mimeTypesMatch": matches}

    def validateWithBoolean(self, data, declared):
        return self.validateWithResult(data, declared)["mimeTypesMatch"]

    def validateWithException(self, data, declared):
        result = self.validateWithResult(data, declared)
        text = f"declared is {result['declared']}, but the content is {result['detected']}"
        if result["declaredBaseType"] != result["detectedBaseType"]:
            raise ValueError(text)
        if not result["mimeTypesMatch"]:
            self._host.log("warn", text)


class MailService:
    def __init__(self, host):
        self._host = host

    def send(self, subject, body, to=None, cc=None, bcc=None, replyTo=None):
        """The body is a text, or a dict with text, html and attachments."""
        parts = {"text": body} if isinstance(body, str) else body
        attachments = [
            {"filename": one["filename"], "mimeType": one.get("mimeType"), "content": base64_of(one["content"])}
            for one in parts.get("attachments", [])
        ]
        mail = {
            "subject": subject, "text": parts.get("text"), "html": parts.get("html"), "attachments": attachments,
            "to": [to] if isinstance(to, str) else to, "cc": cc, "bcc": bcc or [], "replyTo": replyTo,
        }
        self._host.ask({"mail": mail})


class ValidationService:
    def __init__(self, host):
        self._host = host

    def validate(self, resource, *profiles):
        return self._host.ask({"validate": {"resource": resource, "profiles": list(flat(profiles))}})

    def validateEntries(self, bundle):
        entries = []
        for one in bundle.get("entry", []):
            if one.get("resource"):
                response = {"status": "200", **one.get("response", {}), "outcome": self.validate(one["resource"])}
                one = {**one, "response": response}
            entries.append(one)
        return {**bundle, "entry": entries}


class ValidationServiceProvider:
    def __init__(self, host):
        self._host = host

    def getValidationService(self):
        return ValidationService(self._host) if self._host.ask({"validates": {}}) else None


class Logger:
    def __init__(self, host):
        self._host = host

    def debug(self, text):
        self._host.log("debug", str(text))

    def info(self, text):
        self._host.log("info", str(text))

    def warn(self, text):
        self._host.log("warn", str(text))

    def error(self, text):
        self._host.log("error", str(text))


class DataLogger:
    def __init__(self, host, plugin):
        self._host = host
        self._plugin = plugin

    def isEnabled(self):
        return self._plugin["logsData"]

    def log(self, message, value):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        self._host.log("data", f"{message}: {text}")


class ProxyConfig:
    def __init__(self, plugin):
        self._proxy = plugin.get("proxy")

    def getUrl(self):
        return (self._proxy or {}).get("url")

    def getUsername(self):
        return (self._proxy or {}).get("username")

    def getPassword(self):
        return (self._proxy or {}).get("password")

    def getNoProxyUrls(self):
        return list((self._proxy or {}).get("except", []))

    def isEnabled(self, target=None):
        return bool(self._proxy) and (target is None or not self.isNoProxyUrl(target))

    def isNoProxyUrl(self, target):
        return helpers.is_no_proxy_url(self.getNoProxyUrls(), target)


class ProcessPluginDefinition(dict):
    """What plugin.toml says, as items and, as in Java, by getters."""

    def __init__(self, told):
        members = ["name", "version", "resourceVersion", "releaseDate", "title", "publisher", "license"]
        super().__init__({name: told.get(name) for name in members})
        self["resourceReleaseDate"] = self["releaseDate"]
        for name, value in self.items():
            setattr(self, f"get{name[0].upper()}{name[1:]}", lambda value=value: value)


class Api:
    def __init__(self, host, plugin):
        self._host = host
        self._plugin = plugin
        self._directory = Directory(host, plugin)
        self.logger = Logger(host)

    def randomUUID(self):
        return str(uuid.uuid4())

    def delay(self, milliseconds):
        self._host.ask({"delay": {"milliseconds": int(milliseconds)}})

    def getSetting(self, name):
        if name not in self._plugin["settings"]:
            raise KeyError(f"plugin.toml has no [[setting]] named {name}")
        return self._plugin["settings"][name]

    def getProcessPluginDefinition(self):
        return ProcessPluginDefinition(self._plugin["definition"])

    def getOrganizationProvider(self):
        return OrganizationProvider(self._directory)

    def getEndpointProvider(self):
        return EndpointProvider(self._directory)

    def getTargetProvider(self):
        return TargetProvider(self._directory)

    def getTaskHelper(self):
        return helpers.TaskHelper(self._plugin["baseUrl"])

    def getDataLogger(self):
        return DataLogger(self._host, self._plugin)

    def getDsfClientProvider(self):
        return DsfClientProvider(self._host, self._plugin["baseUrl"], self.getEndpointProvider())

    def getFhirClientProvider(self):
        return DsfClientProvider(self._host, self._plugin["baseUrl"], self.getEndpointProvider())

    def getFhirClientConfigProvider(self):
        return ClientConfigProvider(self._host, self.getProxyConfig())

    def getOidcClientProvider(self):
        return OidcClientProvider(self._host)

    def getReadAccessHelper(self):
        return helpers.ReadAccessHelper()

    def getProcessAuthorizationHelper(self):
        return helpers.ProcessAuthorizationHelper()

    def getQuestionnaireResponseHelper(self):
        return helpers.QuestionnaireResponseHelper(self._plugin["baseUrl"])

    def getCompressionService(self):
        return CompressionService(self._host)

    def getCryptoService(self):
        return CryptoService(self._host)

    def getMailService(self):
        return MailService(self._host)

    def getMimeTypeService(self):
        return MimeTypeService(self._host)

    def getValidationServiceProvider(self):
        return ValidationServiceProvider(self._host)

    def getProxyConfig(self):
        return ProxyConfig(self._plugin)
