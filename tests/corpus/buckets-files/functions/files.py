import fsspec


def write(input):
    with fsspec.open(input["uri"], "w", encoding="utf-8") as file:
        file.write(input["text"])
    return {"uri": input["uri"]}


def read(input):
    with fsspec.open(input["uri"], "r", encoding="utf-8") as file:
        return {"text": file.read()}
