"""The function app of the pipeline `distributed-train`. Written by mlpipe from pipeline.yaml.

What the pipeline does is in mlpipe_pipeline.py.
"""

import azure.durable_functions as df

import mlpipe_pipeline
import mlpipe_run
import mlpipe_service
import mlpipe_sub
import mlpipe_topic

app = df.DFApp()


@app.orchestration_trigger(context_name="context")
def distributed_train(context: df.DurableOrchestrationContext):
    return (yield from mlpipe_run.run(context, mlpipe_pipeline))


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
