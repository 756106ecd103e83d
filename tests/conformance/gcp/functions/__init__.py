"""Runs Cloud Run functions on loopback under the real functions-framework."""

from .proxy import Proxy
from .service import FunctionSpec, Instances, Zygote

__all__ = ["FunctionSpec", "Instances", "Proxy", "Zygote"]
