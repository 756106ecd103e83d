"""The Function App, as the Python worker indexes it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from .protocol import HostError


def load_app(folder: Path) -> Any:
    """Imports function_app.py and returns its one FunctionApp."""
    from azure.functions import FunctionRegister

    folder = folder.resolve()
    sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location("function_app", folder / "function_app.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["function_app"] = module
    spec.loader.exec_module(module)
    apps = {id(value): value for value in vars(module).values() if isinstance(value, FunctionRegister)}
    if len(apps) != 1:
        raise HostError(f"function_app.py must have exactly one top-level FunctionApp/DFApp object, it has {len(apps)}")
    return next(iter(apps.values()))


class Functions:
    """Registered functions by the name under which the extension knows them."""

    def __init__(self, app: Any) -> None:
        self.activities: dict[str, Any] = {}
        self.orchestrators: dict[str, Any] = {}
        self.others: dict[str, Any] = {}
        self.all = app.get_functions()
        for function in self.all:
            trigger = function.get_trigger()
            kind = trigger.type if trigger else None
            name = function.get_function_name()
            if kind == "activityTrigger":
                self.activities[getattr(trigger, "activity", None) or name] = function
            elif kind == "orchestrationTrigger":
                self.orchestrators[getattr(trigger, "orchestration", None) or name] = function
            else:
                self.others[name] = function
