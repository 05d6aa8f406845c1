"""What a scheme is: a frozen dataclass whose fields are its options, and which fills a model's weights."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from fracrepro.arguments import choice, integer, real
from fracrepro.errors import ArgumentError
from fracrepro.nn.schemes.plan import Entry, Plan, Prescription, Slot

if TYPE_CHECKING:
    import torch

__all__ = ["FAMILIES", "DrawnScheme", "NormalScheme", "Scheme", "option"]

#: The families of networks that a scheme may serve.
FAMILIES = ("dense", "conv", "residual", "spiking", "graph")


def option(default: Any, allowed: str | tuple[str, ...], help: str, *, optional: bool = False) -> Any:
    """Declare an option of a scheme: a field of its dataclass that is checked when an instance is made.

    Args:
        default: decides the type: True or False, an integer, a number or text.
        allowed: an interval such as ``"[0, 2]"`` for numbers, the choices for text.
        help: one line for the command line and the book.
        optional: whether None is allowed as well; implied by the default None.
    """
    optional = optional or default is None
    return dataclasses.field(
        default=default, metadata={"allowed": allowed, "help": help, "optional": optional}
    )


@dataclass(frozen=True)
class Scheme(ABC):
    """An initialization scheme.

    A subclass is a frozen dataclass in a module of this package, where the registry finds it.
    Its fields are its options, declared by :func:`option`; an instance is one setting of them.
    It says for each weight of a :class:`.Plan` what it would do, before anything is changed
    (:meth:`prepare`), and then does it (:meth:`fill`).

    Raises:
        ArgumentError: for an option outside its range.
    """

    name: ClassVar[str] = ""
    """For the command line, notebooks and records; empty for classes that are no scheme themselves."""
    label: ClassVar[str] = ""
    """For figures and tables."""
    colour: ClassVar[str] = ""
    """For figures, the same on all pages."""
    source: ClassVar[str] = ""
    """Where it comes from."""
    random: ClassVar[bool] = True
    """Whether it draws numbers; if not, no generator is touched."""
    families: ClassVar[tuple[str, ...]] = ("dense", "conv", "residual", "graph")
    """The families of networks that it serves, of :data:`FAMILIES`."""
    needs_data: ClassVar[bool] = False
    """Whether it needs a batch."""
    can_fail: ClassVar[bool] = True
    """Whether filling can fail half-way, so that a copy of the weights is kept until it is done."""

    def __post_init__(self) -> None:
        """Check every option."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is None and field.metadata["optional"]:
                continue
            object.__setattr__(self, field.name, _checked(field, value))

    @property
    def order(self) -> float | None:
        """The preserved order s, None for a scheme without one: the column s of every record."""
        return getattr(self, "s", None)

    def prepare(self, plan: Plan) -> list[Entry]:
        """Return what will be filled, one entry a tensor; nothing is changed yet.

        A scheme that sees the model as a whole overrides this, and enters biases and parameters of no layer
        too if it has a rule for them; what ``plan.kept`` names stays as it is.

        Raises:
            ArgumentError: when the scheme cannot serve the model as a whole.
        """
        return [self.enter(slot) for slot in plan.slots]

    def enter(self, slot: Slot) -> Entry:
        """Return the entry of one weight: with its prescription, or with the reason why there is none."""
        entry = Entry(slot.layer, slot.parameter, slot.tensor, slot)
        layers = [family for family in self.families if family in ("dense", "conv")]
        if layers and slot.family not in layers:
            return dataclasses.replace(
                entry, refusal=f"serves {' and '.join(layers)} layers, and this is a {slot.family} layer"
            )
        try:
            return dataclasses.replace(entry, prescription=self.prescribe(slot))
        except ArgumentError as error:
            return dataclasses.replace(entry, refusal=str(error))

    @abstractmethod
    def prescribe(self, slot: Slot) -> Prescription:
        """Return what the scheme prescribes for one weight.

        Raises:
            ArgumentError: with the reason why it cannot serve this weight.
        """

    @abstractmethod
    def fill(self, plan: Plan, entries: Sequence[Entry], generator: torch.Generator | None) -> None:
        """Fill the tensors of `entries`, in this order; all of them have a prescription."""

    def to_dict(self) -> dict[str, Any]:
        """Return name, s and formula as every record holds them, and other options that were changed.

        >>> from fracrepro.nn import schemes
        >>> schemes.make("kaiming").to_dict()
        {'name': 'kaiming', 's': None, 'formula': None}
        """
        record: dict[str, Any] = {"name": self.name, "s": None, "formula": None}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in record or value != field.default:
                record[field.name] = value
        return record


@dataclass(frozen=True)
class DrawnScheme(Scheme):
    """A scheme with one standard deviation a layer, and independent draws of one law."""

    can_fail = False

    @abstractmethod
    def std(self, slot: Slot) -> float:
        """Return the standard deviation for one weight.

        Raises:
            ArgumentError: with the reason why there is none.
        """

    @abstractmethod
    def draw(self, tensor: torch.Tensor, std: float, generator: torch.Generator | None) -> None:
        """Fill one weight with draws of this standard deviation."""

    def prescribe(self, slot: Slot) -> Prescription:
        """Return the standard deviation, and the gain that it means."""
        std = self.std(slot)
        return Prescription(std, std * math.sqrt(slot.fan_in))

    def fill(self, plan: Plan, entries: Sequence[Entry], generator: torch.Generator | None) -> None:
        """Draw the weights."""
        for entry in entries:
            if entry.tensor is not None and entry.prescription is not None:
                self.draw(entry.tensor, entry.prescription.std or 0.0, generator)


@dataclass(frozen=True)
class NormalScheme(DrawnScheme):
    """A scheme whose weights are a standard deviation times standard normal draws.

    All such schemes take the same draws from the same generator: they differ by one factor a layer.
    """

    def draw(self, tensor: torch.Tensor, std: float, generator: torch.Generator | None) -> None:
        """Fill one weight."""
        from fracrepro.nn.init import normal_

        normal_(tensor, std, generator)


def _checked(field: dataclasses.Field, value: Any) -> Any:
    """The value of an option in its declared type; ArgumentError where it is not allowed."""
    allowed = field.metadata["allowed"]
    if isinstance(field.default, bool):
        if not isinstance(value, bool):
            raise ArgumentError(f"{field.name} = {value!r}: need True or False")
        return value
    if not isinstance(allowed, str):
        return choice(field.name, value, allowed)
    return (integer if isinstance(field.default, int) else real)(field.name, value, allowed)
