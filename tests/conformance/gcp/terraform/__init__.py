"""Reads Terraform JSON: the part of its expression language that templates use."""

from .expressions import TerraformError
from .module import Module, Unknown

__all__ = ["Module", "TerraformError", "Unknown"]
