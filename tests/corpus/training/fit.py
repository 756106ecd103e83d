"""A training script: what it was given goes into the metrics, and a file into the model."""

import argparse
import json
import os
import sys

parser = argparse.ArgumentParser()
parser.add_argument("--depth", type=int, default=1)
parser.add_argument("--rate", default="none")
parser.add_argument("--flag", default="none")
parser.add_argument("--text", default="none")
parser.add_argument("--do", default="")
options = parser.parse_args()


class Diverged(Exception):
    pass


if options.do == "diverge":
    raise Diverged(f"depth {options.depth} is too much: ü 𝄞")
if options.do == "exit":
    sys.exit(3)
if options.do == "leave":
    sys.exit(0)
if options.do == "crash":
    os._exit(1)

rows = {}
for name, folder in sorted(os.environ.items()):
    if name.startswith("MLPIPE_DATA_"):
        rows[name.removeprefix("MLPIPE_DATA_").lower()] = sorted(os.listdir(folder))

with open(os.path.join(os.environ["MLPIPE_MODEL_DIR"], "model.json"), "w") as file:
    json.dump({"depth": options.depth}, file)

metrics = {"auc": 0.5 + options.depth / 20, "rate": options.rate, "flag": options.flag, "text": options.text, "data": rows}
if options.do == "nothing":
    sys.exit()
with open(os.environ["MLPIPE_METRICS"], "w") as file:
    file.write('{"auc": NaN}' if options.do == "nan" else json.dumps(metrics))
