"""What JObject.Parse does to JSON on its way through the extension."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

DATE = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,7})?(Z|[+-]\d\d:?\d\d)?$")


def rewrite_dates(value: Any) -> Any:
    """Reads ISO date strings as DateTime and writes them back in its own form (on a server in UTC)."""
    if isinstance(value, dict):
        return {key: rewrite_dates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rewrite_dates(item) for item in value]
    if isinstance(value, str) and (match := DATE.match(value)):
        return rewrite_date(value, *match.groups())
    return value


def rewrite_date(text: str, base: str, fraction: str | None, zone: str | None) -> str:
    fraction = (fraction or "").rstrip("0").rstrip(".")
    try:
        moment = dt.datetime.strptime(base, "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return text
    if zone in (None, "Z"):
        return base + fraction + (zone or "")
    sign = 1 if zone[0] == "+" else -1
    digits = zone[1:].replace(":", "")
    moment -= sign * dt.timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + fraction + "+00:00"
