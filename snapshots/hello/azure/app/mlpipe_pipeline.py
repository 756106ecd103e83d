"""The pipeline `hello`. Written by mlpipe from pipeline.yaml.

Two functions in a row.
"""

from mlpipe_dag import Function, Pipeline

NAME = "hello"

PARAMS = []


def define(params, steps, run):
    """The pipeline of one run. `steps` holds the result of each step that has ended."""
    return Pipeline(
        steps=[
            Function("greet", timeout=60),
            Function("shout", after=["greet"], input=lambda: {"text": steps["greet"].output["greeting"]}, timeout=60),
        ],
        outputs=lambda: {"text": steps["shout"].output["text"], "letters": steps["shout"].output["letters"]},
    )
