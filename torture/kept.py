"""What the package writes and reads again: records, checkpoints, results of points, executed pages; and data.

A file with a checksum is damaged twice over: as it is, and with a checksum made anew, so that the reader
behind the check is attacked too.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import gzip
import hashlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np

from torture import spoil as ways
from torture.spoil import CANARY, spoil
from torture.subjects import Subject, project

# Records.


@functools.cache
def experiment() -> Any:
    """A small experiment."""
    from fracrepro.nn.experiments import DIGITS

    return DIGITS.settle(runs=2, epochs=2, schemes=("fractional", "kaiming"), s=0.5)


def _table() -> str:
    from fracrepro.nn.training.lanes import FIGURES

    random, rows = Random(1), []
    for scheme, order in (("fractional", "0.5"), ("kaiming", "")):
        for seed in range(2):
            for epoch in (1, 2):
                rows.append(["digits", scheme, order, seed, epoch, *(repr(random.random()) for _ in FIGURES)])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([["experiment", "scheme", "s", "seed", "epoch", *FIGURES], *rows])
    return text.getvalue()


def _facts(table: bytes) -> dict[str, Any]:
    return {
        "experiment": "digits",
        "protocol": json.loads(json.dumps(experiment().to_dict())),
        "sha256": hashlib.sha256(table).hexdigest(),
        "data_digest": "0" * 64,
        "versions": {"python": "3"},
        "started": "2026-01-01T00:00:00+00:00",
        "wall_seconds": 1.5,
        "resumed": False,
        "plan": {
            "file": "plans/digits.yml",
            "sha256": "0" * 64,
            "commit": "0" * 40,
            "committed": "2025-12-01T00:00:00+00:00",
            "fields": _planned(),
        },
    }


@functools.cache
def _planned() -> dict[str, Any]:
    import yaml

    from fracrepro.stats.plans import ExperimentPlan
    from torture.written import PLAN

    found: dict[str, Any] = ExperimentPlan.from_dict(yaml.safe_load(PLAN)).to_dict()
    return found


def _record(folder: Path) -> Path:
    from fracrepro.workflow import seals

    (folder / "digits.csv").write_text(_table())
    (folder / "digits.json").write_text(json.dumps(seals.seal(_facts(_table().encode())), indent=1))
    return folder / "digits.json"


def _csv(folder: Path) -> Path:
    return _record(folder).with_name("digits.csv")


def _loaded(folder: Path) -> Any:
    from fracrepro.workflow import records

    return _rows(records.load_record(folder, experiment()).to_dict("list"))


def _rows(columns: dict[str, list[Any]]) -> Any:
    texts = ("experiment", "scheme")
    return {name: list(map(str if name in texts else float, found)) for name, found in columns.items()}


def _read_csv(content: bytes) -> Any:
    """The table by the csv module; ValueError for a row that is not whole."""
    header, *rows = csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
    rows = [row for row in rows if row]
    if any(len(row) != len(header) for row in rows) or len(set(header)) < len(header):
        raise ValueError("a row is not whole")
    cells = [[float("nan") if cell == "" else cell for cell in row] for row in rows]
    return _rows({name: [row[k] for row in cells] for k, name in enumerate(header)})


def _undamaged(_: bytes) -> Any:
    return _read_csv(_table().encode())


def _put_sealed(path: Path, content: bytes) -> None:
    """Write a damaged record with a seal made anew, where it is a mapping."""
    from fracrepro.workflow import seals

    with contextlib.suppress(Exception):
        facts = json.loads(content)
        content = json.dumps(seals.seal(facts)).encode()
    path.write_bytes(content)


def _put_table(path: Path, content: bytes) -> None:
    """Write a damaged table, and a record of it."""
    from fracrepro.workflow import seals

    path.write_bytes(content)
    path.with_name("digits.json").write_text(json.dumps(seals.seal(_facts(content))))


def _planned_before(folder: Path) -> Any:
    """What is said of a record's plan, and whether the record may be replaced."""
    from fracrepro.errors import ArgumentError
    from fracrepro.workflow import commitments, records

    said = [commitments.sentence(folder, "digits"), commitments.recorded_plan(folder, "digits").to_dict()]
    with contextlib.suppress(ArgumentError):  # it was planned, or is of other settings
        records._check_replaceable(folder / "digits.json", experiment(), None)
    return said


