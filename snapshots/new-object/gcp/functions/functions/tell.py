"""Tells someone that the pipeline failed: whoever reads its log."""


def handler(input):
    print(input["message"])
    return {"told": input["message"]}
