"""The package's own errors: what a user can get wrong, or what an installation lacks.

The command line turns these, and nothing else, into one line; any other exception is a defect and keeps its
traceback.
"""

from __future__ import annotations

__all__ = ["ArgumentError", "BusyError", "FracreproError", "MissingPackageError", "is_out_of_memory"]


_LONGEST = 1500  # characters of a message, which may quote a damaged file


class FracreproError(Exception):
    """Every error that the package raises on purpose; its message is written for the user.

    What it quotes may come from a damaged file: the message is one line that prints, cut where it is long.

    >>> str(FracreproError("id = 'a\\nb': need a word")), len(str(FracreproError("x" * 10_000)))
    ("id = 'a\\\\nb': need a word", 1503)
    """

    several_lines = False  # a subclass that quotes what another program said has them

    def __str__(self) -> str:
        """Return the message."""
        text = super().__str__()
        if self.several_lines:
            return text
        if not text.isprintable():
            text = "".join(letter if _prints(letter) else _escaped(letter) for letter in text)
        if len(text) > _LONGEST:  # the beginning says where, the end what is needed
            text = f"{text[:1000]}{' … '}{text[-_LONGEST + 1000 :]}"
        return text


def _prints(letter: str) -> bool:
    """Whether a letter stands in a line; the spaces of typography do."""
    return letter.isprintable() or letter in "\u00a0\u2009\u202f"


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


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
