"""The function app of the pipeline `approval-gate`. Written by mlpipe from pipeline.yaml.

What the pipeline does is in mlpipe_pipeline.py, what those that it runs do in modules named after them.
"""

import azure.durable_functions as df

import mlpipe_pipeline
import mlpipe_pipeline_train_candidate
import mlpipe_run
import mlpipe_sub
import mlpipe_topic
from mlpipe_activity import run_step

app = df.DFApp()


@app.orchestration_trigger(context_name="context")
def approval_gate(context: df.DurableOrchestrationContext):
    return (yield from mlpipe_run.run(context, mlpipe_pipeline))


# The pipeline `train-candidate`, which others run.
@app.orchestration_trigger(context_name="context")
def train_candidate(context: df.DurableOrchestrationContext):
    return (yield from mlpipe_run.run(context, mlpipe_pipeline_train_candidate, "train_candidate-"))


# Ends an orchestration that another one runs and has given up.
@app.activity_trigger(input_name="instance", activity="mlpipe-stop")
@app.durable_client_input(client_name="client")
async def stop(instance: str, client):
    await mlpipe_sub.stop(client, instance)


# Publishes to a topic.
@app.activity_trigger(input_name="request", activity="mlpipe-publish")
def publish(request):
    mlpipe_topic.publish(request)


# The function of each step.


@app.activity_trigger(input_name="envelope")
def compare(envelope):
    return run_step("functions", envelope)


@app.activity_trigger(input_name="envelope", activity="publish")
def publish_(envelope):
    return run_step("functions", envelope)


@app.activity_trigger(input_name="envelope", activity="train_candidate-fit")
def train_candidate_fit(envelope):
    return run_step("train_candidate_functions", envelope)


@app.activity_trigger(input_name="envelope", activity="train_candidate-score")
def train_candidate_score(envelope):
    return run_step("train_candidate_functions", envelope)
