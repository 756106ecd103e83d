"""A handler that takes its time."""

import time


class Late(Exception):
    pass


def sleep(input):
    time.sleep(input["seconds"])
    if input.get("fail"):
        raise Late("late")
    return input.get("value")
