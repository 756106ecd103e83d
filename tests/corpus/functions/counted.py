"""Handlers that know how often they ran: a count a run and key, in a file."""

import tempfile
from pathlib import Path


class Early(Exception):
    pass


def _count(run, key):
    folder = Path(tempfile.gettempdir()) / "mlpipe-corpus"
    folder.mkdir(exist_ok=True)
    file = folder / f"{run}-{key}".replace("/", "_").replace(":", "_")
    count = int(file.read_text()) + 1 if file.exists() else 1
    file.write_text(str(count))
    return count


def count(input, context):
    """How often it ran with this key, this run included."""
    return _count(context.run_id, input["key"])


def until(input, context):
    """Fails until it runs for the `good`-th time."""
    count = _count(context.run_id, input["key"])
    if count < input["good"]:
        raise Early(f"run {count}")
    return count


def within(input):
    """Fails until it runs for the `good`-th time within the run `run`, whichever execution it is in."""
    count = _count(input["run"], "within")
    if count < input["good"]:
        raise Early(f"run {count}")
    return count
