import customers

SHARD = 200


class NotATable(Exception):
    pass


class NotEnoughRows(Exception):
    pass


def handler(input):
    records = customers.read(input["uri"])
    missing = {*customers.NUMBERS, "plan", "churned"} - set(records[0] if records else ())
    if missing:
        raise NotATable(f"columns are missing: {', '.join(sorted(missing))}")
    rows = sum(customers.usable(record) is not None for record in records)
    if rows < 50:
        raise NotEnoughRows(f"only {rows} of {len(records)} rows can be used")
    shards = [
        {"first": first, "last": min(first + SHARD, len(records)) - 1} for first in range(0, len(records), SHARD)
    ]
    return {"rows": rows, "shards": shards}
