"""The pipeline `approval-gate`. Written by mlpipe from pipeline.yaml.

Train a candidate. A clear gain is published at once, anything else only when a person says so.
"""

import os

import mlpipe_expr as expr
from mlpipe_dag import Approval, Catch, Child, Function, Pipeline, Topic
from mlpipe_params import Param

NAME = "approval-gate"

PARAMS = [
    # The score of the model that is in use.
    Param("current", "number", default=0.75),
    Param("depth", "integer", default=6),
]

# main.json makes them and tells the app of them.
topics = {
    "approvals": Topic(os.environ["MLPIPE_TOPIC_NAME_APPROVALS"], os.environ["MLPIPE_TOPIC_ENDPOINT_APPROVALS"]),
}


def define(params, steps, run):
    """The pipeline of one run. `steps` holds the result of each step that has ended."""
    return Pipeline(
        steps=[
            Child("candidate", pipeline="train_candidate", params=lambda: {"depth": params["depth"]}),
            Function(
                "compare",
                after=["candidate"],
                input=lambda: {"current": params["current"], "candidate": steps["candidate"].output["score"]},
                timeout=60,
            ),
            # Three days, then the answer is no.
            Approval(
                "review",
                after=["candidate", "compare"],
                when=lambda: not steps["compare"].output["clear"],
                catch=[Catch(["timeout"], output={"approved": False, "by": None, "comment": "nobody answered"})],
                topic=topics["approvals"],
                message=lambda: "The candidate scores " + expr.string(steps["candidate"].output["score"]) + ", a gain of " + expr.string(steps["compare"].output["gain"]) + ". Publish it?",
                timeout=259200,
            ),
            Function(
                "publish",
                after=["candidate", "compare", "review"],
                when=lambda: steps["compare"].output["clear"] or expr.default(lambda: steps["review"].output["approved"], False),
                input=lambda: {
                    "model": steps["candidate"].output["model"],
                    "by": expr.default(lambda: steps["review"].output["by"], "the rule"),
                },
                timeout=60,
            ),
        ],
        outputs=lambda: {
            "score": steps["candidate"].output["score"],
            "reviewed": steps["review"].status == "succeeded",
            "comment": expr.default(lambda: steps["review"].output["comment"], ""),
            "version": expr.default(lambda: steps["publish"].output["version"], "none"),
        },
    )
