"""The function app of the pipeline `hello`. Written by mlpipe from pipeline.yaml.

What the pipeline does is in mlpipe_pipeline.py.
"""

import azure.durable_functions as df

import mlpipe_pipeline
import mlpipe_run
from mlpipe_activity import run_step

app = df.DFApp()


@app.orchestration_trigger(context_name="context")
def hello(context: df.DurableOrchestrationContext):
    return (yield from mlpipe_run.run(context, mlpipe_pipeline))


# The function of each step.


@app.activity_trigger(input_name="envelope")
def greet(envelope):
    return run_step("functions", envelope)


@app.activity_trigger(input_name="envelope")
def shout(envelope):
    return run_step("functions", envelope)
