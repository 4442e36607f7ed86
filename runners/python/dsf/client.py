"""Clients of FHIR servers: the own one, partners', and configured connections."""

import base64
import re
from urllib.parse import quote

RETRY_DELAY = 5000
BACKOFF = [100, 200, 400, 800]


def encoded(text):
    return quote(str(text), safe="!'()*")


def delays(strategy):
    return [round(one) for one in strategy] if isinstance(strategy, list) else [round(strategy)]


def name_of(resource):
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise TypeError(f"{resource!r} is not a FHIR resource")
    return resource["resourceType"]


def version(resource):
    id = resource.get("meta", {}).get("versionId")
    return f'W/"{id}"' if id else None


def parameters(criteria):
    """`name=value&…` of a dict whose values are texts or lists of texts; texts stay as they are."""
    if isinstance(criteria, str):
        return criteria.removeprefix("?")
    pairs = []
    for name, values in (criteria or {}).items():
        for value in values if isinstance(values, (list, tuple)) else [values]:
            pairs.append(f"{encoded(name)}={encoded(value)}")
    return "&".join(pairs)


def query_of(type, criteria=None):
    query = "" if criteria is None else parameters(criteria)
    return f"{type}?{query}" if query else type


def path_of(type, id=None, versionId=None):
    steps = [type]
    if id is not None:
        steps.append(encoded(id))
    if versionId is not None:
        steps += ["_history", encoded(versionId)]
    return "/".join(steps)


def id_of(location):
    """Type, id and version of a `Location`."""
    found = re.search(r"([A-Za-z]+)/([A-Za-z0-9.-]+)(?:/_history/([A-Za-z0-9.-]+))?$", location or "")
    return {"resourceType": found[1], "id": found[2], "versionId": found[3]} if found else None


class BinaryStream:
    """The content of a Binary, piece by piece; the connection is free again at its end."""

    def __init__(self, host, head):
        self._host = host
        self._head = head

    def getContentLength(self):
        return self._head.get("contentLength")

    def getContentType(self):
        return self._head.get("contentType")

    def getRange(self):
        return self._head.get("range")

    def __iter__(self):
        try:
            while (data := self._host.ask({"read": {"stream": self._head["stream"]}})) is not None:
                yield base64.b64decode(data)
        finally:
            self.close()

    def readAllBytes(self):
        return b"".join(self)

    def text(self):
        return self.readAllBytes().decode("utf-8", "replace")

    def close(self):
        self._host.ask({"close": {"stream": self._head["stream"]}})


class DsfClient:
    def __init__(self, host, server, base, prefer="representation", retry=None):
        self._host = host
        self._server = server
        self._base = base
        self._prefer = prefer
        self._retry = retry

    def _send(self, method, path, **rest):
        question = {"server": self._server, "method": method, "path": path, "retry": self._retry, **rest}
        return self._host.ask({"fhir": question})

    def _stored(self, method, path, **rest):
        answer = self._send(method, path, prefer=f"return={self._prefer}", **rest)
        return id_of(answer["location"]) if self._prefer == "minimal" else answer["body"]

    def _with(self, prefer=None, retry=None):
        return DsfClient(self._host, self._server, self._base, prefer or self._prefer, retry or self._retry)

    def getBaseUrl(self):
        return self._base

    def withMinimalReturn(self):
        return self._with(prefer="minimal")

    def withOperationOutcomeReturn(self):
        return self._with(prefer="OperationOutcome")

    def withRetry(self, times=1, delay=RETRY_DELAY):
        return self._with(retry={"times": times, "delays": delays(delay)})

    def withRetryForever(self, delay=RETRY_DELAY):
        return self._with(retry={"times": None, "delays": delays(delay)})

    def read(self, type, id=None, versionId=None):
        if isinstance(type, str):
            return self._send("GET", path_of(type, id, versionId))["body"]
        answer = self._send("GET", path_of(name_of(type), type["id"]), ifNoneMatch=version(type))
        return type if answer["status"] == 304 else answer["body"]

    def exists(self, type, id, versionId=None):
        from .api import HostError

        try:
            self._send("GET", path_of(type, id, versionId))
            return True
        except HostError as exception:
            if exception.status in (404, 410):
                return False
            raise

    def search(self, type, criteria=None):
        return self._send("GET", query_of(type, criteria))["body"]

    def searchWithStrictHandling(self, type, criteria=None):
        return self._send("GET", query_of(type, criteria), prefer="handling=strict")["body"]

    def getConformance(self):
        return self._send("GET", "metadata")["body"]

    def history(self, *arguments):
        named = [one for one in arguments if isinstance(one, str)]
        page, count, *_ = [*arguments[len(named) :], None, None]
        path = "/".join([*map(encoded, named), "_history"])
        if page is not None:
            path += f"?_page={int(page)}&_count={int(20 if count is None else count)}"
        return self._send("GET", path)["body"]

    def create(self, resource):
        return self._stored("POST", name_of(resource), body=resource)

    def createConditionally(self, resource, condition):
        return self._stored("POST", name_of(resource), body=resource, ifNoneExist=parameters(condition))

    def update(self, resource):
        path = path_of(name_of(resource), resource["id"])
        return self._stored("PUT", path, body=resource, ifMatch=version(resource))

    def updateConditionally(self, resource, condition):
        path = f"{name_of(resource)}?{parameters(condition)}"
        return self._stored("PUT", path, body=resource, ifMatch=version(resource))

    def delete(self, type, id):
        self._send("DELETE", path_of(type, id))

    def deleteConditionally(self, type, condition):
        self._send("DELETE", f"{type}?{parameters(condition)}")

    # As the process API of the Java DSF spells them.
    createConditionaly = createConditionally
    updateConditionaly = updateConditionally
    deleteConditionaly = deleteConditionally

    def deletePermanently(self, type, id):
        self._send("POST", f"{path_of(type, id)}/$permanent-delete")

    def postBundle(self, bundle):
        if name_of(bundle) != "Bundle":
            raise TypeError(f"{bundle!r} is not a Bundle")
        return self._send("POST", "", body=bundle, prefer=f"return={self._prefer}")["body"]

    def operation(self, *arguments):
        path, body = operation_of(arguments)
        return self._stored("POST", path, body=body)

    def generateSnapshot(self, source):
        is_url = isinstance(source, str)
        part = {"name": "url", "valueString": source} if is_url else {"name": "resource", "resource": source}
        body = {"resourceType": "Parameters", "parameter": [part]}
        return self._send("POST", "StructureDefinition/$snapshot", body=body)["body"]

    def searchAsync(self, *arguments):
        return self._search_async(arguments, "respond-async")

    def searchAsyncWithStrictHandling(self, *arguments):
        return self._search_async(arguments, "respond-async, handling=strict")

    def _search_async(self, arguments, prefer):
        strategy, rest = strategy_of(arguments)
        return unwrapped(self._send("GET", query_of(*rest), prefer=prefer, poll=strategy)["body"])

    def operationAsync(self, *arguments):
        strategy, rest = strategy_of(arguments)
        path, body = operation_of(rest)
        answer = self._send("POST", path, body=body, prefer=f"respond-async, return={self._prefer}", poll=strategy)
        return id_of(answer["location"]) if self._prefer == "minimal" else unwrapped(answer["body"])

    def readBinary(self, id, mediaType=None, start=None, end=None, version=None, headers=None):
        part = None
        if start is not None or end is not None:
            part = f"bytes={'' if start is None else start}-{'' if end is None else end}"
        question = {
            "server": self._server, "path": path_of("Binary", id, version), "accept": mediaType or "*/*",
            "range": part, "headers": headers or {}, "retry": self._retry,
        }
        return BinaryStream(self._host, self._host.ask({"download": question}))

    def createBinary(self, data, mediaType, securityContext=None):
        return self._upload("POST", "Binary", data, mediaType, securityContext)

    def updateBinary(self, id, data, mediaType, securityContext=None):
        return self._upload("PUT", path_of("Binary", id), data, mediaType, securityContext)

    def _upload(self, method, path, data, mediaType, securityContext):
        from .api import base64_of, pieces

        question = {
            "server": self._server, "method": method, "path": path, "contentType": mediaType,
            "securityContext": securityContext, "prefer": f"return={self._prefer}",
        }
        stream = self._host.ask({"upload": question})["stream"]
        try:
            for piece in pieces(data):
                self._host.ask({"write": {"stream": stream, "data": base64_of(piece)}})
        except BaseException:
            self._host.ask({"close": {"stream": stream}})
            raise
        answer = self._host.ask({"finish": {"stream": stream}})
        return id_of(answer["location"]) if self._prefer == "minimal" else answer["body"]


