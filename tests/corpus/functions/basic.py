"""Handlers that do nothing of interest, well."""


def nothing(input):
    return None


def echo(input):
    return input


def add_one(input):
    return {"n": input["n"] + 1}


def append(input):
    return input["to"] + [input["item"]]


def change_input(input):
    input["xs"].append(99)
    input["n"] = 0
    return input
