"""Local workers: processes that take one job at a time; one that dies costs its job another attempt."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import cast

from fracrepro.errors import FracreproError
from fracrepro.workflow import interruptions
from fracrepro.workflow.environment import THREADS, variables
from fracrepro.workflow.worker import INSIDE_VARIABLE, Job, Reply, call_packed

TICK = 0.5  # seconds between two looks at whether the caller was interrupted
# A worker with a job that uses no processor between so many looks in a row hangs.
LOOKS = 20
LOOK = 30.0  # seconds between two of them


class LostWorkerError(FracreproError, RuntimeError):
    """The process or machine that had the task died, at every attempt."""


class Worker:
    """A process and the line to it.

    Args:
        environment: variables that it has beside this process's own.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Start it: in a fresh interpreter, because a forked one may inherit a lock that nobody opens."""
        context = multiprocessing.get_context("spawn")
        self.line, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other,), daemon=True)
        with interruptions.blocked(), variables(environment):
            self.process.start()
        other.close()  # so that the death of the process ends the line
        self.index: int | None = None
        self.looked, self.used, self.silent = time.monotonic(), 0.0, 0

    def give(self, index: int, job: Job) -> None:
        """Send a job; a process that is dead by now shows so when its line is read."""
        self.index, self.silent = index, 0
        with suppress(BrokenPipeError, ConnectionResetError):
            self.line.send_bytes(pickle.dumps(job))

    def take(self) -> tuple[int, Reply | None]:
        """Return the index of the job and its reply, or None where the process has died."""
        index, self.index = self.index, None
        assert index is not None
        try:
            return index, pickle.loads(self.line.recv_bytes())  # its own child's  # noqa: S301  # nosec B301
        except (EOFError, OSError):
            self.process.join(1.0)  # it closes the line just before it ends
            return index, None

    def hangs(self) -> bool:
        """Whether it used no processor at many looks in a row; time alone passes for a stopped driver too."""
        now = time.monotonic()
        if now - self.looked >= LOOK:
            used = _processor_seconds(self.process.pid)
            self.silent = self.silent + 1 if used == self.used else 0
            self.looked, self.used = now, used
        return self.silent >= LOOKS

    def end(self) -> None:
        """Kill the process with all that it has started, and close the line."""
        self.kill()
        self.line.close()

    def kill(self) -> None:
        """Kill the process with all that it has started."""
        try:
            import psutil

            process = psutil.Process(self.process.pid)
            with suppress(psutil.Error):
                process.suspend()  # it starts nothing more while its children are counted
            children = process.children(recursive=True)
        except ModuleNotFoundError:  # no psutil: no notebooks, and so no children
            children = []
        except psutil.Error:  # it has ended
            children = []
        self.process.kill()
        for child in children:
            with suppress(psutil.Error):
                child.kill()
        self.process.join()


def run(jobs: Sequence[Job], workers: int, retries: int, gpus: int = 0) -> Iterator[tuple[int, Reply] | None]:
    """Yield the index and reply of each job as they come, and None at least every half second.

    Whoever stops iterating ends the workers and all that they have started.

    Args:
        jobs: what to do; what the caller appends between two replies is done too.
        workers: how many processes.
        retries: how often a job is tried again after the death of its process.
        gpus: when positive, each process sees one of so many devices.
    """
    resource_tracker.ensure_running()  # now, because its start unblocks the signals that are blocked below
    due, deaths = deque(range(len(jobs))), Counter[int]()
    known = len(jobs)
    crew: list[Worker] = []

    def feed(place: int) -> None:
        if not due or crew[place].index is not None:
            return
        if not crew[place].process.is_alive():
            crew[place].end()
            crew[place] = Worker(_environment(place, gpus))
        index = due.popleft()
        crew[place].give(index, jobs[index])

    try:
        for place in range(min(workers, len(jobs))):
            crew.append(Worker(_environment(place, gpus)))
            feed(place)
        while busy := {worker.line: place for place, worker in enumerate(crew) if worker.index is not None}:
            ready = wait(list(busy), TICK)
            if not ready:
                yield None
            hung = [] if ready else [each for each in crew if each.index is not None and each.hangs()]
            for each in hung:
                each.kill()  # its line ends, unless its reply is there by now
            for line in [*ready, *(each.line for each in hung)]:
                place = busy[cast(Connection, line)]
                index, reply = crew[place].take()
                if reply is None:
                    deaths[index] += 1
                    if deaths[index] <= retries:
                        due.appendleft(index)
                    else:
                        how = "hung" if hung else "died"
                        code = crew[place].process.exitcode
                        error = LostWorkerError(f"its worker {how} {deaths[index]} times (exit code {code})")
                        reply = Reply(error=error)
                feed(place)
                if reply is not None:
                    yield index, reply
            due.extend(range(known, len(jobs)))
            known = len(jobs)
            for place in range(len(crew)):
                feed(place)
    finally:
        with interruptions.blocked():
            for worker in crew:
                worker.end()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> int:
    """Return how many devices there are, at least 1."""
    import torch

    return max(1, torch.cuda.device_count())


def _environment(place: int, gpus: int) -> dict[str, str]:
    device = {"CUDA_VISIBLE_DEVICES": str(place % gpus)} if gpus else {}
    return {**dict.fromkeys(THREADS, "1"), INSIDE_VARIABLE: "1", **device}


def _serve(line: Connection) -> None:
    """Answer jobs until the line ends; the whole life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all, and the caller acts
    signal.pthread_sigmask(signal.SIG_UNBLOCK, interruptions.SIGNALS)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            reply = call_packed(line.recv_bytes())
            line.send_bytes(_packed(reply))
        except (EOFError, ConnectionError):  # the caller has ended
            return


def _packed(reply: Reply) -> bytes:
    """The reply as bytes that can be read; an error that cannot travel goes as its words."""
    try:
        packed = pickle.dumps(reply)
        if reply.error is not None:
            pickle.loads(packed)  # packed two lines above  # noqa: S301  # nosec B301
    except Exception as problem:
        error = reply.error or problem
        words = RuntimeError(f"{type(error).__name__}: {error}")
        packed = pickle.dumps(Reply(error=words, details=reply.details, started=reply.started))
    return packed


def _end_with_parent() -> None:
    """End this process, and what it has started, when the caller is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        _kill_children()
        os._exit(1)


def _kill_children() -> None:
    with suppress(ModuleNotFoundError):
        import psutil

        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                child.kill()


def _processor_seconds(pid: int | None) -> float:
    """What a process and all that it has started have used of processors; NaN where nobody can tell.

    NaN differs from itself, and so is never taken for silence.
    """
    try:
        import psutil
    except ModuleNotFoundError:
        return float("nan")
    try:
        process = psutil.Process(pid)
        used = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    except psutil.Error:  # one of them ends right now
        return float("nan")
    return sum(times.user + times.system for times in used)
