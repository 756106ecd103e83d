"""The check of connector calls finds what a service would refuse."""

from __future__ import annotations

import copy

import pytest

from workflows.discovery import check, check_call

CREATE = "googleapis.aiplatform.v1.projects.locations.customJobs.create"
JOB = {
    "parent": "projects/p/locations/r",
    "region": "r",
    "connector_params": {"skip_polling": True},
    "body": {
        "displayName": "fit",
        "jobSpec": {
            "workerPoolSpecs": [{"replicaCount": "1", "machineSpec": {"machineType": "n1-standard-4"}, "containerSpec": {"imageUri": "${image}"}}],
            "scheduling": {"strategy": "SPOT"},
        },
    },
}


def test_a_right_call_has_no_findings() -> None:
    assert check_call(CREATE, JOB) == []


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda job: job.pop("parent"), "lacks parent"),
        (lambda job: job.update(parents="x"), "has no argument parents"),
        (lambda job: job["connector_params"].update(skip=True), "connector_params has no skip"),
        (lambda job: job["body"].update(display_name="x"), "has no display_name"),
        (lambda job: job["body"].update(state="JOB_STATE_PENDING"), "state is only given back"),
        (lambda job: job["body"]["jobSpec"].update(workerPoolSpecs={}), "workerPoolSpecs is no list"),
        (lambda job: job["body"]["jobSpec"]["scheduling"].update(strategy="CHEAP"), "strategy is none of"),
        (lambda job: job["body"]["jobSpec"]["scheduling"].update(timeout=60), "timeout is no text"),
    ],
)
def test_a_wrong_call_is_found(change, finding) -> None:
    job = copy.deepcopy(JOB)
    change(job)
    problems = check_call(CREATE, job)
    assert len(problems) == 1 and finding in problems[0], problems


def test_calls_of_a_workflow_are_found_at_any_depth() -> None:
    definition = """
main:
  steps:
    - both:
        parallel:
          branches:
            - one:
                steps:
                  - tell:
                      call: googleapis.pubsub.v1.projects.topics.publish
                      args: { topic: t, body: { message: [] } }
    - lost:
        call: googleapis.run.v2.projects.locations.jobs.start
        args: { name: x }
"""
    assert [problem.split(": ", 1)[1] for problem in check(definition)] == ["PublishRequest has no message", "run.v2 has no such method"]
