"""The modules that run a pipeline on Azure, as far as they need no Azure.

Run: python3 -m unittest discover tests/adapter
"""

import importlib
import sys
import unittest
from datetime import datetime, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "targets" / "azure"))
sys.dont_write_bytecode = True

expr = importlib.import_module("mlpipe_expr")
params = importlib.import_module("mlpipe_params")
start = importlib.import_module("mlpipe_start")
dag = importlib.import_module("mlpipe_dag")
progress = importlib.import_module("mlpipe_progress")
sub = importlib.import_module("mlpipe_sub")


class Expressions(unittest.TestCase):
    def test_text_of_numbers(self):
        for value, text in [
            (1, "1"), (1.0, "1"), (-0.0, "0"), (0.1 + 0.2, "0.30000000000000004"), (1e21, "1e+21"), (1e20, "100000000000000000000"),
            (123456789012345680000.0, "123456789012345680000"), (1.5e-7, "1.5e-7"), (1e-6, "0.000001"), (-2.5e-9, "-2.5e-9"),
            (5e-324, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"), (2**53 - 1, "9007199254740991"), (123.456, "123.456"),
        ]:  # fmt: skip
            self.assertEqual(expr.string(value), text)

    def test_true_is_not_one(self):
        self.assertFalse(expr.equal(True, 1))
        self.assertFalse(expr.equal([0], [False]))
        self.assertTrue(expr.equal({"a": [1, None]}, {"a": [1.0, None]}))
        self.assertFalse(expr.within(True, [1]))
        self.assertFalse(expr.contains([0, "a"], False))

    def test_arithmetic_is_that_of_doubles(self):
        self.assertEqual(expr.divide(7, 2), 3.5)
        self.assertIsInstance(expr.divide(6, 2), int)
        self.assertEqual(expr.remainder(-7, 3), -1)
        self.assertEqual(expr.add(2**53 - 1, 1, 1), 2.0**53)
        self.assertEqual(expr.fold(1, "+", 2, "*", 3, "-", 4), 5)
        self.assertEqual(expr.ceil(-0.5), 0)

    def test_what_has_no_value_raises(self):
        for call in [
            lambda: expr.divide(1, 0), lambda: expr.remainder(1, 0), lambda: expr.multiply(1e300, 1e300), lambda: expr.add(1, "a"),
            lambda: expr.add(True, 1), lambda: expr.less(1, "a"), lambda: expr.less(True, False), lambda: expr.item([1], -1),
            lambda: expr.item([1], 1), lambda: expr.item("abc", 0), lambda: expr.item([1], True), lambda: expr.string(None),
            lambda: expr.string([1]), lambda: expr.integer("1.0"), lambda: expr.integer("٣"), lambda: expr.integer("9007199254740992"),
            lambda: expr.double("1."), lambda: expr.double("1e999"), lambda: expr.minimum([]), lambda: expr.split("a", ""),
            lambda: expr.join(["a", 1], ","), lambda: expr.keys([1]), lambda: expr.size(1), lambda: expr.boolean(1), lambda: expr.within("a", "abc"),
        ]:  # fmt: skip
            self.assertRaises(expr.ExpressionError, call)

    def test_paths_forgive_what_is_missing(self):
        value = {"a": {"b": None}, "xs": [1]}
        self.assertEqual(expr.default(lambda: value["a"]["c"], 1), 1)
        self.assertEqual(expr.default(lambda: value["a"]["b"]["c"], lambda: 2), 2)
        self.assertEqual(expr.default(lambda: expr.item(value["xs"], 0), 3), 1)
        self.assertFalse(expr.has(lambda: value["a"]["b"]))
        self.assertFalse(expr.has(lambda: expr.walk(value, "xs", 5, "k")))
        self.assertRaises(expr.ExpressionError, lambda: expr.has(lambda: expr.walk(value, expr.strict(lambda: value["nope"]))))


class Params(unittest.TestCase):
    DECLARED = [
        params.Param("key", "string"),
        params.Param("n", "integer", default=3, minimum=1, maximum=10),
        params.Param("mode", "string", default="a", enum=["a", "b"]),
        params.Param("o", params.Optional({"x": ["number"], "y": params.Optional("any")})),
    ]

    def test_good(self):
        self.assertEqual(params.check(self.DECLARED, {"key": "k"}), ({"key": "k", "n": 3, "mode": "a", "o": None}, None))
        values, problem = params.check(self.DECLARED, {"key": "k", "n": 4.0, "o": {"x": [1.0]}})
        self.assertIsNone(problem)
        self.assertEqual((repr(values["n"]), repr(values["o"])), ("4", "{'x': [1]}"))

    def test_bad(self):
        for given, problem in [
            (None, "param `key` is missing"),
            ({"key": 1}, "param `key` must be string"),
            ({"key": "k", "n": True}, "param `n` must be integer"),
            ({"key": "k", "n": 1.5, "zz": 1}, "param `n` must be integer"),
            ({"key": "k", "n": 0}, "param `n` must be at least 1"),
            ({"key": "k", "n": 11}, "param `n` must be at most 10"),
            ({"key": "k", "mode": "c"}, 'param `mode` must be one of "a", "b"'),
            ({"key": "k", "o": {"y": 1}}, "param `o` must be optional { x: [number], y: optional any }"),
            ({"key": "k", "zz": 1}, "param `zz` is unknown"),
        ]:
            self.assertEqual(params.check(self.DECLARED, given)[1], problem)


class Schedules(unittest.TestCase):
    def due(self, cron, zone, at):
        time = start.Schedule(cron, zone).due(datetime.fromisoformat(at).replace(tzinfo=timezone.utc))
        return time and f"{time:%Y-%m-%dT%H:%M}"

    def test_summer_and_winter(self):
        self.assertEqual(self.due("0 3 * * *", "Europe/Zurich", "2026-07-01T01:00:05"), "2026-07-01T01:00")
        self.assertIsNone(self.due("0 3 * * *", "Europe/Zurich", "2026-07-01T02:00:05"))
        self.assertIsNone(self.due("0 3 * * *", "Europe/Zurich", "2026-12-01T01:00:05"))
        self.assertEqual(self.due("0 3 * * *", "Europe/Zurich", "2026-12-01T02:00:05"), "2026-12-01T02:00")

    def test_a_late_timer(self):
        self.assertEqual(self.due("0 3 * * *", "Europe/Zurich", "2026-07-01T01:07:00"), "2026-07-01T01:00")

    def test_days_are_local_days(self):
        # Sunday 23:30 in UTC is Monday in Tokyo.
        self.assertEqual(self.due("30 8 * * MON-FRI", "Asia/Tokyo", "2026-11-22T23:30:00"), "2026-11-22T23:30")
        self.assertIsNone(self.due("30 8 * * SUN", "Asia/Tokyo", "2026-11-22T23:30:00"))

    def test_clock_changes(self):
        # 2:30 is left out on 29 March and comes twice on 25 October.
        for hour in range(0, 4):
            self.assertIsNone(self.due("30 2 * * *", "Europe/Zurich", f"2026-03-29T{hour:02}:30:00"))
        self.assertEqual(self.due("30 2 * * *", "Europe/Zurich", "2026-10-25T00:30:00"), "2026-10-25T00:30")
        self.assertIsNone(self.due("30 2 * * *", "Europe/Zurich", "2026-10-25T01:30:00"))

    def test_fields(self):
        self.assertEqual(start.numbers("*/20,5", 0, 59), {0, 5, 20, 40})
        self.assertEqual(start.numbers("FRI,SAT,SUN", 0, 6, start.DAYS), {5, 6, 0})
        self.assertEqual(start.numbers("JAN-MAR", 1, 12, start.MONTHS), {1, 2, 3})


class Retries(unittest.TestCase):
    def test_waits(self):
        retry = dag.Retry(attempts=9999, delay=2, backoff=2.0, max_delay=60, on=["transient"])
        self.assertEqual([retry.wait_after(n) for n in (1, 2, 5, 6, 5000)], [2, 4, 32, 60, 60])

    def test_kinds_of_error(self):
        retry = dag.Retry(attempts=2, on=["transient", "timeout", "Boom"])
        wanted = [name for name in ("WorkerCrashed", "timeout", "Boom", "KeyError", "ExpressionError") if retry.wants(1, name)]
        self.assertEqual(wanted, ["WorkerCrashed", "timeout", "Boom"])
        self.assertFalse(retry.wants(2, "Boom"))
        self.assertFalse(dag.Retry(attempts=2, on=["all"]).wants(1, "ExpressionError"))


class Progress(unittest.TestCase):
    class Context:
        def set_custom_status(self, status):
            self.status = status

    def test_a_status_stays_small(self):
        context = self.Context()
        shown = progress.Progress(context)
        for n in range(2000):
            if n % 500 == 0:
                shown.skipped(f"step-{n}")
            else:
                shown.started(f"step-{n}")
                shown.ended(f"step-{n}", "succeeded")
        self.assertEqual(list(context.status["steps"]), ["step-0", "step-500", "step-1000", "step-1500"])
        self.assertEqual(context.status["counts"], {"running": 0, "skipped": 4, "succeeded": 1996})
        for n in range(2000):
            shown.skipped(f"other-{n}")
        self.assertEqual(context.status, {"steps": {}, "counts": {"running": 0, "skipped": 2004, "succeeded": 1996}})

    def test_a_step_that_ran_for_another_item_did_run(self):
        context = self.Context()
        shown = progress.Progress(context)
        shown.started("step")
        shown.started("step")
        shown.ended("step", "succeeded")
        self.assertEqual(context.status["steps"], {"step": "running"})
        shown.ended("step", "succeeded")
        shown.skipped("step")
        self.assertEqual(context.status["steps"], {"step": "succeeded"})


class Slices(unittest.TestCase):
    def test_a_group_weighs_what_it_runs(self):
        inner = dag.Group("g.h", steps=[dag.Function("g.h.a"), dag.Wait("g.h.b", seconds=1)])
        self.assertEqual(sub.weight(dag.Group("g", steps=[inner, dag.Function("g.c")])), 3)
        self.assertEqual((sub.weight(dag.Function("f")), sub.weight(dag.Group("g", steps=[]))), (1, 1))

    def test_slices(self):
        for count, weight, most, expected in [
            (201, 1, 200, (100, 3, 66)),
            (5000, 1, 200, (100, 8, 25)),
            (5000, 1, 30, (100, 2, 15)),
            (5000, 1, 1, (100, 1, 1)),
            (60, 4, 7, (25, 2, 3)),
            (300, 500, 200, (100, 3, 66)),  # a slice of groups, each an orchestration of its own in it
            (100, 500, 200, (1, 100, 2)),
            (10_001, 1, 200, (10_000, 1, 200)),  # slices of slices
        ]:
            self.assertEqual(sub.spread(count, weight, most), expected, (count, weight, most))

    def test_bounds_hold(self):
        for count in (2, 99, 201, 12_345, 1_000_000):
            for weight in (1, 7, 1000):
                for most in (1, 3, 200):
                    length, at_once, each = sub.spread(count, weight, most)
                    self.assertLessEqual(at_once * each, most)
                    self.assertGreaterEqual(each, 1)
                    self.assertLessEqual(-(-count // length), sub.SLICE)
                    self.assertTrue(length == 1 or length * weight <= sub.MOST_INLINE or length < count or sub.spread(length, weight, each)[0] < length)

    def test_stop_tries_again_until_the_orchestration_is_there(self):
        class Status:
            runtime_status = None

        class Client:
            calls = []

            async def raise_event(self, instance, name):
                self.calls.append((instance, name))
                if len(self.calls) < 3:
                    raise Exception("No instance with ID x found.")

            async def get_status(self, instance):
                return Status()

        async def no_time(_):
            pass

        sleep, sub.asyncio.sleep = sub.asyncio.sleep, no_time
        try:
            sub.asyncio.run(sub.stop(Client(), "x"))
        finally:
            sub.asyncio.sleep = sleep
        self.assertEqual(Client.calls, [("x", sub.STOP)] * 3)


if __name__ == "__main__":
    unittest.main()
