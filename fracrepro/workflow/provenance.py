"""Where a result comes from: versions, machine and code."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PACKAGES = (
    "numpy",
    "scipy",
    "mpmath",
    "torch",
    "pandas",
    "matplotlib",
    "seaborn",
    "scikit-learn",
    "papermill",
    "ipykernel",
    "myst-nb",
)


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


def commit() -> str:
    """Return the checkout's commit, marked when files differ from it; "unknown" outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(  # git, by a list that no user writes  # noqa: S603  # nosec B603
            command, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
