"""Tests of the check of arguments against the services' models."""

from __future__ import annotations

import json
import unittest
from typing import Any

import arguments

GOOD: dict[str, Any] = {
    "TrainingJobName": "{% $x %}",
    "RoleArn": "arn:aws:iam::123456789012:role/training",
    "OutputDataConfig": {"S3OutputPath": "s3://b/runs"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 100},
    "InputDataConfig": [{"ChannelName": "a", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "{% $x %}"}}}],
    "Tags": [{"Key": "step", "Value": "{% $x %}"}],
}


class ArgumentsTest(unittest.TestCase):
    def check(self, resource: str, given: Any) -> list[str]:
        inner = {"StartAt": "s", "States": {"s": {"Type": "Task", "Resource": resource, "Arguments": given}}}
        return arguments.check(json.dumps({"States": {"p": {"Type": "Parallel", "Branches": [inner]}}}))

    def test_what_fits(self) -> None:
        self.assertEqual([], self.check("arn:aws:states:::sagemaker:createTrainingJob.sync", GOOD))
        self.assertEqual([], self.check("arn:aws:states:::aws-sdk:s3:getObject", {"Bucket": "b", "Key": "{% $k %}"}))
        alarm = {"AlarmName": "a", "Metrics": [{"Id": "m", "Expression": "1 + 1", "ReturnData": True}], "EvaluationPeriods": 1, "Threshold": 0.01}
        self.assertEqual([], self.check("arn:aws:states:::aws-sdk:cloudwatch:putMetricAlarm", alarm))
        self.assertEqual(1, len(self.check("arn:aws:states:::aws-sdk:cloudwatch:putMetricAlarm", {**alarm, "Threshold": "1"})))
        self.assertEqual([], self.check("arn:aws:states:::batch:submitJob.sync", {"JobName": "n", "JobQueue": "q", "JobDefinition": "d"}))

    def test_faults(self) -> None:
        faults: list[tuple[dict[str, Any], str]] = [
            ({"Role": "x"}, "has no Role"),
            ({"OutputDataConfig": {}}, "OutputDataConfig lacks S3OutputPath"),
            ({"Tags": {"step": "x"}}, "Tags is no list"),
            ({"ResourceConfig": {"InstanceType": "ml.m5.tiny"}}, "none of the values"),
            ({"ResourceConfig": {"InstanceCount": "1"}}, "InstanceCount is no integer"),
            ({"HyperParameters": {"a": 1}}, "HyperParameters.a is no text"),
            ({"StoppingCondition": {"MaxRuntimeInSeconds": 0}}, "is not between 1"),
        ]
        for change, said in faults:
            with self.subTest(said):
                [problem] = self.check("arn:aws:states:::sagemaker:createTrainingJob.sync", {**GOOD, **change})
                self.assertIn(said, problem)


def of(resource: str, given: object) -> list[str]:
    state = {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Arguments": given}
    return [problem.split(": ", 1)[1] for problem in arguments.check(json.dumps({"States": {"a": state}}))]


class Services(unittest.TestCase):
    def test_right_ones_have_no_findings(self) -> None:
        self.assertEqual([], of("sns:publish", {"TopicArn": "${TopicArn}", "Message": {"any": "value"}}))
        self.assertEqual([], of("states:startExecution.sync:2", {"StateMachineArn": "${ChildArn}", "Input": {"params": "{% $params %}"}}))
        self.assertEqual([], of("aws-sdk:sfn:describeExecution", {"ExecutionArn": "{% $states.result.ExecutionArn %}"}))
        self.assertEqual([], of("lambda:invoke", {"FunctionName": "${Arn}", "Payload": 1}))

    def test_wrong_ones_are_found(self) -> None:
        self.assertEqual(["Publish has no Subjct"], of("sns:publish.waitForTaskToken", {"TopicArn": "t", "Message": "m", "Subjct": "s"}))
        self.assertEqual(["StartExecution lacks StateMachineArn"], of("states:startExecution.sync:2", {}))
        # The SDK itself takes text only.
        self.assertEqual(["Publish.Message is no text"], of("aws-sdk:sns:publish", {"Message": {"any": "value"}}))
        self.assertEqual(["there is no service nothing"], of("aws-sdk:nothing:at", {}))
        self.assertEqual(["sns has no Puplish"], of("sns:puplish", {}))


if __name__ == "__main__":
    unittest.main()
