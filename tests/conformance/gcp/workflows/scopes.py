"""Variables at run time."""

from __future__ import annotations

from typing import Any

from . import limits
from .errors import Fault, key_error, runtime_error
from .values import size


class Memory:
    """Bytes held by all variables of an execution."""

    def __init__(self) -> None:
        self.used = 0

    def change(self, before: int, after: int) -> None:
        """Workflows docs, Quotas and limits: the memory of all variables is limited."""
        if self.used - before + after > limits.VARIABLE_BYTES:
            raise runtime_error("ResourceLimitError", "memory usage limit exceeded")
        self.used += after - before


class Scope:
    """The variables of a routine, or of a block within it.

    Workflows docs, Variables: a variable belongs to its routine; what a for, an except or a branch
    assigns first is its own. A branch writes to those of its parent that are shared.
    """

    def __init__(
        self, memory: Memory, parent: Scope | None = None, shared: frozenset[str] | None = None
    ) -> None:
        self.memory = memory
        self.parent = parent
        self.shared = shared
        self.values: dict[str, Any] = {}
        self.sizes: dict[str, int] = {}

    def get(self, name: str) -> Any:
        """The value of a variable that is in sight."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.parent
        raise key_error(f"variable not found: {name}")

    def set(self, name: str, value: Any) -> None:
        """Assigns to the variable in sight, else to a new one of this scope."""
        if (
            isinstance(value, str)
            and len(value.encode("utf-8", "surrogatepass")) > limits.STRING_BYTES
        ):
            raise runtime_error("ResourceLimitError", "string too long")
        scope: Scope | None = self
        while scope is not None and name not in scope.values:
            scope = scope.parent
        if scope is not None:
            self._check_shared(name, scope)
        (scope or self).put(name, value)

    def _check_shared(self, name: str, owner: Scope) -> None:
        scope = self
        while scope is not owner:
            if scope.shared is not None and name not in scope.shared:
                raise Fault(f"{name} is assigned in a branch, but not shared")
            assert scope.parent is not None
            scope = scope.parent

    def put(self, name: str, value: Any) -> None:
        """Assigns in this very scope."""
        after = size(value)
        self.memory.change(self.sizes.get(name, 0), after)
        self.values[name], self.sizes[name] = value, after

    def end(self) -> None:
        """Frees the variables of a scope that has ended."""
        self.memory.used -= sum(self.sizes.values())
        self.values.clear()
        self.sizes.clear()
