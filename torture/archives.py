"""Data sets, made small: archives, what was decoded from them, and files sent to a worker."""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np

from torture import spoil as ways
from torture.spoil import CANARY, spoil
from torture.subject import Subject

_SHAPES = {
    "train-images-idx3-ubyte.gz": (12, 4, 4),
    "train-labels-idx1-ubyte.gz": (12,),
    "t10k-images-idx3-ubyte.gz": (6, 4, 4),
    "t10k-labels-idx1-ubyte.gz": (6,),
}


def _idx(name: str) -> bytes:
    shape, random = _SHAPES[name], np.random.default_rng(len(name) + sum(_SHAPES[name]))
    head = [0x800 + len(shape), *shape]
    values = random.integers(0, 256 if len(shape) > 1 else 10, shape, dtype=np.uint8)
    return b"".join(number.to_bytes(4, "big") for number in head) + values.tobytes()


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@contextlib.contextmanager
def _small_mnist(folder: Path, trust: bool) -> Iterator[None]:
    """Let MNIST be the small files; with `trust`, whatever content stands there is the official one."""
    from fracrepro.nn.data import mnist

    files = {}
    for name, shape in _SHAPES.items():
        content = _idx(name)
        with contextlib.suppress(Exception), gzip.open(folder / "mnist" / name) as file:
            content = file.read(10_000) if trust else content
        files[name] = ("", _md5(content), shape)
    with mock.patch.object(mnist, "FILES", files):
        yield


def _mnist(folder: Path) -> Path:
    (folder / "mnist").mkdir(exist_ok=True)
    for name in _SHAPES:
        (folder / "mnist" / name).write_bytes(gzip.compress(_idx(name), mtime=0))
    return folder / "mnist" / "train-images-idx3-ubyte.gz"


def _mnist_read(folder: Path, trust: bool = False) -> Any:
    from fracrepro.nn.data import mnist

    with _small_mnist(folder, trust):
        found = mnist.read(folder / "mnist", folder / "cache")
    return [found.train_images.tolist(), found.train_labels.tolist(), found.test_images.tolist()]


def _images(content: bytes) -> Any:
    names = list(_SHAPES)
    values = np.frombuffer(content, np.uint8, 12 * 16, 16).reshape(12, 1, 4, 4)
    if content[:16] != _idx(names[0])[:16] or len(content) != len(_idx(names[0])):
        raise ValueError("no such file")
    labels = np.frombuffer(_idx(names[1]), np.uint8, offset=8)
    return [
        values.tolist(),
        labels.tolist(),
        np.frombuffer(_idx(names[2]), np.uint8, offset=16).reshape(6, 1, 4, 4).tolist(),
    ]


def _idx_spoil(content: bytes, kind: str, random: Random) -> tuple[str, bytes]:
    """Damage what is compressed, or compress a bomb."""
    if random.random() < 0.1:
        return "gzip bomb", _bomb()
    way, damaged = spoil(gzip.decompress(content), "bytes", random)
    return way, gzip.compress(damaged)


@functools.cache
def _bomb() -> bytes:
    """A file of four megabytes that holds four gigabytes."""
    piece = gzip.compress(bytes(2**27), 1)
    return piece * 32


