"""Serves the calls of the host: JSON-RPC, a message a line (docs/plugin-worker.md)."""

import importlib.util
import inspect
import json
import os
import sys
import threading
import time
import traceback

from .api import Api, ErrorBoundaryEvent, HostError
from .form import composed
from .variables import Target, Variables, decode

MEMBERS = [
    "execute", "notify", "additionalInputParameters", "afterSend", "handleException",
    "handleErrorBoundaryEvent", "getPractitioners", "getPractitionerRoles", "createQuestionnaireResponse",
    "beforeQuestionnaireResponseCreate", "afterQuestionnaireResponseCreate",
]


# The function of a module that hears which of its processes were deployed.
LISTENER = "onProcessesDeployed"


class Host:
    """The line to the host."""

    def __init__(self):
        self.input = sys.stdin.buffer
        # What the plugin prints must not get among the messages.
        self.output = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        self.questions = 0

    def tell(self, message):
        message["jsonrpc"] = "2.0"
        data = json.dumps(message, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        self.output.write(data.encode("utf-8", "replace") + b"\n")
        self.output.flush()

    def hear(self):
        line = self.input.readline()
        return json.loads(line) if line else None

    def ask(self, question):
        self.questions += 1
        asked = f"q{self.questions}"
        self.tell({"id": asked, "method": "ask", "params": question})
        answer = self.hear()
        if answer is None:
            # The host has gone; so does its worker.
            os._exit(0)
        if "error" in answer:
            raise HostError(answer["error"]["message"], answer["error"].get("data") or {})
        return answer.get("result")

    def log(self, level, text):
        self.tell({"method": "log", "params": {"level": level, "text": text}})


def load(entry):
    sys.path.insert(0, os.getcwd())
    spec = importlib.util.spec_from_file_location("plugin_main", os.path.join(os.getcwd(), entry))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not isinstance(getattr(module, "activities", None), dict):
        raise TypeError(f"{entry} must have a dict named activities")
    listener = getattr(module, LISTENER, None)
    if listener is not None and not callable(listener):
        raise TypeError(f"{LISTENER} of {entry} must be a function")
    return module


def offer(module):
    activities = [shape(*one) for one in module.activities.items()]
    return {"activities": activities, "listens": getattr(module, LISTENER, None) is not None}


def member(entry, name):
    return entry.get(name) if isinstance(entry, dict) else getattr(entry, name, None)


def shape(key, entry):
    is_object = isinstance(entry, (dict, type)) or not callable(entry)
    found = [name for name in MEMBERS if is_object and callable(member(entry, name))]
    return {
        "key": key,
        "kind": "object" if is_object else "function",
        "members": found,
        "businessKeyStrategy": member(entry, "businessKeyStrategy"),
    }


def fitting(function, *arguments):
    """Calls with as many arguments as the function takes, as JavaScript would."""
    kinds = inspect.Parameter
    parameters = inspect.signature(function).parameters.values()
    if any(one.kind == kinds.VAR_POSITIONAL for one in parameters):
        return function(*arguments)
    places = [one for one in parameters if one.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)]
    return function(*arguments[: len(places)])


class Sender:
    """What a message activity decides to send."""

    def __init__(self, variables):
        self._variables = variables
        self.wanted = None

    def send(self, **changes):
        if self.wanted is not None:
            raise RuntimeError("a message is sent once; for several receivers use a multi-instance activity")
        target = changes.pop("target", None) or self._variables.getTarget()
        if not isinstance(target, Target):
            raise TypeError("there is no target to send to: setTarget, or send(target=…)")
        self.wanted = {**changes, "target": target.data}


class Call:
    def __init__(self, host, plugin, module, params):
        entry = module if params["class"] is None else module.activities[params["class"]]
        # Nothing survives in an activity that is a class: each call has an object of its own.
        self.entry = entry() if isinstance(entry, type) else entry
        self.params = params
        self.variables = Variables(params, plugin, lambda text: host.log("warn", text))
        self.api = Api(host, plugin)

    def answer(self):
        try:
            answer = {"value": self.run()}
            json.dumps(answer, allow_nan=False)
        except Exception as exception:  # Whatever it is, it is the plugin's, and the host's to judge.
            answer = {"error": failure(exception)}
        tasks = list(self.variables.changed.values())
        return {**answer, "settings": self.variables.settings, "tasks": tasks, "shown": self.variables.shown}

    def run(self):
        name = self.params["member"]
        if name == "handleException":
            data = self.params["exception"]
            return self.handled(name, HostError(data["message"], data))
        try:
            return self.invoke(name)
        except Exception as exception:
            is_event = isinstance(exception, ErrorBoundaryEvent) and self.params["mayThrowBoundary"]
            handler = "handleErrorBoundaryEvent" if is_event else "handleException"
            if not callable(member(self.entry, handler)):
                raise
            return self.handled(handler, exception)

    def handled(self, handler, exception):
        """A handler that returns nothing has dealt with it; an exception that it returns stands."""
        function = member(self.entry, handler)
        answer = fitting(function, self.api, self.variables, exception, *self.message())
        if isinstance(answer, Exception):
            raise answer
        return {"handled": True}

    def message(self):
        message = self.params.get("message")
        if not message:
            return []
        return [message["values"], Target(message["target"]) if message["target"] else None]

    def invoke(self, name):
        api, variables, params = self.api, self.variables, self.params
        fields = {key: decode(value) for key, value in params["fields"]}
        extras = [fields] if params.get("values") is None else [params["values"], fields]
        if name == "call":
            return fitting(self.entry, api, variables, *extras)
        function = member(self.entry, name)
        if name == LISTENER:
            fitting(function, api, params["processes"])
            return None
        if name == "execute" and params.get("message"):
            sender = Sender(variables)
            fitting(function, api, variables, params["message"]["values"], sender, *extras)
            return {"send": sender.wanted}
        if name in ("execute", "notify"):
            return fitting(function, api, variables, *extras)
        if name == "beforeQuestionnaireResponseCreate":
            return composed(self.form_function, params["form"], params["questionnaire"])
        if name == "afterQuestionnaireResponseCreate":
            fitting(function, api, variables, params["values"], params["form"])
            return None
        return fitting(function, api, variables, *self.message())

    def form_function(self, name, *more):
        function = member(self.entry, name)
        if callable(function):
            return fitting(function, self.api, self.variables, self.params["values"], *more)
        return None


def failure(exception):
    stack = "".join(traceback.format_exception(exception))
    if isinstance(exception, ErrorBoundaryEvent):
        return {"boundary": exception.code, "kind": "ErrorBoundaryEvent", "message": str(exception)}
    kind = type(exception).__name__
    return {"kind": kind, "message": str(exception) or kind, "stack": stack}


def end_with(host):
    """Whoever computes without end does not see that nobody listens any more."""
    while os.getppid() == host:
        time.sleep(1)
    os._exit(1)


def main():
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    host = Host()
    plugin, module = {}, None
    while (message := host.hear()) is not None:
        if message["method"] == "initialize":
            try:
                plugin = message["params"]["plugin"]
                module = load(message["params"]["entry"])
                answer = {"result": offer(module)}
            except BaseException as exception:
                text = "".join(traceback.format_exception_only(exception)).strip()
                answer = {"error": {"code": -32000, "message": text}}
        else:
            answer = {"result": Call(host, plugin, module, message["params"]).answer()}
        host.tell({"id": message["id"], **answer})


main()
