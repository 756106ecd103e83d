"""Gives each bucket of a run a folder of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

from .discover import Pipeline


def seed(pipeline: Pipeline, folder: Path) -> dict[str, str]:
    """Makes a folder for each bucket under `folder`, filled from the pipeline's local buckets; name to path.

    The folders of a pipeline are the same ones for all of its cases, emptied between them, so that engines can keep functions warm.
    """
    shutil.rmtree(folder, ignore_errors=True)
    made = {}
    for bucket in pipeline.buckets:
        place = folder / bucket
        source = pipeline.seeds.get(bucket)
        if source is not None and source.is_dir():
            shutil.copytree(source, place)
        else:
            place.mkdir(parents=True)
        made[bucket] = str(place)
    return made
