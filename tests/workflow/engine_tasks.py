"""Functions that workers of the tests import by name: what a task may do, and what may happen to it."""

import os
import signal
import time
from pathlib import Path

import numpy as np


def square(x, delay=0.0, folder=None):
    """Later items end earlier, and each leaves a mark of having been computed."""
    time.sleep(max(0.0, delay - x * delay / 8))
    if folder is not None:
        with open(Path(folder) / str(x), "a") as file:
            file.write("x")
    return x * x


def matrix(n, size=300):
    """Sums whose last bits depend on how a library splits them among threads."""
    rng = np.random.default_rng(n)
    return (rng.normal(size=(size, size)) @ rng.normal(size=(size, size))).sum(axis=0)


def normals(size, scale, *, rng):
    return scale * rng.normal(size=(size, 2))


def dies_once(x, folder):
    """Kill the worker at the first attempt."""
    mark = Path(folder) / f"died-{x}"
    if not mark.exists():
        mark.write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    return x


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
