"""CIFAR-10: the official binary batches, unpacked or in their archive; never pickles, which run code.

A record has 3073 bytes: the label, then 1024 red, 1024 green and 1024 blue values.
Copies exist whose records were shuffled, so the check is the sha256 over the records sorted as bytes.
The decoded set is kept in that order: the same seed then sees the same batches whichever copy it reads.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import numpy as np

from fracrepro.files import atomic_writer, file_digest
from fracrepro.nn.data.base import DataError, Dataset, Source
from fracrepro.nn.data.download import download_file

FOLDER = "cifar-10-batches-bin"
ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
MIRRORS = (
    "https://www.cs.toronto.edu/~kriz/",
    "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
)
BATCHES = {
    "train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    "test": ("test_batch.bin",),
}
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
BATCH_SIZE = 10000
RECORD = 1 + 3 * 32 * 32
SORTED_SHA256 = {
    "train": "72083841cd0fa633f09b24c0833cf6d6a1809caff400317117334e0aa6b0ed46",
    "test": "f1bbb931260cda782c84c1948c82d910e2c193cb1d56756293f445027090946b",
}


def present(folder: Path) -> bool:
    """Return whether the folder holds the six batches, or the archive."""
    return bool(_origin(folder))


def read(folder: Path, cache: Path) -> Dataset:
    """Return the decoded copy in the cache, memory-mapped; verify and decode first unless that was done.

    Raises:
        DataError: when a file is truncated or altered.
    """
    origin = _origin(folder)
    decoded = {key: cache / f"{key}.npy" for key in ARRAYS}
    memory = cache / "verified.json"
    if not _remembered(memory, origin, decoded):
        arrays = _decode(origin, folder)
        try:
            _remember(memory, origin, decoded, arrays)
        except OSError:  # no room or no permission in the cache: the verified arrays in memory serve as well
            return Dataset("cifar10", **arrays)
    return Dataset("cifar10", **{key: np.load(path, mmap_mode="r") for key, path in decoded.items()})


def download(folder: Path) -> None:
    """Bring the official binary archive into the folder.

    Raises:
        DataError: when no mirror delivers it.
    """
    download_file([mirror + ARCHIVE for mirror in MIRRORS], folder / ARCHIVE, f"md5:{ARCHIVE_MD5}")


def _origin(folder: Path) -> list[Path]:
    """The files that the folder would be read from; empty when there are none."""
    for root in (folder, folder / FOLDER):
        batches = [root / name for names in BATCHES.values() for name in names]
        if all(path.is_file() for path in batches):
            return batches
    archive = folder / ARCHIVE
    return [archive] if archive.is_file() else []


def _remembered(memory: Path, origin: list[Path], decoded: dict[str, Path]) -> bool:
    """Whether these very files were verified before, and the decoded arrays are the ones written then."""
    paths = [*origin, *decoded.values()]
    if not all(path.is_file() for path in [memory, *paths]):
        return False
    return json.loads(memory.read_text()) == _stamps(paths)


def _remember(
    memory: Path, origin: list[Path], decoded: dict[str, Path], arrays: dict[str, np.ndarray]
) -> None:
    """Store the decoded arrays, then note which files they came from."""
    memory.unlink(missing_ok=True)  # first: after a break it must not vouch for half of the arrays
    for key, path in decoded.items():
        with atomic_writer(path) as file:
            np.save(file, arrays[key])
    with atomic_writer(memory, "w") as file:
        json.dump(_stamps([*origin, *decoded.values()]), file)


def _stamps(paths: list[Path]) -> dict[str, list[int]]:
    """What tells an unchanged file without reading it: size and time of change."""
    return {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in paths}


def _records(part: str, origin: list[Path]) -> np.ndarray:
    """The records of one part, as stored: uint8 of shape (n, 3073)."""
    if origin[0].name == ARCHIVE:
        batches = _from_archive(origin[0], BATCHES[part])
    else:
        batches = {path: path.read_bytes() for path in origin if path.name in BATCHES[part]}
    expected = BATCH_SIZE * RECORD
    for path, content in batches.items():
        if len(content) != expected:
            raise DataError(f"{path} is truncated: expected {expected} bytes, found {len(content)}")
    return np.frombuffer(b"".join(batches.values()), np.uint8).reshape(-1, RECORD)


def _from_archive(path: Path, names: tuple[str, ...]) -> dict[Path, bytes]:
    """The named members of the archive, read without unpacking anything to disk."""
    found = file_digest(path, "md5")
    if found != ARCHIVE_MD5:
        raise DataError(f"{path} is truncated or altered: expected md5 {ARCHIVE_MD5}, found {found}")
    batches = {}
    with tarfile.open(path) as archive:
        for name in names:
            member = archive.extractfile(f"{FOLDER}/{name}")
            batches[path / name] = member.read() if member else b""
    return batches


def _decode(origin: list[Path], folder: Path) -> dict[str, np.ndarray]:
    """Check the records against the official content; return images and labels, sorted by record."""
    arrays = {}
    for part, expected in SORTED_SHA256.items():
        records = np.sort(_records(part, origin).view(f"S{RECORD}").ravel())
        found = hashlib.sha256(records.data).hexdigest()
        if found != expected:
            files = " or ".join(BATCHES[part])
            raise DataError(
                f"{folder}: {files} is altered: expected sorted records of sha256 {expected}, found {found}"
            )
        pixels = records.view(np.uint8).reshape(-1, RECORD)
        arrays[f"{part}_images"] = pixels[:, 1:].reshape(-1, 3, 32, 32)
        arrays[f"{part}_labels"] = pixels[:, 0].copy()
    return arrays


SOURCE = Source(
    (FOLDER, "cifar10", "."),
    f"the folder {FOLDER} with its six .bin files, or {ARCHIVE},",
    present,
    read,
    download,
)
