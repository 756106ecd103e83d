"""The function app of the pipeline `churn`. Written by mlpipe from pipeline.yaml.

What the pipeline does is in mlpipe_pipeline.py.
"""

from datetime import datetime, timezone

import azure.durable_functions as df
import azure.functions as func

import mlpipe_pipeline
import mlpipe_run
import mlpipe_service
import mlpipe_sub
import mlpipe_topic
from mlpipe_activity import run_step
from mlpipe_pipeline import buckets
from mlpipe_start import Schedule, object_created, start_by_request, start_once

app = df.DFApp()


@app.orchestration_trigger(context_name="context")
def churn(context: df.DurableOrchestrationContext):
    return (yield from mlpipe_run.run(context, mlpipe_pipeline))


# A slice of a long list.
@app.orchestration_trigger(context_name="context", orchestration="churn-items")
def churn_items(context: df.DurableOrchestrationContext):
    return (yield from mlpipe_run.run_items(context, mlpipe_pipeline))


# Ends an orchestration that another one runs and has given up.
@app.activity_trigger(input_name="instance", activity="mlpipe-stop")
@app.durable_client_input(client_name="client")
async def stop(instance: str, client):
    await mlpipe_sub.stop(client, instance)


# Runs what a step has a managed service run.
@app.orchestration_trigger(context_name="context", orchestration="mlpipe-service")
def run_service(context: df.DurableOrchestrationContext):
    return (yield from mlpipe_service.run(context))


@app.activity_trigger(input_name="given", activity="mlpipe-service-start")
def start_service(given):
    return mlpipe_service.start(given)


@app.activity_trigger(input_name="known", activity="mlpipe-service-look")
def look_at_service(known):
    return mlpipe_service.look(known)


@app.activity_trigger(input_name="known", activity="mlpipe-service-end")
def end_service(known):
    mlpipe_service.end(known)


# Publishes to a topic.
@app.activity_trigger(input_name="request", activity="mlpipe-publish")
def publish(request):
    mlpipe_topic.publish(request)


# What starts it.


# A new object in the bucket `raw` below `incoming/` that ends in `.csv`.
# The Event Grid subscription in main.json lets no other event pass.
@app.event_grid_trigger(arg_name="event")
@app.durable_client_input(client_name="client")
async def start_on_object_created_1(event: func.EventGridEvent, client):
    trigger = object_created(event, buckets["raw"])
    params = {"key": trigger.key}
    await start_once(client, "churn", f"object-created-1-{event.id}", params)


# Timers run in UTC: this one fires whenever it may be time in Europe/Zurich, and starts a run where it is.
SCHEDULE_2 = Schedule("0 3 * * MON-FRI", "Europe/Zurich")


@app.timer_trigger(arg_name="timer", schedule="0 0 1,2 * * *")
@app.durable_client_input(client_name="client")
async def start_on_schedule_2(timer: func.TimerRequest, client):
    time = SCHEDULE_2.due(datetime.now(timezone.utc))
    if time is not None:
        params = {"key": "incoming/customers.csv"}
        await start_once(client, "churn", f"schedule-2-{time:%Y%m%dT%H%MZ}", params)


# A request with a key of the function, whose body is the params.
@app.route(route="start", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@app.durable_client_input(client_name="client")
async def start_on_http_3(req: func.HttpRequest, client):
    return await start_by_request(client, "churn", req)


# The function of each step.


# Refuses a file that is no table of customers, and names its shards.
@app.activity_trigger(input_name="envelope")
def validate(envelope):
    return run_step("functions", envelope)


# The features of each shard, as numbers.
@app.activity_trigger(input_name="envelope")
def features(envelope):
    return run_step("functions", envelope)


# How well the model tells customers of the test part apart, and what a guess would have done.
@app.activity_trigger(input_name="envelope")
def evaluate(envelope):
    return run_step("functions", envelope)
