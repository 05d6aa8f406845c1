"""Fixup: residual networks without normalization whose branches start at zero and learn at one rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from fracrepro.nn.schemes.base import option
from fracrepro.nn.schemes.plan import Slot
from fracrepro.nn.schemes.residual import BlockScheme, Rule, constant, normal, torch_default

__all__ = ["Fixup"]


@dataclass(frozen=True)
class Fixup(BlockScheme):
    r"""The last layer of each branch and the classifier 0, other layers of branches small normal draws.

    .. math:: W_k \sim N\Big(0, \frac{2}{\text{fan_out}} L^{-1/(m-1)}\Big) \ (k < m), \qquad W_m = 0

    with L blocks of m layers each; a branch with one layer has only the zero.
    Learnable factors start at 1, scalar biases (:class:`fracrepro.nn.networks.ScalarBias`) at 0.
    The classifier is the last layer of the model, outside of the blocks; a model of blocks alone has none.

    The fan is that of the authors' code; their text leaves it open.
    Layers of skip connections are drawn without the power of L, as in their code for ImageNet; their code for
    CIFAR has none.
    Their text gives all layers outside of the branches a standard method, which is Kaiming's here; their code
    leaves the first convolution at torch's default, which is ``outside="torch_default"``.
    The code adds a scalar bias behind the factor of a branch; in the contract of blocks it stands in front of
    it, at the end of the branch, which is the same function.
    The rates at which the scalars learn, a tenth of the others in the code, are no matter of the start.

    Source:
        Zhang, Dauphin and Ma 2019, and the authors' code.

    >>> scheme, slot = Fixup(), Slot((50, 50))
    >>> scheme.branch(slot, (1, 2), 16).std, scheme.branch(slot, (2, 2), 16).value
    (0.05, 0.0)
    """

    name = "fixup"
    label = "Fixup"
    colour = "#b2182b"
    source = "Zhang, Dauphin and Ma 2019"

    mode: Literal["fan_out", "fan_in"] = option(
        "fan_out", ("fan_out", "fan_in"), "fan that scales the layers of branches and skip connections"
    )
    outside: Literal["kaiming", "torch_default"] = option(
        "kaiming", ("kaiming", "torch_default"), "what layers outside of the blocks get"
    )

    def prescribe(self, slot: Slot) -> Rule:
        """Return zero for the classifier, and the standard method for other layers outside of the blocks."""
        if slot.last:
            return constant(0.0, "classifier: zero")
        if self.outside == "kaiming":
            return normal(slot, math.sqrt(2.0 / slot.fan_in), "outside of the blocks: Kaiming")
        return torch_default(slot, "outside of the blocks: torch's default")

    def branch(self, slot: Slot, place: tuple[int, int], blocks: int) -> Rule:
        """Return zero for the last layer of a branch, and normal draws for the others."""
        number, layers = place
        if number == layers:
            return constant(0.0, "last of its branch: zero")
        return normal(slot, self._he(slot) * blocks ** (-1.0 / (2 * layers - 2)))

    def beside(self, slot: Slot) -> Rule:
        """Return normal draws without the power of L."""
        return normal(slot, self._he(slot), "beside a branch: He")

    def factor(self, blocks: int) -> float:
        """Return 1."""
        return 1.0

    def _he(self, slot: Slot) -> float:
        """He's standard deviation by the chosen fan."""
        return math.sqrt(2.0 / (slot.fan_out if self.mode == "fan_out" else slot.fan_in))
