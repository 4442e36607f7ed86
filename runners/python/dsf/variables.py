"""The variables of the process instance, targets, and their way to the host."""

import base64
import copy
import datetime
import math

ALTERNATIVE_KEY = "alternativeBusinessKey"
INT = 2**31
LONG = 2**63


class Target:
    def __init__(self, data):
        self.data = data

    def getOrganizationIdentifierValue(self):
        return self.data["organization"]

    def getEndpointIdentifierValue(self):
        return self.data["endpoint"]

    def getEndpointUrl(self):
        return self.data["url"]

    def getCorrelationKey(self):
        return self.data.get("correlationKey")


class Targets:
    def __init__(self, entries):
        self._entries = list(entries)

    def getEntries(self):
        return list(self._entries)

    def isEmpty(self):
        return not self._entries

    def size(self):
        return len(self._entries)

    def getFirst(self):
        return self._entries[0] if self._entries else None

    def removeByEndpointIdentifierValue(self, one):
        return self.removeAllByEndpointIdentifierValue([one])

    def removeAllByEndpointIdentifierValue(self, several):
        gone = {one.getEndpointIdentifierValue() if isinstance(one, Target) else one for one in several}
        return Targets(one for one in self._entries if one.getEndpointIdentifierValue() not in gone)


def create_target(organization, endpoint, url, correlationKey=None):
    for name, value in (("organization", organization), ("endpoint", endpoint), ("url", url)):
        if not isinstance(value, str):
            raise TypeError(f"createTarget: {name} must be a text")
    return Target({"organization": organization, "endpoint": endpoint, "url": url, "correlationKey": correlationKey})


def decode(pair):
    kind, value = pair[0], pair[1] if len(pair) > 1 else None
    if kind == "long":
        return int(value)
    if kind == "double":
        return float(value)
    if kind == "date":
        return datetime.datetime.fromtimestamp(value / 1000, datetime.timezone.utc)
    if kind == "bytes":
        return base64.b64decode(value)
    if kind == "list":
        return [decode(item) for item in value]
    if kind == "map":
        return {name: decode(item) for name, item in value}
    if kind == "target":
        return Target(value)
    if kind == "targets":
        return Targets(Target(one) for one in value)
    return copy.deepcopy(value)


def _double(value):
    if math.isfinite(value):
        return ["double", value]
    return ["double", "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")]


def _long(value):
    if not -LONG <= value < LONG:
        raise OverflowError(f"{value} does not fit 64 bits")
    return ["long", str(value)]


def _number(value):
    if isinstance(value, float):
        return _double(value)
    return ["integer", value] if -INT <= value < INT else _long(value)


def _date(value):
    if value.tzinfo is None:
        value = value.replace(tzinfo=datetime.timezone.utc)
    return ["date", round(value.timestamp() * 1000)]


def _bytes(value):
    return ["bytes", base64.b64encode(bytes(value)).decode()]


def _file(value):
    content = base64.b64encode(bytes(value["content"])).decode()
    return ["json", {"filename": value["filename"], "mimeType": value.get("mimeType"),
                     "encoding": value.get("encoding"), "content": content}]


def _is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value):
    return _is_int(value) or isinstance(value, float)


def _is_resource(value):
    return isinstance(value, dict) and isinstance(value.get("resourceType"), str)


def _fits(bits):
    return lambda value: _is_int(value) and -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)


def _list_of(fits, encoder):
    return (lambda value: isinstance(value, list) and all(map(fits, value)),
            lambda value: ["list", [encoder(one) for one in value]])


def _is_text(value):
    return isinstance(value, str)


def _text(value):
    return ["string", value]


def _resource(value):
    return ["resource", copy.deepcopy(value)]


# The types that have a getter and a setter of their own: what fits, and its form for the host.
TYPES = {
    "String": (_is_text, _text),
    "Integer": (_fits(32), lambda value: ["integer", value]),
    "Short": (_fits(16), lambda value: ["integer", value]),
    "Long": (_is_int, _long),
    "Double": (_is_number, lambda value: _double(float(value))),
    "Number": (_is_number, _number),
    "Boolean": (lambda value: isinstance(value, bool), lambda value: ["boolean", value]),
    "Date": (lambda value: isinstance(value, datetime.datetime), _date),
    "ByteArray": (lambda value: isinstance(value, (bytes, bytearray)), _bytes),
    "StringList": _list_of(_is_text, _text),
    "File": (lambda value: isinstance(value, dict) and isinstance(value.get("filename"), str), _file),
    "FhirResource": (_is_resource, _resource),
    "FhirResourceList": _list_of(_is_resource, _resource),
}


def _json(value):
    return ["json", copy.deepcopy(value)]


def _any(value):
    if isinstance(value, Target):
        return ["target", value.data]
    if isinstance(value, Targets):
        return ["targets", [one.data for one in value.getEntries()]]
    for name in ("String", "Boolean", "Number", "Date", "ByteArray"):
        fits, encoder = TYPES[name]
        if fits(value):
            return encoder(value)
    return _json(value)


