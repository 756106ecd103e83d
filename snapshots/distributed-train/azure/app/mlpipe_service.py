"""Steps that a managed service runs, each attempt in an orchestration of its own.

That one starts what runs, looks at it from time to time, and stops it where it is late or given up. After some looks it begins a new
history: the looks of days are no burden to the pipeline's.
"""

import importlib
import json
import logging
from datetime import timedelta

from mlpipe_fibers import Fibers
from mlpipe_sub import STOP

START, LOOK, END = "mlpipe-service-start", "mlpipe-service-look", "mlpipe-service-end"
LOOKS = 50  # in one history
MOST_FAILED = 5  # looks in a row
PAUSES = (5, 10, 20, 40, 60)  # seconds before the first looks; then always the last
AGAIN = object()

UNAVAILABLE = {"error": {"name": "ServiceUnavailable", "message": "the service could not be reached"}}
LATE = {"error": {"name": "timeout", "message": "the attempt ran longer than its timeout"}}
STOPPED = {"error": {"name": "Stopped", "message": "the step was given up"}}  # nobody hears it


def run(context):
    """The orchestration: to be `yield from`-ed. Returns {"output": value} or {"error": {"name", "message"}} as JSON."""
    watch = Watch(context, context.get_input())
    answer = yield from watch.fibers.run(watch.whole())
    if answer is AGAIN:
        context.continue_as_new(watch.given)
        return None
    return json.dumps(answer)


class Watch:
    """One attempt. `given` is the name of the service and its request, then also the handle of what runs and its bound in time."""

    def __init__(self, context, given):
        self.context, self.given = context, given
        self.fibers = Fibers(context)

    def whole(self):
        if "handle" not in self.given:
            started = self.context.call_activity(START, {**self.given, "name": self.context.instance_id.replace(":", "-")})
            yield started
            if not isinstance(started.result, dict):
                self.log(started.result)
                return UNAVAILABLE
            if "error" in started.result:
                return started.result
            until = self.now() + self.given["timeout"]
            self.given = {**self.given, "handle": started.result, "until": until, "looks": 0}
        with self.fibers.nursery() as running:
            running.start(self.watched())
            running.start(self.stopped())
            answer = yield running
        if answer in (LATE, STOPPED, UNAVAILABLE):
            yield self.context.call_activity(END, self.known())
        return answer

    def watched(self):
        """Looks until it has ended."""
        failed = 0
        for _ in range(LOOKS):
            looks = self.given["looks"]
            yield from self.pause(PAUSES[min(looks, len(PAUSES) - 1)])
            look = self.context.call_activity(LOOK, self.known())
            yield look
            self.given["looks"] = looks + 1
            failed = failed + 1 if isinstance(look.result, Exception) else 0
            if failed == MOST_FAILED:
                self.log(look.result)
                return UNAVAILABLE
            if isinstance(look.result, dict):
                if "handle" not in look.result:
                    return look.result
                self.given["handle"] = look.result["handle"]
            if self.now() >= self.given["until"]:
                return LATE
        return AGAIN

    def pause(self, seconds):
        left = max(self.given["until"] - self.now(), 0)
        timer = self.context.create_timer(self.context.current_utc_datetime + timedelta(seconds=min(seconds, left)))
        try:
            yield timer
        finally:
            if not timer.is_completed:
                timer.cancel()

    def stopped(self):
        yield self.context.wait_for_external_event(STOP)
        return STOPPED

    def known(self):
        return {"service": self.given["service"], "handle": self.given["handle"]}

    def log(self, failure):
        if not self.context.is_replaying:
            logging.warning("%s: %s", self.given["step"], str(failure).partition("\n")[0])

    def now(self):
        return self.context.current_utc_datetime.timestamp()


def start(given):
    """Activity: the handle of what runs now, or the error. A service that names what it runs is given a name of its own for each attempt."""
    from mlpipe_rest import Refused

    try:
        return module(given).start(given["request"], given["name"])
    except Refused as error:
        logging.warning("%s: %s", given["step"], error)
        return UNAVAILABLE


def look(known):
    """Activity: how it went; None while it runs, or the handle where that is another now."""
    return module(known).look(known["handle"])


def end(known):
    """Activity: stops it. One that has ended meanwhile refuses that."""
    from mlpipe_rest import Refused

    try:
        module(known).stop(known["handle"])
    except Refused as error:
        logging.warning("%s", error)


def module(known):
    return importlib.import_module(f"mlpipe_{known['service']}")
