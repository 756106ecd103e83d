"""A training script whose model serves itself: it multiplies."""

import argparse
import os

parser = argparse.ArgumentParser()
parser.add_argument("--by", type=float, default=2)
parser.add_argument("--breaks", default="no")
options = parser.parse_args()

SERVING = f"""
def load(folder):
    return {options.by}


def predict(model, instances):
    if {options.breaks == "yes"}:
        raise ValueError("no answer to " + str(len(instances)))
    return [[value * model for value in instance] for instance in instances]
"""

with open(os.path.join(os.environ["MLPIPE_MODEL_DIR"], "serving.py"), "w") as file:
    file.write(SERVING)
