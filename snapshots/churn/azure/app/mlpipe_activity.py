"""Runs a step's handler inside an activity."""

import functools
import importlib.util
import os
import sys
import threading
from pathlib import Path

APP = Path(__file__).resolve().parent

_loading = threading.Lock()


def run_step(source, envelope):
    """Runs a step whose handler lies in a folder. Returns {"output": value} or {"error": {"name", "message"}}; never raises for a step's own failure."""
    return core_of(source).invoke(envelope, read_secret)


def core_of(source):
    with _loading:
        return load_core(source)


@functools.cache
def load_core(source):
    """The adapter core of one folder, whose handlers see their own folder first."""
    folder = APP / source
    spec = importlib.util.spec_from_file_location(f"mlpipe_core_{len(sys.modules)}", folder / "mlpipe_core.py")
    core = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = core
    spec.loader.exec_module(core)
    load = core.load

    def load_here(step):
        with _loading:
            bring_forward(folder)
            return load(step)

    core.load = load_here
    return core


def bring_forward(folder):
    """Makes `import name` find this folder's module, even where another folder has one of the same name."""
    if sys.path[0] == str(folder):
        return
    if str(folder) in sys.path:
        sys.path.remove(str(folder))
    sys.path.insert(0, str(folder))
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is None or not name_in(folder, name.partition(".")[0]):
            continue
        path = Path(file)
        if path.is_relative_to(APP) and not path.is_relative_to(folder):
            del sys.modules[name]


def name_in(folder, name):
    return (folder / f"{name}.py").is_file() or (folder / name).is_dir()


def read_secret(name):
    return key_vault().get_secret(name.replace("_", "-")).value


@functools.cache
def key_vault():
    from azure.identity import DefaultAzureCredential
    from azure.keyvault.secrets import SecretClient

    return SecretClient(vault_url=os.environ["MLPIPE_KEY_VAULT_URL"], credential=DefaultAzureCredential())
