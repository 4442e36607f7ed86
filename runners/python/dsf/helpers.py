"""Tasks, read access, process authorization, forms: what needs nothing from outside."""

import copy
import re
from urllib.parse import urlsplit

SID_ORGANIZATION = "http://dsf.dev/sid/organization-identifier"
SID_ENDPOINT = "http://dsf.dev/sid/endpoint-identifier"
CODE_SYSTEM = "http://dsf.dev/fhir/CodeSystem/"
PROFILE = "http://dsf.dev/fhir/StructureDefinition/"
READ_ACCESS_TAG = f"{CODE_SYSTEM}read-access-tag"
READ_ORGANIZATION = f"{PROFILE}extension-read-access-organization"
READ_ROLE = f"{PROFILE}extension-read-access-parent-organization-role"
PROCESS_AUTHORIZATION = f"{CODE_SYSTEM}process-authorization"
AUTHORIZATION = f"{PROFILE}extension-process-authorization"
PRACTITIONER_ROLE = f"{CODE_SYSTEM}practitioner-role"
FORM_AUTHORIZATION = f"{PROFILE}extension-questionnaire-authorization"


class NamingSystems:
    OrganizationIdentifier = SID_ORGANIZATION
    EndpointIdentifier = SID_ENDPOINT
    PractitionerIdentifier = "http://dsf.dev/sid/practitioner-identifier"
    TaskIdentifier = "http://dsf.dev/sid/task-identifier"


class BpmnExecutionVariables:
    TARGET = "target"
    TARGETS = "targets"
    CORRELATION_KEY = "correlationKey"
    ALTERNATIVE_BUSINESS_KEY = "alternativeBusinessKey"


def _codes(name, codes):
    members = {code.upper().replace("-", "_"): code for code in codes}
    return type(name, (), {"SYSTEM": f"{CODE_SYSTEM}{name}", **members})


class CodeSystems:
    _ROLES = ["UAC", "COS", "CRR", "DIC", "DMS", "DTS", "HRP", "TTP", "AMS", "ASP", "SPR", "TSP", "PPH", "BIO"]
    BpmnMessage = _codes("bpmn-message", ["message-name", "business-key", "correlation-key", "error"])
    BpmnUserTask = _codes("bpmn-user-task", ["business-key", "user-task-id"])
    OrganizationRole = _codes("organization-role", _ROLES)
    PractitionerRole = _codes("practitioner-role", [*(f"{role}_USER" for role in _ROLES), "DSF_ADMIN"])
    ProcessAuthorization = _codes("process-authorization", [
        "LOCAL_ORGANIZATION", "LOCAL_ORGANIZATION_PRACTITIONER", "REMOTE_ORGANIZATION", "LOCAL_ROLE",
        "LOCAL_ROLE_PRACTITIONER", "REMOTE_ROLE", "LOCAL_ALL", "LOCAL_ALL_PRACTITIONER", "REMOTE_ALL",
    ])
    ReadAccessTag = _codes("read-access-tag", ["LOCAL", "ORGANIZATION", "ROLE", "ALL"])


def identifier_of(resource, system):
    found = (one for one in (resource or {}).get("identifier", []) if one.get("system") == system)
    return next(found, None)


def value_member(element):
    return next((name for name in element if name.startswith("value")), None)


def element(value):
    if isinstance(value, bool):
        return {"valueBoolean": value}
    if isinstance(value, str):
        return {"valueString": value}
    if isinstance(value, int):
        return {"valueInteger": value}
    if isinstance(value, float):
        return {"valueDecimal": value}
    if isinstance(value, dict) and value_member(value):
        return value
    raise TypeError(f"{value!r} is no parameter value; pass {{'valueReference': …}} or the like")


def parameter(value, system, code=None, version=None):
    if isinstance(system, dict):
        coding = system
    else:
        coding = {"system": system, "code": code}
        if version is not None:
            coding = {"system": system, "version": version, "code": code}
    return {"type": {"coding": [coding]}, **element(value)}


