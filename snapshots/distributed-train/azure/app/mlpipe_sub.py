"""Sub-orchestrations: other pipelines, and slices of lists that are too long for one history.

After every event the host runs an orchestrator again over its whole history, so the work grows with the square of what one
orchestration does. Some 65 us an event and 5 events a call make 100 items cost 2 s of computing in all, 2,000 items ten minutes.
"""

import asyncio
import logging

from mlpipe_dag import Group

MOST_INLINE = 200  # calls for items, of all lists together, that one orchestration makes itself
SLICE = 100  # calls for items in one slice; slices that one orchestration waits for
MOST_ITEMS = 200  # of one `for_each` at once
STOP = "_stop"  # the event that ends a sub-orchestration; the others are named after steps
STOP_ACTIVITY = "mlpipe-stop"  # no step's: those have no dash
PUBLISH_ACTIVITY = "mlpipe-publish"
SERVICE = "mlpipe-service"  # the orchestrator of what managed services run


def weight(step):
    """How many calls a run of a step makes, as far as it says without running; lists in it count when they come."""
    return max(1, sum(map(weight, step.steps))) if isinstance(step, Group) else 1


def spread(count, weight, most):
    """How to run so many items of a weight, `most` at once: the length of a slice, slices at once, items at once in each.

    A slice runs a quarter of its items at once where it can, so that it is not its slowest item that the next slice waits for.
    """
    length = max(1, SLICE // weight)
    while length * SLICE < count:  # slices of slices
        length *= SLICE
    slices = -(-count // length)
    at_once = min(slices, -(-most // max(1, length // 4)))
    return length, at_once, most // at_once


async def stop(client, instance):
    """Sends a sub-orchestration the event that ends it. One that has ended needs none; one may not be there yet."""
    for pause in (1, 2, 4, 8, 16, 32):
        try:
            await client.raise_event(instance, STOP)
            return
        except Exception as error:
            logging.info("%s: %s", instance, error)
        status = await client.get_status(instance)
        if status.runtime_status is not None and status.runtime_status.name in ("Completed", "Failed", "Terminated"):
            return
        await asyncio.sleep(pause)
