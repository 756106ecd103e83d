"""Fits the model and leaves it in the bucket `models`."""

import model


def handler(input):
    names, rows, labels = model.read_rows(input["data"])
    model.save(model.fit(names, rows, labels), input["model"])
    return {"model_uri": input["model"], "rows": len(rows)}
