"""The three ways in which a workflow goes wrong."""

from __future__ import annotations

from typing import Any


class DeployError(Exception):
    """The definition would be refused, or says something that the documentation does not."""


class Fault(Exception):
    """The execution left the documented ground. No `try` of the workflow catches it."""


class WorkflowError(Exception):
    """An error that `except` can catch; `value` is what the workflow sees.

    Workflows docs, Workflow errors: a map with `message` and `tags`; an HTTP error also has
    `code`, `headers` and `body`. A raised value is passed on as it is.
    """

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value


def runtime_error(tag: str, message: str, **fields: Any) -> WorkflowError:
    """An error of the runtime with one tag."""
    return WorkflowError({"message": f"{tag}: {message}", "tags": [tag], **fields})


def type_error(message: str) -> WorkflowError:
    """Workflows docs, Workflow errors: an operation or function applied to an incompatible type."""
    return runtime_error("TypeError", message)


def value_error(message: str) -> WorkflowError:
    """Workflows docs, Workflow errors: the right type, but an incorrect value."""
    return runtime_error("ValueError", message)


def key_error(message: str) -> WorkflowError:
    """Workflows docs, Workflow errors: a map key that is not found."""
    return runtime_error("KeyError", message)


def index_error(message: str) -> WorkflowError:
    """Workflows docs, Workflow errors: a sequence subscript out of range."""
    return runtime_error("IndexError", message)


def zero_division(message: str) -> WorkflowError:
    """Workflows docs, Workflow errors: the second operand of a division or modulo is zero."""
    return runtime_error("ZeroDivisionError", message)


def undocumented(what: str) -> Fault:
    """A Fault for what the documentation does not define."""
    return Fault(f"not defined by the documentation: {what}")
