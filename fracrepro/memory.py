"""What becomes of memory that is freed, and when: by the C library, and by Python's collector."""

from __future__ import annotations

import ctypes
import functools
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["keep_freed_memory", "no_collection"]

# Numbers of glibc's malloc.h, and its largest accepted value for the second.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGEST_TRIM, _LARGEST_MMAP = 2**31 - 1, 32 * 2**20


@functools.cache
def keep_freed_memory() -> bool:
    """Tell the C library once to keep freed memory, not give it back to the system; True where it obeys.

    A training step with convolutions, or a block of simulated networks, frees megabytes; the next one takes
    as much: where the system takes them back in between and hands out zeroed pages again, that costs up to a
    third of the time.
    One arena for all threads, because those of further threads give memory back whatever they are told.
    The setting is glibc's and lasts for the process; elsewhere nothing happens.
    No number depends on it, and the largest memory in use stays what it was.

    >>> keep_freed_memory() in (True, False)
    True
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return False
    wanted = [(_TRIM_THRESHOLD, _LARGEST_TRIM), (_MMAP_THRESHOLD, _LARGEST_MMAP), (_ARENA_MAX, 1)]
    obeyed = [mallopt(name, value) == 1 for name, value in wanted]  # all are tried
    return all(obeyed)


@contextmanager
def no_collection() -> Iterator[None]:
    """Collect garbage now and not in between, for what must not be interrupted by the end of some object.

    >>> with no_collection():
    ...     gc.isenabled()
    False
    """
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
