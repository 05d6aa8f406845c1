"""Checkpoints: one file per lane, of plain tensors and JSON, written whole or not at all.

A file is a line that says what it is, the sha256 of what follows, and what `torch.save` made of tensors.
It is read back with ``weights_only=True``, which runs no code from the file.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fracrepro.errors import FracreproError
from fracrepro.files import atomic_writer
from fracrepro.nn.training.ensemble import Ensemble
from fracrepro.nn.training.lanes import Lane
from fracrepro.nn.training.settings import Settings

__all__ = ["CheckpointError", "Checkpoints", "read_checkpoint", "trained_parameters", "write_checkpoint"]

MAGIC = b"fracrepro checkpoint 1"


class CheckpointError(FracreproError, RuntimeError):
    """A checkpoint is damaged, or belongs to another experiment."""


class Checkpoints:
    """The checkpoints of one experiment in a folder.

    Args:
        folder: where the files are; made where missing.
        protocol: the experiment.
        digest: of the data set it trains on.
        device: type of the device; results on another one would differ in their last bits.

    Raises:
        OSError: when the folder cannot be made or written.
    """

    def __init__(self, folder: str | os.PathLike[str], protocol: Settings, digest: str, device: str) -> None:
        """Note what every file must agree with; an unusable folder is an error now, not after hours."""
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        if not os.access(self.folder, os.W_OK):
            raise PermissionError(errno.EACCES, "cannot write checkpoints", str(self.folder))
        self.expected = {**protocol.to_dict(), "data digest": digest, "device": device}

    def save(self, lane: Lane) -> None:
        """Write the state of a lane between two epochs.

        Raises:
            OSError: when it cannot be written; the previous checkpoint then stays.
        """
        content = {
            "experiment": json.dumps(self.expected),
            "figures": lane.figures,
            "tensors": [tensor.cpu() for tensor in lane.ensemble.tensors],
        }
        write_checkpoint(self.path(lane), content)

    def restore(self, lane: Lane) -> None:
        """Bring a fresh lane to its last checkpoint, if there is one.

        Raises:
            CheckpointError: when the file is damaged, or was made by another experiment (says what differs).
        """
        path = self.path(lane)
        if not path.exists():
            return
        content = read_checkpoint(path, self.expected)
        for tensor, saved in zip(lane.ensemble.tensors, content["tensors"], strict=True):
            tensor.copy_(saved)
        lane.figures = content["figures"]

    def path(self, lane: Lane) -> Path:
        """The file of a lane."""
        return self.folder / f"seeds-{'-'.join(map(str, _ends(lane.seeds)))}.ckpt"


def trained_parameters(
    folder: str | os.PathLike[str],
) -> dict[tuple[str, float | None, int], OrderedDict[str, Tensor]]:
    """Return the latest parameters in a folder of checkpoints, by scheme, order and seed.

    Raises:
        CheckpointError: when a file is damaged, or there is none.
    """
    runs: dict[tuple[str, float | None, int], OrderedDict[str, Tensor]] = {}
    for path in sorted(Path(folder).glob("seeds-*.ckpt")):
        content = read_checkpoint(path)
        record = json.loads(content["experiment"])
        del record["data digest"], record["device"]
        protocol = Settings.from_dict(record)
        models = content["figures"].shape[2]
        first = protocol.seeds.index(int(path.stem.split("-")[1]))
        seeds = protocol.seeds[first : first + models // len(protocol.schemes)]
        ensemble = Ensemble(protocol.network, protocol.schemes, seeds, "cpu")
        for tensor, saved in zip(ensemble.tensors, content["tensors"], strict=True):
            tensor.copy_(saved)
        labels = [(scheme.name, scheme.order, seed) for seed in seeds for scheme in protocol.schemes]
        runs |= {label: ensemble.parameters(model) for model, label in enumerate(labels)}
    if not runs:
        raise CheckpointError(f"{folder}: holds no checkpoint")
    return runs


def _ends(seeds: tuple[int, ...]) -> tuple[int, ...]:
    """First and last seed: enough for a name, as lanes are runs of consecutive entries."""
    return (seeds[0], seeds[-1]) if len(seeds) > 1 else seeds


def write_checkpoint(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write tensors and text with a checksum, whole or not at all.

    `content` has the description of its experiment, as JSON, under ``"experiment"``.
    """
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    payload = buffer.getvalue()
    with atomic_writer(path) as file:
        file.write(MAGIC + b"\n" + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)


def read_checkpoint(
    path: str | os.PathLike[str], expected: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the content of a checkpoint.

    Raises:
        CheckpointError: when its checksum does not hold, or its experiment differs from `expected`.
    """
    magic, _, rest = Path(path).read_bytes().partition(b"\n")
    checksum, _, payload = rest.partition(b"\n")
    found = hashlib.sha256(payload).hexdigest()
    if magic != MAGIC or found.encode() != checksum:
        raise CheckpointError(
            f"{path} is truncated or altered: expected sha256 {checksum.decode(errors='replace')!r}, "
            f"found {found!r}; delete it to train its runs again"
        )
    content = torch.load(io.BytesIO(payload), weights_only=True)
    described = json.loads(content["experiment"])
    for field, value in (expected or {}).items():
        if described.get(field) != value:
            there = described.get(field)
            raise CheckpointError(
                f"{path} is of another experiment: {field} is {there!r} there and {value!r} here; "
                "use another folder"
            )
    return content
