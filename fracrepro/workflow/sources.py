"""Which source files of the package a page was made from, so that only their change makes it stale.

The runner appends a cell to the notebook that lists the modules which the kernel has loaded by then, those
that functions import on their way included; the cell does not stay in the page.
The record keeps the hash of each, taken before the kernel started, and `unchanged` compares them with the
files of now.  What a kernel leaves to another process is not seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fracrepro.errors import FracreproError

__all__ = [
    "OtherPackageError",
    "loaded",
    "source_digests",
    "unchanged",
    "used",
    "with_probe",
    "without_probe",
]

PACKAGE = Path(__file__).resolve().parents[1]
# Not loaded by every kernel, but they decide how one runs and what goes into page and record: threads and
# parameters, versions and values, which modules count as loaded.
# The rest of the command line decides when a page is made, not what is in it.
_NAMES = ("environment", "execution", "provenance", "reports", "sources")
MACHINERY = tuple(f"fracrepro.workflow.{name}" for name in _NAMES)

_SEARCH = b"pkgutil.iter_modules(__path__"  # what a package that finds its own modules has in its source
_TAG = "fracrepro-probe"
_KEY = "fracrepro_sources"
_PROBE = f"""
def _fracrepro_probe():
    import sys
    from IPython.display import publish_display_data

    modules = [module for name, module in sys.modules.items() if name.split(".")[0] == "fracrepro"]
    files = [getattr(module, "__file__", None) for module in modules]
    publish_display_data({{"text/plain": ""}}, {{"{_KEY}": sorted(set(filter(None, files)))}})


_fracrepro_probe()
"""


class OtherPackageError(FracreproError):
    """A kernel loaded the package from another folder than the one whose sources are hashed."""


def source_digests() -> dict[str, str]:
    """Return the sha256 of every source file of the package, by the name of its module.

    A package that searches its folder for modules, as a registry does, also depends on which there are: their
    names have a digest under ``package.*``.
    """
    contents = {path: path.read_bytes() for path in sorted(PACKAGE.rglob("*.py"))}
    digests = {_module(path): hashlib.sha256(content).hexdigest() for path, content in contents.items()}
    for path, content in contents.items():
        if path.name == "__init__.py" and _SEARCH in content:
            package = _module(path)
            inside = "\n".join(name for name in sorted(digests) if name.rpartition(".")[0] == package)
            digests[f"{package}.*"] = hashlib.sha256(inside.encode()).hexdigest()
    return digests


def _module(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def with_probe(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """Return the notebook with a last cell that lists the loaded sources."""
    cell: dict[str, Any] = {
        "cell_type": "code",
        "id": _TAG,
        "metadata": {"tags": [_TAG]},
        "source": _PROBE.strip(),
        "outputs": [],
        "execution_count": None,
    }
    return {**notebook, "cells": [*notebook["cells"], cell]}


def without_probe(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """Return the notebook as a reader may see it."""
    return {**notebook, "cells": [cell for cell in notebook["cells"] if not _is_probe(cell)]}


def loaded(notebook: Mapping[str, Any]) -> list[str]:
    """Return the package's modules that the kernel of an executed notebook had loaded at its end.

    Raises:
        OtherPackageError: when a module comes from another folder than this one.
    """
    outputs = [output for cell in notebook["cells"] if _is_probe(cell) for output in cell["outputs"]]
    files = [Path(file).resolve() for output in outputs for file in output.get("metadata", {}).get(_KEY, [])]
    for file in files:
        if not file.is_relative_to(PACKAGE):
            raise OtherPackageError(f"the kernel loaded {file}, while the command runs from {PACKAGE}")
    return sorted(_module(file) for file in files)


def _is_probe(cell: Mapping[str, Any]) -> bool:
    return _TAG in cell["metadata"].get("tags", [])


def used(modules: Iterable[str], digests: Mapping[str, str]) -> dict[str, str]:
    """Return what a page depends on: the digest of each module that it used, ready for its record."""
    names = {*modules, *MACHINERY}
    names |= {f"{name}.*" for name in names}
    return {name: digests[name] for name in sorted(names & digests.keys())}


def unchanged(recorded: Mapping[str, str], digests: Mapping[str, str]) -> bool:
    """Whether all that :func:`used` recorded is what it was; nothing recorded means no."""
    return bool(recorded) and all(digests.get(name) == value for name, value in recorded.items())