class Variables:
    def __init__(self, call, plugin, warn):
        self._visible = dict((name, value) for name, value in call["visible"])
        self._local = set(call["local"])
        self._context = call["context"]
        self._tasks = call["tasks"]
        self._plugin = plugin
        self._warn = warn
        self.settings = []
        self.changed = {}
        # The start Task is shown as it is now, before the process ends.
        self.shown = False

    def _read(self, name):
        return decode(self._visible[name]) if name in self._visible else None

    def _read_local(self, name):
        return self._read(name) if name in self._local else None

    def _write(self, name, value, local):
        if not isinstance(name, str) or name == "":
            raise TypeError("the name of a variable must be a text")
        self.settings.append([name, value, local])
        if local:
            self._local.add(name)
        self._visible[name] = value

    def getBusinessKey(self):
        return self._context.get("businessKey")

    def getCurrentActivityId(self):
        return self._context.get("activityId")

    def getActivityInstanceId(self):
        return self._context.get("activityInstanceId")

    def getProcessDefinitionId(self):
        return self._context.get("processDefinitionId")

    def getAlternativeBusinessKey(self):
        return self._read(ALTERNATIVE_KEY)

    def setAlternativeBusinessKey(self, key):
        self.setString(ALTERNATIVE_KEY, key)

    def createTarget(self, organization, endpoint, url, correlationKey=None):
        return create_target(organization, endpoint, url, correlationKey)

    def createTargets(self, *targets):
        entries = [one for item in targets for one in (item if isinstance(item, (list, tuple)) else [item])]
        if not all(isinstance(one, Target) for one in entries):
            raise TypeError("createTargets: only Targets made by createTarget")
        return Targets(entries)

    def getTarget(self):
        return self._read("target")

    def setTarget(self, target):
        if not isinstance(target, Target):
            raise TypeError("setTarget: only a Target made by createTarget")
        self._write("target", _any(target), False)

    def getTargets(self):
        return self._read("targets")

    def setTargets(self, targets):
        if not isinstance(targets, Targets):
            raise TypeError("setTargets: only Targets made by createTargets")
        self._write("targets", _any(targets), False)

    def getStartTask(self):
        return copy.deepcopy(self._tasks["start"])

    def getLatestTask(self):
        current = self._tasks["current"]
        return copy.deepcopy(current[-1]) if current else None

    def getTasks(self):
        return copy.deepcopy(self._tasks["all"])

    def getCurrentTasks(self):
        return copy.deepcopy(self._tasks["current"])

    def updateTask(self, task):
        tasks = self._tasks
        id = (task or {}).get("id")
        if not any(one and one.get("id") == id for one in [tasks["start"], *tasks["current"], *tasks["all"]]):
            self._warn(f"updateTask: Task/{id} is not a Task of this process instance")
            return
        changed = copy.deepcopy(task)

        def replaced(one):
            return changed if one and one.get("id") == id else one

        self._tasks = {
            "start": replaced(tasks["start"]),
            "current": [replaced(one) for one in tasks["current"]],
            "all": [replaced(one) for one in tasks["all"]],
        }
        self.changed[id] = changed

    def getStartTaskUpdater(self):
        from .helpers import StartTaskUpdater

        return StartTaskUpdater(self)

    def getLatestReceivedQuestionnaireResponse(self):
        return self._read(self._plugin.get("receivedResponse"))

    def getVariable(self, name):
        return self._read(name)

    def getVariableLocal(self, name):
        return self._read_local(name)

    def setVariable(self, name, value):
        self._write(name, ["null"] if value is None else _any(value), False)

    def setVariableLocal(self, name, value):
        self._write(name, ["null"] if value is None else _any(value), True)

    def hasVariable(self, name):
        return name in self._visible

    def removeVariable(self, name):
        self.settings.append([name, None, False])
        self._visible.pop(name, None)
        self._local.discard(name)

    def getJsonVariable(self, name):
        return self._read(name)

    def getJsonVariableLocal(self, name):
        return self._read_local(name)

    def setJsonVariable(self, name, value):
        self._write(name, _json(value), False)

    def setJsonVariableLocal(self, name, value):
        self._write(name, _json(value), True)


def _accessors(kind, fits, encoder):
    def encoded(value):
        if value is None:
            return ["null"]
        if not fits(value):
            raise TypeError(f"{value!r} is not of type {kind}")
        return encoder(value)

    def told(value):
        if kind == "File" and value is not None:
            return {**value, "content": base64.b64decode(value["content"])}
        return value

    setattr(Variables, f"get{kind}", lambda self, name: told(self._read(name)))
    setattr(Variables, f"get{kind}Local", lambda self, name: told(self._read_local(name)))
    setattr(Variables, f"set{kind}", lambda self, name, value: self._write(name, encoded(value), False))
    setattr(Variables, f"set{kind}Local", lambda self, name, value: self._write(name, encoded(value), True))


for _kind, (_fit, _encoder) in TYPES.items():
    _accessors(_kind, _fit, _encoder)
