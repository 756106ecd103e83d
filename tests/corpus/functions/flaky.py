"""Handlers that fail on some attempts, by the attempt's number alone."""

import os
import time


class Flaky(Exception):
    pass


class Stubborn(Exception):
    pass


def until(input, context):
    """Fails before the attempt `input`, and then returns its number."""
    if context.attempt < input:
        raise Flaky(f"attempt {context.attempt}")
    return context.attempt


def script(input, context):
    """Does what the list `input` says for this attempt, its last entry from then on."""
    return act(input[min(context.attempt, len(input)) - 1], context.attempt)


def act(what, attempt):
    if what == "flaky":
        raise Flaky(f"attempt {attempt}")
    if what == "stubborn":
        raise Stubborn(f"attempt {attempt}")
    if what == "crash":
        os._exit(1)
    if what == "sleep":
        time.sleep(30)
    return what
