"""Handlers that break a rule, one each."""

import sys
import time


class NoRows(Exception):
    pass


class WithFields(Exception):
    def __init__(self, code, detail):
        super().__init__(code, detail)

    def __str__(self):
        return f"{self.args[0]}: {self.args[1]}"


def value_error(input):
    raise ValueError("bad value")


def raise_message(input):
    raise NoRows(input)


def no_message(input):
    raise NoRows()


def with_fields(input):
    raise WithFields(42, "disk full")


def key_error(input):
    return input["gone"]


def division(input):
    return 1 / 0


def assertion(input):
    assert input == 1, "input must be 1"


def chained(input):
    try:
        return {}["inner"]
    except KeyError as error:
        raise NoRows("outer") from error


def local_class(input):
    class Local(Exception):
        pass

    raise Local("from inside a function")


def exit_text(input):
    sys.exit("enough")


def exit_code(input):
    sys.exit(3)


def interrupted(input):
    raise KeyboardInterrupt()


def sleeps(input):
    time.sleep(30)


def must_equal(input):
    if input["actual"] != input["expected"]:
        raise AssertionError(f"{input['actual']!r} is not {input['expected']!r}")
