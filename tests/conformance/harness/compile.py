"""Runs the compiler."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .install import ROOT

TARGETS = ("aws", "gcp", "azure")


class BuildError(Exception):
    """The compiler could not be built."""


def binary(given: str | None) -> Path:
    """The mlpipe to test: the one given, or the one that cargo builds."""
    if given:
        path = Path(given).resolve()
        if not path.is_file():
            raise BuildError(f"there is no {given}")
        return path
    done = subprocess.run(["cargo", "build", "--quiet"], cwd=ROOT)
    if done.returncode != 0:
        raise BuildError("`cargo build` failed")
    return ROOT / "target" / "debug" / "mlpipe"


def compile_all(mlpipe: Path, jobs: list[tuple[Path, Path]], targets: list[str]) -> list[str | None]:
    """Compiles each (pipeline, output folder); for each the compiler's complaint, or None."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda job: compile_one(mlpipe, *job, targets), jobs))


def compile_one(mlpipe: Path, pipeline: Path, out: Path, targets: list[str]) -> str | None:
    """Compiles for the targets but those that leave out a kind of step that the pipeline has: they get no folder."""
    complaint = compile_for(mlpipe, pipeline, out, targets)
    if complaint and "MLP0709" in complaint:
        left_out = behind(mlpipe, pipeline)
        whole = [target for target in targets if target not in left_out]
        return compile_for(mlpipe, pipeline, out, whole) if len(whole) < len(targets) else complaint
    return complaint


def behind(mlpipe: Path, pipeline: Path) -> set[str]:
    """The targets that say of a pipeline, or of one that it runs, that they do not run a kind of step yet."""
    command = [str(mlpipe), "validate", str(pipeline), "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    problems = json.loads(done.stdout)["problems"]
    return {problem["message"].split()[0] for problem in problems if problem["code"] == "MLP0709"}


def compile_for(mlpipe: Path, pipeline: Path, out: Path, targets: list[str]) -> str | None:
    if not targets:
        return None
    command = [str(mlpipe), "compile", str(pipeline), "-o", str(out)]
    for target in targets:
        command += ["--target", target]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    except (subprocess.TimeoutExpired, OSError) as error:
        return str(error)
    if done.returncode != 0:
        return f"exit code {done.returncode}\n{(done.stderr or done.stdout).strip()}"
    missing = [target for target in targets if not (out / target).is_dir()]
    return f"nothing was written for {', '.join(missing)}" if missing else None
