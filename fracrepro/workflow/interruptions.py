"""Ctrl-C and SIGTERM: they wait where they would do harm, and neither is ever lost."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)

# An exception that comes up through C++ aborts the whole process, as one did at the start of a training, most
# likely in such an import.
LOADING = ("torch", "scipy", "pandas", "matplotlib")
AGAIN = 0.05  # seconds until a signal that fell into such an import comes once more

_came: list[int] = []  # the signals that `_note` has seen
_waiting: list[threading.Timer] = []  # those that come once more


@contextmanager
def blocked() -> Iterator[None]:
    """Let both signals wait until the block ends; a process that starts here begins with them blocked.

    The mask is inherited, but keeps nothing from this process: another thread may take the signal, and Python
    then interrupts the main one.
    """
    came: list[int] = []
    handlers = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in handlers.items():
        if callable(handler):
            signal.signal(number, lambda number, _: came.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in handlers.items():
            if callable(handler):
                signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


@contextmanager
def heeded() -> Iterator[Callable[[], None]]:
    """Yield a function that raises KeyboardInterrupt if a signal has come, even where it was swallowed.

    Python drops an exception that a finalizer or a callback raises, and Ctrl-C may fall into one.
    """

    def check() -> None:
        if _came:
            raise KeyboardInterrupt

    with _noting({signal.SIGINT: signal.default_int_handler}):
        yield check


@contextmanager
def ending() -> Iterator[Callable[[], int]]:
    """Let SIGTERM end a command as Ctrl-C does, and yield a function that says which one came, 0 for none.

    A signal that the caller ignores or handles stays so.
    When the interpreter ends, with all work done, both are ignored: they would only change the exit code.
    """
    atexit.unregister(_ignore)
    atexit.register(_ignore)
    with _noting({signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}):
        yield lambda: _came[0] if _came else 0


@contextmanager
def _noting(defaults: dict[signal.Signals, object]) -> Iterator[None]:
    """Note each signal that has this handler, and raise KeyboardInterrupt; the outermost block does it."""
    here = threading.current_thread() is threading.main_thread()
    free = [number for number, default in defaults.items() if here and signal.getsignal(number) == default]
    before = {number: signal.signal(number, _note) for number in free}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if before:
            _came.clear()
            for timer in _waiting:
                timer.cancel()
            _waiting.clear()


def _ignore() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _note(number: int, _: object) -> None:
    _came.append(number)
    if not any(_is_loading(name) for name in LOADING):
        raise KeyboardInterrupt
    timer = threading.Timer(AGAIN, os.kill, (os.getpid(), number))
    timer.daemon = True
    timer.start()
    _waiting.append(timer)


def _is_loading(name: str) -> bool:
    """Whether the import of a package has begun and not ended; Python notes it for its own locks."""
    return bool(getattr(getattr(sys.modules.get(name), "__spec__", None), "_initializing", False))
