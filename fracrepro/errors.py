"""The package's own errors: what a user can get wrong, or what an installation lacks.

The command line turns these, and nothing else, into one line; any other exception is a defect and keeps its
traceback.
"""

from __future__ import annotations

__all__ = ["ArgumentError", "BusyError", "FracreproError", "MissingPackageError", "is_out_of_memory"]


class FracreproError(Exception):
    """Every error that the package raises on purpose; its message is written for the user."""


class ArgumentError(FracreproError, ValueError):
    """An argument is refused: the message names it, its value and what is allowed."""


class BusyError(FracreproError):
    """Another process does this very work at the moment; the message names it."""


class MissingPackageError(FracreproError, ImportError):
    """A package that one of the extras brings is not installed.

    Args:
        package: the name under which pip knows it.
        extra: the extra of this package that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        """Word the message: it says what to install."""
        super().__init__(f"{package} is not installed: pip install 'fracrepro[{extra}]'")
        self.package = package
        self.extra = extra

    def __reduce__(self) -> tuple[type[MissingPackageError], tuple[str, str]]:
        """Let a worker send it: an exception of two arguments does not pickle by itself."""
        return type(self), (self.package, self.extra)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that no memory was left; torch has no class of its own for that.

    >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("shapes do not match"))
    (True, False)
    """
    if isinstance(error, RuntimeError):
        return "allocate memory" in str(error) or "out of memory" in str(error)
    return isinstance(error, MemoryError)
