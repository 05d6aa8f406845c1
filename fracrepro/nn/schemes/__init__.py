"""Initialization schemes in one registry: whatever lists schemes reads it here.

Every module of this package is imported, and every named subclass of :class:`.base.Scheme` in it is a scheme;
a new scheme is a new file. Nothing here needs torch before weights are drawn.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import warnings
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from fracrepro.arguments import choice
from fracrepro.errors import ArgumentError
from fracrepro.nn.schemes import base

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["from_dict", "get", "make", "make_all", "names", "options", "table"]


def names() -> tuple[str, ...]:
    """Return the names of all schemes, in alphabetical order.

    >>> "fractional" in names()
    True
    """
    return tuple(sorted(_registry()))


def get(name: str) -> type[base.Scheme]:
    """Return the class of the scheme called `name`.

    Raises:
        ArgumentError: for an unknown name; suggests the nearest.

    >>> get("kaiming").label
    'Kaiming'
    """
    return _registry()[choice("scheme", name, names())]


def options(name: str) -> dict[str, dict[str, Any]]:
    """Return the options of a scheme: for each its ``default``, what is ``allowed``, ``optional``, ``help``.

    Raises:
        ArgumentError: for an unknown name.

    >>> options("fractional")["s"]["allowed"]
    '[0, 2]'
    """
    return {
        field.name: {"default": field.default, **field.metadata} for field in dataclasses.fields(get(name))
    }


def make(name: str, **given: Any) -> base.Scheme:
    """Return the scheme called `name` with the given options.

    Raises:
        ArgumentError: for an unknown name or option (suggests the nearest), and for a value out of range.

    >>> make("fractional", s=0.5)
    Fractional(s=0.5, formula='exact', a=None, mode='fan_in')
    """
    kind, known = get(name), options(name)
    for key in given:
        _check_option(f"{name} option", key, known)
    return kind(**given)


def make_all(chosen: Iterable[str], **given: Any) -> list[base.Scheme]:
    """Return the chosen schemes, each once and each with those of the given options that it takes.

    Raises:
        ArgumentError: as :func:`make`, and for an option that no scheme at all takes.

    >>> [scheme.order for scheme in make_all(["fractional", "kaiming"], s=0.5)]
    [0.5, None]
    """
    known = sorted({key for name in names() for key in options(name)})
    for key in given:
        _check_option("option", key, known)
    return [
        make(name, **{key: value for key, value in given.items() if key in options(name)})
        for name in dict.fromkeys(chosen)
    ]


def from_dict(record: Mapping[str, Any]) -> base.Scheme:
    """Return the scheme that :meth:`.base.Scheme.to_dict` described.

    Raises:
        ArgumentError: for a record that describes none.

    >>> from_dict({"name": "kaiming", "s": None, "formula": None})
    Kaiming(a=0.0)
    """
    if "name" not in record:
        raise ArgumentError(f"scheme = {dict(record)!r}: need a name")
    name, known = record["name"], options(record["name"])
    # Records have s and formula for every scheme; None stands where they mean nothing.
    empty = {key for key in ("s", "formula") if key not in known and record.get(key) is None}
    return make(name, **{key: value for key, value in record.items() if key not in {"name", *empty}})


def table() -> pd.DataFrame:
    """Return all schemes: ``name, label, source, families, options, random, needs_data``, one row each."""
    import pandas as pd

    rows = [
        {
            "name": name,
            "label": kind.label,
            "source": kind.source,
            "families": ", ".join(kind.families),
            "options": "; ".join(_words(key, each) for key, each in options(name).items()),
            "random": kind.random,
            "needs_data": kind.needs_data,
        }
        for name, kind in ((name, get(name)) for name in names())
    ]
    return pd.DataFrame(rows)


def _words(name: str, described: Mapping[str, Any]) -> str:
    """One option with its range and default: ``s in [0, 2], default 1.0``."""
    allowed = described["allowed"]
    choices = ("False", "True") if isinstance(described["default"], bool) else allowed
    values = f"in {choices}" if isinstance(choices, str) else f"one of {', '.join(choices)}"
    none = " or None" if described["optional"] else ""
    return f"{name} {values}{none}, default {described['default']}"


@cache
def _registry() -> dict[str, type[base.Scheme]]:
    """Every named scheme of every module here."""
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(module.name)
    found: dict[str, type[base.Scheme]] = {}
    for kind in _descendants(base.Scheme):  # type: ignore[type-abstract]  # only a starting point
        if kind.name and found.setdefault(kind.name, kind) is not kind:
            raise TypeError(f"two schemes are called {kind.name!r}: {found[kind.name]} and {kind}")
    return found


def _descendants(kind: type[base.Scheme]) -> Iterable[type[base.Scheme]]:
    for child in kind.__subclasses__():
        yield child
        yield from _descendants(child)


def _check_option(noun: str, key: str, known: Iterable[str]) -> None:
    known = tuple(known)
    if not known:
        raise ArgumentError(f"{noun} = {key!r}: need none, there are no options")
    choice(noun, key, known)


def __getattr__(name: str) -> Any:
    """Serve the names of version 0.1 once more, with a warning."""
    if name == "SCHEMES":
        warnings.warn("SCHEMES is now schemes.names()", DeprecationWarning, stacklevel=2)
        return names()
    if name == "Scheme":
        warnings.warn("Scheme(name, …) is now schemes.make(name, …)", DeprecationWarning, stacklevel=2)
        return _scheme
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _scheme(name: str, s: float | None = None, formula: str | None = None) -> base.Scheme:
    """What `Scheme(name, s, formula)` was."""
    return from_dict({"name": name, "s": s, "formula": formula})
