"""Schemes that draw uniformly: PyTorch's own start, and the uniform forms of Kaiming and Xavier."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fracrepro.nn.schemes.base import DrawnScheme, option
from fracrepro.nn.schemes.plan import Entry, Plan, Prescription, Slot
from fracrepro.nn.schemes.variance import Kaiming, Xavier

if TYPE_CHECKING:
    import torch

__all__ = ["KaimingUniform", "TorchDefault", "UniformScheme", "XavierUniform"]


@dataclass(frozen=True)
class UniformScheme(DrawnScheme):
    """A scheme whose weights are uniform within ±√3 standard deviations.

    The norm of such a layer's output does not follow the factor law: its moments beyond the second depend on
    the direction of the input.
    """

    def draw(self, tensor: torch.Tensor, std: float, generator: torch.Generator | None) -> None:
        """Fill one weight."""
        from fracrepro.nn.init.normal import uniform_

        # The order of the factors is torch's: the same bits.
        uniform_(tensor, math.sqrt(3.0) * std, generator)


@dataclass(frozen=True)
class KaimingUniform(UniformScheme):
    """Kaiming's standard deviation with uniform draws, as torch's `kaiming_uniform_`.

    Source:
        He et al. 2015, in the form of `torch.nn.init`.

    >>> KaimingUniform().std(Slot((64, 50))) == 50**-0.5   # nothing follows: linear
    True
    """

    name = "kaiming_uniform"
    label = "Kaiming uniform"
    colour = "#fbafe4"
    source = "He et al. 2015"

    a: float | None = option(
        0.0, "(-inf, inf)", "negative slope in the gain; None takes that of the activation", optional=True
    )

    def std(self, slot: Slot) -> float:
        """Return Kaiming's."""
        return Kaiming(self.a).std(slot)


@dataclass(frozen=True)
class XavierUniform(UniformScheme):
    """√(2/(fan_in + fan_out)) with uniform draws, as torch's `xavier_uniform_`.

    Source:
        Glorot and Bengio 2010, in the form of `torch.nn.init`.

    >>> XavierUniform().std(Slot((64, 64))) == 64**-0.5
    True
    """

    name = "xavier_uniform"
    label = "Xavier uniform"
    colour = "#56b4e9"
    source = "Glorot and Bengio 2010"

    def std(self, slot: Slot) -> float:
        """Return Xavier's."""
        return Xavier().std(slot)


@dataclass(frozen=True)
class TorchDefault(UniformScheme):
    r"""What PyTorch's layers do when they are made: :math:`U(\pm 1/\sqrt{\text{fan_in}})`, biases too.

    The fan is the one that torch reads off a weight, which for transposed convolutions is not the number of
    products in an output.
    Before a rectifier the mean square of a signal falls to a sixth in every layer.

    Source:
        PyTorch's `reset_parameters`.

    >>> round(TorchDefault().std(Slot((64, 48))) ** 2 * 48, 12)   # a third of 1/fan_in
    0.333333333333
    """

    name = "torch_default"
    label = "PyTorch's default"
    colour = "#949494"
    source = "PyTorch"

    def std(self, slot: Slot) -> float:
        """Return the standard deviation of the weights, torch's fan in it."""
        return _default_std(_torch_fan(slot))

    def prepare(self, plan: Plan) -> list[Entry]:
        """Enter weights and biases, each bias behind its weight, which is torch's order of drawing."""
        entries: list[Entry] = []
        seen: set[int] = set()
        for slot in plan.slots:
            entry = self.enter(slot)
            entries.append(entry)
            bias = slot.bias
            if entry.refusal or bias is None or id(bias) in seen or id(bias) in plan.kept:
                continue
            seen.add(id(bias))
            size = 1.0 / math.sqrt(_torch_fan(slot)) / math.sqrt(3.0)
            own = dataclasses.replace(entry, parameter="bias", tensor=bias)
            entries.append(dataclasses.replace(own, prescription=Prescription(size)))
        return entries

    def fill(self, plan: Plan, entries: Sequence[Entry], generator: torch.Generator | None) -> None:
        """Draw weights and biases."""
        from fracrepro.nn.init.normal import uniform_

        for entry in entries:
            if entry.tensor is not None and entry.slot is not None:
                fan = _torch_fan(entry.slot)
                weight = entry.tensor is entry.slot.tensor
                bound = math.sqrt(3.0) * _default_std(fan) if weight else 1 / math.sqrt(fan)
                uniform_(entry.tensor, bound, generator, contiguous=weight)


def _torch_fan(slot: Slot) -> int:
    """fan_in as torch reads it off the tensor: its second size times the kernel."""
    second = slot.shape[0] if slot.transposed else slot.shape[1]
    return second * math.prod(slot.shape[2:])


def _default_std(fan: int) -> float:
    """Kaiming's standard deviation at the slope √5, in torch's order of operations."""
    return math.sqrt(2.0 / (1 + math.sqrt(5) ** 2)) / math.sqrt(fan)
