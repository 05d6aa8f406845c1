"""Data sets: found, verified, and held in memory as uint8 images.

Each is looked for in the folder ``$FRACREPRO_DATA``, then in the user's cache, then downloaded to the cache.
The 8×8 digits of scikit-learn travel with that package and need none of them.
"""

from __future__ import annotations

import os
from pathlib import Path

from fracrepro.arguments import choice
from fracrepro.nn.data import cifar10, digits, mnist
from fracrepro.nn.data.base import DataError, Dataset, Source

__all__ = ["NAMES", "DataError", "Dataset", "fetch", "label", "load", "status", "verify"]

SOURCES: dict[str, Source] = {"mnist": mnist.SOURCE, "cifar10": cifar10.SOURCE}
#: The data sets by name; the first needs no download.
NAMES = ("digits", *SOURCES)


def label(name: str) -> str:
    """Return what tables call a data set; its name where it has no other.

    >>> label("mnist"), label("digits")
    ('MNIST', 'digits of scikit-learn')
    """
    return digits.LABEL if name == "digits" else SOURCES[name].label if name in SOURCES else name


def load(name: str) -> Dataset:
    """Return a data set, from ``$FRACREPRO_DATA``, the user's cache, or a download, verified.

    Args:
        name: one of `NAMES`; ``"digits"``, scikit-learn's 8×8 digits, needs no network.

    Raises:
        ArgumentError: for an unknown name.
        DataError: when a file is truncated or altered (named, with both checksums), or no way works.

    >>> load("digits").image_shape
    (1, 8, 8)
    """
    if choice("name", name, NAMES) == "digits":
        return digits.read()
    source = SOURCES[name]
    for folder in _folders(name):
        if source.present(folder):
            return source.read(folder, _cache() / name)
    return source.read(fetch(name), _cache() / name)


def fetch(name: str) -> Path:
    """Download a data set into the user's cache, unless it is there already, and return its folder.

    Args:
        name: one of `NAMES` that is not bundled with a package.

    Raises:
        ArgumentError: for an unknown name, or one that is bundled and not downloaded.
        DataError: when no mirror delivers the official files; names the other two ways.
    """
    source = SOURCES[choice("name", name, NAMES[1:])]
    folder = _cache() / name
    if not source.present(folder):
        try:
            source.download(folder)
        except (
            Exception
        ) as error:  # whatever the network or a missing pooch raises, the reader needs one answer
            raise DataError(_three_ways(name, error)) from error
    return folder


def verify(name: str) -> str:
    """Read and check a data set that is on this machine, without downloading; return its digest.

    Every byte is read, of the official files and of what was decoded from them.

    Args:
        name: one of `NAMES`.

    Raises:
        ArgumentError: for an unknown name.
        DataError: when it is missing, truncated or altered.
    """
    report = status(name)[0]
    if report["where"] is None:
        raise DataError(f"{name}: nothing to verify; {report['advice']}")
    if name in SOURCES and (check := SOURCES[name].check):
        check(Path(report["where"]), _cache() / name)
    return load(name).digest


def status(*names: str) -> list[dict[str, str | None]]:
    """Say for each data set where it is found: ``name``, ``where`` (None if missing), and ``advice`` if so.

    It reads no file: a set that is present may still fail :func:`verify`.

    Args:
        *names: of data sets; all without any.

    Raises:
        ArgumentError: for an unknown name.
    """
    reports: list[dict[str, str | None]] = []
    for name in names or NAMES:
        where: str | None = "bundled with scikit-learn"
        if choice("name", name, NAMES) != "digits":
            where = next((str(folder) for folder in _folders(name) if SOURCES[name].present(folder)), None)
        advice = f"run `fracrepro data fetch {name}`, or point $FRACREPRO_DATA at its files"
        reports.append({"name": name, "where": where, "advice": None if where else advice})
    return reports


def _folders(name: str) -> list[Path]:
    """Where the files may be, first choice first."""
    folders = [_cache() / name]
    if root := os.environ.get("FRACREPRO_DATA"):
        folders = [Path(root) / folder for folder in SOURCES[name].folders] + folders
    return folders


def _cache() -> Path:
    """The user's cache folder; without pooch, which only downloads need, its choice on Linux."""
    try:
        from pooch import os_cache
    except ImportError:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fracrepro"
    return Path(os_cache("fracrepro"))


def _three_ways(name: str, error: Exception) -> str:
    """The one answer when a data set cannot be had."""
    places = ", ".join(f"$FRACREPRO_DATA/{folder}" for folder in SOURCES[name].folders)
    files = SOURCES[name].wanted
    root = os.environ.get("FRACREPRO_DATA")
    return (
        f"{name} is not on this machine and could not be downloaded ({error}). Three ways to provide it: "
        f"(1) put {files} into {places} (FRACREPRO_DATA is {root or 'not set'}); "
        f"(2) put them into the cache {_cache() / name}; "
        f"(3) connect to the network and run `fracrepro data fetch {name}`."
    )