def operation_of(arguments):
    """`[type, [id, [version,]]] name, parameters`."""
    names = [one for one in arguments if isinstance(one, str)]
    body = next((one for one in arguments if isinstance(one, dict)), None)
    path = f"{path_of(*names[:-1])}/" if len(names) > 1 else ""
    return f"{path}${names[-1].removeprefix('$')}", body


def strategy_of(arguments):
    has_one = bool(arguments) and isinstance(arguments[0], list)
    return (delays(arguments[0]), arguments[1:]) if has_one else (BACKOFF, arguments)


def unwrapped(body):
    """Servers wrap what they answer late into a batch-response."""
    entries = (body or {}).get("entry", [])
    if body and body.get("type") == "batch-response" and len(entries) == 1:
        return entries[0].get("resource", body)
    return body


class DsfClientProvider:
    def __init__(self, host, base, endpoints):
        self._host = host
        self._base = base
        self._endpoints = endpoints

    def getLocal(self):
        return DsfClient(self._host, None, self._base)

    def getByEndpointUrl(self, url):
        if not isinstance(url, str):
            raise TypeError(f"getByEndpointUrl: {url!r} is not an address")
        base = url.rstrip("/")
        return self.getLocal() if base == self._base else DsfClient(self._host, {"url": base}, base)

    def getByEndpoint(self, endpoint):
        return self.getByEndpointUrl((endpoint or {}).get("address"))

    def getById(self, id):
        if id == "#local":
            return self.getLocal()
        if isinstance(id, str) and id.startswith("#"):
            endpoint = self._endpoints.getEndpoint(id[1:])
            return endpoint and self.getByEndpoint(endpoint)
        connection = self._host.ask({"connection": {"id": id}})
        return connection and DsfClient(self._host, {"id": id}, connection["baseUrl"])


class OidcClient:
    def __init__(self, host, provider):
        self._host = host
        self._provider = provider

    def _wanted(self, wanted):
        return self._host.ask({"oidc": {**self._provider, "wanted": wanted}})

    def getConfiguration(self):
        return self._wanted("configuration")

    def getJwks(self):
        return self._wanted("jwks")

    def getAccessToken(self):
        return self._wanted("token")


class OidcClientProvider:
    def __init__(self, host):
        self._host = host

    def getOidcClient(self, baseUrl, clientId=None, clientSecret=None, **options):
        if hasattr(baseUrl, "getId"):
            return OidcClient(self._host, {"id": baseUrl.getId()})
        if clientId is None:
            return OidcClient(self._host, {"id": baseUrl})
        provider = {"baseUrl": baseUrl, "clientId": clientId, "clientSecret": clientSecret, **options}
        return OidcClient(self._host, {"provider": provider})
