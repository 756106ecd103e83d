"""The command `fuzz`: random pipelines, the same on every engine.

Each seed goes by itself: written, run locally, compiled, run on the other engines, compared. Two ends keep the machine busy: some threads make pipelines,
and each engine has processes that stay warm. What is under way at once is bounded, and what agreed is removed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from . import command, compile, discover, install
from .compare import Answer, compare
from .engines import Engine
from .engines import command as engine_command
from .generate import ROOT, Generator
from .progress import Progress

KEPT = ("status", "outputs", "error", "attempts", "waits", "skipped")
REFERENCE = "local"
WINDOW = 40
"""Seeds under way at once."""
LIMIT = 120
MOST_TOLD = 20


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    mlpipe = compile.binary(options.mlpipe)
    others = [name for name in options.engines if name != REFERENCE]
    for name in {REFERENCE, *others}:
        install.install(name)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        fuzz = Fuzz(mlpipe, others, options.keep or Path(scratch), bool(options.keep), options.jobs)
        try:
            return fuzz.run(range(options.first, options.first + options.seeds))
        finally:
            fuzz.close()


def parse(arguments: list[str]) -> argparse.Namespace:
    cores = os.cpu_count() or 2
    parser = argparse.ArgumentParser(prog="fuzz", description="Runs random pipelines on every engine and compares with the local one.")
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="how many pipelines (default 100)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first seed (default 0)")
    parser.add_argument("--engines", type=lambda text: [name for name in text.split(",") if name], default=list(install.ENGINES), help="default: all")
    parser.add_argument("--mlpipe", metavar="BIN", help="default: cargo builds it")
    parser.add_argument("--keep", metavar="DIR", type=Path, help="write the pipelines into DIR and leave them there")
    parser.add_argument("--jobs", type=int, default=max(1, cores // 4), help="processes of each engine (default: one for four cores)")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.engines if name not in install.ENGINES]
    if unknown:
        parser.error(f"no such engine: {', '.join(unknown)} (there are {', '.join(install.ENGINES)})")
    return options


class Refused(Exception):
    """The pipeline of a seed does not compile, or gives no record."""


@dataclass
class Made:
    """A seed that compiled: what the local engine said, and what the others will."""

    run: command.Run
    answers: dict[str, Future[Answer]] = field(default_factory=dict)


class Fuzz:
    """The makers, the engines, and what they have found."""

    def __init__(self, mlpipe: Path, engines: list[str], folder: Path, keep: bool, jobs: int) -> None:
        self.mlpipe, self.engines, self.folder, self.keep = mlpipe, engines, folder, keep
        self.makers = ThreadPoolExecutor(max(2, (os.cpu_count() or 2) // 2))
        self.askers = {name: Askers(engine_command(name, mlpipe, None), jobs) for name in engines}
        self.notes: list[str] = []

    def run(self, seeds: range) -> int:
        """All seeds; the exit code."""
        refused = different = 0
        progress = Progress(len(seeds))
        for number, made in windowed(seeds, lambda seed: self.makers.submit(self.make, seed)):
            label = f"seed-{number}"
            try:
                notes = self.judged(made.result())
                different += bool(notes)
            except Refused as error:
                refused += 1
                notes = [str(error)]
            except Exception as error:  # a fault of ours must not end the other seeds
                different += 1
                notes = [f"harness: {type(error).__name__}: {error}"]
            if notes:
                progress.clear()
                print("\n".join([f"{label}: " + note.replace("\n", "\n    ") for note in notes]), flush=True)
                self.notes.append(self.again(number))
            if not self.keep and not notes:
                shutil.rmtree(self.folder / label, ignore_errors=True)
            progress.step(1, f"{different} differ, {refused} refused")
        progress.clear()
        if self.notes:
            print("\nEach again, and left to look at:\n" + "\n".join(self.notes[:MOST_TOLD]) + (f"\n… and {len(self.notes) - MOST_TOLD} more" if len(self.notes) > MOST_TOLD else ""))
        print(f"{len(seeds)} seeds from {seeds.start} on in {progress.seconds():.0f} s: {len(seeds) - different - refused} agree, {different} differ, {refused} refused by the compiler")
        return 1 if different or refused else 0

    def again(self, seed: int) -> str:
        return f"tests/conformance/fuzz --first {seed} --seeds 1 --engines {','.join([REFERENCE, *self.engines])} --keep /tmp/fuzz"

    def make(self, seed: int) -> Made:
        """Writes the pipeline of a seed, runs it here, compiles it, and asks the engines."""
        place = self.folder / f"seed-{seed}"
        path, params, approvals = write(seed, place)
        record = local(self.mlpipe, path, approvals)
        # What stands beside a failure is a race, which the harness knows from the engines' answers alone.
        kept = KEPT if record["status"] == "succeeded" else ("status", "error")
        case = {key: record[key] for key in kept if record.get(key) is not None}
        (place / "cases.json").write_text(json.dumps([{"params": params, **({"approvals": approvals} if approvals else {}), **case}], ensure_ascii=False, indent=2))
        targets = [name for name in self.engines if name in compile.TARGETS]
        complaint = compile.compile_one(self.mlpipe, path, place / "build", targets)
        if complaint:
            raise Refused(complaint)
        pipeline = discover.load(path, place.name)
        made = Made(command.Run(pipeline, pipeline.cases[0], place / "build"))
        made.run.answers[REFERENCE] = {**record, "run_id": record.get("run_id"), "buckets": {}}
        for name in self.engines:
            made.answers[name] = self.askers[name].ask(command.request(name, made.run, place / "buckets" / name))
        return made

    def judged(self, made: Made) -> list[str]:
        """What differs. Then the local engine runs once more: if it differs from itself, the pipeline has a race."""
        run = made.run
        run.answers.update({name: future.result() for name, future in made.answers.items()})
        notes, _ = command.differences(run, list(run.answers))
        if notes:
            again = local(self.mlpipe, run.pipeline.path, run.case.approvals)
            twice = {REFERENCE: run.answers[REFERENCE], "again": {**again, "run_id": None, "buckets": {}}}
            notes += [f"local twice: {difference.line()}" for difference in compare(run.pipeline, run.case, twice)]
        return notes

    def close(self) -> None:
        self.makers.shutdown(cancel_futures=True)
        for askers in self.askers.values():
            askers.close()


class Askers:
    """Processes of one engine."""

    def __init__(self, line: list[str], jobs: int) -> None:
        self.line = line
        self.pool = ThreadPoolExecutor(jobs)
        self.own = threading.local()
        self.started: list[Engine] = []

    def ask(self, request: dict[str, object]) -> Future[Answer]:
        return self.pool.submit(self._ask, request)

    def _ask(self, request: dict[str, object]) -> Answer:
        if not hasattr(self.own, "engine"):
            self.own.engine = Engine(self.line, LIMIT)
            self.started.append(self.own.engine)
        return self.own.engine.ask(request)

    def close(self) -> None:
        self.pool.shutdown(cancel_futures=True)
        for engine in self.started:
            engine.stop()


def windowed(seeds: Iterable[int], start: Callable[[int], Future[Made]]) -> Iterable[tuple[int, Future[Made]]]:
    """The futures in the order of seeds, a bounded number of them under way."""
    waiting: deque[tuple[int, Future[Made]]] = deque()
    for seed in seeds:
        waiting.append((seed, start(seed)))
        if len(waiting) >= WINDOW:
            yield waiting.popleft()
    yield from waiting


def write(seed: int, place: Path) -> tuple[Path, dict[str, object], dict[str, object]]:
    """Writes the files of a seed. Gives the pipeline's path, and the params and answers of its run."""
    place.mkdir(parents=True, exist_ok=True)
    source = os.path.relpath(install.ROOT / "tests" / "corpus" / "functions", place)
    generator = Generator(seed)
    document, params = generator.pipeline(place.name, source)
    for name, content in {ROOT: document, **generator.files}.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=160))
    return place / ROOT, params, generator.approvals


def local(mlpipe: Path, path: Path, approvals: dict[str, object]) -> Answer:
    """What `mlpipe run` gives."""
    answers = [word for step, answer in approvals.items() for word in ("--answer", f"{step}={json.dumps(answer)}")]
    done = subprocess.run(
        [str(mlpipe), "run", str(path), "--no-wait", "--format", "json", *answers],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env={**os.environ, "PATH": f"{install.folder('local') / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}", "VIRTUAL_ENV": str(install.folder("local"))},
    )
    try:
        record = json.loads(done.stdout)
        record["status"], record["error"]
        return record
    except (ValueError, KeyError, TypeError):
        raise Refused(done.stdout or done.stderr) from None
