"""Sweeps: one protocol trained at every combination of some of its settings."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fracrepro.arguments import choice, distinct
from fracrepro.errors import ArgumentError
from fracrepro.nn import data
from fracrepro.nn.data.base import Dataset
from fracrepro.nn.experiments.protocol import MNIST, Protocol
from fracrepro.nn.schemes import make
from fracrepro.nn.training.network import Network
from fracrepro.nn.training.train import train

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AXES", "SWEEPS", "Sweep", "train_sweep"]

AXES = ("depth", "width", "negative_slope", "learning_rate", "batch_size")
_OF_THE_NETWORK = AXES[:3]


@dataclass(frozen=True)
class Sweep:
    """A protocol and the values that some of its settings take, in every combination.

    Seeds are paired within a cell as in the protocol; across cells of one shape the draws are the same too.

    Args:
        protocol: gives every setting that is no axis; its `experiment` names the sweep.
        axes: pairs of a name from :data:`AXES` and the values that it takes, no two alike.

    Raises:
        ArgumentError: for an unknown axis, an axis or a value twice, and values that the protocol refuses.

    >>> sweep = Sweep(MNIST, axes=[("depth", (10, 20)), ("negative_slope", (0.0, 0.01))])
    >>> [tuple(cell.values()) for cell, _ in sweep.cells()]
    [(10, 0.0), (10, 0.01), (20, 0.0), (20, 0.01)]
    """

    protocol: Protocol
    axes: tuple[tuple[str, tuple[float, ...]], ...]

    def __post_init__(self) -> None:
        """Check the axes, and every cell, before any training."""
        if not isinstance(self.protocol, Protocol):
            raise ArgumentError(f"protocol = {self.protocol!r}: need a Protocol")
        axes = tuple((choice("axis", name, AXES), tuple(values)) for name, values in self.axes)
        object.__setattr__(self, "axes", axes)
        distinct("axes", [name for name, _ in axes])
        for name, values in axes:
            distinct(name, values)
        self.cells()

    @property
    def experiment(self) -> str:
        """The name of the experiment."""
        return self.protocol.experiment

    @property
    def dataset(self) -> str:
        """The name of the data set."""
        return self.protocol.dataset

    def cells(self) -> list[tuple[dict[str, float], Protocol]]:
        """Return the values of the axes in each cell, and its protocol; the last axis moves fastest."""
        names = [name for name, _ in self.axes]
        combinations = itertools.product(*(values for _, values in self.axes))
        cells = [dict(zip(names, values, strict=True)) for values in combinations]
        return [(cell, self._protocol(cell)) for cell in cells]

    def _protocol(self, cell: dict[str, float]) -> Protocol:
        network = {key: value for key, value in cell.items() if key in _OF_THE_NETWORK}
        training: dict[str, Any] = {key: value for key, value in cell.items() if key not in network}
        described = self.protocol.to_dict()["network"] | network
        return self.protocol.replace(network=Network(**described), **training)

    def replace(self, **changes: Any) -> Sweep:
        """Return a sweep whose protocol has other values in some fields."""
        return Sweep(self.protocol.replace(**changes), self.axes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain dictionaries, lists and numbers, ready for JSON."""
        return self.protocol.to_dict() | {"axes": {name: list(values) for name, values in self.axes}}


def train_sweep(
    sweep: Sweep,
    dataset: Dataset | None = None,
    *,
    device: str = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
    interval: float = 300.0,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Train every cell of a sweep, one after the other, and return the figures of every epoch.

    Args:
        sweep: the experiment.
        dataset: the data; None loads the protocol's own.
        device: as in :func:`fracrepro.nn.training.train.train`, as are `interval` and `progress`.
        checkpoint: a folder; each cell keeps its checkpoints in a folder of its own there.

    Returns:
        The rows of :func:`fracrepro.nn.training.train.train`, with one column per axis after `experiment`.

    Raises:
        ArgumentError, DataError, CheckpointError, OSError:
            as `train`.
    """
    import pandas as pd

    if not isinstance(sweep, Sweep):
        raise ArgumentError(f"sweep = {sweep!r}: need a Sweep")
    dataset = data.load(sweep.dataset) if dataset is None else dataset
    tables = []
    for cell, protocol in sweep.cells():
        name = ",".join(f"{axis}={value:g}" for axis, value in cell.items())
        folder = None if checkpoint is None else Path(checkpoint) / name
        table = train(
            protocol, dataset, device=device, checkpoint=folder, interval=interval, progress=progress
        )
        for position, (axis, value) in enumerate(cell.items(), 1):
            table.insert(position, axis, value)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _mnist(experiment: str, *axes: tuple[str, tuple[float, ...]]) -> Sweep:
    """Ours: three orders, 8 seeds, 5 epochs; s = 2 is Kaiming's scheme with the slope in its gain."""
    orders = tuple(make("fractional", s=s, formula="exact") for s in (0.25, 1.0, 2.0))
    protocol = MNIST.replace(experiment=experiment, schemes=orders, seeds=range(8), epochs=5)
    return Sweep(protocol, (*axes, ("negative_slope", (0.0, 0.01))))


SWEEPS = {
    "mnist_depth": _mnist("mnist_depth", ("depth", (10, 20, 40, 80))),
    "mnist_width": _mnist("mnist_width", ("width", (16, 32, 64, 128))),
}
