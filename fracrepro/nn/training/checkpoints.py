"""Checkpoints: one file per lane, of plain tensors and JSON, written whole or not at all.

A file is a line that says what it is, the sha256 of what follows, and what `torch.save` made of tensors.
It is read back with ``weights_only=True``, which runs no code from the file.
Inside stands, as JSON, whose state it is: the experiment, the data, the device, and the runs or the part of
the experiment; what is read must be of the same, and its tensors of the shapes that follow from it.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fracrepro.errors import ArgumentError, FracreproError
from fracrepro.files import atomic_writer
from fracrepro.nn.training.lanes import Lane, ensemble_of
from fracrepro.nn.training.settings import Settings

__all__ = [
    "CheckpointError",
    "Checkpoints",
    "checked_figures",
    "forget_parameters",
    "read_checkpoint",
    "trained_parameters",
    "write_checkpoint",
]

MAGIC = b"fracrepro checkpoint 2"
_OLD = b"fracrepro checkpoint 1"  # did not say whose runs it holds
_PREFIX = "seeds-"
_FILES = f"{_PREFIX}*.ckpt"


_AGAIN = "delete it to train its runs again"


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
        content = {"figures": lane.figures, "tensors": [tensor.cpu() for tensor in lane.ensemble.tensors]}
        write_checkpoint(self.path(lane), {**self.expected, "runs at seeds": list(lane.seeds)}, content)

    def restore(self, lane: Lane) -> None:
        """Bring a fresh lane to its last checkpoint, if there is one.

        One that has ended may have lost its parameters (:func:`forget_parameters`): it has its figures then.

        Raises:
            CheckpointError: when the file is damaged, or of another experiment or other runs (says what
                differs).
        """
        path, epochs = self.path(lane), lane.protocol.epochs
        if not path.exists():
            return
        content = read_checkpoint(path, {**self.expected, "runs at seeds": list(lane.seeds)})
        figures = checked_figures(path, content, (None, *lane.figures.shape[1:]))
        if not 1 <= len(figures) <= epochs:
            raise CheckpointError(f"{path} holds {len(figures)} epochs: need 1 to {epochs}")
        if len(figures) == epochs and content.get("tensors") == []:
            lane.release()  # the parameters that it has are those of its start
        else:
            _fill(path, lane.ensemble.tensors, content)
        lane.figures = figures

    def path(self, lane: Lane) -> Path:
        """The file of a lane."""
        return self.folder / f"{_PREFIX}{'-'.join(map(str, _ends(lane.seeds)))}.ckpt"


def forget_parameters(folder: str | os.PathLike[str]) -> None:
    """Leave only the figures in the checkpoints of runs that have ended, below a folder too.

    A table needs no more, and a thousand runs have parameters of half a gigabyte.

    Raises:
        CheckpointError: when a file is damaged.
        OSError: when a file cannot be written; it then stays as it is.
    """
    for path in sorted(Path(folder).rglob(_FILES)):
        content = read_checkpoint(path)
        described = content.pop("experiment")
        figures = content.get("figures")
        if content.get("tensors") and figures is not None and len(figures) == described.get("epochs"):
            write_checkpoint(path, described, {**content, "tensors": []})


def trained_parameters(
    folder: str | os.PathLike[str],
) -> dict[tuple[str, float | None, int], OrderedDict[str, Tensor]]:
    """Return the latest parameters in a folder of checkpoints, by scheme, order and seed.

    Raises:
        CheckpointError: when a file is damaged or has lost its parameters, or there is none.
    """
    runs: dict[tuple[str, float | None, int], OrderedDict[str, Tensor]] = {}
    for path in sorted(Path(folder).glob(_FILES)):
        content = read_checkpoint(path)
        record = dict(content["experiment"])
        try:
            seeds = tuple(record.pop("runs at seeds"))
            del record["data digest"], record["device"]
            protocol = Settings.from_dict(record)
        except (KeyError, TypeError, ArgumentError) as error:
            raise CheckpointError(f"{path} describes no training: {error}") from None
        ensemble = ensemble_of(protocol.network, protocol.schemes, seeds, "cpu")
        _fill(path, ensemble.tensors, content)
        labels = [(scheme.name, scheme.order, seed) for seed in seeds for scheme in protocol.schemes]
        runs |= {label: ensemble.parameters(model) for model, label in enumerate(labels)}
    if not runs:
        raise CheckpointError(f"{folder}: holds no checkpoint")
    return runs


def _ends(seeds: tuple[int, ...]) -> tuple[int, ...]:
    """First and last seed: enough for a name, as lanes are runs of consecutive entries."""
    return (seeds[0], seeds[-1]) if len(seeds) > 1 else seeds


def _fill(path: Path, tensors: Sequence[Tensor], content: Mapping[str, Any]) -> None:
    """Copy the saved tensors over those of an ensemble; CheckpointError unless they are alike."""
    saved = content.get("tensors")
    wanted = [(tensor.shape, tensor.dtype) for tensor in tensors]
    if not isinstance(saved, list) or [_kind(tensor) for tensor in saved] != wanted:
        raise CheckpointError(f"{path} holds other parameters than its experiment has; {_AGAIN}")
    for tensor, value in zip(tensors, saved, strict=True):
        tensor.copy_(value)


def checked_figures(
    path: str | os.PathLike[str], content: Mapping[str, Any], shape: tuple[int | None, ...]
) -> Tensor:
    """Return the figures of a checkpoint, float64 of this shape; None stands for any length.

    Raises:
        CheckpointError: when they are something else.
    """
    figures = content.get("figures")
    if isinstance(figures, Tensor) and figures.dtype == torch.float64 and _holds_numbers(figures):
        open_axes = [axis for axis, length in enumerate(shape) if length is None]
        known = tuple(None if axis in open_axes else length for axis, length in enumerate(figures.shape))
        if known == shape:
            return figures
    raise CheckpointError(f"{path} holds other figures than its experiment has; {_AGAIN}")


def _kind(value: Any) -> tuple[torch.Size, torch.dtype] | None:
    return (value.shape, value.dtype) if isinstance(value, Tensor) and _holds_numbers(value) else None


def _holds_numbers(tensor: Tensor) -> bool:
    """Whether it is an array in memory, as what was saved; one of ``meta`` has a shape and no numbers."""
    return tensor.device.type == "cpu" and tensor.layout == torch.strided


def write_checkpoint(
    path: str | os.PathLike[str], described: Mapping[str, Any], content: Mapping[str, Any]
) -> None:
    """Write tensors with a checksum, whole or not at all.

    Args:
        path: of the file.
        described: what it is the state of, ready for JSON.
        content: tensors, or lists of tensors, by name.
    """
    buffer = io.BytesIO()
    torch.save({**content, "experiment": json.dumps(dict(described))}, buffer)
    payload = buffer.getvalue()
    with atomic_writer(path) as file:
        file.write(MAGIC + b"\n" + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)


def read_checkpoint(
    path: str | os.PathLike[str], expected: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the content of a checkpoint, with its description under ``"experiment"``.

    Args:
        path: of the file.
        expected: what must stand in its description.

    Raises:
        CheckpointError: when it is damaged or of an older format, or differs from `expected`.
    """
    magic, _, rest = Path(path).read_bytes().partition(b"\n")
    if magic == _OLD:
        raise CheckpointError(
            f"{path} is of an older version, which did not note whose runs it holds; {_AGAIN}"
        )
    checksum, _, payload = rest.partition(b"\n")
    found = hashlib.sha256(payload).hexdigest()
    if magic != MAGIC or found.encode() != checksum:
        raise CheckpointError(
            f"{path} is truncated or altered: expected sha256 {checksum[:64].decode(errors='replace')!r}, "
            f"found {found!r}; {_AGAIN}"
        )
    content = _decoded(path, payload)
    described = content["experiment"]
    for field, value in (expected or {}).items():
        if described.get(field) != value:
            there = described.get(field)
            raise CheckpointError(
                f"{path} is of another experiment: {field} is {there!r} there and {value!r} here; "
                "use another folder"
            )
    return content


def _decoded(path: str | os.PathLike[str], payload: bytes) -> dict[str, Any]:
    """The tensors and the description in a payload."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, at bytes that it did not write
            content = torch.load(io.BytesIO(payload), weights_only=True)
        return {**content, "experiment": dict(json.loads(content["experiment"]))}
    except Exception as error:  # torch has no class for it: bytes that it did not write raise nearly any
        raise CheckpointError(f"{path} is damaged ({type(error).__name__}); {_AGAIN}") from None
