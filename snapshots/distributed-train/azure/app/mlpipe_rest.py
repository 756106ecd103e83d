"""Calls of Azure's REST APIs with the app's identity."""

import functools

MANAGEMENT = "https://management.azure.com"
STORAGE = "https://storage.azure.com"


class Refused(Exception):
    """A service does not do what it is asked."""

    def __init__(self, status, text):
        super().__init__(f"{status}: {text}")
        self.status = status


def send(method, url, body=None, scope=MANAGEMENT, headers=None):
    """The answer. What may be over soon (408, 429, 5xx) is tried again by the client first; what is left of it raises Refused."""
    from azure.core.exceptions import AzureError
    from azure.core.rest import HttpRequest

    try:
        response = client(scope).send_request(HttpRequest(method, url, json=body, headers=headers))
        response.read()
    except AzureError as error:  # no connection, or no token
        raise Refused(0, error) from error
    if response.status_code >= 400:
        raise Refused(response.status_code, response.text()[:1000])
    return response


def call(method, url, body=None):
    """The JSON that a management API answers; None where that is nothing."""
    response = send(method, url, body)
    return response.json() if response.content else None


@functools.cache
def client(scope):
    from azure.core import PipelineClient
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy
    from azure.identity import DefaultAzureCredential

    policies = [RetryPolicy(), BearerTokenCredentialPolicy(DefaultAzureCredential(), f"{scope}/.default")]
    return PipelineClient(MANAGEMENT, policies=policies)