def _type_in(arguments):
    """`coding, …` or `system, code, …`: a test of the type, and what follows."""
    if arguments and isinstance(arguments[0], dict):
        coding, rest = arguments[0], arguments[1:]
    else:
        coding, rest = {"system": arguments[0], "code": arguments[1]}, arguments[2:]

    def is_of(part):
        return any(
            one.get("system") == coding.get("system") and one.get("code") == coding.get("code")
            and coding.get("version") in (None, one.get("version"))
            for one in part.get("type", {}).get("coding", [])
        )

    return is_of, rest


def _inputs(task, arguments):
    is_of, rest = _type_in(arguments)
    wanted = f"value{rest[0][0].upper()}{rest[0][1:]}" if rest else None
    inputs = (task or {}).get("input", [])
    return [one for one in inputs if is_of(one) and value_member(one) and wanted in (None, value_member(one))]


class TaskHelper:
    """Getters take a Coding or system and code, then if wanted a type such as "Reference"."""

    def __init__(self, base):
        self._base = base

    def getInputParameters(self, task, *arguments):
        return _inputs(task, arguments)

    def getFirstInputParameter(self, task, *arguments):
        return next(iter(_inputs(task, arguments)), None)

    def getInputParametersWithExtension(self, task, *arguments):
        url = arguments[-1]
        found = _inputs(task, arguments[:-1])
        return [one for one in found if any(part.get("url") == url for part in one.get("extension", []))]

    def getFirstInputParameterWithExtension(self, task, *arguments):
        return next(iter(self.getInputParametersWithExtension(task, *arguments)), None)

    def getInputParameterValues(self, task, *arguments):
        return [one[value_member(one)] for one in _inputs(task, arguments)]

    def getFirstInputParameterValue(self, task, *arguments):
        return next(iter(self.getInputParameterValues(task, *arguments)), None)

    def getInputParameterStringValues(self, task, *arguments):
        return [one["valueString"] for one in _inputs(task, [*arguments, "String"])]

    def getFirstInputParameterStringValue(self, task, *arguments):
        return next(iter(self.getInputParameterStringValues(task, *arguments)), None)

    def createInput(self, value, system, code=None, version=None):
        return parameter(value, system, code, version)

    def createOutput(self, value, system, code=None, version=None):
        return parameter(value, system, code, version)

    def getLocalVersionlessAbsoluteUrl(self, task):
        return f"{self._base}/Task/{task['id']}" if task and task.get("id") else None


class StartTaskUpdater:
    """Outputs of the start Task: a type is a Coding, or system, code and version.

    They are on the server before the process ends.
    """

    def __init__(self, variables):
        self._variables = variables

    @staticmethod
    def _split(arguments):
        if isinstance(arguments[0], dict):
            coding, rest = arguments[0], arguments[1:]
        else:
            coding = {"system": arguments[0], "version": arguments[2], "code": arguments[1]}
            rest = arguments[3:]
        for part in ("system", "version", "code"):
            if not isinstance(coding.get(part), str) or not coding[part].strip():
                raise TypeError(f"the type of an output needs system, version and code; {part} is missing")
        return coding, rest[0] if rest else None

    @staticmethod
    def _is_of(coding):
        wanted = tuple(coding.get(part) for part in ("system", "version", "code"))
        return lambda output: any(
            tuple(one.get(part) for part in ("system", "version", "code")) == wanted
            for one in output.get("type", {}).get("coding", [])
        )

    def _change(self, work):
        task = self._variables.getStartTask()
        if task is None:
            raise RuntimeError("the process was not started by a Task")
        task["output"] = work(task.get("output", []))
        if not task["output"]:
            del task["output"]
        self._variables.updateTask(task)
        self._variables.shown = True

    def addOutput(self, *arguments):
        coding, value = self._split(arguments)
        self._change(lambda outputs: [*outputs, {"type": {"coding": [coding]}, **element(value)}])

    def getOutput(self, *arguments):
        is_of = self._is_of(self._split(arguments)[0])
        task = self._variables.getStartTask() or {}
        return next((one for one in task.get("output", []) if is_of(one)), None)

    def hasOutput(self, *arguments):
        return self.getOutput(*arguments) is not None

    # As the process API of the Java DSF spells it.
    hasOuput = hasOutput

    def modifyOutput(self, *arguments):
        coding, value = self._split(arguments)
        is_of, made = self._is_of(coding), {"type": {"coding": [coding]}, **element(value)}
        self._change(lambda outputs: [made if is_of(one) else one for one in outputs])

    def removeOutput(self, *arguments):
        is_of = self._is_of(self._split(arguments)[0])
        self._change(lambda outputs: [one for one in outputs if not is_of(one)])


