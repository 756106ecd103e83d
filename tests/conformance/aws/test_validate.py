"""Tests of the validator: fixtures/branches is fine, and each fault put into it is found."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import unittest
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import asl
import validate
from query import Jsonata

FIXTURE = Path(__file__).parent / "fixtures" / "branches"


class FoldersTest(unittest.TestCase):
    def copy(self, name: str) -> Path:
        place = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, place)
        return shutil.copytree(FIXTURE, Path(place) / name)

    def run_validate(self, *folders: Path) -> tuple[int, str]:
        """The exit code and the output."""
        said = io.StringIO()
        with redirect_stdout(said):
            code = validate.main([str(folder) for folder in folders])
        return code, said.getvalue()

    def test_the_fixture_is_fine(self) -> None:
        self.assertEqual((0, ""), self.run_validate(FIXTURE))

    def test_faults(self) -> None:
        template, workflow = "template.yaml", "workflow.asl.json"
        cases: list[tuple[str, str, str, str]] = [
            (template, "RawBucketName: !Ref RawBucket", "Other: !Ref RawBucket", "${RawBucketName}"),
            (template, "RawBucketName: !Ref RawBucket", "RawBucketName: !Ref RawBucket\n        More: x", "DefinitionSubstitutions.More is not used"),
            (template, "DefinitionUri: workflow.asl.json", "DefinitionUri: missing.json", "missing.json"),
            (template, "Handler: mlpipe_adapter.lambda_handler", "Handler: mlpipe_adapter.nothing", "does not define nothing"),
            (template, "EventBridgeEnabled: true", "EventBridgeEnabled: true\n          Wrong: 1", "Wrong"),
            (template, "Type: ScheduleV2", "Type: Scheduled", "Scheduled"),
            (template, "Action: [s3:GetObject, s3:PutObject]", "Action: ['s3:*']", "allows the actions s3:*"),
            (template, 'Resource: !Sub "arn:${AWS::Partition}:s3:::branches-raw-${AWS::AccountId}-${AWS::Region}/*"', 'Resource: "*"', "on every resource"),
            (workflow, '"Type": "Succeed"', '"Type": "Success"', "Success"),
            (workflow, '"Next": "right"', '"Next": "rigth"', "rigth"),
            (workflow, '"QueryLanguage": "JSONata",', "", "QueryLanguage"),
        ]
        folders = []
        for index, (name, old, new, _) in enumerate(cases):
            folder = self.copy(f"fault{index}")
            text = (folder / name).read_text()
            self.assertIn(old, text)
            (folder / name).write_text(text.replace(old, new))
            folders.append(folder)
        code, said = self.run_validate(*folders)
        self.assertEqual(1, code)
        for folder, (_, _, _, expected) in zip(folders, cases, strict=True):
            with self.subTest(expected):
                lines = [line for line in said.splitlines() if line.startswith(str(folder) + "/")]
                self.assertTrue(any(expected in line for line in lines), lines)


class DefinitionTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.jsonata = Jsonata()
        cls.addClassCleanup(cls.jsonata.close)

    def problems(self, states: dict[str, Any]) -> list[str]:
        definition = {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states}
        return asl.check(json.dumps(definition), self.jsonata)

    def assert_problem(self, states: dict[str, Any], expected: str) -> None:
        self.assertEqual([expected], self.problems(states))

    def test_scopes(self) -> None:
        inner = {"StartAt": "I", "States": {"I": {"Type": "Pass", "Assign": {"x": 1}, "Output": "{% $y %}", "End": True}}}
        parallel = {"Type": "Parallel", "Branches": [inner, {**inner, "StartAt": "J", "States": {"J": inner["States"]["I"]}}], "End": True}
        self.assertEqual([], self.problems({"P": {**parallel, "Assign": {"y": "{% $states.result %}"}}}))
        got = self.problems({"P": {**parallel, "Assign": {"x": 1, "y": 1}}})
        self.assertEqual(["P[0].I.Assign: the variable `x` is assigned in an outer scope too", "P[1].J.Assign: the variable `x` is assigned in an outer scope too"], got)
        self.assertIn("P[0].I.Output: the variable `$y` is never assigned", self.problems({"P": parallel}))

    def test_names(self) -> None:
        self.assert_problem({"A": {"Type": "Pass", "Assign": {"a-b": 1}, "End": True}}, "A.Assign: `a-b` is no name of a variable")
        self.assert_problem({"A": {"Type": "Pass", "Assign": {"sum": 1}, "End": True}}, "A.Assign: the variable `sum` hides the function `$sum`")
        self.assert_problem({"A" * 81: {"Type": "Succeed"}}, "A" * 81 + ": the name is longer than 80 characters: 81")

    def test_graph(self) -> None:
        self.assert_problem({"A": {"Type": "Succeed"}, "B": {"Type": "Succeed"}}, "B: is never reached")
        self.assert_problem({"A": {"Type": "Pass", "Next": "A"}}, "definition: no state ends it")
        self.assertIn("A: needs either `Next` or `End`", self.problems({"A": {"Type": "Pass"}}))

    def test_fields(self) -> None:
        self.assertIn("A: `ResultPath` is a field of JSONPath", self.problems({"A": {"Type": "Pass", "ResultPath": "$.a", "End": True}}))
        self.assert_problem({"A": {"Type": "Succeed", "Assign": {}}}, "A: unknown field `Assign`")

    def test_expressions(self) -> None:
        for expression, expected in (
            ("{% 1 + %}", "A.Output: is not JSONata: S0207: Unexpected end of expression"),
            ("{% $eval('1') %}", "A.Output: `$eval` is refused"),
            ("{% $$ %}", "A.Output: reads the input document, which is not there: `$$`"),
            ("{% $sum(total) %}", "A.Output: reads the input document, which is not there: `total`"),
            ("{% $ %}", "A.Output: reads the input document, which is not there: `$`"),
            ("{% $states.result %}", "A.Output: `$states.result` is not there"),
            ("{% $states.nothing %}", "A.Output: `$states` has no `nothing`"),
            ("x {% 1 %}", "A.Output: `{%` and `%}` must enclose the whole string"),
            ("{% ($a := 1; $a + $b) %}", "A.Output: the variable `$b` is never assigned"),
            ("{% $f($map([1], function($v){$v + $states.input.x})) %}", "A.Output: the variable `$f` is never assigned"),
        ):
            self.assert_problem({"A": {"Type": "Succeed", "Output": expression}}, expected)
        fine = "{% ($v := $states.input.a[b > 1 and $ > 2]; $sum($map($v, function($x, $i){($y := $x; $y + $i)})) ) %}"
        self.assertEqual([], self.problems({"A": {"Type": "Succeed", "Output": fine}}))
        for expression in (
            "{'a': $states.input.b.c, 'd': [$states.input.(a + b)]}",
            "$states.input.items^(>price){category: $sum(price)}",
            "($f := function($n){$n < 1 ? 0 : $f($n - 1)}; $f(3))",
            "$states.input.`a-b` & $string($states.context.State.RetryCount)",
            "$match('ab', /a/).match ~> $uppercase",
            "$filter($states.input.xs, function($v, $i, $a){$v.b = $i and $count($a[b = 1]) > 0})[0]",
        ):
            self.assertEqual([], self.problems({"A": {"Type": "Succeed", "Output": "{% " + expression + " %}"}}), expression)

    def test_error_names(self) -> None:
        task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": {"FunctionName": "f"}, "End": True}
        for names, expected in (
            (["States.ALL", "X"], "`States.ALL` must stand alone and last"),
            (["States.Nothing"], "there is no error `States.Nothing`"),
            (["States.Runtime"], "`States.Runtime` can be neither retried nor caught"),
        ):
            self.assert_problem({"A": {**task, "Retry": [{"ErrorEquals": names}]}}, f"A.Retry[0]: {expected}")

    def test_keys_that_are_there_twice(self) -> None:
        text = '{"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Succeed"}, "A": {"Type": "Succeed"}}}'
        self.assertEqual(["definition: the key `A` is there twice"], asl.check(text, self.jsonata))


if __name__ == "__main__":
    unittest.main()
