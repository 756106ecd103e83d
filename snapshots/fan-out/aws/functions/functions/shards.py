"""A lake of measurements: a CSV file a day, with the columns `station` and `celsius`."""

import csv
import json

import fsspec


class BrokenShard(Exception):
    pass


def list_shards(input):
    filesystem, folder = fsspec.core.url_to_fs(input["uri"])
    folder = folder.rstrip("/")
    prefix = input["uri"].rstrip("/").rpartition("/")[2]
    paths = sorted(path for path in filesystem.find(folder) if path.endswith(".csv"))
    return {"shards": [prefix + path[len(folder) :] for path in paths]}


def sum_shard(input):
    sums, rows = {}, 0
    with fsspec.open(input["uri"], "r", encoding="utf-8", newline="") as file:
        for record in csv.DictReader(file):
            try:
                celsius = float(record["celsius"])
            except (KeyError, TypeError, ValueError):
                raise BrokenShard(f"line {rows + 2} of {input['uri'].rpartition('/')[2]} has no number") from None
            total, count = sums.get(record["station"], (0.0, 0))
            sums[record["station"]] = (round(total + celsius, 3), count + 1)
            rows += 1
    return {"rows": rows, "sums": sums}


def merge(input):
    merged = {}
    for part in input["totals"]:
        for station, (total, count) in part["sums"].items():
            before = merged.get(station, (0.0, 0))
            merged[station] = (before[0] + total, before[1] + count)
    mean = {station: round(total / count, 2) for station, (total, count) in sorted(merged.items())}
    with fsspec.open(input["target"], "w", encoding="utf-8") as file:
        json.dump(mean, file)
    return {"stations": len(mean), "mean": mean}