def _organization_value(one):
    if isinstance(one, str) or one is None:
        return one
    if one.get("resourceType") == "Organization":
        return (identifier_of(one, SID_ORGANIZATION) or {}).get("value")
    return one.get("value")


def _roles(affiliation):
    parent = _organization_value(affiliation.get("organization", {}).get("identifier"))
    codings = (coding for concept in affiliation.get("code", []) for coding in concept.get("coding", []))
    return [(parent, coding.get("system"), coding.get("code")) for coding in codings]


def _organization_part(url, value):
    return {"url": url, "valueIdentifier": {"system": SID_ORGANIZATION, "value": value}}


def _coding_part(url, system, code):
    return {"url": url, "valueCoding": {"system": system, "code": code}}


def _part(parts, url):
    return next((one for one in parts if one.get("url") == url), {})


def _tags(resource):
    tags = (resource or {}).get("meta", {}).get("tag", [])
    return [tag for tag in tags if tag.get("system") == READ_ACCESS_TAG]


def _tag_organization(tag):
    identifier = _part(tag.get("extension", []), READ_ORGANIZATION).get("valueIdentifier", {})
    return identifier.get("value") if identifier.get("system") == SID_ORGANIZATION else None


def _tag_role(tag):
    if tag.get("code") != "ROLE":
        return None
    parts = _part(tag.get("extension", []), READ_ROLE).get("extension", [])
    parent = _part(parts, "parent-organization").get("valueIdentifier", {})
    role = _part(parts, "organization-role").get("valueCoding", {})
    found = (parent.get("value"), role.get("system"), role.get("code"))
    return found if parent.get("system") == SID_ORGANIZATION and all(found) else None


def yes(*_):
    return True


