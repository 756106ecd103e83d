"""Runs the state machines of cases/, whose results AWS's documentation gives."""

from __future__ import annotations

import json
import tempfile
import unittest
from pathlib import Path
from typing import Any

from functions import Function, Functions
from machine import Outcome, Run
from query import Jsonata
from template import ACCOUNT, REGION

CASES = Path(__file__).parent / "cases"


def functions() -> Functions:
    found = {}
    for name, entry in json.loads((CASES / "functions.json").read_text()).items():
        entry = {"handler": entry} if isinstance(entry, str) else entry
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
        found[arn] = Function(name, CASES, entry["handler"].replace(".py:", "."), entry.get("timeout", 60))
    return Functions(found, {})


class CasesTest(unittest.TestCase):
    def setUp(self) -> None:
        self.functions = functions()
        self.jsonata = Jsonata()
        self.addCleanup(self.functions.close)
        self.addCleanup(self.jsonata.close)

    def test_every_case(self) -> None:
        paths = sorted(CASES.glob("*.case.json"))
        self.assertGreater(len(paths), 20)
        for path in paths:
            with self.subTest(path.name), tempfile.TemporaryDirectory() as folder:
                case = json.loads(path.read_text().replace("@TMP@", folder))
                definition = path.with_name(path.name.replace(".case.", ".asl.")).read_text()
                self.compare(case["expect"], Run(self.functions, self.jsonata).execute(definition, case["input"]))

    def compare(self, expect: dict[str, Any], outcome: Outcome) -> None:
        self.assertEqual(expect["status"], outcome.status.upper(), outcome)
        if "output" in expect:
            self.assertEqual(expect["output"], outcome.output)
        if "error" in expect:
            self.assertEqual(expect["error"], outcome.error)
        if "cause" in expect:
            self.assertEqual(expect["cause"], outcome.cause)
        self.assertIn(expect.get("cause_contains", ""), outcome.cause or "")
        if "retries" in expect:
            self.assertEqual(expect["retries"], outcome.waits)


if __name__ == "__main__":
    unittest.main()