def _planned_truth(content: bytes) -> Any:
    plan, started = json.loads(content)["plan"], json.loads(content)["started"]
    said = (
        f"The experiment `digits` was planned first: `{plan['file']}` (sha256 {plan['sha256'][:12]}) was "
        f"committed as {plan['commit'][:10]} on {_day(plan['committed'])}, "
        f"and its earliest training began on {_day(started)}."
    )
    fields = plan["fields"]
    fields = {"looks": [len(fields["seeds"]["main"])], "rate_choice": "", "settings": {}} | fields
    return [said, {name: fields[name] for name in _planned()}]


def _day(moment: str) -> str:
    import datetime

    return f"{datetime.datetime.fromisoformat(moment).astimezone(datetime.UTC):%Y-%m-%d at %H:%M UTC}"


def _start(folder: Path) -> Path:
    (folder / ".digits.checkpoints").mkdir(exist_ok=True)
    (folder / ".digits.checkpoints" / "seeds-0.ckpt").write_bytes(b"")
    path = folder / ".digits.checkpoints" / "start.json"
    path.write_text(json.dumps({"started": "2026-01-01T00:00:00+00:00", "plan": None}))
    return path


def _begun(folder: Path) -> Any:
    from fracrepro.workflow import records

    with records._begun(folder / ".digits.checkpoints", None) as start:
        return [start["started"], start["plan"]]


def _begun_truth(content: bytes) -> Any:
    import datetime

    start = json.loads(content)
    datetime.datetime.fromisoformat(start["started"])
    return [start["started"], start["plan"]]


# Results of points, and pages that were executed: whatever is not what it was counts as not there.


def _page(folder: Path) -> Path:
    from fracrepro.workflow import seals

    cells = [{"cell_type": "markdown", "metadata": {}, "source": "x"}]
    record = seals.seal(
        {"notebook": "01_good", "digest": "0" * 64, "modules": {}, "values": {"x": 1.5}}, cells
    )
    (folder / "01_good.json").write_text(json.dumps(record))
    (folder / "01_good.ipynb").write_text(json.dumps({"cells": cells, "metadata": {"fracrepro": record}}))
    return folder / "01_good.json"


def _executed(folder: Path) -> Any:
    """The reported value of a page; the trouble, where there is one, is raised like a refusal."""
    from fracrepro.errors import ArgumentError
    from fracrepro.workflow import seals

    record, trouble = seals.edited_page(folder, "01_good")
    if trouble:
        raise ArgumentError(trouble)
    return record["values"]


def _points(folder: Path) -> Path:
    from fracrepro.workflow import sweeps

    store = _store(folder)
    (folder / ".01_good.points").mkdir(exist_ok=True)
    modules = {"fracrepro.errors": store.digests["fracrepro.errors"]}
    record = {
        "digest": "0" * 64,
        "modules": modules,
        "values": {"x": 1.5},
        "parameters": {"s": 1.0},
        "seconds": 1.0,
        "started": "2026-01-01T00:00:00+00:00",
    }
    path = store._path(_item())
    path.write_text(json.dumps({"sha256": sweeps._seal(record), "record": record}))
    return path


@functools.cache
def _store(folder: Path) -> Any:
    from fracrepro.workflow import sweeps

    return sweeps.Store(folder, "01_good")


def _item() -> Any:
    from fracrepro.workflow.notebooks import Run

    return Run("01_good", "", {"s": 1.0}, "quick", "0" * 64)


def _point(folder: Path) -> Any:
    from fracrepro.errors import ArgumentError
    from fracrepro.workflow import sweeps

    record = _store(folder).read(_item())
    if record is None:
        raise ArgumentError("0000.json is computed again")
    return [record["values"], sweeps.table([record])]


def _full_scale(folder: Path) -> Path:
    from fracrepro.workflow import seals
    from torture.written import CLAIMS

    project(folder)
    (folder / "book" / "claims.yml").write_text(CLAIMS)
    path = folder / "recorded" / "full_scale" / "01_good.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "notebook": "01_good",
        "profile": "paper",
        "values": {"product": 8, "small": 1e-4, "large": True},
        "parameters": {"networks": 100, "s": 1.0},
        "seconds": 12.5,
    }
    path.write_text(json.dumps(seals.seal(facts)))
    return path


