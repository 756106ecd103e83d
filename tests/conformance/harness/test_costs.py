"""Rows of the cost table from counts."""

from __future__ import annotations

import unittest
from fractions import Fraction

from harness import costs


def counts(**units: int) -> costs.Counts:
    return {column: Fraction(units.get("_".join(column), 0)) for column in costs.COLUMNS}


class Rows(unittest.TestCase):
    def row(self, **fields: object) -> costs.Row:
        return costs.Row(**{"what": "it", "run": "with", "less": "without", "per": 1, "why": {}, **fields})

    def test_a_row_is_a_difference_a_use(self) -> None:
        all_counts = {"with": counts(aws_transitions=31, gcp_internal=9), "without": counts(aws_transitions=1)}
        difference = costs.difference(self.row(per=10), all_counts)
        self.assertEqual(["3", "0", "0.90", "0", "0", "0"], costs.cells(difference))

    def test_external_steps_are_told_apart(self) -> None:
        all_counts = {"with": counts(gcp_internal=3, gcp_external=1)}
        self.assertEqual("3 + 1 external", costs.cells(costs.difference(self.row(less=None), all_counts))[2])

    def test_the_data_is_sound(self) -> None:
        pipelines, sections, _ = costs.load(costs.DATA)
        rows = [row for section in sections for row in section.rows]
        used = {name for row in rows for name in (row.run, row.less) if name}
        self.assertEqual(set(pipelines), used)
        self.assertEqual(len(rows), len({row.what for row in rows}))
        for row in rows:
            self.assertTrue(all(reason.strip() for reason in row.why.values()), row.what)


if __name__ == "__main__":
    unittest.main()
