"""Loads models and predicts by the rules of mlpipe: one JSON instance in, one JSON prediction out.

A model folder holds its framework's standard file. A file `serving.py` beside it, with `load(folder)` and
`predict(model, instances)`, goes before it.
"""

import importlib.util
import os
import tarfile


class NoModel(Exception):
    """The folder holds no model that mlpipe knows."""


def load(folder):
    """Gives a function from a list of instances to a list of as many predictions."""
    folder = unpacked(folder)
    for name, loader in LOADERS:
        path = os.path.join(folder, name)
        if os.path.exists(path):
            return loader(path)
    known = ", ".join(name for name, _ in LOADERS)
    raise NoModel(f"the model folder has none of {known}")


def predict(model, instances):
    """Predictions as JSON values."""
    predictions = [plain(prediction) for prediction in model(instances)]
    if len(predictions) != len(instances):
        raise ValueError(f"the model gave {len(predictions)} predictions for {len(instances)} instances")
    return predictions


def unpacked(folder):
    """Some services keep a model as one archive."""
    archive = os.path.join(folder, "model.tar.gz")
    if not os.path.exists(archive):
        return folder
    inner = os.path.join(folder, "model")
    if not os.path.isdir(inner):
        with tarfile.open(archive) as packed:
            if hasattr(tarfile, "data_filter"):  # early patches of Python 3.8 to 3.11 lack it
                packed.extractall(inner, filter="data")
            else:
                packed.extractall(inner)
    return inner


def plain(value):
    """A value of NumPy or of a tensor library as Python has it."""
    return value.tolist() if hasattr(value, "tolist") else value


def rows(instances):
    """Instances as a matrix: objects by their values, numbers as rows of one."""
    return [
        list(instance.values()) if isinstance(instance, dict) else instance if isinstance(instance, list) else [instance]
        for instance in instances
    ]


def own(path):
    spec = importlib.util.spec_from_file_location("serving", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.load(os.path.dirname(path))
    return lambda instances: module.predict(model, instances)


def sklearn(path):
    import joblib

    model = joblib.load(path)
    return lambda instances: model.predict(rows(instances))


def pickled(path):
    import pickle

    with open(path, "rb") as file:
        model = pickle.load(file)
    return lambda instances: model.predict(rows(instances))


def xgboost(path):
    import numpy
    import xgboost

    model = xgboost.Booster()
    model.load_model(path)
    return lambda instances: model.predict(xgboost.DMatrix(numpy.asarray(rows(instances), dtype=float)))


def pytorch(path):
    import torch

    model = torch.jit.load(path, map_location="cpu")
    model.eval()

    def run(instances):
        with torch.no_grad():
            return model(torch.tensor(rows(instances), dtype=torch.float32))

    return run


def keras(path):
    import numpy
    import tensorflow

    model = tensorflow.keras.models.load_model(path)
    return lambda instances: model.predict(numpy.asarray(rows(instances), dtype="float32"), verbose=0)


def saved_model(path):
    import tensorflow

    model = tensorflow.saved_model.load(os.path.dirname(path)).signatures["serving_default"]

    def run(instances):
        outputs = model(tensorflow.constant(rows(instances), dtype="float32"))
        return next(iter(outputs.values())).numpy()

    return run


LOADERS = [
    ("serving.py", own),
    ("model.joblib", sklearn),
    ("model.pkl", pickled),
    ("model.json", xgboost),
    ("model.ubj", xgboost),
    ("model.bst", xgboost),
    ("model.pt", pytorch),
    ("model.keras", keras),
    ("saved_model.pb", saved_model),
]