class ReadAccessHelper:
    @staticmethod
    def _add(resource, tag):
        tags = resource.setdefault("meta", {}).setdefault("tag", [])
        if tag not in tags:
            tags.append(tag)
        return resource

    def addLocal(self, resource):
        return self._add(resource, {"system": READ_ACCESS_TAG, "code": "LOCAL"})

    def addOrganization(self, resource, organization):
        value = _organization_value(organization)
        if not value:
            raise TypeError("addOrganization: the organization has no identifier")
        extension = [_organization_part(READ_ORGANIZATION, value)]
        tag = {"extension": extension, "system": READ_ACCESS_TAG, "code": "ORGANIZATION"}
        return self._add(self.addLocal(resource), tag)

    def addRole(self, resource, parent, system=None, code=None):
        if isinstance(parent, dict):
            for role in _roles(parent):
                self.addRole(resource, *role)
            return resource
        parts = [_organization_part("parent-organization", parent), _coding_part("organization-role", system, code)]
        tag = {"extension": [{"url": READ_ROLE, "extension": parts}], "system": READ_ACCESS_TAG, "code": "ROLE"}
        return self._add(self.addLocal(resource), tag)

    def addAll(self, resource):
        meta = resource.setdefault("meta", {})
        meta["tag"] = [tag for tag in meta.get("tag", []) if tag.get("system") != READ_ACCESS_TAG]
        return self._add(resource, {"system": READ_ACCESS_TAG, "code": "ALL"})

    def hasLocal(self, resource):
        return any(tag.get("code") == "LOCAL" for tag in _tags(resource))

    def hasOrganization(self, resource, organization):
        value = _organization_value(organization)
        tags = (tag for tag in _tags(resource) if tag.get("code") == "ORGANIZATION")
        return any(_tag_organization(tag) == value for tag in tags)

    def hasAnyOrganization(self, resource):
        return any(tag.get("code") == "ORGANIZATION" for tag in _tags(resource))

    def hasRole(self, resource, parent, system=None, code=None):
        if isinstance(parent, (dict, list)):
            several = parent if isinstance(parent, list) else [parent]
            return any(self.hasRole(resource, *role) for one in several for role in _roles(one))
        return any(_tag_role(tag) == (parent, system, code) for tag in _tags(resource))

    def hasAnyRole(self, resource):
        return any(tag.get("code") == "ROLE" for tag in _tags(resource))

    def hasAll(self, resource):
        return any(tag.get("code") == "ALL" for tag in _tags(resource))

    def isValid(self, resource, organizationExists=yes, roleExists=yes):
        """ALL alone, or LOCAL once with any number of well-formed others."""
        tags = _tags(resource)
        codes = [tag.get("code") for tag in tags]
        if "ALL" in codes:
            return len(tags) == 1

        def known(value):
            return bool(organizationExists({"system": SID_ORGANIZATION, "value": value}))

        def is_well_formed(tag):
            if tag.get("code") == "LOCAL":
                return True
            if tag.get("code") == "ORGANIZATION":
                return bool(_tag_organization(tag)) and known(_tag_organization(tag))
            role = _tag_role(tag)
            return bool(role and known(role[0]) and roleExists({"system": role[1], "code": role[2]}))

        return codes.count("LOCAL") == 1 and all(map(is_well_formed, tags))


def _coding(code, extension=None):
    return {**({"extension": [extension]} if extension else {}), "system": PROCESS_AUTHORIZATION, "code": code}


def _all(place):
    return _coding(f"{place}_ALL")


def _all_practitioner(place, system, code):
    return _coding(f"{place}_ALL_PRACTITIONER", _coding_part(f"{AUTHORIZATION}-practitioner", system, code))


def _organization(place, value):
    return _coding(f"{place}_ORGANIZATION", _organization_part(f"{AUTHORIZATION}-organization", value))


def _organization_practitioner(place, value, system, code):
    parts = [_organization_part("organization", value), _coding_part("practitioner-role", system, code)]
    extension = {"url": f"{AUTHORIZATION}-organization-practitioner", "extension": parts}
    return _coding(f"{place}_ORGANIZATION_PRACTITIONER", extension)


def _role(place, parent, system, code):
    parts = [_organization_part("parent-organization", parent), _coding_part("organization-role", system, code)]
    return _coding(f"{place}_ROLE", {"url": f"{AUTHORIZATION}-parent-organization-role", "extension": parts})


def _role_practitioner(place, parent, system, code, practitionerSystem, practitionerCode):
    parts = [
        _organization_part("parent-organization", parent),
        _coding_part("organization-role", system, code),
        _coding_part("practitioner-role", practitionerSystem, practitionerCode),
    ]
    extension = {"url": f"{AUTHORIZATION}-parent-organization-role-practitioner", "extension": parts}
    return _coding(f"{place}_ROLE_PRACTITIONER", extension)


