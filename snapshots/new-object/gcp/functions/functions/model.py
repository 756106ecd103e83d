"""A logistic regression in plain Python."""

import csv
import json
import math

import fsspec

NOT_FEATURES = ("customer_id", "churned")
ROUNDS = 400
STEP = 0.5
SHRINK = 0.001


def read_rows(uri):
    """Feature names, feature rows and labels of a cleaned table."""
    with fsspec.open(uri, "r", encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file))
    names = [name for name in records[0] if name not in NOT_FEATURES]
    rows = [[float(record[name]) for name in names] for record in records]
    return names, rows, [int(record["churned"]) for record in records]


def fit(names, rows, labels):
    """Gradient descent over standardised features, the same number of rounds whatever the data."""
    columns = list(zip(*rows))
    means = [sum(column) / len(column) for column in columns]
    scales = [spread(column, mean) or 1.0 for column, mean in zip(columns, means)]
    scaled = [scale(row, means, scales) for row in rows]
    bias, weights = 0.0, [0.0] * len(names)
    for _ in range(ROUNDS):
        errors = [sigmoid(bias + dot(weights, row)) - label for row, label in zip(scaled, labels)]
        bias -= STEP * sum(errors) / len(errors)
        for index, column in enumerate(zip(*scaled)):
            slope = dot(errors, column) / len(errors) + SHRINK * weights[index]
            weights[index] -= STEP * slope
    return {
        "features": names,
        "means": [round(mean, 9) for mean in means],
        "scales": [round(scale, 9) for scale in scales],
        "bias": round(bias, 9),
        "weights": [round(weight, 9) for weight in weights],
    }


def predict(model, row):
    return sigmoid(model["bias"] + dot(model["weights"], scale(row, model["means"], model["scales"])))


def save(model, uri):
    with fsspec.open(uri, "w", encoding="utf-8") as file:
        json.dump(model, file, indent=2)


def load(uri):
    with fsspec.open(uri, "r", encoding="utf-8") as file:
        return json.load(file)


def spread(column, mean):
    return math.sqrt(sum((value - mean) ** 2 for value in column) / len(column))


def scale(row, means, scales):
    return [(value - mean) / scale for value, mean, scale in zip(row, means, scales)]


def dot(left, right):
    return sum(a * b for a, b in zip(left, right))


def sigmoid(x):
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, x))))
