"""Starts runs from events, on request and by the clock."""

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

import azure.functions as func

MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
DAYS = "SUN MON TUE WED THU FRI SAT".split()
LATE = 59  # minutes that a timer may be late


async def start_once(client, orchestrator, instance_id, params):
    """Starts a run, unless it was started before: events and timers come at least once."""
    status = await client.get_status(instance_id)
    if status is None or status.runtime_status is None:
        await client.start_new(orchestrator, instance_id, params)


@dataclass(frozen=True)
class ObjectCreated:
    """An object that landed in a bucket."""

    key: str
    bucket: str
    uri: str


def object_created(event, bucket):
    """Reads a Microsoft.Storage.BlobCreated event."""
    key = event.subject.partition("/blobs/")[2]
    return ObjectCreated(key, bucket.name, f"{bucket.uri}/{key}")


@dataclass(frozen=True)
class Message:
    """A message on a topic."""

    id: str
    message: str


def topic_message(event):
    """Reads an event of a topic: of mlpipe's own notify, or of anybody, whose `data` is the text or else is taken as JSON."""
    data = event.get_json()
    if event.event_type == "mlpipe.notify":
        data = data["message"]
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    # Publishers choose ids as they like; those of runs are shorter, and without some signs.
    return Message(hashlib.sha256(event.id.encode()).hexdigest()[:32], text)


async def start_by_request(client, orchestrator, request):
    """Starts a run with the body of a request as its params. The answer tells where to ask how it goes."""
    try:
        params = request.get_json() if request.get_body() else {}
    except ValueError:
        params = None
    if not isinstance(params, dict):
        return func.HttpResponse("the body of the request must be a JSON object: the params", status_code=400)
    instance = await client.start_new(orchestrator, None, params)
    return client.create_check_status_response(request, instance)


@dataclass(frozen=True)
class Schedule:
    """A cron line in a time zone.

    A local time that a clock change leaves out is left out; one that it repeats counts once.
    """

    cron: str
    timezone: str

    def due(self, now):
        """The time that `now`, the moment at which a timer fired, belongs to; None where the schedule has none there."""
        now = now.replace(second=0, microsecond=0)
        for late in range(LATE + 1):
            time = now - timedelta(minutes=late)
            if self.matches(time.astimezone(ZoneInfo(self.timezone))):
                return time
        return None

    def matches(self, local):
        minute, hour, day, month, weekday = self.cron.split()
        return (
            local.fold == 0
            and local.minute in numbers(minute, 0, 59)
            and local.hour in numbers(hour, 0, 23)
            and local.day in numbers(day, 1, 31)
            and local.month in numbers(month, 1, 12, MONTHS)
            and local.isoweekday() % 7 in numbers(weekday, 0, 6, DAYS)
        )


def numbers(field, first, last, names=()):
    """The numbers that a field of a cron line stands for."""
    found = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        low, _, high = span.partition("-")
        if span == "*":
            low, high = first, last
        else:
            low = number(low, first, names)
            high = number(high, first, names) if high else last if step else low
        every = range(low, high + 1) if low <= high else [*range(low, last + 1), *range(first, high + 1)]
        found.update(every[:: int(step or 1)])
    return found


def number(text, first, names):
    return names.index(text.upper()) + first if text.upper() in names else int(text)
