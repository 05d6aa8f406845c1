"""Functions that workers of the tests import by name: what a task may do, and what may happen to it."""

import os
import signal
import time
from pathlib import Path

import numpy as np

from fracrepro.memory import keep_freed_memory


def square(x):
    return x * x


def keeps_memory(_):
    """Whether this process has been told to keep the memory that it frees."""
    return keep_freed_memory.cache_info().currsize == 1


def waits_for(x, folder):
    """Item 0 ends after item 1, whichever starts first."""
    mark, deadline = Path(folder) / "one", time.monotonic() + 60
    if x:
        mark.write_text("")
    while not mark.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0 if x else 0.5)
    return x


def matrix(n, size=300):
    """Sums whose last bits depend on how a library splits them among threads."""
    rng = np.random.default_rng(n)
    return (rng.normal(size=(size, size)) @ rng.normal(size=(size, size))).sum(axis=0)


def normals(size, scale, *, rng):
    return scale * rng.normal(size=(size, 2))


def dies_once(x, folder):
    """Kill the worker at the first attempt."""
    return _signalled_once(signal.SIGKILL, Path(folder) / f"died-{x}", x)


def dies(x):
    os.kill(os.getpid(), signal.SIGKILL)


def fails(x):
    if x % 2:
        raise ValueError(f"{x} is odd")
    return x


class Stubborn(Exception):
    """An error that does not unpickle."""

    def __init__(self, a, b):
        super().__init__(a)


def stubborn(x):
    raise Stubborn(x, x)


def unpicklable(x):
    return lambda: x


def sleeps(seconds, folder):
    (Path(folder) / f"pid-{os.getpid()}").write_text("")
    time.sleep(seconds)


def nested(x):
    from fracrepro.workflow.engine import Engine

    return Engine(jobs=4).map(square, [x, x + 1]), os.getpid()


def count(state, limit):
    return state + 1


def train_and_die_once(piece, state, *rest):
    """Train as usual, but let the worker die once in the middle of each lane."""
    from fracrepro.workflow import training_tasks

    if state is not None and state.epoch == 1:
        dies_once(f"{piece.name}", os.environ["ENGINE_TASKS_FOLDER"])
    return training_tasks.train_piece(piece, state, *rest)


def threads(_):
    """How many threads each matrix library of this process uses."""
    from threadpoolctl import threadpool_info

    return [library["num_threads"] for library in threadpool_info()]


def stops(x, folder):
    """Stop the worker for good, as one that hangs."""
    os.kill(os.getpid(), signal.SIGSTOP)
    return x


def stops_once(x, folder):
    """Stop the worker at the first attempt."""
    return _signalled_once(signal.SIGSTOP, Path(folder) / f"stopped-{x}", x)


def _signalled_once(number, mark, x):
    if not mark.exists():
        mark.write_text("")
        os.kill(os.getpid(), number)
    return x
