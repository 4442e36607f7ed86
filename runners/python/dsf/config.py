"""How clients of FHIR servers are set up; secrets are None unless plugin.toml asks for them."""

import base64


class Part:
    """A part of a set-up: a getter for each of its members."""

    def __init__(self, told):
        for name, value in told.items():
            verb = "is" if name.endswith("Enabled") else "get"
            setattr(self, f"{verb}{name[0].upper()}{name[1:]}", lambda value=value: value)


def _part(told):
    return told and Part(told)


def trust_store(told):
    """`{"certificates"}`; None stands for the authorities of the system."""
    found = told["trustStore"]
    return found and {"certificates": found}


class ClientConfig:
    def __init__(self, told, proxy):
        self._told = told
        self._proxy = proxy

    def getFhirServerId(self):
        return self._told["fhirServerId"]

    def getBaseUrl(self):
        return self._told["baseUrl"]

    def isStartupConnectionTestEnabled(self):
        return self._told["startupConnectionTestEnabled"]

    def isDebugLoggingEnabled(self):
        return self._told["debugLoggingEnabled"]

    def getConnectTimeout(self):
        return self._told["connectTimeout"]

    def getReadTimeout(self):
        return self._told["readTimeout"]

    def getTrustStore(self):
        return trust_store(self._told)

    def getCertificateAuthentication(self):
        told = self._told["certificateAuthentication"]
        if told and told["keyStore"]:
            told = {**told, "keyStore": base64.b64decode(told["keyStore"])}
        return _part(told)

    def getBasicAuthentication(self):
        return _part(self._told["basicAuthentication"])

    def getBearerAuthentication(self):
        return _part(self._told["bearerAuthentication"])

    def getOidcAuthentication(self):
        told = self._told["oidcAuthentication"]
        return told and _part({**told, "trustStore": trust_store(told)})

    def getProxy(self):
        """None where the address is reached without it."""
        proxy = self._proxy
        if not proxy.isEnabled(self.getBaseUrl()):
            return None
        return Part({"url": proxy.getUrl(), "username": proxy.getUsername(), "password": proxy.getPassword()})


class ClientConfigProvider:
    def __init__(self, host, proxy):
        self._host = host
        self._proxy = proxy

    def getClientConfig(self, id):
        told = self._host.ask({"connection": {"id": id}})
        return told and ClientConfig(told, self._proxy)

    def createDefaultTrustStore(self):
        return trust_store(self._host.ask({"connection": {"id": "#default"}}))
