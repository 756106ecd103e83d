"""Runs generators side by side in one Durable Functions orchestrator.

A generator yields what it waits for: a durable task, or a Nursery. The host runs the orchestrator again, from its history,
after every event: so the order in which generators go on follows from the history alone.
"""

from collections import deque
from datetime import timedelta


class StepFailed(Exception):
    """A step failed: of the exceptions in a generator the only one that its nursery hands on."""

    def __init__(self, step, name, message):
        super().__init__(message)
        self.step, self.name, self.message = step, name, message


class Fiber:
    """A generator under way."""

    def __init__(self, generator, nursery):
        self.generator, self.nursery = generator, nursery
        self.task = None  # the durable task that it waits for
        self.abandoned = False


class Nursery:
    """Generators that run side by side on behalf of another one, for as long as its `with` lasts.

    To yield a nursery waits for the next of its generators that ends: gives what it returned, or raises its StepFailed.
    """

    def __init__(self, fibers):
        self.fibers = fibers
        self.running = {}  # a set in order of start
        self.ended = deque()
        self.waiter = None

    def start(self, generator):
        fiber = Fiber(generator, self)
        self.running[fiber] = None
        self.fibers.ready.append((fiber, None, None))

    def __bool__(self):
        return bool(self.running or self.ended)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Abandons what still runs: its timers are cancelled, what its activities answer is not heard."""
        for fiber in list(self.running):
            fiber.abandoned = True
            fiber.generator.close()
            self.fibers.forget(fiber)
        self.running.clear()
        self.ended.clear()


class Fibers:
    def __init__(self, context):
        self.context = context
        self.ready = deque()  # (fiber, value, error) to go on with
        self.waiting = {}  # fibers by the identity of their durable task, in order of start
        self.new = set()  # those of the identities that the host does not know yet
        self.endings = self.nursery()  # what is still to do for generators that were abandoned

    def nursery(self):
        return Nursery(self)

    def run(self, generator):
        """Runs a generator, and all that it starts, to its end and that of `endings`: to be `yield from`-ed by the orchestrator."""
        root = self.nursery()
        root.start(generator)
        while True:
            while self.ready:
                fiber, value, error = self.ready.popleft()
                if not fiber.abandoned:
                    self.resume(fiber, value, error)
            if root.ended and not self.endings.running:
                break
            winner = yield self.next_task()
            fiber = self.waiting.pop(id(winner), None)
            if fiber is not None:  # else it is a cancelled timer that fired all the same
                fiber.task = None
                self.ready.append((fiber, None, None))
        value, error = root.ended.popleft()
        if error is not None:
            raise error
        return value

    def resume(self, fiber, value, error):
        """Lets a generator go on until it waits for what has not ended."""
        while True:
            try:
                wanted = fiber.generator.send(value) if error is None else fiber.generator.throw(error)
            except StopIteration as end:
                self.end(fiber, end.value, None)
                return
            except StepFailed as failure:
                self.end(fiber, None, failure)
                return
            if not isinstance(wanted, Nursery):
                fiber.task = wanted
                self.waiting[id(wanted)] = fiber
                self.new.add(id(wanted))
                return
            if not wanted.ended:
                wanted.waiter = fiber
                return
            value, error = wanted.ended.popleft()

    def end(self, fiber, value, error):
        nursery = fiber.nursery
        del nursery.running[fiber]
        if nursery.waiter is None:
            nursery.ended.append((value, error))
        else:
            # At once, before others go on: after a failure nothing more may start.
            self.ready.appendleft((nursery.waiter, value, error))
            nursery.waiter = None

    def marker(self):
        """A task that the host takes for ended, and this side for one that never ends."""
        marker = self.context.create_timer(self.context.current_utc_datetime + timedelta(hours=1))
        marker.cancel()
        return marker

    def knows(self, task):
        """Whether the host knows of a task that a fiber waits for."""
        return id(task) not in self.new

    def forget(self, fiber):
        if fiber.task is not None:
            self.waiting.pop(id(fiber.task), None)
            self.new.discard(id(fiber.task))

    def next_task(self):
        """The durable task that ends with the first that a fiber waits for."""
        tasks = [fiber.task for fiber in self.waiting.values()]
        if self.new and len(self.new) < len(tasks):
            # The host takes an orchestrator's actions one by one and awaits each. Given only the new tasks it would take
            # no other action before one of *these* ended, though an older one may end first. A timer that is cancelled
            # from the start lets it pass on.
            tasks.append(self.marker())
        self.new.clear()
        return self.context.task_any(tasks)
