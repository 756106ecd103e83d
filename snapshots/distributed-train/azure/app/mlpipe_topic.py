"""Publishes to Event Grid topics."""

import functools


def publish(request):
    """Sends `data` to a topic. What fails here is tried again by the client, and then raises."""
    from azure.eventgrid import EventGridEvent

    data = request["data"]
    subject = f"{data['pipeline']}/{data['step']}"
    client(request["endpoint"]).send(EventGridEvent(subject=subject, event_type=request["type"], data=data, data_version="1"))


@functools.cache
def client(endpoint):
    from azure.eventgrid import EventGridPublisherClient
    from azure.identity import DefaultAzureCredential

    return EventGridPublisherClient(endpoint, DefaultAzureCredential())
