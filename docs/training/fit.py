import argparse, json, os

parser = argparse.ArgumentParser()
parser.add_argument("--depth", type=int)
depth = parser.parse_args().depth

with open(os.path.join(os.environ["MLPIPE_MODEL_DIR"], "model.json"), "w") as file:
    json.dump({"depth": depth}, file)
with open(os.environ["MLPIPE_METRICS"], "w") as file:
    json.dump({"auc": round(0.8 + depth / 100, 2)}, file)
