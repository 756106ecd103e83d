"""Handlers that care how a number arrives."""


def kinds(input):
    return [type(value).__name__ for value in input]


def repeat(input):
    return input["text"] * input["times"]