def _judged(folder: Path) -> Any:
    from fracrepro.workflow import full_scale
    from fracrepro.workflow.project import Project

    found = full_scale.judged(Project(folder))
    assert full_scale.as_table(found)
    return [[each.name, each.record["values"], each.standing] for each in found]


def _judged_truth(content: bytes) -> Any:
    record = json.loads(content)
    values = record["values"]
    right = {
        "product": lambda x: type(x) in (int, float) and x == 8,
        "small": lambda x: type(x) in (int, float) and x <= 1e-3,
        "large": lambda x: x is True,
    }
    assert (record["notebook"], record["profile"]) == ("01_good", "paper")
    return [["01_good", values, sum(name in values and met(values[name]) for name, met in right.items())]]


# Checkpoints.


@functools.cache
def _lane() -> Any:
    import torch

    from fracrepro.nn import data
    from fracrepro.nn.training.lanes import Images, Lane
    from fracrepro.nn.training.network import Network

    protocol = experiment().replace(network=Network(depth=2, width=4, image_shape=(1, 8, 8)))
    return Lane(protocol, (0, 1), Images(data.load("digits"), torch.device("cpu")), torch.device("cpu"))


def _checkpoints(folder: Path) -> Any:
    from fracrepro.nn.training.checkpoints import Checkpoints

    return Checkpoints(folder / "kept", _lane().protocol, "0" * 64, "cpu")


def _checkpoint(folder: Path) -> Path:
    import torch

    lane, random = _lane(), torch.Generator().manual_seed(1)
    for tensor in lane.ensemble.tensors:
        tensor.copy_(torch.randn(tensor.shape, generator=random))
    lane.figures = torch.rand(2, *lane.figures.shape[1:], dtype=torch.float64, generator=random)
    _checkpoints(folder).save(lane)
    return folder / "kept" / "seeds-0-1.ckpt"


def _restored(folder: Path) -> Any:
    import torch

    lane = _lane()
    for tensor in lane.ensemble.tensors:
        tensor.zero_()
    lane.figures = torch.zeros(0, *lane.figures.shape[1:], dtype=torch.float64)
    _checkpoints(folder).restore(lane)
    return [[tensor.tolist() for tensor in lane.ensemble.tensors], lane.figures.tolist()]


def _trained(folder: Path) -> Any:
    from fracrepro.nn.training.checkpoints import trained_parameters

    found = trained_parameters(folder / "kept")
    return sorted(
        [str(label), [[name, each.tolist()] for name, each in runs.items()]] for label, runs in found.items()
    )


def _first(read: Callable[[Path], Any]) -> Callable[[bytes], Any]:
    """The truth of an undamaged checkpoint, whatever the bytes: its checksum lets nothing else pass."""

    @functools.cache
    def value() -> Any:
        import tempfile

        with tempfile.TemporaryDirectory() as place:
            _checkpoint(Path(place))
            return read(Path(place))

    return lambda _: value()


def _unsealed(content: bytes) -> bytes:
    return content.split(b"\n", 2)[2]


def _put_payload(path: Path, content: bytes) -> None:
    """Write a damaged payload with its checksum."""
    from fracrepro.nn.training.checkpoints import MAGIC

    payload = _unsealed(content) if content.startswith(MAGIC) else content
    path.write_bytes(MAGIC + b"\n" + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)


class _Shell:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {CANARY}",)


def _payloads(content: bytes, kind: str, random: Random) -> tuple[str, bytes]:
    """A payload whose bytes, tensors or pickles are not what they should be."""
    import torch

    payload = _unsealed(content)
    if random.random() < 0.4:
        return spoil(payload, "bytes", random)
    good = torch.load(io.BytesIO(payload), weights_only=True)
    what = random.choice(["pickle", "zipped pickle", "object", "tensor", "figures", "description", "member"])
    if what == "pickle":
        return what, pickle.dumps(_Shell())
    if what == "zipped pickle":
        return what, _zipped(payload, "data.pkl", pickle.dumps({**good, "experiment": _Shell()}, protocol=2))
    if what == "member":
        return what, _zipped(payload, f"../../{CANARY}", b"x")
    if what == "description":
        text = ways.json_values(good["experiment"].encode(), random).decode()
        good["experiment"] = random.choice([text, text, text, 3, None, [], "[" * 9999, "null", "\ud800"])
    elif what == "object":
        good[random.choice(list(good))] = random.choice(
            [None, 3, "x", [], {}, [None], [[]], float("nan"), b"x"]
        )
    elif what == "tensor":
        place = random.randrange(len(good["tensors"]))
        good["tensors"][place] = _odd_tensor(good["tensors"][place], random)
    else:
        good["figures"] = _odd_tensor(good["figures"], random)
    buffer = io.BytesIO()
    torch.save(good, buffer)
    return what, buffer.getvalue()


