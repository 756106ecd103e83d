"""Installs each engine's tools under target/conformance/ENGINE: a venv, and node_modules where the engine has a package.json."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

CONFORMANCE = Path(__file__).resolve().parent.parent
ROOT = CONFORMANCE.parent.parent
TARGET = ROOT / "target" / "conformance"
ENGINES = ("local", "aws", "gcp", "azure")
SCRIPTS = "scripts"
INPUTS = ("requirements.txt", "package.json", "package-lock.json")


class InstallError(Exception):
    """What an engine needs could not be installed."""


def folder(name: str) -> Path:
    return TARGET / name


def python(name: str) -> Path:
    return folder(name) / "bin" / "python"


def install(name: str) -> str:
    """Installs what `name` needs; says whether it had to."""
    inputs = [CONFORMANCE / name / file for file in INPUTS if (CONFORMANCE / name / file).is_file()]
    target = folder(name)
    target.mkdir(parents=True, exist_ok=True)
    with open(TARGET / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = target / "stamp"
        wanted = fingerprint(inputs)
        if stamp.is_file() and stamp.read_text() == wanted and python(name).exists():
            return "current"
        shutil.rmtree(target)
        make_venv(name, target)
        for file in inputs:
            if file.name == "requirements.txt":
                pip_install(name, file)
        if (CONFORMANCE / name / "package.json").is_file():
            npm_install(name, target)
        stamp.write_text(wanted)
        return "installed"


def use_scripts() -> None:
    """Installs the frameworks of training scripts, and has every engine run scripts with them."""
    if "MLPIPE_PYTHON" not in os.environ:
        install(SCRIPTS)
        os.environ["MLPIPE_PYTHON"] = str(python(SCRIPTS))


def fingerprint(inputs: list[Path]) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for file in inputs:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def make_venv(name: str, target: Path) -> None:
    execute(name, [sys.executable, "-m", "venv", str(target)])


def pip_install(name: str, requirements: Path) -> None:
    execute(name, [str(python(name)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements)])


def npm_install(name: str, target: Path) -> None:
    for file in ("package.json", "package-lock.json"):
        source = CONFORMANCE / name / file
        if source.is_file():
            shutil.copy(source, target / file)
    command = "ci" if (target / "package-lock.json").is_file() else "install"
    execute(name, ["npm", command, "--silent", "--no-audit", "--no-fund"], cwd=target)


def execute(name: str, command: list[str], cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    except FileNotFoundError:
        raise InstallError(f"cannot be installed: `{command[0]}` is not on the PATH") from None
    if done.returncode != 0:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
        raise InstallError(f"cannot be installed: `{' '.join(command)}` exited with {done.returncode}\n{tail}")


def enter_venv() -> None:
    """Starts this script again under the harness's own Python, which has PyYAML."""
    own = python("harness")
    if Path(sys.prefix) == folder("harness"):
        return
    try:
        install("harness")
    except InstallError as error:
        sys.exit(f"harness: {error}")
    os.execv(own, [str(own), *sys.argv])
