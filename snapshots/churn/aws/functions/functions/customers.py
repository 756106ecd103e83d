"""The table of customers: what its columns are, and what of a line can be used."""

import csv

import fsspec

NUMBERS = {"months": 600, "monthly_charge": 1000, "support_calls": 30, "days_idle": 3650}
PLANS = ("basic", "plus", "premium")
LABELS = {"yes": 1, "no": 0}
FEATURES = [*NUMBERS, "plus", "premium"]


class NoSuchTable(Exception):
    pass


def read(uri):
    """Its lines, as they are written."""
    try:
        with fsspec.open(uri, "r", encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise NoSuchTable(f"there is no {uri.rpartition('/')[2]}") from None


def usable(record):
    """A line as numbers and its label, or None where a value is missing or makes no sense."""
    cells = {name: (text or "").strip().lower() for name, text in record.items() if name}
    plan, label = cells.get("plan"), LABELS.get(cells.get("churned"))
    if plan not in PLANS or label is None:
        return None
    row = []
    for name, most in NUMBERS.items():
        try:
            value = float(cells.get(name, ""))
        except ValueError:
            return None
        if not 0 <= value <= most:
            return None
        row.append(value)
    return [*row, int(plan == "plus"), int(plan == "premium"), label]
