"""A handler in a package, with a sibling module, a module of the folder above, and a data file."""

from pathlib import Path

import basic

from .names import GREETING


def run(input):
    place = Path(__file__).with_name("place.txt").read_text().strip()
    return basic.echo(f"{GREETING}, {place}")