def _odd_tensor(tensor: Any, random: Random) -> Any:
    import torch

    return random.choice(
        [
            lambda: tensor.to("meta"),
            lambda: tensor.to_sparse(),
            lambda: tensor.double().float() if tensor.dtype == torch.float64 else tensor.double(),
            lambda: tensor.to(torch.int64),
            lambda: tensor[..., :-1],
            lambda: tensor.unsqueeze(0),
            lambda: torch.zeros(1, dtype=tensor.dtype).expand(tensor.shape),
            lambda: torch.zeros(1, dtype=tensor.dtype).expand(10**9, *tensor.shape),
            lambda: torch.nn.Parameter(tensor),
            lambda: tensor[:0],
            lambda: tensor.to(torch.complex64),
            lambda: torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.quint8),
        ]
    )()


def _zipped(payload: bytes, name: str, content: bytes) -> bytes:
    """The archive with other bytes in a member, or one member more."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(payload)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as new:
        for each in old.namelist():
            if not each.endswith(f"/{name}"):
                new.writestr(each, old.read(each))
        new.writestr(f"archive/{name}", content)
    return buffer.getvalue()


def _payload_truth(content: bytes) -> Any:
    """What torch alone finds in a payload that had its checksum made anew."""
    import torch

    found = torch.load(
        io.BytesIO(_unsealed(content) if content.startswith(b"fracrepro") else content), weights_only=True
    )
    lane = _lane()
    for saved, tensor in zip(found["tensors"], lane.ensemble.tensors, strict=True):
        assert saved.shape == tensor.shape and saved.dtype == tensor.dtype  # noqa: PT018
    described = json.loads(found["experiment"])
    expected = json.loads(json.dumps(lane.protocol.to_dict()))
    assert {name: described[name] for name in expected} == expected
    assert described["runs at seeds"] == [0, 1]
    assert found["figures"].dtype == torch.float64
    assert 1 <= len(found["figures"]) <= 2
    return [[tensor.tolist() for tensor in found["tensors"]], found["figures"].tolist()]


# Data sets, made small.

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
_RECORDED = ("digits.json", "digits.csv")
KEPT = (
    Subject("record", "json", _record, _loaded, _undamaged),
    Subject("record, sealed anew", "json", _record, _loaded, _undamaged, _RECORDED, put=_put_sealed),
    Subject("plan in a record", "json", _record, _planned_before, _planned_truth, put=_put_sealed),
    Subject("table of a record", "text", _csv, _loaded, _undamaged),
    Subject("table, with its digest", "text", _csv, _loaded, _read_csv, put=_put_table),
    Subject("start of a training", "json", _start, _begun, _begun_truth, (".digits.checkpoints",)),
    Subject("record of a page", "json", _page, _executed, lambda _: {"x": 1.5}, ("01_good",)),
    Subject("result of a point", "json", _points, _point, lambda _: _point_value(), ("0000",)),
    Subject("page at full scale", "json", _full_scale, _judged, _judged_truth),
    Subject("page at full scale, sealed anew", "json", _full_scale, _judged, _judged_truth, put=_put_sealed),
    Subject("checkpoint", "bytes", _checkpoint, _restored, _first(_restored)),
    Subject(
        "checkpoint, with its checksum",
        "bytes",
        _checkpoint,
        _restored,
        _payload_truth,
        put=_put_payload,
        spoil=_payloads,
    ),
    Subject(
        "parameters of checkpoints", "bytes", _checkpoint, _trained, _first(_trained), ("seeds-0", "kept")
    ),
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


def _point_value() -> Any:
    return [{"x": 1.5}, "s,x,seconds,started\n1.0,1.5,1.0,2026-01-01T00:00:00+00:00\n"]
