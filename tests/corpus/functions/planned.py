"""A handler that does what its input plans for each attempt."""

import os
import time


class Flaky(Exception):
    pass


class Fatal(Exception):
    pass


def run(input, context):
    """`plan` has a word an attempt, the last from then on: `ok` returns `value`, a name raises it, `crash` ends the process."""
    plan = input["plan"]
    what = plan[min(context.attempt, len(plan)) - 1]
    if what == "ok":
        return input["value"]
    if what == "crash":
        os._exit(1)
    if what == "sleep":
        time.sleep(30)
    raise {"Flaky": Flaky, "Fatal": Fatal}[what](f"attempt {context.attempt}")
