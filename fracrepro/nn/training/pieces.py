"""A training in pieces: one lane advanced for a while, from a state to a state, wherever there is room.

The state is the content of the lane's checkpoint file, so that pieces, an interrupted training and an
uninterrupted one end with the same bits on a CPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from fracrepro.arguments import choice
from fracrepro.errors import ArgumentError
from fracrepro.files import temporary_folder
from fracrepro.nn.data.base import Dataset
from fracrepro.nn.training.checkpoints import Checkpoints
from fracrepro.nn.training.lanes import Images, Lane, split
from fracrepro.nn.training.settings import DEVICES, Settings
from fracrepro.nn.training.trainer import table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Piece", "State", "collect", "pieces"]


@dataclass(frozen=True)
class State:
    """Where a lane stands.

    Args:
        file: name of its checkpoint.
        content: of that file.
        epoch: how many are done.
    """

    file: str
    content: bytes
    epoch: int


@dataclass(frozen=True)
class Piece:
    """One lane of one training, which is the smallest part that can be trained by itself.

    Args:
        name: unique within its experiment.
        protocol: the training.
        seeds: of the lane.
        folder: of its checkpoint, below that of the experiment.
    """

    name: str
    protocol: Settings
    seeds: tuple[int, ...]
    folder: str = ""

    def read(self, checkpoint: Path, dataset: Dataset, device: str) -> State | None:
        """Return what a folder of checkpoints holds of this lane, checked; None where that is nothing.

        Args:
            checkpoint: the experiment's folder.
            dataset: what is trained on.
            device: type of the device that trained.

        Raises:
            CheckpointError: when the file is damaged, or of another experiment.
            OSError: when it cannot be read.
        """
        folder = checkpoint / self.folder
        if not folder.is_dir():
            return None
        lane = Lane(self.protocol, self.seeds, Images(dataset, torch.device("cpu")), torch.device("cpu"))
        saved = Checkpoints(folder, self.protocol, dataset.digest, device)
        saved.restore(lane)
        path = saved.path(lane)
        return State(path.name, path.read_bytes(), lane.epoch) if lane.epoch else None

    def advance(
        self,
        dataset: Dataset,
        state: State | None,
        *,
        device: str = "cpu",
        seconds: float = float("inf"),
        check: Callable[[], None] = lambda: None,
    ) -> State:
        """Train from a state, for so many seconds or to the end, and return the new state.

        At least one epoch is trained, unless all are done.

        Args:
            dataset: what is trained on.
            state: None begins.
            device: ``"cpu"`` or ``"cuda"``.
            seconds: no epoch begins after this time.
            check: is called before every step and may raise to stop.

        Raises:
            ArgumentError: for other data than the protocol's.
            CheckpointError: when the state is damaged, or of another lane.
        """
        if dataset.name != self.protocol.dataset:
            raise ArgumentError(f"dataset = {dataset.name!r}: need {self.protocol.dataset!r}")
        where = torch.device(choice("device", device, DEVICES))
        lane = Lane(self.protocol, self.seeds, Images(dataset, where), where)
        start = time.monotonic()
        with temporary_folder("fracrepro-piece-") as folder, ExitStack() as stack:
            stack.callback(lane.release)  # a recording that waits for a collection would stay on its device
            saved = Checkpoints(folder, self.protocol, dataset.digest, where.type)
            path = saved.path(lane)
            if state is not None:
                path.write_bytes(state.content)
                saved.restore(lane)
                if lane.epoch == self.protocol.epochs:
                    return state
            while lane.epoch < self.protocol.epochs:
                lane.advance(check)
                if time.monotonic() - start >= seconds:
                    break
            saved.save(lane)
            return State(path.name, path.read_bytes(), lane.epoch)


def pieces(protocol: Settings, device: str, name: str = "", folder: str = "") -> list[Piece]:
    """Return the lanes of a training, as :func:`fracrepro.nn.training.train` makes them on such a device.

    Args:
        protocol: the training.
        device: ``"cpu"`` or ``"cuda"``.
        name: of the training within its experiment.
        folder: of its checkpoints, below that of the experiment.

    Raises:
        ArgumentError: for a training that needs another device.
    """
    protocol.check_device(device)
    lanes = split(protocol, torch.device(device))
    return [Piece(f"{name or protocol.name}, {_seeds(seeds)}", protocol, seeds, folder) for seeds in lanes]


def collect(protocol: Settings, dataset: Dataset, folder: Path, device: str) -> pd.DataFrame:
    """Return the table of a training whose lanes have all ended, from their checkpoints.

    Args:
        protocol: the training.
        dataset: what was trained on.
        folder: of the checkpoints.
        device: type of the device that trained; this machine needs none.

    Raises:
        ArgumentError: when a lane has not ended.
        CheckpointError: when a file is damaged, or of another experiment.
    """
    host = torch.device("cpu")
    images = Images(dataset, host)
    saved, lanes = Checkpoints(folder, protocol, dataset.digest, device), []
    for seeds in split(protocol, torch.device(device)):
        lane = Lane(protocol, seeds, images, host)
        saved.restore(lane)
        if lane.epoch < protocol.epochs:
            raise ArgumentError(
                f"{protocol.name}, {_seeds(lane.seeds)}: ended after {lane.epoch} of {protocol.epochs} epochs"
            )
        lane.release()
        lanes.append(lane)
    return table(protocol, lanes)


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"
