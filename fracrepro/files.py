"""Atomic writes: a reader sees the old file or the new one, never a half of either."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write `content` to a temporary file beside `path`, force it to disk, and rename it over `path`.

    Missing folders are made.
    The old file stays as it was if anything fails: disk full, no permission, interruption.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files that only the owner can read
        os.replace(temporary, path)
    except BaseException:  # an interruption too must not leave the temporary file behind
        Path(temporary).unlink(missing_ok=True)
        raise


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path | str, content: Mapping[str, Any]) -> None:
    """Write `content` as indented JSON, atomically; NaN and infinities, which JSON lacks, are refused."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
