"""The host interface for plugins in Python (docs/plugin-api.md).

Names and meaning are those of the JavaScript runner; only that nothing has to be waited for: every
call of the host returns when it is answered.
"""

from .api import DelayStrategy, ErrorBoundaryEvent, HostError
from .helpers import BpmnExecutionVariables, CodeSystems, NamingSystems
from .variables import Target, Targets

__all__ = [
    "BpmnExecutionVariables",
    "CodeSystems",
    "DelayStrategy",
    "ErrorBoundaryEvent",
    "HostError",
    "NamingSystems",
    "Target",
    "Targets",
]
