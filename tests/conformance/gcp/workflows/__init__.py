"""An interpreter of Google Workflows definitions, written from Google's documentation.

Comments of the form "Workflows docs, PAGE" name the page that a behaviour follows. Where the
documentation is silent the interpreter stops with a Fault, so that no generated workflow can come
to depend on a guess.
"""

from .definition import Workflow, load
from .errors import DeployError, Fault, WorkflowError
from .interpreter import Deployed, Execution, Outcome, World

__all__ = ["Deployed", "DeployError", "Execution", "Fault", "Outcome", "Workflow", "WorkflowError", "World", "load"]
