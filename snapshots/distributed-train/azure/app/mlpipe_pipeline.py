"""The pipeline `distributed-train`. Written by mlpipe from pipeline.yaml.

One model, trained by several workers, each on its own part of the rows.
"""

import os

import mlpipe_expr as expr
from mlpipe_dag import Approval, Bucket, Pipeline, Retry, Topic, Train
from mlpipe_params import Param

NAME = "distributed-train"

PARAMS = [Param("rounds", "integer", default=20, minimum=1), Param("min_accuracy", "number", default=0.8)]

# main.json makes the storage account and tells its name to the app.
buckets = {
    "rows": Bucket("rows", os.environ["MLPIPE_STORAGE_ACCOUNT"]),
    "models": Bucket("models", os.environ["MLPIPE_STORAGE_ACCOUNT"]),
}

# main.json makes them and tells the app of them.
topics = {
    "alerts": Topic(os.environ["MLPIPE_TOPIC_NAME_ALERTS"], os.environ["MLPIPE_TOPIC_ENDPOINT_ALERTS"]),
}


def define(params, steps, run):
    """The pipeline of one run. `steps` holds the result of each step that has ended."""
    return Pipeline(
        steps=[
            # Four workers average their weights after each round.
            Train(
                "train",
                code="training",
                script="train.py",
                environment="azureml://registries/azureml/environments/sklearn-1.5/versions/50",
                instance="Standard_D4s_v3",
                requirements=["scikit-learn==1.2.*", "joblib", "numpy<2"],
                count=4,
                spot=True,
                hyperparameters=lambda: {"rounds": params["rounds"]},
                data=lambda: {"train": buckets["rows"].uri + "/"},
                timeout=3600,
                retry=Retry(attempts=3, delay=60, backoff=2, max_delay=60, on=["transient"]),
            ),
            Approval(
                "accept",
                after=["train"],
                when=lambda: expr.less(steps["train"].output["metrics"]["accuracy"], params["min_accuracy"]),
                topic=topics["alerts"],
                message=lambda: "Accuracy " + expr.string(steps["train"].output["metrics"]["accuracy"]) + ": keep the model all the same?",
                timeout=86400,
            ),
        ],
        outputs=lambda: {
            "workers": steps["train"].output["metrics"]["workers"],
            "accuracy": steps["train"].output["metrics"]["accuracy"],
            "kept": True if steps["accept"].status == "skipped" else steps["accept"].output["approved"],
        },
    )
