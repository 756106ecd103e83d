"""The pipeline `fan-out`. Written by mlpipe from pipeline.yaml.

Processes every shard of a data lake by itself, many at once, and puts the results together.
"""

import os

import mlpipe_expr as expr
from mlpipe_dag import Bucket, Catch, ForEach, Function, Pipeline, Retry
from mlpipe_params import Param

NAME = "fan-out"

PARAMS = [
    # Where the shards are.
    Param("prefix", "string", default="days/"),
]

# main.json makes the storage account and tells its name to the app.
buckets = {
    "lake": Bucket("lake", os.environ["MLPIPE_STORAGE_ACCOUNT"]),
}


def define(params, steps, run):
    """The pipeline of one run.

    `steps` holds the result of each step that has ended. Of one that is under way it tells the `item` and its `index`, the
    output of the run before (`previous`), and to the condition of a `Repeat` the `output` to judge.
    """
    return Pipeline(
        steps=[
            # Every CSV file below the prefix, in order.
            Function("list", input=lambda: {"uri": buckets["lake"].uri + "/" + params["prefix"]}, timeout=60),
            # The sums of one shard, by station. A shard that cannot be read is left out.
            Function(
                "totals",
                after=["list"],
                for_each=ForEach(lambda: steps["list"].output["shards"], max_concurrency=20),
                catch=[Catch(["BrokenShard"], output={"rows": 0, "sums": {}})],
                input=lambda: {"uri": buckets["lake"].uri + "/" + steps["totals"].item},
                timeout=300,
                retry=Retry(attempts=3, delay=2, backoff=2, max_delay=60, on=["transient"]),
            ),
            Function(
                "merge",
                after=["totals"],
                input=lambda: {
                    "totals": [each_total for each_total in steps["totals"].output if each_total["rows"] > 0],
                    "target": buckets["lake"].uri + "/totals.json",
                },
                timeout=60,
            ),
        ],
        outputs=lambda: {
            "shards": len(steps["list"].output["shards"]),
            "rows": expr.total([each_total["rows"] for each_total in steps["totals"].output]),
            "broken": len([each_total for each_total in steps["totals"].output if each_total["rows"] == 0]),
            "mean": steps["merge"].output["mean"],
        },
    )
