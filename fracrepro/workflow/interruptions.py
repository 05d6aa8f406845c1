"""Ctrl-C: it waits where it would do harm, and it is never lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def blocked() -> Iterator[None]:
    """Let Ctrl-C wait until the block ends; a process that starts here begins with it blocked.

    The mask is inherited, but keeps nothing from this process: another thread may take the signal, and Python
    then interrupts the main one.
    """
    came = threading.Event()
    handler = signal.getsignal(signal.SIGINT)
    here = threading.current_thread() is threading.main_thread() and callable(handler)
    if here:
        signal.signal(signal.SIGINT, lambda *_: came.set())
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if here:
            signal.signal(signal.SIGINT, handler)
            if came.is_set():
                signal.raise_signal(signal.SIGINT)


@contextmanager
def heeded() -> Iterator[Callable[[], None]]:
    """Yield a function that raises KeyboardInterrupt if Ctrl-C has come, even where it was swallowed.

    Python drops an exception that a finalizer or a callback raises, and Ctrl-C may fall into one.
    """
    seen = threading.Event()

    def note(*_: object) -> None:
        seen.set()
        raise KeyboardInterrupt

    def check() -> None:
        if seen.is_set():
            raise KeyboardInterrupt

    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield check
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
