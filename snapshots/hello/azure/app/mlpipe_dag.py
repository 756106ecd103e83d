"""What a pipeline is made of: the words in which mlpipe_pipeline.py says it. mlpipe_run.py runs it.

From the outside in, a step is: `when`, `for_each`, `catch`, `repeat`, `retry`, `timeout`, and what it does. `when`, `input` and
their like are values, or functions: of no arguments, or of the `error` where they stand in a `catch` or a failure handler.
"""

from dataclasses import dataclass, field

TRANSIENT = ("WorkerCrashed", "ServiceUnavailable")
HOPELESS = ("ExpressionError", "ParamMismatch")  # no retry mends them


def matches(on, name):
    """Whether one of these classes and names of errors is this one's."""
    return name in on or "all" in on or ("transient" in on and name in TRANSIENT)


@dataclass(frozen=True)
class Retry:
    """`attempts` counts the first try. The wait before try n+1 is min(delay * backoff^(n-1), max_delay) seconds."""

    attempts: int = 1
    delay: float = 1
    backoff: float = 1
    max_delay: float = 1
    on: tuple = ()

    def wants(self, attempt, name):
        if attempt >= self.attempts:
            return False
        return name in self.on if name in HOPELESS else matches(self.on, name)

    def wait_after(self, attempt):
        try:
            return min(self.delay * self.backoff ** (attempt - 1), self.max_delay)
        except OverflowError:
            return self.max_delay


@dataclass(frozen=True)
class ForEach:
    """Runs the step once for each item of a list; its output is the list of the outputs.

    A long list runs in slices, each an orchestration of its own (mlpipe_sub.py). Those are told what an item reads of what is
    outside of it: the names of `params`, and of each step the names of what `steps["X"]` tells.
    """

    items: object
    max_concurrency: int | None = None
    params: list = field(default_factory=list)
    steps: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Catch:
    """What takes the place of a failure of one of these classes and names: a value, or the output of another step."""

    on: list
    output: object = None
    do: object = None


@dataclass(frozen=True)
class Repeat:
    """Runs the step until a condition over its output holds, `max` times at most, with `delay` seconds between."""

    until: object
    max: int
    delay: float = 0


@dataclass(frozen=True, kw_only=True)
class Step:
    """What all kinds of step have."""

    path: str = field(kw_only=False)  # its id after those of the groups round it: "group.step"
    needs: tuple = ()  # steps whose skip it follows
    after: tuple = ()  # further steps that it reads, so that it starts after them
    join: str = "all"  # skipped where "all": one of `needs` was skipped, "any": each of them was
    when: object = True
    for_each: ForEach | None = None
    catch: tuple = ()  # the first that matches counts
    repeat: Repeat | None = None
    timeout: float | None = None  # of one attempt, in seconds
    retry: Retry = Retry()


@dataclass(frozen=True, kw_only=True)
class Function(Step):
    """A step that runs an activity of the same name, with `_` for `-` and `.`."""

    input: object = None


@dataclass(frozen=True, kw_only=True)
class Wait(Step):
    """A step that lets time pass: so many seconds, or to a point in time (RFC 3339 text or Unix seconds)."""

    seconds: float = 0
    until: object = None


@dataclass(frozen=True, kw_only=True)
class Fail(Step):
    """A step that fails."""

    error: object
    message: object


@dataclass(frozen=True, kw_only=True)
class Notify(Step):
    """A step that publishes a text to a topic."""

    topic: object
    message: object


@dataclass(frozen=True, kw_only=True)
class Approval(Step):
    """A step that asks a person, through a topic."""

    topic: object
    message: object


@dataclass(frozen=True, kw_only=True)
class Job(Step):
    """A step that runs a container to its end: an execution of a Container Apps job, by its resource id."""

    job: str
    command: object = field(default_factory=list)
    env: object = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Train(Step):
    """A step that trains: a job of Azure Machine Learning with code of the container `artifacts`."""

    code: str
    script: str
    environment: str
    instance: str
    requirements: list = field(default_factory=list)  # what pip installs in the environment first
    count: int = 1
    spot: bool = False
    hyperparameters: object = field(default_factory=dict)
    data: object = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Endpoint(Step):
    """A step that serves: an online endpoint of Azure Machine Learning, and `name`, as the pipeline's file calls it."""

    endpoint: str
    name: str
    environment: str
    variants: dict  # by name: instance, count, percent
    models: object
    scores: bool = True  # with score.py
    captured: bool = False
    autoscale: dict | None = None  # min, max, requests


@dataclass(frozen=True, kw_only=True)
class BatchPredict(Step):
    """A step that predicts for the files of a folder: a job of Azure Machine Learning, too."""

    environment: str
    instance: str
    model: object
    input: object
    output: object
    requirements: list = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Monitor(Step):
    """A step that has an endpoint watched: its `title` in the file, and its name. `drift` is None where nothing looks for that."""

    name: str
    title: str
    endpoint: str
    drift: object = None
    baseline: object = None


@dataclass(frozen=True, kw_only=True)
class Child(Step):
    """A step that runs another pipeline, by the name of its orchestrator; its output is an object of that one's outputs."""

    pipeline: str
    params: object


@dataclass(frozen=True, kw_only=True)
class Group(Step):
    """A step that runs steps of its own; its output is an object of theirs."""

    steps: list
    outputs: object = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The steps at the top."""

    steps: list
    outputs: object = field(default_factory=dict)
    on_failure: Function | Notify | None = None


@dataclass(frozen=True)
class Bucket:
    """A blob container."""

    name: str
    account: str

    @property
    def uri(self):
        return f"abfs://{self.name}@{self.account}.dfs.core.windows.net"


@dataclass(frozen=True)
class Topic:
    """An Event Grid topic."""

    name: str
    endpoint: str
