"""The command: discover, install, compile, run, compare, report."""

from __future__ import annotations

import argparse
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue

from . import buckets, compile, discover, install, validators
from .compare import Answer, compare, show
from .discover import Case, CaseError, Pipeline
from .engines import Engine, command
from .report import Report


@dataclass
class Run:
    """One case on all engines."""

    pipeline: Pipeline
    case: Case
    artifacts: Path
    answers: dict[str, Answer] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"{self.pipeline.label}/{self.case.name}"


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    report = Report(options.engines, 40, quiet=options.quiet)
    try:
        mlpipe = compile.binary(options.mlpipe)
    except compile.BuildError as error:
        report.fault("mlpipe", str(error))
        return report.end()
    options.engines = report.engines = installed(options.engines, report)
    loaded = load(options, report)
    with tempfile.TemporaryDirectory(prefix="conformance-") as scratch:
        build = Path(options.keep or scratch)
        compiled = compile_pipelines(mlpipe, loaded, build / "build" if not options.keep else build, options, report)
        if options.validators:
            run_validators(compiled, options.engines, report)
        if not options.validate_only:
            run_cases(mlpipe, compiled, Path(scratch), options, report)
    return report.end()


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run", description="Runs the cases of every DIR/**/pipeline.yaml on each engine and compares.")
    parser.add_argument("roots", metavar="DIR", nargs="+", type=Path)
    parser.add_argument("--engines", type=lambda text: [name for name in text.split(",") if name], default=list(install.ENGINES), help="default: all")
    parser.add_argument("--gcp-api", metavar="URL", help="a server of the Workflows REST API, in place of our interpreter")
    parser.add_argument("--mlpipe", metavar="BIN", help="default: cargo builds it")
    parser.add_argument("--validators", action="store_true", help="also run each cloud's validators over the artifacts")
    parser.add_argument("--validate-only", action="store_true", help="run the validators and no cases")
    parser.add_argument("-k", metavar="SUBSTRING", default="", help="only cases whose name holds it")
    parser.add_argument("--jobs", metavar="N", type=int, default=1, help="processes of each engine (default 1)")
    parser.add_argument("--limit", metavar="SECONDS", type=float, default=120, help="time limit of a case (default 120)")
    parser.add_argument("--keep", metavar="DIR", help="compile into DIR and leave it there")
    parser.add_argument("--quiet", action="store_true", help="no line for a case that passed")
    parser.add_argument("--verbose", action="store_true", help="show what the engines say on stderr")
    options = parser.parse_args(arguments)
    options.validators = options.validators or options.validate_only
    unknown = [name for name in options.engines if name not in install.ENGINES]
    if unknown:
        parser.error(f"no such engine: {', '.join(unknown)} (there are {', '.join(install.ENGINES)})")
    for root in options.roots:
        if not root.is_dir():
            parser.error(f"no such folder: {root}")
    return options


def installed(engines: list[str], report: Report) -> list[str]:
    good = []
    try:
        install.use_scripts()
    except (install.InstallError, OSError) as error:
        report.fault("scripts", str(error))
    for name in engines:
        try:
            install.install(name)
            good.append(name)
        except (install.InstallError, OSError) as error:
            report.fault(f"engine {name}", str(error))
    return good


def load(options: argparse.Namespace, report: Report) -> list[Pipeline]:
    loaded = []
    found = 0
    for path, label in discover.pipelines(options.roots):
        found += 1
        try:
            pipeline = discover.load(path, label)
        except CaseError as error:
            if options.k in label:
                report.fault(label, str(error))
            continue
        pipeline.cases = [case for case in pipeline.cases if options.k in f"{label}/{case.name}"]
        if pipeline.cases:
            loaded.append(pipeline)
    if not found:
        report.fault("pipelines", f"there is no pipeline.yaml under {', '.join(map(str, options.roots))}")
    report.width = max([report.width, *(len(f"{p.label}/{c.name}") for p in loaded for c in p.cases)])
    return loaded


def compile_pipelines(mlpipe: Path, loaded: list[Pipeline], build: Path, options: argparse.Namespace, report: Report) -> list[tuple[Pipeline, Path]]:
    jobs = [(pipeline.path, build / f"{index:03}-{pipeline.name}") for index, pipeline in enumerate(loaded, 1)]
    targets = [name for name in options.engines if name in compile.TARGETS]
    compiled = []
    for pipeline, (_, out), complaint in zip(loaded, jobs, compile.compile_all(mlpipe, jobs, targets)):
        if complaint:
            report.fault(f"{pipeline.label} (compile)", complaint)
        else:
            compiled.append((pipeline, out))
    return compiled


