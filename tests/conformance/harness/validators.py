"""Runs each cloud's validators over all artifacts, one batch each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from . import install

SCRIPTS = {"aws": "validate.py", "gcp": "validate.py", "azure": "validate.py"}

SHOWN = 60
"""Lines of a validator's complaints that the report shows."""


def validate(target: str, folders: list[Path]) -> str | None:
    """The complaints of a target's validator, or None."""
    command = [str(install.python(target)), str(install.CONFORMANCE / target / SCRIPTS[target]), *map(str, folders)]
    return complaint(command)


def compile_python(folders: list[Path]) -> str | None:
    """What Python's own compiler says to the artifacts' sources."""
    probe = (
        "import pathlib, sys\n"
        "bad = 0\n"
        "for folder in sys.argv[1:]:\n"
        "    for path in sorted(pathlib.Path(folder).rglob('*.py')):\n"
        "        try:\n"
        "            compile(path.read_bytes(), str(path), 'exec', dont_inherit=True)\n"
        "        except (SyntaxError, ValueError) as error:\n"
        "            bad = 1\n"
        "            print(f'{path}: {error}')\n"
        "sys.exit(bad)\n"
    )
    return complaint([sys.executable, "-W", "ignore", "-c", probe, *map(str, folders)])


def complaint(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return None
    lines = (done.stdout.strip() + "\n" + done.stderr.strip()).strip().splitlines() or [f"exit code {done.returncode}"]
    return "\n".join(lines[:SHOWN] + ([f"… and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []))
