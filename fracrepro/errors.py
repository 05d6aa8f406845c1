"""The package's own errors: what a user can get wrong, or what an installation lacks.

The command line turns these, and nothing else, into one line; any other exception is a defect and keeps its
traceback.
"""

from __future__ import annotations

__all__ = ["ArgumentError", "FracreproError"]


class FracreproError(Exception):
    """Every error that the package raises on purpose; its message is written for the user."""


class ArgumentError(FracreproError, ValueError):
    """An argument is refused: the message names it, its value and what is allowed."""
