"""Checkpoints, read again.

A file with a checksum is damaged twice over: as it is, and with a checksum made anew, so that the reader
behind the check is attacked too.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from torture import spoil as ways
from torture.records import experiment
from torture.spoil import CANARY, spoil
from torture.subject import Subject


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


CHECKPOINTS = (
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
)
