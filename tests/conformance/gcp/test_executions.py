"""Executions that start others, publish, and wait for callbacks, in our interpreter."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from workflows import Deployed, Execution, Fault, Outcome, World, load  # noqa: E402

EXECUTIONS = "googleapis.workflowexecutions.v1.projects.locations.workflows.executions"
ENVIRONMENT = {
    "GOOGLE_CLOUD_PROJECT_ID": "test",
    "GOOGLE_CLOUD_LOCATION": "here",
    "GOOGLE_CLOUD_WORKFLOW_EXECUTION_ID": "the-first",
}
CHILD = """
main:
  params: [args]
  steps:
    - wait: {call: sys.sleep, args: {seconds: '${args.seconds}'}}
    - fail: {switch: [{condition: '${args.seconds == 3}', raise: {message: three}}]}
    - done: {return: {id: '${sys.get_env("GOOGLE_CLOUD_WORKFLOW_EXECUTION_ID")}', got: '${args}'}}
"""


def _run(steps: list[Any], world: World | None = None) -> Outcome:
    world = world or World({"child": Deployed(load(CHILD), ENVIRONMENT)})
    source = json.dumps({"main": {"steps": steps}})
    return Execution(load(source), ENVIRONMENT, world).run()


def _call(function: str, result: str, **arguments: Any) -> dict[str, Any]:
    return {f"{function.rpartition('.')[2]}_{result}": {"call": function, "args": arguments, "result": result}}


def _run_child(seconds: int, timeout: int = 100) -> dict[str, Any]:
    return _call(
        f"{EXECUTIONS}.run",
        "r",
        workflow_id="child",
        location="here",
        argument={"seconds": seconds},
        connector_params={"timeout": timeout},
    )


def test_run_gives_the_result() -> None:
    outcome = _run([_run_child(7), {"done": {"return": "${r}"}}])
    assert outcome.result["got"] == {"seconds": 7}
    (child,) = outcome.children
    assert outcome.result["id"] == child.run_id != "the-first"
    assert outcome.waits == [7]


@pytest.mark.parametrize(
    ("seconds", "timeout", "tag"), [(3, 100, "OperationError"), (200, 100, "TimeoutError")]
)
def test_run_that_does_not_succeed(seconds: int, timeout: int, tag: str) -> None:
    outcome = _run([_run_child(seconds, timeout)])
    assert outcome.failed and outcome.error["tags"] == [tag]


def test_run_of_what_may_not_be_started() -> None:
    outcome = _run([_run_child(1)], World())
    assert outcome.error["code"] == 404


def test_create_get_and_cancel() -> None:
    skip = {"skip_polling": True}
    outcome = _run(
        [
            _call(
                f"{EXECUTIONS}.create",
                "e",
                parent="projects/test/locations/here/workflows/child",
                body={"argument": '{"seconds": 50}'},
                connector_params=skip,
            ),
            _call(f"{EXECUTIONS}.get", "one", name="${e.name}", view="BASIC"),
            {"sleep": {"call": "sys.sleep", "args": {"seconds": 60}}},
            _call(f"{EXECUTIONS}.get", "two", name="${e.name}"),
            _call(
                f"{EXECUTIONS}.create",
                "late",
                parent="projects/test/locations/here/workflows/child",
                body={"argument": '{"seconds": 3}'},
                connector_params=skip,
            ),
            _call(f"{EXECUTIONS}.cancel", "c", name="${late.name}", connector_params=skip),
            {"again": {"call": "sys.sleep", "args": {"seconds": 60}}},
            _call(f"{EXECUTIONS}.get", "three", name="${late.name}"),
            {"done": {"return": ["${one.state}", "${two.state}", "${json.decode(two.result)}", "${three.state}"]}},
        ]
    )
    states = [outcome.result[0], outcome.result[1], outcome.result[3]]
    assert states == ["ACTIVE", "SUCCEEDED", "CANCELLED"]
    assert outcome.result[2]["got"] == {"seconds": 50}
    with pytest.raises(Fault):
        _run([_call(f"{EXECUTIONS}.create", "e", parent="p", body={"argument": "1"})])


def _ask(topic: str = "asks", timeout: int = 60) -> list[Any]:
    return [
        _call("events.create_callback_endpoint", "c", http_callback_method="POST"),
        _call(
            "googleapis.pubsub.v1.projects.topics.publish",
            "p",
            topic=f"projects/test/topics/{topic}",
            body={"messages": [{"data": "${base64.encode(json.encode(c))}"}]},
        ),
        _call("events.await_callback", "r", callback="${c}", timeout=timeout),
        {"done": {"return": "${r.http_request.body}"}},
    ]


def test_callbacks() -> None:
    assert _run(_ask(), World(topics={"asks"}, answer=lambda message: {"ok": True})).result == {"ok": True}
    nobody = _run(_ask(), World(topics={"asks"}))
    assert nobody.error["tags"] == ["TimeoutError"] and nobody.waits == []
    assert _run(_ask(), World(topics={"others"})).error["code"] == 404


def test_messages() -> None:
    world = World(topics={"tells"})
    told = {"data": "${base64.encode(text.encode(\"hi \u00fc\"))}", "attributes": {"run": "1"}}
    publish = "googleapis.pubsub.v1.projects.topics.publish"
    step = _call(publish, "p", topic="projects/test/topics/tells", body={"messages": [told]})
    assert not _run([step], world).failed
    ((topic, message),) = world.messages
    assert (topic, message.data.decode(), message.attributes) == ("tells", "hi \u00fc", {"run": "1"})
    for wrong in ({"data": "hi", "attributes": {"run": "1"}}, {"data": ""}):
        step = _call(publish, "p", topic="projects/test/topics/tells", body={"messages": [wrong]})
        assert _run([step], world).failed
    # What no message may hold is a fault of the generated workflow, whatever it does about errors.
    step = _call(publish, "p", topic="projects/test/topics/tells", body={"messages": [{"attributes": {"run": 1}}]})
    with pytest.raises(Fault):
        _run([step], world)