def run_validators(compiled: list[tuple[Pipeline, Path]], engines: list[str], report: Report) -> None:
    for target in [name for name in engines if name in compile.TARGETS]:
        folders = [out / target for _, out in compiled if (out / target).is_dir()]
        if not folders:
            continue
        complaint = validators.validate(target, folders)
        report.fault(f"validators {target}", complaint) if complaint else report.ok(f"validators {target}")
    complaint = validators.compile_python([out for _, out in compiled if out.is_dir()])
    report.fault("validators python", complaint) if complaint else report.ok("validators python")


def run_cases(mlpipe: Path, compiled: list[tuple[Pipeline, Path]], scratch: Path, options: argparse.Namespace, report: Report) -> None:
    """Every engine goes through all cases at its own pace; a case is reported when all have done it."""
    runs = [Run(pipeline, case, out) for pipeline, out in compiled for case in pipeline.cases]
    if not runs or not options.engines:
        return
    report.header()
    answered = threading.Condition()
    queues: dict[str, Queue[int]] = {}
    for name in options.engines:
        queues[name] = Queue()
        for index in range(len(runs)):
            queues[name].put(index)
        for job in range(max(1, min(options.jobs, len(runs)))):
            engine = Engine(command(name, mlpipe, options.gcp_api), options.limit, options.verbose)
            folder = scratch / "buckets" / f"{name}-{job}"
            threading.Thread(target=work, args=(name, engine, queues[name], runs, folder, answered), daemon=True).start()
    for run in runs:
        with answered:
            answered.wait_for(lambda: len(run.answers) == len(options.engines))
        judge(run, options.engines, report)


def work(name: str, engine: Engine, waiting: Queue[int], runs: list[Run], folder: Path, answered: threading.Condition) -> None:
    while True:
        try:
            index = waiting.get_nowait()
        except Empty:
            break
        run = runs[index]
        try:
            answer = {"left_out": True} if left_out(run, name) else engine.ask(request(name, run, folder / run.artifacts.name))
        except Exception as error:  # a fault of ours must not leave the case without an answer
            answer = {"engine_error": f"harness: {type(error).__name__}: {error}"}
        with answered:
            run.answers[name] = answer
            answered.notify_all()
    engine.stop()


def request(name: str, run: Run, folder: Path) -> dict[str, object]:
    return {
        "pipeline": str(run.pipeline.path),
        "pipeline_name": run.pipeline.name,
        "artifacts": str(run.artifacts / name),
        "params": run.case.params,
        "approvals": run.case.approvals,
        "service_faults": run.case.service_faults,
        "buckets": buckets.seed(run.pipeline, folder),
        "steps": run.pipeline.steps,
    }


def left_out(run: Run, engine: str) -> bool:
    """The target does not run a kind of step of the pipeline yet, or has no service that could fail as the case wants."""
    if run.case.service_faults and engine not in compile.TARGETS:
        return True
    return engine in compile.TARGETS and not (run.artifacts / engine).is_dir()


def judge(run: Run, engines: list[str], report: Report) -> None:
    engines = [name for name in engines if not left_out(run, name)]
    notes, wrong = differences(run, engines)
    report.case(run.label, {name: name not in wrong for name in engines}, notes)


def differences(run: Run, engines: list[str]) -> tuple[list[str], set[str]]:
    """What engines answered that they should not have, and which did."""
    notes = []
    wrong = set()
    for name in engines:
        answer = run.answers[name]
        if "engine_error" in answer:
            wrong.add(name)
            said = "\n".join(answer.get("stderr", [])[-15:])
            notes.append(f"engine {name}: {answer['engine_error']}" + (f"\n{said}" if said else ""))
    for difference in compare(run.pipeline, run.case, {name: run.answers[name] for name in engines}):
        wrong |= difference.wrong
        notes.append(difference.line())
        if difference.field == "status":
            notes += [f"error: {name}={show(run.answers[name]['error'])}" for name in sorted(difference.wrong) if run.answers[name].get("error")]
    return notes, wrong
