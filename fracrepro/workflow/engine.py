"""One map over tasks: notebooks, trainings, cells of a sweep, blocks of draws, points of a grid.

A task is a function of some module and its arguments; where it runs decides nothing about its result.
Tasks run in processes on this machine, or on an existing Dask cluster.
A result goes to the caller as soon as it is there, so that a kill loses nothing that is finished, and the
list of all results has the order of the tasks.

>>> Engine(jobs=1).map(abs, [-1, 2, -3])
[1, 2, 3]
"""

from __future__ import annotations

import os
import pickle
import sys
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fracrepro.arguments import integer, real
from fracrepro.errors import ArgumentError, FracreproError
from fracrepro.workflow import cluster, interruptions, pool, provenance, worker
from fracrepro.workflow.pool import LostWorkerError
from fracrepro.workflow.worker import Job, OtherCodeError, Reply

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "SCHEDULER_VARIABLE",
    "Engine",
    "LostWorkerError",
    "Result",
    "Task",
    "duration",
]

#: The variable of the environment that names a scheduler where no option does.
SCHEDULER_VARIABLE = "FRACREPRO_SCHEDULER"


@dataclass(frozen=True)
class Task:
    """One piece of work.

    Args:
        name: for people, in progress and in errors.
        function: of a module, so that another process can import it.
        arguments: of the call; whatever pickles.
        resources: what a worker must offer, such as ``{"GPU": 1}``.
        data: name and digest of each data set that the function loads.
        identity: what tells this task from others; empty takes function and arguments.

    Raises:
        ArgumentError: for a function that another process cannot import.

    >>> Task("one", abs, (-1,)).key == Task("uno", abs, (-1,)).key
    True
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    resources: Mapping[str, float] = field(default_factory=dict)
    data: tuple[tuple[str, str], ...] = ()
    identity: str = ""

    def __post_init__(self) -> None:
        """Check the function: what is refused here would fail on every worker."""
        found: Any = sys.modules.get(getattr(self.function, "__module__", None) or "")
        for part in getattr(self.function, "__qualname__", "?").split("."):
            found = getattr(found, part, None)
        if found is not self.function or self.function.__module__ == "__main__":
            raise ArgumentError(f"function = {self.function!r}: need one that a module defines, by its name")

    @property
    def key(self) -> str:
        """The digest of what the task is: the same for the same work."""
        name = f"{self.function.__module__}.{self.function.__qualname__}"
        content = self.identity.encode() if self.identity else pickle.dumps(self.arguments, protocol=5)
        return provenance.digest([("function", name.encode()), ("content", content)])


@dataclass(frozen=True)
class Result:
    """What came of a task.

    Args:
        task: what was to do.
        value: what its function returned.
        error: what it raised, or that its worker died; None after a success.
        details: the traceback of the error, as text.
        started: when, in UTC.
        seconds: how long it took.
        worker: host and process that did it.
    """

    task: Task
    value: Any = None
    error: Exception | None = None
    details: str = ""
    started: str = ""
    seconds: float = 0.0
    worker: str = ""

    @property
    def problem(self) -> str:
        """The error in one line, or nothing."""
        if self.error is None:
            return ""
        words = str(self.error).partition("\n")[0]
        ours = isinstance(self.error, FracreproError)
        return words if ours else f"{type(self.error).__name__}: {words}"


@dataclass(frozen=True)
class Engine:
    """Where tasks run; every result is the same everywhere, bit for bit on one kind of machine.

    Args:
        jobs: processes on this machine; None means one a core. One task, or one job, runs in this process.
        scheduler: the address of a Dask scheduler, which takes the work instead; None takes the one that
            ``$FRACREPRO_SCHEDULER`` names unless `jobs` is given, and ``""`` takes none.
        worker_timeout: so many seconds a scheduler may have no worker for the work.
        retries: how often a task is tried again after its local worker has died, or hung: used no processor
            for ten minutes; a scheduler has its own number of allowed failures.
        progress: True shows a bar, False none, None one in a terminal only.

    Raises:
        ArgumentError: for values out of range.
    """

    jobs: int | None = None
    scheduler: str | None = None
    worker_timeout: float = 60.0
    retries: int = 2
    progress: bool | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        if self.jobs is not None:
            integer("jobs", self.jobs, "[1, inf)")
        real("worker_timeout", self.worker_timeout, "(0, inf)")
        integer("retries", self.retries, "[0, inf)")

    @property
    def address(self) -> str:
        """The scheduler's address, or nothing; inside a task there is none."""
        if os.environ.get(worker.INSIDE_VARIABLE):
            return ""
        if self.scheduler is None and self.jobs is None:
            return os.environ.get(SCHEDULER_VARIABLE, "")
        return self.scheduler or ""

    def workers(self, tasks: int) -> int:
        """How many processes so many tasks get on this machine; a task within a task gets its own."""
        if os.environ.get(worker.INSIDE_VARIABLE):
            return 1
        return max(1, min(self.jobs or pool.cores(), tasks))

    def run(
        self,
        tasks: Sequence[Task],
        done: Callable[[Result], Task | None] | None = None,
        *,
        unit: str = "task",
    ) -> list[Result]:
        """Carry out the tasks and return what came of each, in their order.

        A task that fails stops no other: its result has the error.

        Args:
            tasks: what to do.
            done: is called here with each result as it comes, whatever the order; it may store it.
                A task that it returns goes on where this one ended, and its result takes the place.
            unit: the word for a task beside the bar.

        Raises:
            ArgumentError: where no scheduler answers.
            FracreproError: when the scheduler ends, has no worker in time, or one with other code.
            KeyboardInterrupt: after Ctrl-C, when all that the tasks had started has ended.
        """
        from tqdm import tqdm

        results: dict[int, Result] = {}
        if not tasks:
            return []
        work, places, make = list(tasks), list(range(len(tasks))), _job_maker(bool(self.address))
        jobs = [make(task) for task in work]
        quiet = None if self.progress is None else not self.progress
        bar = tqdm(total=len(tasks), unit=unit, disable=quiet, file=sys.stderr)
        with bar, interruptions.heeded() as check, closing(self._replies(jobs)) as replies:
            for item in replies:
                check()
                if item is None:
                    continue
                index, reply = item
                if isinstance(reply.error, OtherCodeError):
                    raise reply.error
                result = _result(work[index], reply)
                further = None if done is None else done(result)
                if further is not None:
                    work.append(further)
                    jobs.append(make(further))
                    places.append(places[index])
                    continue
                results[places[index]] = result
                bar.set_postfix_str(result.task.name, refresh=False)
                bar.update()
        return [results[place] for place in range(len(tasks))]

    def map(
        self,
        function: Callable[..., Any],
        items: Sequence[Any],
        *fixed: Any,
        unit: str = "item",
        chunk: int = 1,
    ) -> list[Any]:
        """Return ``[function(item, *fixed) for item in items]``, computed side by side.

        Args:
            function: of a module, so that another process can import it.
            items: the first argument of each call.
            fixed: further arguments, the same in every call.
            unit: the word for a task beside the bar.
            chunk: so many items are one task; :doc:`What growth costs </book/scaling>` says how many a
                short item needs.

        Raises:
            ArgumentError: for chunks below 1.
            Exception: the one of the first item that failed, with its traceback in a note.

        >>> Engine(jobs=1).map(abs, [-1, 2, -3], chunk=2)
        [1, 2, 3]
        """
        if integer("chunk", chunk, "[1, inf)") == 1:
            tasks = [Task(str(index), function, (item, *fixed)) for index, item in enumerate(items)]
            return values(self.run(tasks, unit=unit))
        first = range(0, len(items), chunk)
        pieces = [Task(str(k), call_each, (function, items[k : k + chunk], fixed)) for k in first]
        return [value for piece in values(self.run(pieces, unit=unit)) for value in piece]

    def draws(
        self,
        function: Callable[..., NDArray[Any]],
        n: int,
        *fixed: Any,
        seed: Sequence[int] | int,
        block: int = 100_000,
    ) -> NDArray[Any]:
        """Return n independent draws, made in blocks that each have a stream of their own.

        Block k is ``function(size, *fixed, rng=default_rng([*seed, k]))``; its size depends on n and `block`
        alone, so that neither the number of workers nor their order decides a bit.

        Args:
            function: returns an array of shape (size, ...) for a size and a generator `rng`.
            n: number of draws, at least 1.
            fixed: further arguments.
            seed: of the whole; nonnegative.
            block: draws a block, at least 1.

        Raises:
            ArgumentError: for sizes below 1.

        Source:
            Our choice.
        """
        n, block = integer("n", n, "[1, inf)"), integer("block", block, "[1, inf)")
        entropy = [seed] if isinstance(seed, int) else list(seed)
        sizes = [min(block, n - first) for first in range(0, n, block)]
        tasks = [
            Task(f"block {k}", draw_block, (function, size, fixed, (*entropy, k)))
            for k, size in enumerate(sizes)
        ]
        return np.concatenate(values(self.run(tasks, unit="block")))

    def _replies(self, jobs: list[Job]) -> Generator[tuple[int, Reply] | None, None, None]:
        """The replies of the backend that fits; the list may grow meanwhile."""
        address, workers = self.address, self.workers(len(jobs))
        if address:
            yield from cluster.run(jobs, address, self.worker_timeout)
        elif workers == 1:
            for index, job in enumerate(jobs):  # also those that come while it runs
                yield index, worker.call(job)
        else:
            gpus = pool.gpus() if any("GPU" in job.resources for job in jobs) else 0
            yield from pool.run(jobs, min(workers, gpus or workers), self.retries, gpus)


