"""Sweeps: one protocol trained at every combination of some of its settings."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from fracrepro.arguments import choice, distinct
from fracrepro.errors import ArgumentError
from fracrepro.nn.experiments.protocol import MNIST, Protocol, accuracies
from fracrepro.nn.experiments.several import SeveralProtocols
from fracrepro.nn.schemes import make

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AXES", "SWEEPS", "Sweep"]

#: The settings that a sweep can vary, in the order of the columns.
AXES = ("depth", "width", "negative_slope", "learning_rate", "batch_size")
_OF_THE_NETWORK = AXES[:3]


@dataclass(frozen=True)
class Sweep(SeveralProtocols):
    """A protocol and the values that some of its settings take, in every combination.

    Seeds are paired within a cell as in the protocol; across cells of one shape the draws are the same too.

    Args:
        protocol: gives every setting that is no axis; its `name` is the sweep's.
        axes: pairs of a name from :data:`AXES` and the values that it takes, no two alike.

    Raises:
        ArgumentError: for an unknown axis, an axis or a value twice, and values that the protocol refuses.

    >>> sweep = Sweep(MNIST, axes=[("depth", (10, 20)), ("negative_slope", (0.0, 0.01))])
    >>> [tuple(cell.values()) for cell, _ in sweep.cells()]
    [(10, 0.0), (10, 0.01), (20, 0.0), (20, 0.01)]
    """

    protocol: Protocol
    axes: tuple[tuple[str, tuple[float, ...]], ...]

    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = Protocol.profiles

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
    def name(self) -> str:
        """The name of the experiment."""
        return self.protocol.name

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
        network: dict[str, Any] = {key: value for key, value in cell.items() if key in _OF_THE_NETWORK}
        training: dict[str, Any] = {key: value for key, value in cell.items() if key not in network}
        fields = {field.name for field in dataclasses.fields(self.protocol.network)}
        for axis in network:
            if axis not in fields:
                kind = type(self.protocol.network).__name__
                raise ArgumentError(f"axis = {axis!r}: need a field of the network, a {kind}")
        changed = dataclasses.replace(self.protocol.network, **network)
        return self.protocol.replace(network=changed, **training)

    def parts(self) -> list[tuple[str, Protocol]]:
        """Return the protocol of each cell, named by the values of the axes."""
        return [(_label(cell), protocol) for cell, protocol in self.cells()]

    def table(self, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
        """Return the tables of the cells as one, with a column for each axis."""
        import pandas as pd

        for (cell, _), table in zip(self.cells(), tables, strict=True):
            for position, (axis, value) in enumerate(cell.items(), 1):
                table.insert(position, axis, value)
        return pd.concat(tables, ignore_index=True)

    def summary(self, results: pd.DataFrame) -> list[str]:
        """Return a line for each scheme in each cell: its test accuracy after the last epoch."""
        return accuracies(results, [name for name, _ in self.axes])

    def replace(self, **changes: Any) -> Self:
        """Return a sweep with other `axes`, or whose protocol has other values in some fields."""
        axes = changes.pop("axes", self.axes)
        return type(self)(self.protocol.replace(**changes), axes)

    def to_dict(self) -> dict[str, Any]:
        """Return the dictionary of the protocol, with ``axes`` beside it."""
        return self.protocol.to_dict() | {"axes": {name: list(values) for name, values in self.axes}}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Return the sweep that :meth:`to_dict` described; ArgumentError for anything else."""
        fields = dict(record)
        axes = fields.pop("axes", None)
        if not isinstance(axes, Mapping):
            raise ArgumentError(f"record: describes no sweep (axes = {axes!r})")
        return cls(Protocol.from_dict(fields), tuple(axes.items()))


def _label(cell: Mapping[str, float]) -> str:
    """The name of a cell and of the folder of its checkpoints."""
    return ",".join(f"{axis}={value:g}" for axis, value in cell.items())


train_sweep = Sweep.run  # its name in version 0.1, for the module's old path


def _mnist(name: str, *axes: tuple[str, tuple[float, ...]]) -> Sweep:
    """Ours: three orders, 8 seeds, 5 epochs; s = 2 is Kaiming's scheme with the slope in its gain."""
    orders = tuple(make("fractional", s=s, formula="exact") for s in (0.25, 1.0, 2.0))
    protocol = MNIST.replace(name=name, schemes=orders, seeds=range(8), epochs=5)
    return Sweep(protocol, (*axes, ("negative_slope", (0.0, 0.01))))


#: The recorded sweeps by name: three orders, two slopes, over depth or over width.
SWEEPS = {
    "mnist_depth": _mnist("mnist_depth", ("depth", (10, 20, 40, 80))),
    "mnist_width": _mnist("mnist_width", ("width", (16, 32, 64, 128))),
}
