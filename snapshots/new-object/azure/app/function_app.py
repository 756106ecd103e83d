"""The function app of the pipeline `new-object`. Written by mlpipe from pipeline.yaml.

What the pipeline does is in mlpipe_pipeline.py.
"""

from datetime import datetime, timezone

import azure.durable_functions as df
import azure.functions as func

import mlpipe_pipeline
import mlpipe_run
from mlpipe_activity import run_step
from mlpipe_pipeline import buckets
from mlpipe_start import Schedule, object_created, start_once

app = df.DFApp()


@app.orchestration_trigger(context_name="context")
def new_object(context: df.DurableOrchestrationContext):
    return (yield from mlpipe_run.run(context, mlpipe_pipeline))


# What starts it.


# A new object in the bucket `raw` below `incoming/` that ends in `.csv`.
# The Event Grid subscription in main.json lets no other event pass.
@app.event_grid_trigger(arg_name="event")
@app.durable_client_input(client_name="client")
async def start_on_object_created_1(event: func.EventGridEvent, client):
    trigger = object_created(event, buckets["raw"])
    params = {"key": trigger.key}
    await start_once(client, "new_object", f"object-created-1-{event.id}", params)


# Timers run in UTC: this one fires whenever it may be time in Europe/Zurich, and starts a run where it is.
SCHEDULE_2 = Schedule("0 3 * * MON-FRI", "Europe/Zurich")


@app.timer_trigger(arg_name="timer", schedule="0 0 1,2 * * *")
@app.durable_client_input(client_name="client")
async def start_on_schedule_2(timer: func.TimerRequest, client):
    time = SCHEDULE_2.due(datetime.now(timezone.utc))
    if time is not None:
        params = {"key": "incoming/customers.csv"}
        await start_once(client, "new_object", f"schedule-2-{time:%Y%m%dT%H%MZ}", params)


# The function of each step.


# Drop what cannot be learnt from, and hold every fourth customer back for the test.
@app.activity_trigger(input_name="envelope")
def process(envelope):
    return run_step("functions", envelope)


@app.activity_trigger(input_name="envelope")
def train(envelope):
    return run_step("functions", envelope)


@app.activity_trigger(input_name="envelope")
def evaluate(envelope):
    return run_step("functions", envelope)


@app.activity_trigger(input_name="envelope", activity="publish")
def publish_(envelope):
    return run_step("functions", envelope)


@app.activity_trigger(input_name="envelope")
def report(envelope):
    return run_step("functions", envelope)


@app.activity_trigger(input_name="envelope")
def on_failure(envelope):
    return run_step("functions", envelope)
