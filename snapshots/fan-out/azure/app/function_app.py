"""The function app of the pipeline `fan-out`. Written by mlpipe from pipeline.yaml.

What the pipeline does is in mlpipe_pipeline.py.
"""

import azure.durable_functions as df

import mlpipe_pipeline
import mlpipe_run
import mlpipe_sub
from mlpipe_activity import run_step

app = df.DFApp()


@app.orchestration_trigger(context_name="context")
def fan_out(context: df.DurableOrchestrationContext):
    return (yield from mlpipe_run.run(context, mlpipe_pipeline))


# A slice of a long list.
@app.orchestration_trigger(context_name="context", orchestration="fan-out-items")
def fan_out_items(context: df.DurableOrchestrationContext):
    return (yield from mlpipe_run.run_items(context, mlpipe_pipeline))


# Ends an orchestration that another one runs and has given up.
@app.activity_trigger(input_name="instance", activity="mlpipe-stop")
@app.durable_client_input(client_name="client")
async def stop(instance: str, client):
    await mlpipe_sub.stop(client, instance)


# The function of each step.


# Every CSV file below the prefix, in order.
@app.activity_trigger(input_name="envelope")
def list(envelope):
    return run_step("functions", envelope)


# The sums of one shard, by station. A shard that cannot be read is left out.
@app.activity_trigger(input_name="envelope")
def totals(envelope):
    return run_step("functions", envelope)


@app.activity_trigger(input_name="envelope")
def merge(envelope):
    return run_step("functions", envelope)
