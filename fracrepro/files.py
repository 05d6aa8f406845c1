"""Writing and checking files: a reader finds the old content or the new one, never a part."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from fracrepro.errors import ArgumentError

__all__ = ["atomic_writer", "file_digest", "writable_folder", "write_json", "write_text"]


@contextlib.contextmanager
def atomic_writer(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO]:
    """Open a temporary file beside `path` and rename it to `path` once everything is on the disk.

    When the block raises, or the disk is full, the temporary file goes and `path` stays as it was.

    Args:
        path: the file to replace; its folder is made where missing.
        mode: ``"wb"`` for bytes, ``"w"`` for UTF-8 text.

    Yields:
        The open temporary file.

    Raises:
        OSError: when the folder or the file cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # the rename must not overtake the content
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes private files
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_writer(path, "w") as file:
        file.write(text)


def write_json(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write `content` as indented JSON, atomically; NaN and infinities, which JSON lacks, are refused."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def writable_folder(name: str, folder: str | os.PathLike[str]) -> Path:
    """Make `folder` where missing and return it: a user learns before the work that its result has no place.

    Args:
        name: the argument that named the folder, for the message.
        folder: where results will be written.

    Raises:
        ArgumentError: when the folder cannot be made or written to.
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        writable = os.access(path, os.W_OK | os.X_OK)
    except OSError:
        writable = False
    if not writable:
        raise ArgumentError(f"{name} = {str(path)!r}: need a folder that can be written to")
    return path


def file_digest(path: str | os.PathLike[str], algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file's content.

    Raises:
        OSError: when the file cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def _umask() -> int:
    """The process's file mask, which Python can read only by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
