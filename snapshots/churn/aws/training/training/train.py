"""Fits a forest to the features; every fourth customer is kept to test it."""

import argparse
import csv
import json
import os
from pathlib import Path

import joblib
from sklearn.ensemble import RandomForestClassifier

parser = argparse.ArgumentParser()
parser.add_argument("--max_depth", type=int, default=6)
options = parser.parse_args()

rows = []
for part in sorted(Path(os.environ["MLPIPE_DATA_TRAIN"]).glob("*.csv"), key=lambda part: int(part.stem)):
    with part.open(encoding="utf-8", newline="") as file:
        rows += [[float(cell) for cell in line] for line in list(csv.reader(file))[1:]]
train = [row for index, row in enumerate(rows) if index % 4 != 3]
test = [row for index, row in enumerate(rows) if index % 4 == 3]
print(f"{len(train)} customers to learn from, {len(test)} to test with")

model = RandomForestClassifier(n_estimators=60, max_depth=options.max_depth, random_state=7)
model.fit([row[:-1] for row in train], [int(row[-1]) for row in train])
scores = model.predict_proba([row[:-1] for row in test])[:, 1]

joblib.dump(model, Path(os.environ["MLPIPE_MODEL_DIR"]) / "model.joblib")
with open(os.environ["MLPIPE_METRICS"], "w", encoding="utf-8") as file:
    json.dump(
        {
            "rows": len(train),
            "test": {
                "scores": [round(float(score), 6) for score in scores],
                "churned": [int(row[-1]) for row in test],
            },
        },
        file,
    )
