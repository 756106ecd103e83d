"""The generator and the flow of seeds."""

from __future__ import annotations

import unittest
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

from harness import fuzz
from harness.generate import ROOT, Generator


def steps_of(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for step in document["steps"].values():
        yield step
        yield from (entry["do"] for entry in step.get("catch", []) if "do" in entry)
        if "steps" in step:
            yield from steps_of(step)


class Generate(unittest.TestCase):
    def seeds(self) -> Iterator[tuple[Generator, dict[str, dict[str, Any]]]]:
        for seed in range(400):
            generator = Generator(seed)
            document, _ = generator.pipeline(f"seed-{seed}", "functions")
            yield generator, {ROOT: document, **generator.files}

    def test_a_seed_is_one_pipeline(self) -> None:
        first, second = Generator(7), Generator(7)
        self.assertEqual(first.pipeline("p", "functions"), second.pipeline("p", "functions"))
        self.assertEqual((first.files, first.approvals), (second.files, second.approvals))

    def test_every_kind_and_modifier_comes(self) -> None:
        found: set[str] = set()
        for _, documents in self.seeds():
            found |= {key for document in documents.values() for step in steps_of(document) for key in step}
        wanted = {"function", "wait", "fail", "steps", "pipeline", "approval", "needs", "join", "when", "for_each", "max_concurrency", "repeat", "catch", "retry", "timeout"}
        self.assertLessEqual(wanted, found)

    def test_lists_are_long_and_wide_now_and_then(self) -> None:
        loops = [step for _, documents in self.seeds() for document in documents.values() for step in steps_of(document) if "for_each" in step]
        lengths = {len(step["for_each"]) for step in loops if isinstance(step["for_each"], list)}
        self.assertTrue(lengths & set(range(30, 61)))
        self.assertGreater(max(step.get("max_concurrency", 0) for step in loops), 40)

    def test_each_approval_has_an_answer_wherever_it_is_run(self) -> None:
        asked = 0
        for generator, documents in self.seeds():
            paths = set(generator.approvals)
            for entry in generator.asked:
                asked += 1
                runs = entry.file == ROOT or any(file == entry.file for _, _, file in generator.calls)
                self.assertTrue(runs)
                self.assertTrue(any(path == entry.path or path.endswith(f".{entry.path}") for path in paths), (entry, paths))
        self.assertGreater(asked, 20)


class Flow(unittest.TestCase):
    def test_seeds_come_back_in_order_and_a_bounded_number_is_under_way(self) -> None:
        started: list[int] = []

        def start(seed: int) -> Future[int]:
            started.append(seed)
            future: Future[int] = Future()
            future.set_result(seed)
            return future

        ahead = [(seed, len(started)) for seed, _ in fuzz.windowed(range(100), start)]
        self.assertEqual(list(range(100)), [seed for seed, _ in ahead])
        self.assertLessEqual(max(count - seed for seed, count in ahead), fuzz.WINDOW)


if __name__ == "__main__":
    unittest.main()
