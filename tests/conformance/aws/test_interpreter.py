"""The rules of AWS's documentation that `patches` puts right, each on a small definition."""

from __future__ import annotations

import json
import unittest
from pathlib import Path
from typing import Any

from functions import Function, Functions
from machine import Outcome, Run
from query import Jsonata
from template import Machine

CASES = Path(__file__).parent / "cases"


def task(function: str, payload: Any, **fields: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": function, "Payload": payload},
        "Output": "{% $states.result.Payload %}",
        **({} if "Next" in fields else {"End": True}),
        **fields,
    }


JOB = "arn:aws:batch:us-east-1:123456789012:job-definition/run:1"
TOPIC = "arn:aws:sns:us-east-1:123456789012:asks"
MACHINES = "arn:aws:states:us-east-1:123456789012:stateMachine:"


def definition(states: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states, **fields}


def start(machine: str, value: Any, **fields: Any) -> dict[str, Any]:
    """Starts another state machine and waits for its end."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Arguments": {"StateMachineArn": f"{MACHINES}{machine}", "Input": value},
        **({} if "Next" in fields else {"End": True}),
        **fields,
    }


class InterpreterTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        names = ("echo", "always_fails", "flaky", "exits", "sleeper")
        cls.functions = Functions({name: Function(name, CASES, f"handlers.{name}", 60) for name in names}, {})
        cls.jsonata = Jsonata()
        cls.addClassCleanup(cls.functions.close)
        cls.addClassCleanup(cls.jsonata.close)

    def execute(self, states: dict[str, Any], value: Any = None, nested: dict[str, Any] | None = None, approvals: Any = None, **fields: Any) -> Outcome:
        machines = {f"{MACHINES}{name}": json.dumps(definition(body)) for name, body in (nested or {}).items()}
        machine = Machine("", {}, {}, "machine", machines, topics={TOPIC: "asks"}, jobs={JOB: "a"})
        return Run(self.functions, self.jsonata, machine, approvals).execute(json.dumps(definition(states, **fields)), value)

    def value(self, expression: str, value: Any = None) -> Any:
        outcome = self.execute({"A": {"Type": "Succeed", "Output": "{% " + expression + " %}"}}, value)
        return outcome.output if outcome.status == "succeeded" else outcome.error

    maxDiff = None

    def test_values_pass_unchanged(self) -> None:
        for value in (None, [], [1], [[1], []], {}, {"a": None}, "a\"\\/'\n\u2028é😀", 1.5, 9007199254740991, -0.1, True, [[[]]]):
            self.assertEqual(value, self.value("$states.input", value))

    def test_literals_pass_unchanged(self) -> None:
        template = {"Type": "x", "Next": [1, 2.5, -3, 1e3, None, True, {"End": "é\n\"\\ ${x"}], "States": {"Output": "$.a"}, "é": ""}
        outcome = self.execute({"A": {"Type": "Pass", "Assign": {"v": template}, "Output": template, "Next": "B"}, "B": {"Type": "Succeed", "Output": {"in": "{% $states.input %}", "v": "{% $v %}"}}})
        self.assertEqual({"in": template, "v": template}, outcome.output)

    def test_undefined_and_functions_are_query_errors(self) -> None:
        for expression in ("$states.input.a", "$nope", "function($x){$x}", "{'a': function($x){$x}}", "$eval('1')", "1 +", "$states.result", "$error('x')"):
            self.assertEqual("States.QueryEvaluationError", self.value(expression, {"b": 1}), expression)

    def test_functions_of_step_functions(self) -> None:
        self.assertEqual([[1, 2], [3]], self.value("$partition([1,2,3], 2)"))
        self.assertEqual([3, 2, 1], self.value("$range(3, 1, -1)"))
        self.assertEqual({"a": [None]}, self.value("$parse('{\"a\":[null]}')"))
        self.assertEqual("900150983cd24fb0d6963f7d28e17f72", self.value("$hash('abc', 'MD5')"))
        self.assertEqual("States.QueryEvaluationError", self.value("$range(0, 1000, 1)"))

    def test_context(self) -> None:
        self.assertEqual({"a": 1}, self.value("$states.context.Execution.Input", {"a": 1}))
        self.assertRegex(self.value("$states.context.Execution.StartTime"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual("A", self.value("$states.context.State.Name"))

    def test_output_and_assign_see_the_values_of_entry(self) -> None:
        states = {
            "A": {"Type": "Pass", "Assign": {"x": 3, "a": 6}, "Next": "B"},
            "B": {"Type": "Pass", "Assign": {"x": "{% $a %}", "nextX": "{% $x %}"}, "Output": "{% $x %}", "Next": "C"},
            "C": {"Type": "Succeed", "Output": ["{% $states.input %}", "{% $x %}", "{% $nextX %}"]},
        }
        self.assertEqual([3, 6, 3], self.execute(states).output)

    def test_choice_rule_and_default_assign_apart(self) -> None:
        states = {
            "A": {
                "Type": "Choice",
                "Choices": [{"Condition": "{% $states.input = 1 %}", "Assign": {"v": "rule"}, "Next": "B"}],
                "Assign": {"v": "default"},
                "Default": "B",
            },
            "B": {"Type": "Succeed", "Output": "{% $v %}"},
        }
        self.assertEqual("rule", self.execute(states, 1).output)
        self.assertEqual("default", self.execute(states, 2).output)

    def test_choice_errors(self) -> None:
        state = {"Type": "Choice", "Choices": [{"Condition": "{% $states.input %}", "Next": "B"}]}
        for value, error in (("yes", "States.QueryEvaluationError"), (None, "States.QueryEvaluationError"), (False, "States.NoChoiceMatched")):
            self.assertEqual(error, self.execute({"A": state, "B": {"Type": "Succeed"}}, value).error)

    def test_output_and_assign_of_a_task_can_be_caught(self) -> None:
        for broken in ({"Output": "{% $nope %}"}, {"Assign": {"v": "{% $nope %}"}}):
            catch = [{"ErrorEquals": ["States.QueryEvaluationError"], "Output": "caught", "Next": "B"}]
            outcome = self.execute({"A": task("echo", 1, Catch=catch, **broken), "B": {"Type": "Succeed"}})
            self.assertEqual("caught", outcome.output, broken)

    def test_result_is_gone_in_a_catch(self) -> None:
        catch = [{"ErrorEquals": ["States.ALL"], "Output": "{% $exists($states.result) %}", "Next": "B"}]
        self.assertIs(False, self.execute({"A": task("always_fails", 1, Catch=catch), "B": {"Type": "Succeed"}}).output)

    def test_a_failing_catch_fails_the_execution(self) -> None:
        catch = [{"ErrorEquals": ["States.ALL"], "Output": "{% $nope %}", "Next": "B"}]
        outcome = self.execute({"A": task("always_fails", 1, Catch=catch), "B": {"Type": "Succeed"}})
        self.assertEqual("States.QueryEvaluationError", outcome.error)

    def test_data_limit(self) -> None:
        def size(characters: int, **fields: Any) -> Outcome:
            payload = "{% $join($map([1..64], function($v){$pad('é', " + str(characters // 64) + ", 'x')}), '') %}"
            catch = [{"ErrorEquals": ["States.DataLimitExceeded"], "Output": "named", "Next": "B"}] if fields.get("named") else []
            catch.append({"ErrorEquals": ["States.ALL"], "Output": "all", "Next": "B"})
            return self.execute({"A": task("echo", payload, Output="{% $length($states.result.Payload) %}", Catch=catch), "B": {"Type": "Succeed"}})

        self.assertEqual(200_000, size(200_000).output)
        self.assertEqual("States.DataLimitExceeded", size(262_144).error)
        self.assertEqual("named", size(262_144, named=True).output)

    def test_size_of_output_and_variables(self) -> None:
        half = "{% $join($map([1..256], function($v){$pad('', 600, 'x')}), '') %}"
        fits = {"A": {"Type": "Pass", "Assign": {"a": half}, "Next": "B"}, "B": {"Type": "Pass", "Assign": {"b": half}, "End": True}}
        self.assertEqual("succeeded", self.execute(fits).status)
        for fields in ({"Assign": {"a": half, "b": half}}, {"Output": [half, half]}):
            self.assertEqual("States.DataLimitExceeded", self.execute({"A": {"Type": "Pass", "End": True, **fields}}).error)

    def test_wildcards(self) -> None:
        for names, timeout in ((["States.TaskFailed"], False), (["States.ALL"], True), (["States.Timeout"], True)):
            catch = [{"ErrorEquals": names, "Output": "caught", "Next": "B"}]
            states = {"A": task("sleeper", {"seconds": 30}, TimeoutSeconds=1, Catch=catch), "B": {"Type": "Succeed"}}
            outcome = self.execute(states)
            self.assertEqual("caught" if timeout else None, outcome.output)

    def test_retriers_count_apart_and_the_first_that_matches_decides(self) -> None:
        retry = [
            {"ErrorEquals": ["NotEnoughData"], "IntervalSeconds": 3, "MaxAttempts": 2, "BackoffRate": 2, "MaxDelaySeconds": 4},
            {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 9, "MaxAttempts": 9},
        ]
        outcome = self.execute({"A": task("always_fails", {}, Retry=retry)})
        self.assertEqual(([3, 4], "NotEnoughData"), (outcome.waits, outcome.error))

    def test_no_attempts_stops_an_error(self) -> None:
        retry = [{"ErrorEquals": ["NotEnoughData"], "MaxAttempts": 0}, {"ErrorEquals": ["States.ALL"], "MaxAttempts": 3}]
        self.assertEqual([], self.execute({"A": task("always_fails", {}, Retry=retry)}).waits)

    def test_retry_of_a_parallel_runs_all_branches_again(self) -> None:
        branches = [{"StartAt": name, "States": {name: task(function, 1)}} for name, function in (("X", "echo"), ("Y", "exits"))]
        retry = [{"ErrorEquals": ["Runtime.ExitError"], "IntervalSeconds": 1, "MaxAttempts": 1}]
        outcome = self.execute({"P": {"Type": "Parallel", "Branches": branches, "Retry": retry, "End": True}})
        self.assertEqual(("Runtime.ExitError", [1]), (outcome.error, outcome.waits))
        self.assertEqual(2, outcome.entered.count("Y"))

    def test_a_failing_branch_stops_the_others(self) -> None:
        branches = [
            {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1000, "Next": "X"}, "X": task("echo", 1)}},
            {"StartAt": "Y", "States": {"Y": {"Type": "Wait", "Seconds": 10, "Next": "Z"}, "Z": {"Type": "Fail", "Error": "E", "Cause": "{% 'c' %}"}}},
        ]
        outcome = self.execute({"P": {"Type": "Parallel", "Branches": branches, "End": True}})
        self.assertEqual(("E", "c"), (outcome.error, outcome.cause))
        self.assertNotIn("X", outcome.entered)

    def test_a_branch_can_be_caught_inside_and_nested(self) -> None:
        inner = {"Type": "Parallel", "Branches": [{"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E"}}}], "End": True}
        inner["Catch"] = [{"ErrorEquals": ["E"], "Output": "{% $states.errorOutput.Error %}", "Next": "C"}]
        del inner["End"]
        inner["Next"] = "C"
        states = {"P": {"Type": "Parallel", "Branches": [{"StartAt": "I", "States": {"I": inner, "C": {"Type": "Succeed"}}}], "End": True}}
        self.assertEqual(["E"], self.execute(states).output)

    def test_virtual_time_orders_the_branches(self) -> None:
        branches = [
            {"StartAt": f"W{n}", "States": {f"W{n}": {"Type": "Wait", "Seconds": n, "Next": f"E{n}"}, f"E{n}": {"Type": "Succeed"}}}
            for n in (30, 10, 20)
        ]
        outcome = self.execute({"P": {"Type": "Parallel", "Branches": branches, "End": True}})
        self.assertEqual(["E10", "E20", "E30"], [name for name in outcome.entered if name.startswith("E")])
        self.assertEqual([10, 20, 30], sorted(outcome.waits))

    def test_an_item_sees_itself_and_its_position_by_the_item_selector(self) -> None:
        inner = {"I": {"Type": "Succeed", "Output": "{% $string($states.input.i) & $states.input.it & $outer %}"}}
        selector = {"it": "{% $states.context.Map.Item.Value %}", "i": "{% $states.context.Map.Item.Index %}"}
        states = {
            "A": {"Type": "Pass", "Assign": {"outer": "!"}, "Next": "M"},
            "M": {"Type": "Map", "Items": ["a", "b"], "ItemSelector": selector, "ItemProcessor": {"StartAt": "I", "States": inner}, "End": True},
        }
        self.assertEqual(["0a!", "1b!"], self.execute(states).output)

    def test_the_first_failed_item_fails_a_map(self) -> None:
        inner = {
            "W": {"Type": "Wait", "Seconds": "{% $states.input %}", "Next": "F"},
            "F": {"Type": "Fail", "Error": "{% 'E' & $states.context.Map.Item.Value %}"},
        }
        states = {"M": {"Type": "Map", "Items": [30, 10, 20], "ItemProcessor": {"StartAt": "W", "States": inner}, "End": True}}
        self.assertEqual("E10", self.execute(states).error)

    def distributed(self, items: list[Any], states: dict[str, Any], **fields: Any) -> dict[str, Any]:
        config = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
        processor = {"ProcessorConfig": config, "StartAt": next(iter(states)), "States": states}
        return {"Type": "Map", "Items": items, "ItemProcessor": processor, "Label": "list", **({} if "Next" in fields else {"End": True}), **fields}

    def test_an_item_of_a_distributed_map_is_an_execution_that_sees_no_outer_variable(self) -> None:
        seen = "{% [$exists($outer), $states.input, $states.context.Execution.Name != $states.input.name] %}"
        selector = {"item": "{% $states.context.Map.Item.Value %}", "name": "{% $states.context.Execution.Name & $outer %}"}
        states = {
            "A": {"Type": "Pass", "Assign": {"outer": ""}, "Next": "M"},
            "M": self.distributed([1, 2], {"I": {"Type": "Succeed", "Output": seen}}, ItemSelector=selector, MaxConcurrency=1000),
        }
        outcome = self.execute(states)
        self.assertEqual([[False, {"item": n, "name": outcome.name}, True] for n in (1, 2)], outcome.output)

    def test_a_failed_item_of_a_distributed_map_is_found_by_its_map_run(self) -> None:
        inner = {
            "W": {"Type": "Wait", "Seconds": "{% $states.input %}", "Next": "F"},
            "F": {"Type": "Fail", "Error": "E", "Cause": "{% $string($states.input) %}"},
        }
        catch = [{"ErrorEquals": ["States.ExceedToleratedFailureThreshold"], "Next": "L"}]
        sdk = "arn:aws:states:::aws-sdk:sfn:"
        states = {
            "M": self.distributed([30, 10, 20], inner, Catch=catch, Next="L"),
            "L": {
                "Type": "Task",
                "Resource": f"{sdk}listMapRuns",
                "Arguments": {"ExecutionArn": "{% $states.context.Execution.Id %}"},
                "Output": "{% $states.result.MapRuns[0].MapRunArn %}",
                "Next": "X",
            },
            "X": {
                "Type": "Task",
                "Resource": f"{sdk}listExecutions",
                "Arguments": {"MapRunArn": "{% $states.input %}", "StatusFilter": "FAILED"},
                "Output": "{% $states.result.Executions.ExecutionArn %}",
                "Next": "D",
            },
            "D": {"Type": "Task", "Resource": f"{sdk}describeExecution", "Arguments": {"ExecutionArn": "{% $states.input %}"}, "End": True},
        }
        outcome = self.execute(states)
        self.assertEqual(("E", "10", "FAILED"), tuple(outcome.output[key] for key in ("Error", "Cause", "Status")))
        self.assertRegex(outcome.output["MapRunArn"], r":mapRun:machine/list:")

    def test_another_execution_is_waited_for(self) -> None:
        nested = {"other": {"X": {"Type": "Succeed", "Output": {"n": "{% $states.input.n + 1 %}"}}}}
        outcome = self.execute({"S": start("other", {"n": 1}, Output="{% [$states.result.Status, $states.result.Output.n] %}")}, nested=nested)
        self.assertEqual(["SUCCEEDED", 2], outcome.output)

    def test_a_failed_execution_is_a_failed_task(self) -> None:
        nested = {"other": {"X": {"Type": "Fail", "Error": "E", "Cause": "c"}}}
        catch = [{"ErrorEquals": ["States.TaskFailed"], "Output": "{% $parse($states.errorOutput.Cause) %}", "Next": "B"}]
        outcome = self.execute({"S": start("other", {}, Catch=catch), "B": {"Type": "Succeed"}}, nested=nested)
        self.assertEqual(("E", "c", "FAILED"), tuple(outcome.output[key] for key in ("Error", "Cause", "Status")))

    def test_an_execution_that_runs_too_long_is_abandoned(self) -> None:
        nested = {"other": {"X": {"Type": "Wait", "Seconds": 60, "Next": "Y"}, "Y": {"Type": "Succeed"}}}
        catch = [{"ErrorEquals": ["States.Timeout"], "Output": "late", "Next": "B"}]
        outcome = self.execute({"S": start("other", {}, TimeoutSeconds=10, Catch=catch), "B": {"Type": "Succeed"}}, nested=nested)
        self.assertEqual("late", outcome.output)
        self.assertNotIn("Y", outcome.entered)
        outcome = self.execute({"S": start("other", {}, TimeoutSeconds=90, Catch=catch), "B": {"Type": "Succeed"}}, nested=nested)
        self.assertEqual(["S", "X", "Y"], outcome.entered)

    def test_a_failed_execution_is_described_by_its_name(self) -> None:
        nested = {"other": {"X": {"Type": "Fail", "Error": "E", "Cause": "c"}}}
        states = {
            "S": start("other", {}, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "D"}]),
            "D": {
                "Type": "Task",
                "Resource": "arn:aws:states:::aws-sdk:sfn:describeExecution",
                "Arguments": {"ExecutionArn": f"{MACHINES.replace(':stateMachine:', ':execution:')}other:one"},
                "End": True,
            },
        }
        states["S"]["Arguments"]["Name"] = "one"
        outcome = self.execute(states, nested=nested)
        self.assertEqual(("E", "c", "FAILED"), tuple(outcome.output[key] for key in ("Error", "Cause", "Status")))
        self.assertEqual(["S", "X", "D"], outcome.entered)

    def ask(self, approvals: Any, **message: Any) -> Outcome:
        message = {"pipeline": "p", "run": "r", "step": "a.b", "message": "?", "token": "{% $states.context.Task.Token %}", **message}
        task = {
            "Type": "Task",
            "Resource": "arn:aws:states:::sns:publish.waitForTaskToken",
            "Arguments": {"TopicArn": TOPIC, "Message": message},
            "TimeoutSeconds": 60,
            "Catch": [{"ErrorEquals": ["States.Timeout"], "Output": "late", "Next": "B"}],
            "End": True,
        }
        return self.execute({"A": task, "B": {"Type": "Succeed"}}, approvals=approvals)

    def test_an_answer_is_the_result_of_the_task_that_gave_its_token(self) -> None:
        self.assertEqual({"approved": True}, self.ask({"c": 1, "x.a.b": {"approved": True}}).output)
        self.assertEqual(("late", []), (self.ask({"b": 1}).output, self.ask({"b": 1}).waits))
        with self.assertRaises(BaseException):
            self.ask({}, token="other")

    def test_a_text_is_published_with_its_attributes(self) -> None:
        def publish(message: str) -> Outcome:
            attributes = {name: {"DataType": "String", "StringValue": name} for name in ("pipeline", "run", "step")}
            arguments = {"TopicArn": TOPIC, "Message": message, "MessageAttributes": attributes}
            return self.execute({"A": {"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "Arguments": arguments, "End": True}})

        self.assertEqual([{"topic": "asks", "message": "x"}], publish("{% 'x' %}").published)
        self.assertEqual("SNS.InvalidParameterException", publish("").error)

    def test_a_container_ends_by_itself_or_late(self) -> None:
        def submit(code: str, **more: Any) -> Outcome:
            arguments = {"JobName": "j", "JobDefinition": JOB, "JobQueue": "q", "ContainerOverrides": {"Command": ["python3", "-c", code]}, **more}
            catch = [{"ErrorEquals": ["States.ALL"], "Output": "{% $states.errorOutput %}", "Next": "B"}]
            task = {"Type": "Task", "Resource": "arn:aws:states:::batch:submitJob.sync", "Arguments": arguments, "TimeoutSeconds": 2, "Catch": catch, "End": True}
            return self.execute({"A": task, "B": {"Type": "Succeed"}})

        self.assertEqual(0, submit("pass").output["Container"]["ExitCode"])
        failed = submit("raise SystemExit(3)").output
        self.assertEqual(("States.TaskFailed", 3), (failed["Error"], json.loads(failed["Cause"])["Container"]["ExitCode"]))
        self.assertEqual("States.Timeout", submit("import time; time.sleep(9)").output["Error"])
        with self.assertRaises(BaseException):
            submit("pass", Timeout={"Seconds": 60})

    def test_a_message_of_a_queue_is_told_from_params(self) -> None:
        condition = "{% $type($states.input) = 'array' and $states.input[0].eventSourceARN = 'arn:q' %}"
        rule = {"Condition": condition, "Output": {"text": "{% 'It is: ' & $states.input[0].body %}"}, "Next": "End"}
        states = {"M": {"Type": "Choice", "Choices": [rule], "Default": "End"}, "End": {"Type": "Succeed"}}
        record = {"messageId": "1", "body": '{"n": 1}', "eventSource": "aws:sqs", "eventSourceARN": "arn:q"}
        self.assertEqual({"text": 'It is: {"n": 1}'}, self.execute(states, [record]).output)
        for other in ({"text": "x"}, record, [], [1], [{**record, "eventSourceARN": "arn:p"}], "x", None):
            self.assertEqual(other, self.execute(states, other).output)

    def test_a_timestamp_is_waited_for_by_the_virtual_clock(self) -> None:
        at = "{% $fromMillis($toMillis($states.context.Execution.StartTime) + 20000) %}"
        branches = [
            {"StartAt": "T", "States": {"T": {"Type": "Wait", "Timestamp": at, "Next": "Late"}, "Late": {"Type": "Succeed"}}},
            {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 10, "Next": "Early"}, "Early": {"Type": "Succeed"}}},
        ]
        outcome = self.execute({"P": {"Type": "Parallel", "Branches": branches, "End": True}})
        self.assertEqual(["Early", "Late"], [name for name in outcome.entered if name in ("Early", "Late")])
        self.assertEqual([10], outcome.waits)
        past = {"W": {"Type": "Wait", "Timestamp": "2020-01-01T00:00:00.5Z", "End": True}}
        self.assertEqual(("succeeded", []), (self.execute(past).status, self.execute(past).waits))
        bad = {"W": {"Type": "Wait", "Timestamp": "{% 'tomorrow' %}", "End": True}}
        self.assertEqual("States.QueryEvaluationError", self.execute(bad).error)

    def test_outer_variables_are_read_in_branches(self) -> None:
        branch = {"StartAt": "I", "States": {"I": {"Type": "Succeed", "Output": "{% $outer + 1 %}"}}}
        states = {
            "A": {"Type": "Pass", "Assign": {"outer": 1}, "Next": "P"},
            "P": {"Type": "Parallel", "Branches": [branch], "Assign": {"outer": "{% $states.result[0] %}"}, "Next": "Z"},
            "Z": {"Type": "Succeed", "Output": "{% $outer %}"},
        }
        self.assertEqual(2, self.execute(states).output)

    def test_fail_needs_strings(self) -> None:
        self.assertEqual("States.QueryEvaluationError", self.execute({"F": {"Type": "Fail", "Error": "{% 1 %}"}}).error)

    def test_wait_needs_a_whole_number(self) -> None:
        for value, error in ((1.5, "States.QueryEvaluationError"), (-1, "States.QueryEvaluationError"), (0, None)):
            self.assertEqual(error, self.execute({"W": {"Type": "Wait", "Seconds": "{% $states.input %}", "End": True}}, value).error)


if __name__ == "__main__":
    unittest.main()