def meaning(value):
    """A coding read back: whom it means."""
    if not value or value.get("system") != PROCESS_AUTHORIZATION:
        return None
    found = re.fullmatch(r"(LOCAL|REMOTE)_(ALL|ORGANIZATION|ROLE)(_PRACTITIONER)?", value.get("code") or "")
    if not found:
        return None
    place, kind, practitioner = found.groups()
    plain = next(iter(value.get("extension", [])), {})
    named = {one.get("url"): one for one in [*plain.get("extension", []), plain]}
    organization = named.get("organization") or named.get(f"{AUTHORIZATION}-organization") or {}
    person = named.get("practitioner-role") or (named.get(f"{AUTHORIZATION}-practitioner") if kind == "ALL" else {})
    return {
        "local": place == "LOCAL",
        "organization": organization.get("valueIdentifier") if kind == "ORGANIZATION" else None,
        "parent": named.get("parent-organization", {}).get("valueIdentifier") if kind == "ROLE" else None,
        "role": named.get("organization-role", {}).get("valueCoding") if kind == "ROLE" else None,
        "practitioner": (person or {}).get("valueCoding") if practitioner else None,
        "all": kind == "ALL",
        "person": bool(practitioner),
    }


def _is_coding(one):
    return bool(one and one.get("system") and one.get("code"))


def _is_organization(one):
    return bool(one and one.get("system") == SID_ORGANIZATION and one.get("value"))


def _same(one, other):
    return _is_coding(one) and one["system"] == other.get("system") and one["code"] == other.get("code")


def _is_complete(who):
    if not who:
        return False
    named = who["all"] or _is_organization(who["organization"])
    named = named or (_is_organization(who["parent"]) and _is_coding(who["role"]))
    return bool(named and (not who["person"] or _is_coding(who["practitioner"])))


class _Party:
    """Whom a requester or recipient means, and whether somebody is one of them."""

    def __init__(self, element, coding):
        self._element = element
        self._coding = coding
        self._who = meaning(coding)

    def getProcessAuthorizationCode(self):
        return {"system": PROCESS_AUTHORIZATION, "code": self._coding["code"]}

    def toExtension(self):
        return {"url": self._element, "valueCoding": copy.deepcopy(self._coding)}

    def matches(self, extension):
        is_one = bool(extension) and extension.get("url") == self._element
        return is_one and meaning(extension.get("valueCoding")) == self._who

    def isAuthorized(self, identity, affiliations=()):
        """An identity is a dict with local, organization and, of a person, practitionerRoles."""
        who, organization = self._who, (identity or {}).get("organization")
        if not who or not organization or organization.get("active") is False:
            return False
        roles = identity.get("practitionerRoles")
        if bool(identity.get("local")) != who["local"] or who["person"] != isinstance(roles, list):
            return False
        if who["person"] and not any(_same(who["practitioner"], role) for role in roles):
            return False
        if who["all"]:
            return True
        own = (identifier_of(organization, SID_ORGANIZATION) or {}).get("value")
        if who["organization"]:
            return isinstance(own, str) and who["organization"].get("value") == own
        parent = (who["parent"] or {}).get("value")
        return any(
            one.get("active") is True
            and _organization_value(one.get("participatingOrganization", {}).get("identifier")) == own
            and any(role[0] == parent and _same(who["role"], {"system": role[1], "code": role[2]}) for role in _roles(one))
            for one in affiliations
        )


class Requester(_Party):
    def __init__(self, coding):
        super().__init__("requester", coding)

    toRequesterExtension = _Party.toExtension
    requesterMatches = _Party.matches
    isRequesterAuthorized = _Party.isAuthorized


class Recipient(_Party):
    def __init__(self, coding):
        super().__init__("recipient", coding)

    toRecipientExtension = _Party.toExtension
    recipientMatches = _Party.matches
    isRecipientAuthorized = _Party.isAuthorized


