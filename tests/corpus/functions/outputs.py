"""Handlers whose outputs are hard to pass on."""


def a_set(input):
    return {"xs": [1, {2}]}


def some_bytes(input):
    return {"raw": b"\x00\xff"}


def not_a_number(input):
    return {"auc": float("nan")}


def infinity(input):
    return [1, float("inf")]


def integer_key(input):
    return {"counts": {1: "one"}}


def an_object(input):
    return {"it": object()}


def circular(input):
    value = {}
    value["self"] = value
    return value


def half_a_pair(input):
    return "\ud83d"


def tuples(input):
    return {"pair": (1, (2, 3))}


def big_integer(input):
    return {"n": 2**53}


def largest_integers(input):
    return {"n": 2**53 - 1, "m": 1 - 2**53}


def text_of(input):
    """A text of `size` times `letter`."""
    return input["letter"] * input["size"]


def length(input):
    return len(input)


def retried_shape(input, context):
    return {"rows": "many" if context.attempt == 1 else 2}


def kinds(input):
    return {"rows": 3.0, "auc": 1, "tags": ["a", "b"], "best": {"name": "m", "depth": 4}, "more": [1]}