_BATCH = 4
_NAMES = (*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin")


@functools.cache
def _batches() -> dict[str, bytes]:
    random, found = np.random.default_rng(3), {}
    for name in _NAMES:
        rows = random.integers(0, 256, (_BATCH, 3073), dtype=np.uint8)
        rows[:, 0] %= 10
        found[name] = rows.tobytes()
    return found


def _sorted(names: tuple[str, ...]) -> bytes:
    rows = [_batches()[name][k : k + 3073] for name in names for k in range(0, _BATCH * 3073, 3073)]
    return b"".join(sorted(rows))


def _cifar_read(folder: Path) -> Any:
    from fracrepro.nn.data import cifar10

    digests = {
        "train": hashlib.sha256(_sorted(_NAMES[:5])).hexdigest(),
        "test": hashlib.sha256(_sorted(_NAMES[5:])).hexdigest(),
    }
    archive = folder / "cifar" / cifar10.ARCHIVE
    trusted = _md5(archive.read_bytes()) if archive.is_file() else ""
    with (
        mock.patch.object(cifar10, "BATCH_SIZE", _BATCH),
        mock.patch.object(cifar10, "SORTED_SHA256", digests),
        mock.patch.object(cifar10, "ARCHIVE_MD5", trusted),
    ):
        found = cifar10.read(folder / "cifar", folder / "cache")
        return [found.train_labels.tolist(), hashlib.sha256(found.train_images.tobytes()).hexdigest()]


def _cifar_truth(_: bytes) -> Any:
    rows = np.frombuffer(_sorted(_NAMES[:5]), np.uint8).reshape(-1, 3073)
    return [rows[:, 0].tolist(), hashlib.sha256(rows[:, 1:].tobytes()).hexdigest()]


def _cifar(folder: Path) -> Path:
    (folder / "cifar").mkdir(exist_ok=True)
    for name, content in _batches().items():
        (folder / "cifar" / name).write_bytes(content)
    for path in (folder / "cache").glob("*"):
        path.unlink()
    return folder / "cifar" / "data_batch_3.bin"


def _cifar_archive(folder: Path) -> Path:
    from fracrepro.nn.data import cifar10

    (folder / "cifar").mkdir(exist_ok=True)
    (folder / "cifar" / cifar10.ARCHIVE).write_bytes(_tar())
    for path in (folder / "cache").glob("*"):
        path.unlink()
    return folder / "cifar" / cifar10.ARCHIVE


def _members() -> dict[str, bytes]:
    return {f"cifar-10-batches-bin/{name}": content for name, content in _batches().items()}


@functools.cache
def _tar() -> bytes:
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in _members().items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _tar_spoil(content: bytes, kind: str, random: Random) -> tuple[str, bytes]:
    if random.random() < 0.6:
        return ways.archive(_members(), random)
    if random.random() < 0.5:
        way, damaged = spoil(gzip.decompress(content), "bytes", random)
        return way, gzip.compress(damaged)
    return spoil(content, "bytes", random)


def _cached(folder: Path) -> Path:
    """The arrays that were decoded once, of which one is damaged."""
    _cifar(folder)
    _cifar_read(folder)
    return folder / "cache" / "train_images.npy"


def _note(folder: Path) -> Path:
    return _cached(folder).with_name("verified.json")


def _received(folder: Path) -> Path:
    (folder / "name.txt").write_text("test_batch.bin")
    return folder / "name.txt"


def _receive(folder: Path) -> Any:
    """What a worker makes of the name of a file that is sent to it."""
    from fracrepro.nn import data
    from fracrepro.nn.data import transfer

    name = (folder / "name.txt").read_bytes().decode(errors="surrogateescape")
    with mock.patch.object(data, "_cache", return_value=folder / "received"):
        transfer.receive("cifar10", name, b"x")
    return name


def _receive_truth(content: bytes) -> Any:
    name = content.decode()
    assert name in (*_NAMES, "cifar-10-binary.tar.gz")
    return name


def _name_spoil(content: bytes, kind: str, random: Random) -> tuple[str, bytes]:
    names = (
        "..",
        ".",
        "",
        "/",
        "../x",
        "/var/x",
        "a/../test_batch.bin",
        "a\nb",
        "x" * 300,
        "C:\\x",
        "~",
        f"$(touch {CANARY})",
    )
    if random.random() < 0.7:
        return "a name", random.choice(names).encode()
    return spoil(content, "bytes", random)


_DATA = ("data_batch", "train-images-idx3", "t10k", "cifar")
ARCHIVES = (
    Subject("MNIST", "bytes", _mnist, _mnist_read, lambda _: _images(_idx("train-images-idx3-ubyte.gz"))),
    Subject(
        "MNIST, with its checksum",
        "bytes",
        _mnist,
        lambda folder: _mnist_read(folder, True),
        lambda content: _images(gzip.decompress(content)),
        spoil=_idx_spoil,
    ),
    Subject("CIFAR-10", "bytes", _cifar, _cifar_read, _cifar_truth, _DATA),
    Subject(
        "CIFAR-10, archive with its checksum",
        "bytes",
        _cifar_archive,
        _cifar_read,
        _cifar_truth,
        _DATA,
        spoil=_tar_spoil,
    ),
    Subject("CIFAR-10, decoded", "bytes", _cached, _cifar_read, _cifar_truth, _DATA),
    Subject("CIFAR-10, what was verified", "json", _note, _cifar_read, _cifar_truth, _DATA),
    Subject(
        "file sent to a worker",
        "bytes",
        _received,
        _receive,
        _receive_truth,
        ("file = ", "name.txt"),
        spoil=_name_spoil,
    ),
)
