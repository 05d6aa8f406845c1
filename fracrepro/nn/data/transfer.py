"""Data sets on their way to a machine that lacks them: the official files, checked where they arrive."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

from fracrepro.arguments import choice
from fracrepro.files import atomic_writer
from fracrepro.nn import data
from fracrepro.nn.data import cifar10
from fracrepro.nn.data.base import DataError

__all__ = ["official_files", "packed", "receive"]


def official_files(name: str) -> list[Path]:
    """Return the files of a downloaded data set on this machine.

    Args:
        name: one of `fracrepro.nn.data.SOURCES`.

    Raises:
        ArgumentError: for another name.
        DataError: when the set is not on this machine.
    """
    choice("name", name, tuple(data.SOURCES))
    where = data.status(name)[0]["where"]
    if where is None:
        raise DataError(f"{name}: not on this machine, and so nothing to send")
    folders = (Path(where), Path(where) / cifar10.FOLDER)
    found = [path for folder in folders for path in map(folder.joinpath, _official(name))]
    return [path for path in found if path.is_file()]


def _official(name: str) -> tuple[str, ...]:
    """The names of the files that may hold a data set, each of which has a module."""
    names: tuple[str, ...] = importlib.import_module(f"fracrepro.nn.data.{name}").OFFICIAL
    return names


def packed(name: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each official file; see :func:`official_files`."""
    for path in official_files(name):
        yield path.name, path.read_bytes()


def receive(name: str, file: str, content: bytes) -> None:
    """Put a file into this machine's cache, where :func:`fracrepro.nn.data.load` finds and checks it.

    Args:
        name: of the data set.
        file: its name, without a folder.
        content: what it holds.

    Raises:
        ArgumentError: for a data set that is not downloaded, and a file that does not belong to it.
        OSError: when it cannot be written.
    """
    folder = data._cache() / choice("name", name, tuple(data.SOURCES))
    with atomic_writer(folder / choice("file", file, _official(name))) as target:
        target.write(content)