class RequesterFactory:
    def localAll(self):
        return Requester(_all("LOCAL"))

    def remoteAll(self):
        return Requester(_all("REMOTE"))

    def localAllPractitioner(self, system, code):
        return Requester(_all_practitioner("LOCAL", system, code))

    def localOrganization(self, organization):
        return Requester(_organization("LOCAL", organization))

    def remoteOrganization(self, organization):
        return Requester(_organization("REMOTE", organization))

    def localOrganizationPractitioner(self, organization, system, code):
        return Requester(_organization_practitioner("LOCAL", organization, system, code))

    def localRole(self, parent, system, code):
        return Requester(_role("LOCAL", parent, system, code))

    def remoteRole(self, parent, system, code):
        return Requester(_role("REMOTE", parent, system, code))

    def localRolePractitioner(self, parent, system, code, practitionerSystem, practitionerCode):
        return Requester(_role_practitioner("LOCAL", parent, system, code, practitionerSystem, practitionerCode))


class RecipientFactory:
    def localAll(self):
        return Recipient(_all("LOCAL"))

    def localOrganization(self, organization):
        return Recipient(_organization("LOCAL", organization))

    def localRole(self, parent, system, code):
        return Recipient(_role("LOCAL", parent, system, code))


def _values(authorization, url):
    return [part for part in authorization.get("extension", []) if part.get("url") == url]


def _authorizations(definition):
    return [one for one in (definition or {}).get("extension", []) if one.get("url") == AUTHORIZATION]


def _listed(one):
    return list(one) if isinstance(one, (list, tuple)) else [one]


def _parties(definition, arguments, element):
    if len(arguments) == 3:
        arguments = [*arguments[0].split("|"), *arguments[1:]]
    url, version, message, profiles = arguments
    if (definition or {}).get("url") != url or definition.get("version") != version:
        return []
    found = []
    for one in _authorizations(definition):
        names = [part.get("valueString") for part in _values(one, "message-name")[:1]]
        canonicals = [part.get("valueCanonical") for part in _values(one, "task-profile")[:1]]
        if names == [message] and canonicals and canonicals[0] in _listed(profiles):
            found += [part["valueCoding"] for part in _values(one, element)]
    return found


class ProcessAuthorizationHelper:
    def getRequesterFactory(self):
        return RequesterFactory()

    def getRecipientFactory(self):
        return RecipientFactory()

    def add(self, definition, messageName, taskProfile, requesters, recipients):
        extension = [
            {"url": "message-name", "valueString": messageName},
            {"url": "task-profile", "valueCanonical": taskProfile},
            *(one.toRequesterExtension() for one in _listed(requesters)),
            *(one.toRecipientExtension() for one in _listed(recipients)),
        ]
        definition.setdefault("extension", []).append({"url": AUTHORIZATION, "extension": extension})
        return definition

    def isValid(self, definition, profileExists=yes, practitionerRoleExists=yes, organizationExists=yes, roleExists=yes):
        def is_known(who):
            return (
                _is_complete(who)
                and (not who["organization"] or organizationExists(who["organization"]))
                and (not who["parent"] or (organizationExists(who["parent"]) and roleExists(who["role"])))
                and (not who["practitioner"] or practitionerRoleExists(who["practitioner"]))
            )

        def is_valid(one):
            names, profiles = _values(one, "message-name"), _values(one, "task-profile")
            senders = [meaning(part.get("valueCoding")) for part in _values(one, "requester")]
            receivers = [meaning(part.get("valueCoding")) for part in _values(one, "recipient")]
            return (
                len(names) == 1 and bool(names[0].get("valueString"))
                and len(profiles) == 1 and bool(profiles[0].get("valueCanonical"))
                and profileExists(profiles[0]["valueCanonical"])
                and bool(senders) and all(map(is_known, senders))
                and bool(receivers)
                and all(is_known(who) and who["local"] and not who["person"] for who in receivers)
            )

        found = _authorizations(definition)
        return bool(found) and all(bool(is_valid(one)) for one in found)

    def getRequesters(self, definition, *arguments):
        return [Requester(one) for one in _parties(definition, arguments, "requester")]

    def getRecipients(self, definition, *arguments):
        return [Recipient(one) for one in _parties(definition, arguments, "recipient")]


