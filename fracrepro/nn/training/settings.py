"""The settings of a training as data: everything that decides a result, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from fracrepro.arguments import choice, distinct, integer, integers, real
from fracrepro.errors import ArgumentError
from fracrepro.nn import schemes
from fracrepro.nn.data import NAMES
from fracrepro.nn.schemes.base import Scheme
from fracrepro.nn.training.network import NetworkDescription

__all__ = ["DEVICES", "Runs", "Settings", "Setup"]

#: Types of devices that train.
DEVICES = ("cpu", "cuda")


@dataclass(frozen=True)
class Runs:
    """A data set, a network, and the runs that start there: every scheme at every seed.

    The runs at one seed are paired: same biases and same standard normal draws.

    Args:
        name: of the experiment, which goes into the results.
        dataset: one of `fracrepro.nn.data.NAMES`.
        network: what is trained: a :class:`.network.Network`, or another description.
        schemes: the initialization schemes compared, no two alike in name and order.
        seeds: one integer in [0, 2^31) per run, no two alike.

    Raises:
        ArgumentError: for a value outside these ranges.
    """

    name: str
    dataset: str
    network: NetworkDescription
    schemes: tuple[Scheme, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check every field; sequences become tuples, so that the settings stay hashable."""
        if not isinstance(self.name, str) or not self.name:
            raise ArgumentError(f"name = {self.name!r}: need a name")
        choice("dataset", self.dataset, NAMES)
        _instances("network", (self.network,), NetworkDescription)
        object.__setattr__(self, "schemes", _instances("schemes", self.schemes, Scheme))
        distinct("schemes", [(scheme.name, scheme.order) for scheme in self.schemes])
        distinct("seeds", list(self.seeds))
        seeds = integers("seeds", list(self.seeds), "[0, 2147483648)")
        object.__setattr__(self, "seeds", tuple(seeds.tolist()))

    def replace(self, **changes: Any) -> Self:
        """Return a copy with other values in some fields, checked like a new one.

        Raises:
            ArgumentError: for a name that is no field, or a value out of its range.
        """
        unknown = sorted(set(changes) - {field.name for field in dataclasses.fields(self)})
        if unknown:
            raise ArgumentError(f"{unknown[0]}: a {type(self).__name__} has no such field")
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain dictionaries, lists and numbers, ready for JSON; ``experiment`` is the name."""
        record: dict[str, Any] = {"experiment": self.name}
        for field in dataclasses.fields(self)[1:]:
            value = getattr(self, field.name)
            record[field.name] = list(value) if isinstance(value, tuple) else value
        described = [scheme.to_dict() for scheme in self.schemes]
        return record | {"network": self.network.to_dict(), "schemes": described}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Return what :meth:`to_dict` described.

        Raises:
            ArgumentError: for missing or unknown fields, or values outside their range.
        """
        fields = dict(record)
        try:
            fields["name"] = fields.pop("experiment")
            fields["network"] = NetworkDescription.from_dict(fields["network"])
            fields["schemes"] = [schemes.from_dict(scheme) for scheme in fields["schemes"]]
            return cls(**fields)
        except (KeyError, TypeError) as error:
            raise ArgumentError(f"record: describes no {cls.__name__} ({error})") from error


@dataclass(frozen=True)
class Setup(Runs):
    """Runs that all train at one rate.

    Args:
        name: as are `dataset`, `network`, `schemes` and `seeds`, a field of :class:`Runs`.
        learning_rate: of stochastic gradient descent, positive.

    Raises:
        ArgumentError: for a value outside these ranges.
    """

    learning_rate: float

    def __post_init__(self) -> None:
        """Check every field."""
        super().__post_init__()
        real("learning_rate", self.learning_rate, "(0, inf)")


@dataclass(frozen=True)
class Settings(Setup):
    """Training by epochs, for every scheme at every seed.

    The runs at one seed also share the order of the data and the augmentation.
    Inputs are (pixel/255 − ½)/½, the loss is cross-entropy, the optimizer stochastic gradient descent.

    Args:
        name: as are `dataset`, `network`, `schemes`, `seeds` and `learning_rate`, a field of :class:`Setup`.
        epochs: passes over the training set, at least 1.
        batch_size: images per step, at least 1; the last batch of an epoch may be smaller.
        weight_decay: at least 0.
        decay_every: divide the learning rate by ten after every so many epochs; None keeps it.
        augment: random horizontal flip and random crop from the image padded by 4, in training.
        needs: type of the device that alone may train it, of :data:`DEVICES`; None for any.
            Results of two devices differ in their last digits, which training makes first ones.

    Raises:
        ArgumentError: for a value outside these ranges.
    """

    epochs: int
    batch_size: int
    weight_decay: float = 0.0
    decay_every: int | None = None
    augment: bool = False
    needs: str | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        super().__post_init__()
        integer("epochs", self.epochs, "[1, inf)")
        integer("batch_size", self.batch_size, "[1, inf)")
        real("weight_decay", self.weight_decay, "[0, inf)")
        if self.decay_every is not None:
            integer("decay_every", self.decay_every, "[1, inf)")
        if not isinstance(self.augment, bool):
            raise ArgumentError(f"augment = {self.augment!r}: need True or False")
        if self.needs is not None:
            choice("needs", self.needs, DEVICES)

    def to_dict(self) -> dict[str, Any]:
        """Return plain dictionaries, lists and numbers, ready for JSON; `needs` only where it is not None."""
        record = super().to_dict()
        if self.needs is None:
            del record["needs"]
        return record

    def check_device(self, device: str) -> None:
        """Refuse a device on which these settings may not be trained.

        Args:
            device: its type.

        Raises:
            ArgumentError: for another type than `needs`.
        """
        if self.needs not in (None, device):
            raise ArgumentError(
                f"device = {device!r}: {self.name} is what a device of type {self.needs!r} makes of it"
            )

    def learning_rate_at(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 1."""
        drops = (epoch - 1) // self.decay_every if self.decay_every else 0
        return self.learning_rate * 0.1**drops


def _instances(name: str, values: Any, kind: type) -> tuple:
    """The values as a tuple; ArgumentError unless each is of the kind."""
    values = tuple(values)
    for value in values:
        if not isinstance(value, kind):
            raise ArgumentError(f"{name} = {value!r}: need a {kind.__name__}")
    return values
