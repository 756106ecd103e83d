"""Checks Terraform JSON against the Google provider's schema."""

from .check import check_folder
from .provider import Provider

__all__ = ["Provider", "check_folder"]
