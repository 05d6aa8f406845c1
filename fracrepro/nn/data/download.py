"""Downloads: several mirrors in turn, official checksum, continued after a break."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fracrepro.errors import MissingPackageError
from fracrepro.nn.data.base import DataError

TIMEOUT = 30  # seconds without an answer or a byte, after which the next mirror is tried
CHUNK = 1 << 16


def download_file(urls: Sequence[str], path: Path, known_hash: str) -> None:
    """Download the first of `urls` that delivers a file with the known hash to `path`.

    Args:
        urls: the mirrors, tried in this order.
        path: of the file.
        known_hash: as pooch has it, such as ``"md5:…"``.

    Raises:
        DataError: when none does; says what each answered.
        MissingPackageError: when pooch is not installed.
    """
    try:
        import pooch
    except ModuleNotFoundError as error:
        raise MissingPackageError("pooch", "nn") from error

    failures = []
    for url in urls:
        try:
            pooch.retrieve(url, known_hash, path.name, path.parent, downloader=_resume)
            return
        except Exception as error:  # requests, urllib3, pooch: each has its own exceptions
            # A failed connection says the same at great length every time; a wrong hash is worth reading.
            failures.append(f"{url}: {type(error).__name__ if isinstance(error, OSError) else error}")
    raise DataError("; ".join(failures))


def _resume(url: str, output_file: str | os.PathLike[str], pooch: Any) -> None:
    """Download for pooch, which checks the hash, through a file from which the next try goes on."""
    import requests
    from tqdm import tqdm

    part = Path(output_file).parent / f"{url.rsplit('/', 1)[-1]}.part"
    have = part.stat().st_size if part.exists() else 0
    with requests.get(url, headers={"Range": f"bytes={have}-"}, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            have = 0  # everything is here, or the part belongs to a longer file; the hash decides
        else:
            answer.raise_for_status()
            resumed = answer.status_code == requests.codes.partial_content
            have = have if resumed else 0
            total = have + int(answer.headers.get("Content-Length", 0)) or None
            bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem, disable=None)
            with bar, open(part, "ab" if resumed else "wb") as file:
                for chunk in answer.iter_content(CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
    shutil.move(part, output_file)
