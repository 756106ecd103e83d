"""The command `fuzz`: random pipelines, the same on every engine."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from . import command, compile, install
from .generate import Generator

KEPT = ("status", "outputs", "error", "attempts", "waits", "skipped")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description="Runs random pipelines on every engine and compares with the local one.")
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="how many pipelines (default 100)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first seed (default 0)")
    parser.add_argument("--engines", default=",".join(install.ENGINES), help="default: all")
    parser.add_argument("--mlpipe", metavar="BIN", help="default: cargo builds it")
    parser.add_argument("--keep", metavar="DIR", type=Path, help="write the pipelines into DIR and leave them there")
    parser.add_argument("--jobs", type=int, default=1, help="processes of each engine (default 1)")
    options = parser.parse_args(arguments)
    mlpipe = compile.binary(options.mlpipe)
    install.install("local")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        folder = options.keep or Path(scratch)
        seeds = range(options.first, options.first + options.seeds)
        with ThreadPoolExecutor(2) as pool:
            refused = [reason for reason in pool.map(lambda seed: write(seed, folder, mlpipe), seeds) if reason]
        for reason in refused:
            print(reason)
        engines = options.engines.split(",")
        result = 0
        if engines != ["local"]:
            result = command.main([str(folder), "--engines", ",".join(engines), "--mlpipe", str(mlpipe), "--jobs", str(options.jobs), "--quiet"])
        print(f"{len(seeds)} seeds from {options.first} on, {len(refused)} refused by the compiler")
        return 1 if refused else result


def write(seed: int, folder: Path, mlpipe: Path) -> str | None:
    """Writes the pipeline of a seed, with what the local engine gives as the case; what is wrong, where it cannot run."""
    name = f"seed-{seed}"
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    source = os.path.relpath(install.ROOT / "tests" / "corpus" / "functions", place)
    document, params = Generator(seed).pipeline(name, source)
    path = place / "pipeline.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=160))
    done = subprocess.run(
        [str(mlpipe), "run", str(path), "--no-wait", "--format", "json"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PATH": f"{install.folder('local') / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}", "VIRTUAL_ENV": str(install.folder("local"))},
    )
    try:
        record = json.loads(done.stdout)
        # What stands beside a failure is a race, which the harness knows from the engines' answers alone.
        kept = KEPT if record["status"] == "succeeded" else ("status", "error")
        case = {key: record[key] for key in kept if record[key] is not None}
    except (ValueError, KeyError, TypeError):
        return f"{name}: {done.stdout or done.stderr}"
    (place / "cases.json").write_text(json.dumps([{"params": params, **case}], ensure_ascii=False, indent=2))
    return None
