"""MNIST: the four official gzip files in the IDX format."""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from fracrepro.files import file_digest
from fracrepro.nn.data.base import DataError, Dataset, Source
from fracrepro.nn.data.download import download_file

# name: (md5 of the official gzip file, md5 of its content, shape)
# Copies that were compressed again have another wrapper but must have the official content.
FILES: dict[str, tuple[str, str, tuple[int, ...]]] = {
    "train-images-idx3-ubyte.gz": (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "6bbc9ace898e44ae57da46a324031adb",
        (60000, 28, 28),
    ),
    "train-labels-idx1-ubyte.gz": (
        "d53e105ee54ea40749a09fcbcd1e9432",
        "a25bea736e30d166cdddb491f175f624",
        (60000,),
    ),
    "t10k-images-idx3-ubyte.gz": (
        "9fb629c4189551a2d022fa330f9573f3",
        "2646ac647ad5339dbf082846283269ea",
        (10000, 28, 28),
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "ec29112dd5afa0611ce80d1b7f02629c",
        "27ae3e4e09519cfbb04c329615203637",
        (10000,),
    ),
}
OFFICIAL = tuple(FILES)  # every file that may hold the set
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
LARGEST = 20_000_000  # bytes of a file, of which the largest has half


def present(folder: Path) -> bool:
    """Return whether the four files are there."""
    return all((folder / name).is_file() for name in FILES)


def read(folder: Path, cache: Path) -> Dataset:
    """Return the data set of the four files, verified; half a second, so that `cache` stays empty.

    Raises:
        DataError: when a file is truncated or altered.
    """
    train_images, train_labels, test_images, test_labels = (_read_file(folder / name) for name in FILES)
    return Dataset("mnist", train_images[:, None], train_labels, test_images[:, None], test_labels)


def download(folder: Path) -> None:
    """Bring the four official files into the folder.

    Raises:
        DataError: when no mirror delivers one of them.
    """
    for name, (md5, *_) in FILES.items():
        download_file([mirror + name for mirror in MIRRORS], folder / name, f"md5:{md5}", LARGEST)


def _read_file(path: Path) -> np.ndarray:
    """The content of one IDX file, checked against its official checksum."""
    _, md5, shape = FILES[path.name]
    size = 4 * (1 + len(shape)) + math.prod(shape)
    try:
        with gzip.open(path) as file:
            content = file.read(size + 1)  # a few bytes can hold gigabytes
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        found = file_digest(path, "md5")
        raise DataError(
            f"{path} is truncated or altered ({error}): "
            f"expected content of md5 {md5}, found a file of md5 {found}"
        ) from error
    if len(content) > size:
        raise DataError(f"{path} is altered: expected content of {size} bytes and md5 {md5}, found more")
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise DataError(f"{path} is altered: expected content of md5 {md5}, found md5 {found}")
    # An IDX header: 0x08 for bytes and the number of axes, then the size of each, big-endian.
    header = struct.pack(f">{1 + len(shape)}i", 0x800 + len(shape), *shape)
    if len(content) != size or not content.startswith(header):  # cannot happen while the md5 holds
        raise DataError(f"{path} is no IDX file of shape {shape}: it begins with {content[: len(header)]!r}")
    return np.frombuffer(content, np.uint8, math.prod(shape), offset=4 * (1 + len(shape))).reshape(shape)


SOURCE = Source(("mnist",), f"the official files {', '.join(FILES)}", present, read, download, label="MNIST")
