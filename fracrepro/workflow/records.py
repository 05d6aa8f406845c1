"""What a run leaves behind: reported values and where they come from."""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
import numbers
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

PACKAGES = (
    "numpy",
    "scipy",
    "torch",
    "pandas",
    "matplotlib",
    "seaborn",
    "scikit-learn",
    "papermill",
    "ipykernel",
    "myst-nb",
)
_METADATA_KEY = "fracrepro"
# myst-nb stores outputs under this prefix for {glue:text} and does not draw them where they stand.
_HIDDEN = "application/papermill.record/"


def report(**values: float | int | str | bool) -> None:
    """Report a notebook's results under their names, once each.

    A page's prose quotes them with ``{glue:text}`key:.3f```.
    The runner collects them into the record beside the executed notebook.
    Raises ValueError for a value that is NaN, infinite, or not a number, a truth value or text.
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
    raise ValueError(f"{name} = {value!r}: need a finite number, a truth value or text to report")


def reported_values(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the cells of an executed notebook reported; raises ValueError when a name comes twice."""
    values: dict[str, Any] = {}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            for name, value in output.get("metadata", {}).get(_METADATA_KEY, {}).items():
                if name in values:
                    raise ValueError(f"{name!r} is reported twice: each name stands for one value")
                values[name] = value
    return values


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that results depend on; absent ones are left out."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def device() -> dict[str, Any]:
    """The machine, in the few words that matter to results and timings."""
    return {"machine": platform.machine(), "system": platform.system(), "cores": os.cpu_count() or 1}


def environment_line() -> str:
    """One line that says what computed a page."""
    names = ("python", "numpy", "scipy", "torch")
    found = versions()
    software = ", ".join(f"{name} {found[name]}" for name in names if name in found)
    machine = device()
    return f"Computed with {software} on {machine['cores']} {machine['machine']} cores ({machine['system']})."


def digest(parts: Iterable[tuple[str, bytes]]) -> str:
    """The sha256 of named parts: a change of a name, of content or of the number of parts changes it."""
    total = hashlib.sha256()
    for name, content in parts:
        for field in (name.encode(), content):
            total.update(len(field).to_bytes(8, "big"))
            total.update(field)
    return total.hexdigest()


def package_digest() -> str:
    """The content hash of the package's own source files."""
    root = Path(__file__).resolve().parents[1]
    return digest((str(path.relative_to(root)), path.read_bytes()) for path in sorted(root.rglob("*.py")))
