"""The handlers that the snippets of the documentation call."""


class NoRows(Exception):
    pass


def echo(input):
    return input


def nothing(input):
    return None


def train(input):
    return {"auc": round(0.8 + input["depth"] / 100, 2)}


def load(input):
    if input["rows"] == 0:
        raise NoRows("the file is empty")
    return {"rows": input["rows"]}


def flaky(input, context):
    if context.attempt < 3:
        raise ConnectionError(f"attempt {context.attempt}")
    return f"attempt {context.attempt}"


def poll(input):
    return {"state": "done" if input["asked"] >= 2 else "running", "asked": input["asked"] + 1}
