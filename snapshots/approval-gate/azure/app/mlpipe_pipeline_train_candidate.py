"""The pipeline `train-candidate`. Written by mlpipe from pipeline.yaml.

Train one model and score it. Runs by itself too.
"""

from mlpipe_dag import Function, Pipeline, Retry
from mlpipe_params import Param

NAME = "train-candidate"

PARAMS = [Param("depth", "integer", minimum=1, maximum=12)]

RETRY = Retry(attempts=3, delay=5, backoff=2, max_delay=60, on=["transient"])


def define(params, steps, run):
    """The pipeline of one run. `steps` holds the result of each step that has ended."""
    return Pipeline(
        steps=[
            Function("fit", input=lambda: {"depth": params["depth"]}, timeout=300, retry=RETRY),
            Function(
                "score",
                after=["fit"],
                input=lambda: {"loss": steps["fit"].output["loss"]},
                timeout=60,
                retry=RETRY,
            ),
        ],
        outputs=lambda: {"model": steps["fit"].output["model"], "score": steps["score"].output["score"]},
    )
