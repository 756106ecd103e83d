"""Makes a model the current one."""

import model


def handler(input):
    model.save(model.load(input["model"]), input["target"])
    return {"model_uri": input["target"]}
