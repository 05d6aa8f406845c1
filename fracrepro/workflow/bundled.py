"""Which files of a checkout a wheel carries; setup.py loads this file alone, so it imports none of ours."""

from __future__ import annotations

from pathlib import Path

__all__ = ["CARRIED", "bundled"]

CARRIED = "_project"  # the folder of the package in which a wheel has them
_PATTERNS = (
    "CITATION.cff",
    "LICENSE",
    "_config.yml",
    "_toc.yml",
    "book/**/*",
    "notebooks/*.ipynb",
    "notebooks/*.yml",
    "plans/*.yml",
    "recorded/*.csv",
    "recorded/*.json",
    "recorded/full_scale/*.json",
)


def bundled(root: Path) -> list[Path]:
    """Return the names of these files, relative to the checkout; what .gitignore calls made is left out.

    Args:
        root: the checkout's folder, or that of an unpacked source distribution.
    """
    lines = (root / ".gitignore").read_text().splitlines()
    made = [root / line for line in lines if line.startswith("book/") and line.endswith("/")]
    names = set()
    for path in (path for pattern in _PATTERNS for path in root.glob(pattern) if path.is_file()):
        name = path.relative_to(root)
        hidden = any(part.startswith(".") for part in name.parts) or path.suffix == ".part"
        if not hidden and not any(path.is_relative_to(folder) for folder in made):
            names.add(name)
    return sorted(names)
