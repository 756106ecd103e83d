"""The pipeline `churn`. Written by mlpipe from pipeline.yaml.

Retrain the churn model when new data lands, and serve it where it is good enough.
"""

import os

import mlpipe_expr as expr
from mlpipe_dag import Bucket, Endpoint, ForEach, Function, Notify, Pipeline, Retry, Topic, Train
from mlpipe_params import Param

NAME = "churn"

PARAMS = [
    Param("min_auc", "number", default=0.7),
    # A CSV file of customers in the bucket `raw`.
    Param("key", "string"),
]

# main.json makes the storage account and tells its name to the app.
buckets = {
    "raw": Bucket("raw", os.environ["MLPIPE_STORAGE_ACCOUNT"]),
    "models": Bucket("models", os.environ["MLPIPE_STORAGE_ACCOUNT"]),
}

# main.json makes them and tells the app of them.
topics = {
    "alerts": Topic(os.environ["MLPIPE_TOPIC_NAME_ALERTS"], os.environ["MLPIPE_TOPIC_ENDPOINT_ALERTS"]),
}

RETRY = Retry(attempts=3, delay=2, backoff=2, max_delay=60, on=["transient"])


def define(params, steps, run):
    """The pipeline of one run.

    `steps` holds the result of each step that has ended. Of one that is under way it tells the `item` and its `index`, the
    output of the run before (`previous`), and to the condition of a `Repeat` the `output` to judge.
    """
    return Pipeline(
        steps=[
            # Refuses a file that is no table of customers, and names its shards.
            Function(
                "validate",
                input=lambda: {"uri": buckets["raw"].uri + "/" + params["key"]},
                timeout=60,
                retry=RETRY,
            ),
            # The features of each shard, as numbers.
            Function(
                "features",
                after=["validate"],
                for_each=ForEach(lambda: steps["validate"].output["shards"], max_concurrency=10, params=["key"]),
                input=lambda: {
                    "uri": buckets["raw"].uri + "/" + params["key"],
                    "shard": steps["features"].item,
                    "target": buckets["raw"].uri + "/features/" + expr.string(steps["features"].index) + ".csv",
                },
                timeout=600,
                retry=RETRY,
            ),
            Train(
                "train",
                needs=["features"],
                code="training",
                script="train.py",
                environment="azureml://registries/azureml/environments/sklearn-1.5/versions/50",
                instance="Standard_D4s_v3",
                requirements=["scikit-learn==1.2.*", "joblib", "numpy<2"],
                spot=True,
                hyperparameters={"max_depth": 6},
                data=lambda: {"train": buckets["raw"].uri + "/features/"},
                timeout=7200,
            ),
            # How well the model tells customers of the test part apart, and what a guess would have done.
            Function(
                "evaluate",
                after=["train"],
                input=lambda: {
                    "model": steps["train"].output["model_uri"],
                    "test": steps["train"].output["metrics"]["test"],
                },
                timeout=60,
                retry=RETRY,
            ),
            Endpoint(
                "deploy",
                after=["train", "evaluate"],
                when=lambda: steps["evaluate"].output["auc"] >= params["min_auc"],
                endpoint=os.environ["MLPIPE_ENDPOINT_churn"],
                name="churn",
                environment=os.environ["MLPIPE_SERVING_churn__deploy"],
                variants={"main": {"instance": "Standard_DS3_v2", "count": 1, "percent": 100}},
                autoscale={"min": 1, "max": 4, "requests": 100},
                models=lambda: {"main": steps["train"].output["model_uri"]},
                timeout=3600,
            ),
            Notify(
                "reject",
                needs=["evaluate"],
                when=lambda: steps["evaluate"].output["auc"] < params["min_auc"],
                topic=topics["alerts"],
                message=lambda: "AUC too low: " + expr.string(steps["evaluate"].output["auc"]),
            ),
        ],
        on_failure=Notify(
            "on_failure",
            topic=topics["alerts"],
            message=lambda error: error.step + ": " + error.message,
            retry=RETRY,
        ),
        outputs=lambda: {
            "rows": steps["validate"].output["rows"],
            "auc": steps["evaluate"].output["auc"],
            "deployed": steps["deploy"].status == "succeeded",
        },
    )
