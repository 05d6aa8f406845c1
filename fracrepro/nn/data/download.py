"""Downloads: several mirrors in turn, encrypted all the way, of a limited size, with the official checksum.

One that breaks off is continued.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from fracrepro.errors import MissingPackageError
from fracrepro.nn.data.base import DataError

TIMEOUT = 30  # seconds without an answer or a byte, after which the next mirror is tried
CHUNK = 1 << 16
SCHEMES = ("https",)


def download_file(urls: Sequence[str], path: Path, known_hash: str, largest: int) -> None:
    """Download the first of `urls` that delivers a file with the known hash to `path`.

    Args:
        urls: the mirrors, tried in this order.
        path: of the file.
        known_hash: as pooch has it, such as ``"md5:…"``.
        largest: bytes after which a mirror is left.

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
            check_address(url)
            downloader = functools.partial(_resume, largest=largest)
            pooch.retrieve(url, known_hash, path.name, path.parent, downloader=downloader)
            return
        except Exception as error:  # requests, urllib3, pooch: each has its own exceptions
            # A failed connection says the same at great length every time; a wrong hash is worth reading.
            failures.append(f"{url}: {type(error).__name__ if isinstance(error, OSError) else error}")
    raise DataError("; ".join(failures))


def check_address(url: str) -> None:
    """Refuse an address whose answer somebody on the way could read or change.

    Raises:
        DataError: for any other than https.

    >>> check_address("http://example.org/file.gz")
    Traceback (most recent call last):
    fracrepro.nn.data.base.DataError: 'http://example.org/file.gz': need an address that begins with https://
    """
    if urlsplit(url).scheme not in SCHEMES:
        raise DataError(f"{url!r}: need an address that begins with https://")


def _session() -> Any:
    """A session that goes where it is sent only over TLS."""
    import requests

    class Session(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> str | None:
            target = super().get_redirect_target(resp)
            if target is not None:
                check_address(urljoin(resp.url, target))
            return target

    return Session()


def _resume(url: str, output_file: str | os.PathLike[str], pooch: Any, largest: int) -> None:
    """Download for pooch, which checks the hash, through a file from which the next try goes on.

    Raises:
        DataError: where more than `largest` bytes come, or the address leads away from TLS.
    """
    import requests
    from tqdm import tqdm

    part = Path(output_file).parent / f"{url.rsplit('/', 1)[-1]}.part"
    have = part.stat().st_size if part.exists() else 0
    wanted = {"Range": f"bytes={have}-"}
    with _session() as session, session.get(url, headers=wanted, stream=True, timeout=TIMEOUT) as answer:
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
                    have += len(chunk)
                    if have > largest:
                        break
                    file.write(chunk)
                    bar.update(len(chunk))
    if have > largest:
        part.unlink(missing_ok=True)
        raise DataError(f"more than {largest:,} bytes came, which the file has not")
    shutil.move(part, output_file)
