"""Logistic regression by several workers: each learns from its rows for a while, then all take the mean of their weights."""

import argparse
import csv
import json
import os
from pathlib import Path

import joblib
import numpy as np
from mean import Mean
from sklearn.linear_model import SGDClassifier

parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int, default=20)
options = parser.parse_args()

rank = int(os.environ.get("RANK", "0"))
workers = int(os.environ.get("WORLD_SIZE", "1"))

rows = []
for part in sorted(Path(os.environ["MLPIPE_DATA_TRAIN"]).glob("*.csv")):
    with part.open(encoding="utf-8", newline="") as file:
        rows += [[float(cell) for cell in line] for line in list(csv.reader(file))[1:]]
rows = np.array(rows)
test, train = rows[::5], np.delete(rows, np.s_[::5], axis=0)
own = train[rank::workers]
print(f"worker {rank} of {workers} has {len(own)} of {len(train)} rows")

model = SGDClassifier(loss="log_loss", random_state=3, eta0=0.05, learning_rate="constant")
with Mean(rank, workers, os.environ.get("MASTER_ADDR", "127.0.0.1"), int(os.environ.get("MASTER_PORT", "0"))) as mean:
    for _ in range(options.rounds):
        model.partial_fit(own[:, :-1], own[:, -1], classes=[0, 1])
        weights = mean(np.append(model.coef_[0], model.intercept_))
        model.coef_, model.intercept_ = weights[None, :-1], weights[-1:]

if rank == 0:
    accuracy = model.score(test[:, :-1], test[:, -1])
    joblib.dump(model, Path(os.environ["MLPIPE_MODEL_DIR"]) / "model.joblib")
    with open(os.environ["MLPIPE_METRICS"], "w", encoding="utf-8") as file:
        json.dump({"workers": workers, "accuracy": round(float(accuracy), 3), "rows": len(train)}, file)
