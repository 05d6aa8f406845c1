"""CIFAR-10: the official binary batches, unpacked or in their archive; never pickles, which run code.

A record has 3073 bytes: the label, then 1024 red, 1024 green and 1024 blue values.
Copies exist whose records were shuffled, so the check is the sha256 over the records sorted as bytes.
The decoded set is kept in that order: the same seed then sees the same batches whichever copy it reads.
It is checked against the same checksum each time it is loaded, in a fraction of a second.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import tarfile
import zlib
from pathlib import Path

import numpy as np

from fracrepro.errors import ArgumentError
from fracrepro.files import atomic_writer, file_digest, read_json, write_json
from fracrepro.nn.data.base import DataError, Dataset, Source
from fracrepro.nn.data.download import download_file

FOLDER = "cifar-10-batches-bin"
ARCHIVE = "cifar-10-binary.tar.gz"
LARGEST = 200_000_000  # bytes of the archive, which has 170 million
ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
MIRRORS = (
    "https://www.cs.toronto.edu/~kriz/",
    "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
)
BATCHES = {
    "train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    "test": ("test_batch.bin",),
}
OFFICIAL = (*BATCHES["train"], *BATCHES["test"], ARCHIVE)  # every file that may hold the set
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
BATCH_SIZE = 10000
RECORD = 1 + 3 * 32 * 32
_ROWS = 1000  # records put together at a time
SORTED_SHA256 = {
    "train": "72083841cd0fa633f09b24c0833cf6d6a1809caff400317117334e0aa6b0ed46",
    "test": "f1bbb931260cda782c84c1948c82d910e2c193cb1d56756293f445027090946b",
}


def present(folder: Path) -> bool:
    """Return whether the folder holds the six batches, or the archive."""
    return bool(_origin(folder))


def read(folder: Path, cache: Path) -> Dataset:
    """Return the decoded copy in the cache, memory-mapped, if it has the official content; else decode again.

    Raises:
        DataError: when a file is truncated or altered.
    """
    origin = _origin(folder)
    decoded = _paths(cache)
    memory = cache / "verified.json"
    arrays = _cached(decoded) if _remembered(memory, origin) else None
    if arrays is None or not _is_official(arrays):
        arrays = _decode(origin, folder)
        try:
            _remember(memory, origin, decoded, arrays)
        except OSError:  # no room or no permission in the cache: the verified arrays in memory serve as well
            return Dataset("cifar10", **arrays)
        arrays = _cached(decoded) or arrays
    return Dataset("cifar10", **arrays)


def check(folder: Path, cache: Path) -> None:
    """Read the official files and, byte by byte, the arrays in the cache that were decoded from them.

    Raises:
        DataError: when one is truncated or altered; names it.
    """
    expected = _decode(_origin(folder), folder)
    for key, path in _paths(cache).items():
        if path.is_file():
            found = _array(path, _shape(key))
            if found is None or not np.array_equal(found, expected[key]):
                raise DataError(
                    f"{path} is truncated or altered; delete it, and the next use decodes it again"
                )


def download(folder: Path) -> None:
    """Bring the official binary archive into the folder.

    Raises:
        DataError: when no mirror delivers it.
    """
    download_file([mirror + ARCHIVE for mirror in MIRRORS], folder / ARCHIVE, f"md5:{ARCHIVE_MD5}", LARGEST)


def _origin(folder: Path) -> list[Path]:
    """The files that the folder would be read from; empty when there are none."""
    for root in (folder, folder / FOLDER):
        batches = [root / name for names in BATCHES.values() for name in names]
        if all(path.is_file() for path in batches):
            return batches
    archive = folder / ARCHIVE
    return [archive] if archive.is_file() else []


def _paths(cache: Path) -> dict[str, Path]:
    """Where the decoded arrays are."""
    return {key: cache / f"{key}.npy" for key in ARRAYS}


def _shape(key: str) -> tuple[int, ...]:
    """The shape of a decoded array."""
    part, _, kind = key.partition("_")
    n = BATCH_SIZE * len(BATCHES[part])
    return (n, 3, 32, 32) if kind == "images" else (n,)


def _remembered(memory: Path, origin: list[Path]) -> bool:
    """Whether the arrays in the cache were decoded from these very files."""
    try:
        return read_json(memory) == _stamps(origin)
    except (OSError, ArgumentError):  # never decoded, or the note is damaged
        return False


def _cached(decoded: dict[str, Path]) -> dict[str, np.ndarray] | None:
    """The arrays in the cache, unread; None unless all are there, of their shapes."""
    arrays = {key: _array(path, _shape(key)) for key, path in decoded.items()}
    whole = {key: array for key, array in arrays.items() if array is not None}
    return whole if len(whole) == len(decoded) else None


def _array(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """Map an array that `np.save` wrote; None when the file cannot be that of a uint8 array of this shape."""
    header = io.BytesIO()
    described = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    start = header.getvalue()
    try:
        with path.open("rb") as file:
            if file.read(len(start)) != start or path.stat().st_size != len(start) + math.prod(shape):
                return None
        return np.memmap(path, np.uint8, "r", len(start), shape)
    except OSError:
        return None


def _is_official(arrays: dict[str, np.ndarray]) -> bool:
    """Whether decoded arrays have the official content: their records, put together again, tell."""
    for part, expected in SORTED_SHA256.items():
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        total = hashlib.sha256()
        for first in range(0, len(labels), _ROWS):
            rows = slice(first, first + _ROWS)
            pixels = images[rows].reshape(-1, RECORD - 1)
            total.update(np.concatenate([labels[rows, None], pixels], axis=1).data)
        if total.hexdigest() != expected:
            return False
    return True


def _remember(
    memory: Path, origin: list[Path], decoded: dict[str, Path], arrays: dict[str, np.ndarray]
) -> None:
    """Store the decoded arrays, then note which files they came from."""
    for key, path in decoded.items():
        with atomic_writer(path) as file:
            np.save(file, arrays[key])
    write_json(memory, _stamps(origin))


def _stamps(paths: list[Path]) -> dict[str, list[int]]:
    """What tells these files from others: size and time of change; the content is checked apart."""
    return {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in paths}


def _records(part: str, origin: list[Path]) -> np.ndarray:
    """The records of one part, as stored: uint8 of shape (n, 3073)."""
    if origin[0].name == ARCHIVE:
        batches = _from_archive(origin[0], BATCHES[part])
    else:
        batches = [_whole(path) for path in origin if path.name in BATCHES[part]]
    return np.frombuffer(b"".join(batches), np.uint8).reshape(-1, RECORD)


def _whole(path: Path) -> bytes:
    """The content of a batch, if it has the size of one."""
    _check_size(path, path.stat().st_size)
    return path.read_bytes()


def _check_size(path: Path, found: int) -> None:
    expected = BATCH_SIZE * RECORD
    if found != expected:
        what = "truncated" if found < expected else "altered"
        raise DataError(f"{path} is {what}: expected {expected} bytes, found {found}")


def _from_archive(path: Path, names: tuple[str, ...]) -> list[bytes]:
    """The named members of the archive, read without unpacking anything to disk."""
    found = file_digest(path, "md5")
    if found != ARCHIVE_MD5:
        raise DataError(f"{path} is truncated or altered: expected md5 {ARCHIVE_MD5}, found {found}")
    batches = []
    try:
        with tarfile.open(path) as archive:
            for name in names:
                facts = archive.getmember(f"{FOLDER}/{name}")
                _check_size(path / name, facts.size if facts.isfile() else 0)
                member = archive.extractfile(facts)
                batches.append(member.read() if member else b"")
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, KeyError) as error:
        raise DataError(f"{path} is no archive of {FOLDER}: {error}") from None
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
    check,
    label="CIFAR-10",
)