_NAMED = {"system": "http://example.org/fhir/CodeSystem/name", "code": "code"}

# What stands in a form until somebody answers.
_PLACEHOLDERS = {
    "string": {"valueString": "Placeholder.."},
    "text": {"valueString": "Placeholder.."},
    "integer": {"valueInteger": 0},
    "decimal": {"valueDecimal": 0},
    "boolean": {"valueBoolean": False},
    "date": {"valueDate": "1900-01-01"},
    "time": {"valueTime": "00:00:00"},
    "dateTime": {"valueDateTime": "1900-01-01T00:00:00.000Z"},
    "url": {"valueUri": "http://example.org/foo"},
    "reference": {"valueReference": {"reference": "http://example.org/fhir/Placeholder/id"}},
    "choice": {"valueCoding": _NAMED},
    "quantity": {"valueQuantity": {"value": 0, "unit": "unit", **_NAMED}},
}


def _leaves(items):
    found = []
    for item in items or []:
        found += _leaves(item["item"]) if item.get("item") else [item]
    return found


def _complete(value, member, what):
    for part in ("system", member):
        if not isinstance((value or {}).get(part), str) or value[part] == "":
            raise TypeError(f"{what}.{part} is missing")
    return value


class QuestionnaireResponseHelper:
    def __init__(self, base):
        self._base = base

    def getItemLeaves(self, response):
        return _leaves((response or {}).get("item"))

    def getItemLeavesMatchingLinkId(self, response, linkId):
        return [item for item in self.getItemLeaves(response) if item.get("linkId") == linkId]

    def getFirstItemLeaveMatchingLinkId(self, response, linkId):
        return next(iter(self.getItemLeavesMatchingLinkId(response, linkId)), None)

    def addItemLeafWithAnswer(self, response, linkId, text, answer):
        response.setdefault("item", []).append({"linkId": linkId, "text": text, "answer": [answer]})

    def addItemLeafWithoutAnswer(self, response, linkId, text):
        response.setdefault("item", []).append({"linkId": linkId, "text": text})

    def transformQuestionTypeToAnswerType(self, question):
        kind = (question or {}).get("type")
        if kind not in _PLACEHOLDERS:
            raise TypeError(f"an item of type {kind} has no answer")
        return copy.deepcopy(_PLACEHOLDERS[kind])

    def getLocalVersionlessAbsoluteUrl(self, response):
        has_id = response and response.get("id")
        return f"{self._base}/QuestionnaireResponse/{response['id']}" if has_id else None

    def createQuestionnaireAuthorizationExtension(self, practitioners, practitionerRoles):
        people = [self.createQuestionnaireAuthorizationPractitionerSubExtension(one) for one in practitioners or []]
        roles = [
            self.createQuestionnaireAuthorizationPractitionerRoleSubExtension(one) for one in practitionerRoles or []
        ]
        return {"url": FORM_AUTHORIZATION, "extension": people + roles}

    def createQuestionnaireAuthorizationPractitionerSubExtension(self, identifier):
        return {"url": "practitioner", "valueIdentifier": _complete(identifier, "value", "practitioner")}

    def createQuestionnaireAuthorizationPractitionerRoleSubExtension(self, coding):
        return {"url": "practitioner-role", "valueCoding": _complete(coding, "code", "practitionerRole")}


def is_no_proxy_url(exceptions, target):
    # Without a scheme it is the address of no server.
    if not re.match("[A-Za-z][A-Za-z0-9+.-]*:", str(target)):
        return False
    parts = urlsplit(target)
    port = parts.netloc and (parts.port or {"http": 80, "https": 443}.get(parts.scheme))
    if not port or not parts.hostname:
        raise TypeError(f"{target} is not an http or https address")
    domain = parts.hostname.partition(".")[2]
    names = [name for name in (parts.hostname, domain) if name]
    return any(one == "*" or one in names or one in [f"{name}:{port}" for name in names] for one in exceptions)
