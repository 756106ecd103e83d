"""Cleans the table of customers and splits it into a train and a test part."""

import csv

import fsspec

NUMBERS = {"months": 600, "monthly_charge": 1000, "support_calls": 30, "days_idle": 3650}
PLANS = ("basic", "plus", "premium")
LABELS = {"yes": 1, "no": 0}
COLUMNS = ["customer_id", *NUMBERS, *(f"plan_{plan}" for plan in PLANS[1:]), "churned"]


class NoSuchObject(Exception):
    pass


class NotEnoughRows(Exception):
    pass


def handler(input):
    rows, dropped = clean(read(input["source"], input["key"]))
    if len(rows) < 50:
        raise NotEnoughRows(f"only {len(rows)} usable rows in {input['key']}")
    train = [row for index, row in enumerate(rows) if index % 4 != 3]
    test = [row for index, row in enumerate(rows) if index % 4 == 3]
    return {
        "rows": len(rows),
        "dropped": dropped,
        "train_uri": write(train, input["target"] + "/train.csv"),
        "test_uri": write(test, input["target"] + "/test.csv"),
    }


def read(uri, key):
    try:
        with fsspec.open(uri, "r", encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise NoSuchObject(f"no object {key} in the bucket") from None


def clean(table):
    """The usable rows, the first one of each customer, and how many were dropped."""
    rows = {}
    for record in table:
        row = parse(record)
        if row is not None:
            rows.setdefault(row["customer_id"], row)
    return list(rows.values()), len(table) - len(rows)


def parse(record):
    """One row as numbers, or None where a value is missing or makes no sense."""
    cells = {name: (text or "").strip() for name, text in record.items()}
    plan = cells["plan"].lower()
    churned = LABELS.get(cells["churned"].lower())
    if not cells["customer_id"] or plan not in PLANS or churned is None:
        return None
    row = {"customer_id": cells["customer_id"], "churned": churned}
    for name, largest in NUMBERS.items():
        try:
            number = float(cells[name].replace(",", "."))
        except ValueError:
            return None
        if not 0 <= number <= largest:
            return None
        row[name] = number
    for other in PLANS[1:]:
        row[f"plan_{other}"] = int(plan == other)
    return row


def write(rows, uri):
    with fsspec.open(uri, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return uri
