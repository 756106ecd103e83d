"""What an execution costs, on small definitions: API reference, HistoryEvent, and Step Functions pricing."""

from __future__ import annotations

import functools
import unittest
from pathlib import Path
from typing import Any

import history
import test_interpreter
from functions import Function, Functions
from query import Jsonata

CASES = Path(__file__).parent / "cases"
TASK = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": {"FunctionName": "echo", "Payload": 1}, "End": True}
FAILING = {**TASK, "Arguments": {"FunctionName": "always_fails", "Payload": 1}}
PASS = {"Type": "Pass", "End": True}


def block(states: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


@functools.cache
def install_once() -> None:
    history.install()


class HistoryTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        install_once()
        cls.functions = Functions({name: Function(name, CASES, f"handlers.{name}", 60) for name in ("echo", "always_fails")}, {})
        cls.jsonata = Jsonata()
        cls.addClassCleanup(cls.functions.close)
        cls.addClassCleanup(cls.jsonata.close)

    def costs(self, states: dict[str, Any], value: Any = None, **nested: Any) -> tuple[int, int]:
        """Transitions, and events but for the first and the last of an execution."""
        test_interpreter.InterpreterTest.execute(self, states, value, nested)
        costs = history.costs()
        return costs["transitions"], costs["events"] - 2 * costs["executions"]

    def test_a_state_is_entered_and_exited(self) -> None:
        self.assertEqual((1, 2), self.costs({"A": PASS}))
        self.assertEqual((2, 4), self.costs({"A": {"Type": "Wait", "Seconds": 5, "Next": "B"}, "B": {"Type": "Succeed"}}))
        self.assertEqual((2, 4), self.costs({"A": {"Type": "Choice", "Choices": [{"Condition": True, "Next": "B"}]}, "B": PASS}))

    def test_a_fail_state_is_only_entered(self) -> None:
        self.assertEqual((1, 1), self.costs({"A": {"Type": "Fail", "Error": "E", "Cause": "c"}}))

    def test_a_task_is_scheduled_started_and_succeeds(self) -> None:
        self.assertEqual((1, 5), self.costs({"A": TASK}))

    def test_a_task_that_fails_is_exited_where_the_failure_is_caught(self) -> None:
        self.assertEqual((1, 4), self.costs({"A": FAILING}))
        self.assertEqual((2, 7), self.costs({"A": {**FAILING, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}]}, "B": PASS}))

    def test_a_retry_is_billed_and_schedules_again(self) -> None:
        self.assertEqual((3, 10), self.costs({"A": {**FAILING, "Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2}]}}))

    def test_an_expression_that_fails_is_an_event_and_nothing_is_scheduled(self) -> None:
        self.assertEqual((1, 2), self.costs({"A": {**TASK, "Arguments": {"FunctionName": "echo", "Payload": "{% $nope %}"}}}))

    def test_a_parallel_starts_and_succeeds_and_its_branches_write_nothing(self) -> None:
        self.assertEqual((3, 8), self.costs({"A": {"Type": "Parallel", "Branches": [block({"B": PASS}), block({"C": PASS})], "End": True}}))

    def test_a_parallel_that_fails(self) -> None:
        self.assertEqual((2, 7), self.costs({"A": {"Type": "Parallel", "Branches": [block({"B": FAILING})], "End": True}}))

    def test_a_map_starts_and_ends_each_iteration(self) -> None:
        self.assertEqual((4, 4 + 3 * (2 + 2)), self.costs({"A": {"Type": "Map", "Items": [1, 2, 3], "ItemProcessor": block({"B": PASS}), "End": True}}))
        self.assertEqual((1, 4), self.costs({"A": {"Type": "Map", "Items": [], "ItemProcessor": block({"B": PASS}), "End": True}}))

    def test_an_item_of_a_distributed_map_is_an_execution(self) -> None:
        processor = {**block({"B": PASS}), "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
        # The first and last events of the executions do not count here; the Map has four of its own, its run has two.
        self.assertEqual((3, 4 + 2 + 2 * 2), self.costs({"A": {"Type": "Map", "Items": [1, 2], "MaxConcurrency": 50, "ItemProcessor": processor, "End": True}}))

    def test_a_nested_execution_is_submitted_and_has_a_history_of_its_own(self) -> None:
        start = {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "Arguments": {"StateMachineArn": f"{test_interpreter.MACHINES}inner", "Input": {}}, "End": True}
        self.assertEqual((2, 6 + 2), self.costs({"A": start}, inner={"B": PASS}))


if __name__ == "__main__":
    unittest.main()
