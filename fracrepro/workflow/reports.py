"""What a notebook reports: named values that prose quotes and the ledger judges."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any

from fracrepro.errors import ArgumentError

_METADATA_KEY = "fracrepro"
# myst-nb stores outputs under this prefix for {glue:text} and does not draw them where they stand.
_HIDDEN = "application/papermill.record/"


def report(**values: float | int | str | bool) -> None:
    """Report a notebook's results under their names, once each.

    A page's prose quotes them with ``{glue:text}`key:.3f```.
    The runner collects them into the record beside the executed notebook.

    Raises:
        ArgumentError: for a value that is NaN, infinite, or not a number, a truth value or text.
    """
    from IPython.display import display

    for name, value in values.items():
        plain = _plain(name, value)
        metadata = {"scrapbook": {"name": name, "mime_prefix": _HIDDEN}, _METADATA_KEY: {name: plain}}
        display({f"{_HIDDEN}text/plain": repr(plain)}, metadata=metadata, raw=True)


def _plain(name: str, value: Any) -> float | int | str | bool:
    """The Python number behind a numpy or torch scalar: their repr is not a number's."""
    if isinstance(value, str):
        return value
    item = value.item() if hasattr(value, "item") else value
    if isinstance(item, bool):
        return item
    if isinstance(item, numbers.Integral):
        return int(item)
    if isinstance(item, numbers.Real) and math.isfinite(item):
        return float(item)
    raise ArgumentError(f"{name} = {value!r}: need a finite number, a truth value or text to report")


def reported_values(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the cells of an executed notebook reported.

    Raises:
        ArgumentError: when a name comes twice.
    """
    values: dict[str, Any] = {}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            for name, value in output.get("metadata", {}).get(_METADATA_KEY, {}).items():
                if name in values:
                    raise ArgumentError(f"{name!r} is reported twice: each name stands for one value")
                values[name] = value
    return values
