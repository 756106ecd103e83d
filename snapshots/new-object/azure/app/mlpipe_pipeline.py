"""The pipeline `new-object`. Written by mlpipe from pipeline.yaml.

Retrain the churn model when a new table of customers lands, and publish it when it is good enough.
"""

import os

import mlpipe_expr as expr
from mlpipe_dag import Bucket, Function, Pipeline, Retry
from mlpipe_params import Param

NAME = "new-object"

PARAMS = [
    # The object in the bucket `raw` to learn from.
    Param("key", "string"),
    # Publish from this AUC on.
    Param("min_auc", "number", default=0.7),
]

# main.json makes the storage account and tells its name to the app.
buckets = {
    "raw": Bucket("raw", os.environ["MLPIPE_STORAGE_ACCOUNT"]),
    "clean": Bucket("clean", os.environ["MLPIPE_STORAGE_ACCOUNT"]),
    "models": Bucket("models", os.environ["MLPIPE_STORAGE_ACCOUNT"]),
}

RETRY = Retry(attempts=3, delay=2, backoff=2, max_delay=30, on=["transient"])


def define(params, steps, run):
    """The pipeline of one run. `steps` holds the result of each step that has ended."""
    return Pipeline(
        steps=[
            # Drop what cannot be learnt from, and hold every fourth customer back for the test.
            Function(
                "process",
                input=lambda: {
                    "source": buckets["raw"].uri + "/" + params["key"],
                    "key": params["key"],
                    "target": buckets["clean"].uri + "/" + run.id,
                },
                timeout=60,
                retry=RETRY,
            ),
            Function(
                "train",
                after=["process"],
                input=lambda: {
                    "data": steps["process"].output["train_uri"],
                    "model": buckets["models"].uri + "/" + run.id + "/model.json",
                },
                timeout=300,
                retry=RETRY,
            ),
            Function(
                "evaluate",
                after=["process", "train"],
                input=lambda: {
                    "data": steps["process"].output["test_uri"],
                    "model": steps["train"].output["model_uri"],
                },
                timeout=60,
                retry=RETRY,
            ),
            Function(
                "publish",
                after=["train", "evaluate"],
                when=lambda: steps["evaluate"].output["auc"] >= params["min_auc"],
                input=lambda: {
                    "model": steps["train"].output["model_uri"],
                    "target": buckets["models"].uri + "/current.json",
                },
                timeout=60,
                retry=RETRY,
            ),
            Function(
                "report",
                after=["evaluate"],
                when=lambda: steps["evaluate"].output["auc"] < params["min_auc"],
                input=lambda: {"auc": steps["evaluate"].output["auc"], "min_auc": params["min_auc"]},
                timeout=60,
                retry=RETRY,
            ),
        ],
        on_failure=Function(
            "on_failure",
            input=lambda error: {"message": error.step + " failed with " + error.name + ": " + error.message},
            timeout=60,
            retry=RETRY,
        ),
        outputs=lambda: {
            "rows": steps["process"].output["rows"],
            "dropped": steps["process"].output["dropped"],
            "auc": steps["evaluate"].output["auc"],
            "published": steps["publish"].status == "succeeded",
            "model": expr.default(lambda: steps["publish"].output["model_uri"], ""),
            "message": expr.default(lambda: steps["report"].output["message"], ""),
        },
    )
