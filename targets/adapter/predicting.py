"""Predictions for all files of a folder, by the rules of mlpipe. Started as a training script is.

MLPIPE_DATA_MODEL and MLPIPE_DATA_INPUT are folders; MLPIPE_OUTPUT_DIR gets a file of JSON lines for each file of instances, a line a prediction.
"""

import csv
import json
import os
import sys

import mlpipe_serving

BATCH = 1000


def main():
    model = mlpipe_serving.load(os.environ["MLPIPE_DATA_MODEL"])
    source, target = os.environ["MLPIPE_DATA_INPUT"], os.environ["MLPIPE_OUTPUT_DIR"]
    predictions = 0
    for name, read in files(source):
        path = os.path.join(target, f"{name}.predictions.jsonl")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        partial = f"{path}.partial"
        with open(partial, "w", encoding="utf-8") as out:
            for instances in batches(read(os.path.join(source, name))):
                for prediction in mlpipe_serving.predict(model, instances):
                    out.write(json.dumps(prediction, ensure_ascii=False, allow_nan=False) + "\n")
                predictions += len(instances)
        os.replace(partial, path)
        print(f"{name}: done, {predictions} predictions so far")
    with open(os.environ["MLPIPE_METRICS"], "w", encoding="utf-8") as file:
        json.dump({"predictions": predictions}, file)


def files(folder):
    """Relative paths of what can be read, sorted, each with its reader."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            reader = READERS.get(os.path.splitext(name)[1])
            # Its own output may lie below its input.
            if reader and not name.endswith(".predictions.jsonl"):
                found.append((os.path.relpath(os.path.join(place, name), folder), reader))
    return sorted(found)


def batches(instances):
    batch = []
    for instance in instances:
        batch.append(instance)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def csv_rows(path):
    """Rows of numbers and texts below a line of names."""
    with open(path, encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        next(lines, None)
        for line in lines:
            if line:
                yield [number(cell) for cell in line]


def json_lines(path):
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip():
                yield json.loads(line)


def number(cell):
    try:
        return float(cell)
    except ValueError:
        return cell


READERS = {".csv": csv_rows, ".jsonl": json_lines}

if __name__ == "__main__":
    sys.exit(main())
