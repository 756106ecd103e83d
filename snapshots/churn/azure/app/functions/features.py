import csv

import customers
import fsspec


def handler(input):
    shard = input["shard"]
    records = customers.read(input["uri"])[shard["first"] : shard["last"] + 1]
    rows = [row for row in map(customers.usable, records) if row]
    with fsspec.open(input["target"], "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*customers.FEATURES, "churned"])
        writer.writerows(rows)
    return {"rows": len(rows)}
