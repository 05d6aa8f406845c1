"""The project's sources for a user without a checkout: a wheel carries them, and a folder is made of them."""

from __future__ import annotations

import os
from pathlib import Path

from fracrepro import files
from fracrepro.errors import ArgumentError
from fracrepro.workflow.bundled import CARRIED, bundled
from fracrepro.workflow.project import ENVIRONMENT_VARIABLE, Project

__all__ = ["copy_notebooks", "project"]

_PACKAGE = Path(__file__).resolve().parents[1]


def copy_notebooks(folder: Path) -> list[Path]:
    """Make a project of `folder`: the notebooks with their profiles, the records, the plans and the book.

    The commands that need a project work there: `run`, `list`, `claims`, `build`.

    Args:
        folder: is made if it is missing; nothing in it is replaced.

    Returns:
        The files that were written.

    Raises:
        ArgumentError: when a file that would be written is there, or the folder cannot be written; and for
            a package that carries no sources.
    """
    source, names = sources()
    for name in names:
        if (folder / name).exists():
            raise ArgumentError(f"folder = '{folder}': has {name} already: need another folder")
    files.writable_folder("folder", folder)
    for name in names:
        with files.atomic_writer(folder / name) as copy:
            copy.write((source / name).read_bytes())
    return [folder / name for name in names]


def project() -> Project:
    """Return the project around the user, or else what the package carries, which is only read.

    Raises:
        ArgumentError: when the variable that names a project names none, or the package carries no sources.
    """
    try:
        return Project.find()
    except ArgumentError:
        if os.environ.get(ENVIRONMENT_VARIABLE):
            raise
        return Project(sources()[0])


def sources(package: Path = _PACKAGE) -> tuple[Path, list[Path]]:
    """Return the folder with the project's sources and their names in it.

    Args:
        package: the folder of the package; a wheel's has them inside, a checkout's has them beside it.

    Raises:
        ArgumentError: when there are none.
    """
    carried, checkout = package / CARRIED, package.parent
    if carried.is_dir():
        return carried, sorted(path.relative_to(carried) for path in carried.rglob("*") if path.is_file())
    if not (checkout / ".gitignore").is_file():
        raise ArgumentError(f"{carried}: no such folder: the package was installed without its notebooks")
    return checkout, bundled(checkout)
