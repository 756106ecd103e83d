"""The custom status of a run: how far each step is."""

MAX_STATUS = 8000  # characters; a custom status is at most 16 KB of UTF-16


class Progress:
    """A step that runs more than once, for items or again, shows how its last run ended.

    There is room for some hundred steps. Beyond that it shows only the skipped ones, beyond that only counts.
    """

    def __init__(self, context):
        self.ends, self.running, self.counts = {}, {}, {}
        self.steps, self.size, self.hidden = {}, 0, set()
        self.status = {"steps": self.steps}
        context.set_custom_status(self.status)

    def started(self, step):
        self.running[step] = self.running.get(step, 0) + 1
        self.show(step, "running")

    def skipped(self, step):
        if step not in self.ends:  # one that ran before, for another item, did run
            self.show(step, "skipped")

    def ended(self, step, status):
        self.running[step] -= 1
        if not self.running[step]:
            self.show(step, status)

    def merge(self, ends):
        """Takes over how steps ended in a sub-orchestration."""
        for step, status in ends.items():
            if status == "skipped":
                self.skipped(step)
            elif not self.running.get(step):
                self.show(step, status)

    def show(self, step, status):
        before = self.ends.get(step)
        if before is not None:
            self.counts[before] -= 1
        self.ends[step] = status
        self.counts[status] = self.counts.get(status, 0) + 1
        if status in self.hidden:
            self.steps.pop(step, None)
            return
        if step not in self.steps:
            self.size += size(step)
        self.steps[step] = status
        if self.size > MAX_STATUS:
            self.hide({"skipped"} if self.hidden else {"running", "succeeded", "failed", "abandoned"})

    def hide(self, statuses):
        self.hidden.update(statuses)
        self.status["counts"] = self.counts
        for step, status in list(self.steps.items()):
            if status in self.hidden:
                del self.steps[step]
        self.size = sum(map(size, self.steps))


def size(step):
    return len(step) + len('"": "succeeded", ')
