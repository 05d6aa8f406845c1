"""What runs where the work is done: one task, in a process that has the caller's code and one thread."""

from __future__ import annotations

import importlib.util
import os
import pickle
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fracrepro.errors import FracreproError
from fracrepro.memory import keep_freed_memory
from fracrepro.workflow import provenance

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

    from fracrepro.nn.data import Dataset

INSIDE_VARIABLE = "FRACREPRO_WORKER"  # set where a task runs: what it maps runs right there
RUN_VARIABLE = "FRACREPRO_RUN"  # marks the kernels of one call in their environment
# The code of this process: files may change while it lives, what it has loaded does not.
LOADED = provenance.package_digest()

_stopped: set[str] = set()
_current = threading.local()


class OtherCodeError(FracreproError, RuntimeError):
    """A worker's package is not the one that made the task."""


@dataclass(frozen=True)
class Job:
    """A task on its way to a worker.

    Args:
        function: what to call, of a module that the worker can import.
        arguments: of the call.
        data: name and digest of each data set that must be there.
        package: the digest of the caller's code.
        run: the call of the engine.
        name: for people who look at a scheduler.
        resources: what the worker must offer, such as ``{"GPU": 1}``.
        remote: whether this may be another machine, where the data have to be looked for.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    data: tuple[tuple[str, str], ...]
    package: str
    run: str
    name: str = ""
    resources: Mapping[str, float] = field(default_factory=dict)
    remote: bool = False


@dataclass(frozen=True)
class Reply:
    """What came of a job: a value, an error, or what the worker lacks.

    Args:
        value: what the function returned.
        error: what it raised, or why it could not be called; None after a success.
        details: the traceback, as text.
        missing: the data set that is not there.
        started: when, in UTC.
        seconds: how long it took.
        worker: host and process.
        address: of the Dask worker, where it is one.
    """

    value: Any = None
    error: Exception | None = None
    details: str = ""
    missing: str = ""
    started: str = ""
    seconds: float = 0.0
    worker: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    address: str = field(default_factory=lambda: _address())


def call(job: Job) -> Reply:
    """Carry out a job with one thread, so that no bit depends on the machine's cores; errors come back."""
    started, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    if job.package != LOADED:
        return Reply(
            error=OtherCodeError(
                f"the worker on {socket.gethostname()} runs another version of the fracrepro code; "
                "install the caller's version there and start it again"
            )
        )
    if job.remote:
        os.environ[INSIDE_VARIABLE] = "1"  # a worker of a cluster, for good
        for name, digest in job.data:
            if not has_data(name, digest):
                return Reply(missing=name)
    before = current_run()
    _current.run = job.run
    keep_freed_memory()
    try:
        heed_stop()  # it may have waited here since before its call ended
        with one_thread():
            value = job.function(*job.arguments)
    except Exception as error:  # whatever it is, the caller decides
        return Reply(error=error, details=traceback.format_exc(), started=started)
    finally:
        _current.run = before
    return Reply(value, started=started, seconds=round(time.perf_counter() - clock, 3))


def call_packed(packed: bytes) -> Reply:
    """Carry out a pickled job: a scheduler on the way does not read it, and so imports nothing for it."""
    try:
        job = pickle.loads(packed)  # of the scheduler, which runs code anyway  # noqa: S301  # nosec B301
    except Exception as error:  # a module that is not there, for example: the caller hears of it
        return Reply(error=RuntimeError(f"{type(error).__name__}: {error}"), details=traceback.format_exc())
    return call(job)


def current_run() -> str:
    """The call of the engine that the running task belongs to, or nothing."""
    return getattr(_current, "run", "")


def heed_stop() -> None:
    """Raise CancelledError when the call that the running task belongs to was ended; for long tasks."""
    if current_run() in _stopped:
        raise CancelledError


def stop(run: str) -> None:
    """End the tasks of a call in this process: kill their kernels, and let long tasks stop by themselves."""
    _stopped.add(run)
    stop_kernels(run)


def stop_kernels(run: str) -> None:
    """Kill the kernels that this process started for `run`; their notebooks end as failures."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it may end, or change hands, while it is looked at
            if child.environ().get(RUN_VARIABLE) == run:
                child.kill()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let matrix libraries use one thread: how they split a sum among threads decides its last bits."""
    with ExitStack() as stack:
        if importlib.util.find_spec("threadpoolctl"):
            loaded = list(sys.modules)  # an import puts its module last
            stack.enter_context(_thread_controller(len(loaded), loaded[-1]).limit(limits=1))
        if "torch" in sys.modules:
            import torch

            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(1)
        yield


@lru_cache(maxsize=1)
def _thread_controller(modules: int, last: str) -> ThreadpoolController:
    """The matrix libraries of this process, looked for again when a module has been imported.

    To find them costs a look at every library of the process, more than all else that a task needs.
    """
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@lru_cache(maxsize=2)
def dataset(name: str) -> Dataset:
    """Return a data set, read once a process."""
    from fracrepro.nn import data

    return data.load(name)


def has_data(name: str, digest: str) -> bool:
    """Whether this machine has the data set with this content, without downloading it.

    Raises:
        fracrepro.nn.data.DataError: when it is there and damaged.
    """
    from fracrepro.nn import data

    return data.status(name)[0]["where"] is not None and dataset(name).digest == digest


def forget_data() -> None:
    """Read data sets again: others are there now."""
    dataset.cache_clear()


def identity() -> dict[str, str]:
    """Say who this process is and which code it has, without importing anything that takes time."""
    edited = provenance.package_digest() != LOADED
    return {
        "name": f"{socket.gethostname()}:{os.getpid()}",
        "package": f"{LOADED}, edited since it started" if edited else LOADED,
    }


def facts() -> dict[str, Any]:
    """Say what this process is and has, the content of the data sets included, to compare it with others.

    Raises:
        fracrepro.nn.data.DataError: when a data set is there and damaged.
    """
    from fracrepro.nn import data

    found = {item["name"]: item["where"] for item in data.status()}
    return {
        **identity(),
        "versions": provenance.versions(),
        "cores": os.cpu_count() or 1,
        "device": device_name(),
        "data": {name: dataset(str(name)).digest if where else "" for name, where in found.items()},
    }


def device_name() -> str:
    """The name of the first CUDA device, "cpu" where there is none, "" without torch."""
    if importlib.util.find_spec("torch") is None:
        return ""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def _address() -> str:
    """The address of the Dask worker that this runs on, or nothing."""
    if "distributed" not in sys.modules:
        return ""
    from distributed import get_worker

    try:
        return get_worker().address
    except ValueError:  # none: a process of ours
        return ""