def call_each(function: Callable[..., Any], items: Sequence[Any], fixed: Sequence[Any]) -> list[Any]:
    """Return the values of the items of one chunk; see :meth:`Engine.map`."""
    return [function(item, *fixed) for item in items]


def draw_block(
    function: Callable[..., NDArray[Any]], size: int, fixed: Sequence[Any], entropy: Sequence[int]
) -> NDArray[Any]:
    """Return the draws of one block, from the stream that its number names; see :meth:`Engine.draws`."""
    return function(size, *fixed, rng=np.random.default_rng(list(entropy)))


def values(results: Sequence[Result]) -> list[Any]:
    """Return the values; the first error is raised, with its traceback in a note."""
    for result in results:
        if result.error is not None:
            if result.details:
                result.error.add_note(f"in task {result.task.name} on {result.worker}:\n{result.details}")
            raise result.error
    return [result.value for result in results]


def duration(seconds: float) -> str:
    """Return a time in words that a person can plan with.

    >>> duration(42), duration(300), duration(9000)
    ('42 s', '5 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _job_maker(remote: bool) -> Callable[[Task], Job]:
    """What turns the tasks of one call into jobs."""
    package, run = worker.LOADED, uuid.uuid4().hex

    def make(task: Task) -> Job:
        name = _plain(task.name)
        wanted = {resource: n for resource, n in task.resources.items() if n > 0}
        return Job(task.function, task.arguments, task.data, package, run, name, wanted, remote)

    return make


def _result(task: Task, reply: Reply) -> Result:
    return Result(task, reply.value, reply.error, reply.details, reply.started, reply.seconds, reply.worker)


def _plain(name: str) -> str:
    """A name that a scheduler takes as part of a key."""
    return "".join(letter if letter.isalnum() or letter in "_.=," else "_" for letter in name)
