"""The pipeline `tune`. Written by mlpipe from pipeline.yaml.

Try several depths side by side, keep the best, and publish it when it is good enough.
"""

import mlpipe_expr as expr
from mlpipe_dag import Catch, ForEach, Function, Group, Pipeline, Repeat, Retry
from mlpipe_params import Param

NAME = "tune"

PARAMS = [Param("depths", ["integer"], default=[2, 4, 8, 16]), Param("min_auc", "number", default=0.8)]


def define(params, steps, run):
    """The pipeline of one run.

    `steps` holds the result of each step that has ended. Of one that is under way it tells the `item` and its `index`, the
    output of the run before (`previous`), and to the condition of a `Repeat` the `output` to judge.
    """
    return Pipeline(
        steps=[
            # One training run for each depth. One that diverges counts as the worst.
            Function(
                "trials",
                for_each=ForEach(lambda: params["depths"], max_concurrency=4),
                catch=[Catch(["Diverged"], output=lambda error: {"depth": steps["trials"].item, "auc": 0})],
                input=lambda: {"depth": steps["trials"].item},
                timeout=600,
                retry=Retry(attempts=3, delay=5, backoff=2, max_delay=60, on=["transient"]),
            ),
            Function(
                "best",
                after=["trials"],
                input=lambda: [each_t for each_t in steps["trials"].output if each_t["auc"] > 0],
                timeout=60,
            ),
            # Warm up, then publish. All of it within ten minutes, or not at all.
            Group(
                "release",
                after=["best"],
                when=lambda: steps["best"].output["auc"] >= params["min_auc"],
                timeout=600,
                steps=[
                    Function(
                        "release.warm_up",
                        repeat=Repeat(lambda: steps["release.warm_up"].output["ready"], max=20, delay=15),
                        input=lambda: {"asked": expr.default(lambda: steps["release.warm_up"].previous["asked"], 0)},
                        timeout=60,
                    ),
                    Function(
                        "release.publish",
                        needs=["release.warm_up"],
                        input=lambda: {"depth": steps["best"].output["depth"]},
                        timeout=60,
                    ),
                ],
                outputs=lambda: {"version": steps["release.publish"].output["version"]},
            ),
        ],
        outputs=lambda: {
            "depth": steps["best"].output["depth"],
            "auc": steps["best"].output["auc"],
            "tried": len(params["depths"]),
            "version": expr.default(lambda: steps["release"].output["version"], "none"),
        },
    )
