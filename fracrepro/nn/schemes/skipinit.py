"""SkipInit and ReZero: residual branches with a learnable factor that starts at zero."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from fracrepro.nn.schemes.base import option
from fracrepro.nn.schemes.plan import Slot
from fracrepro.nn.schemes.residual import BlockScheme, Rule, normal, torch_default

__all__ = ["ReZero", "SkipInit"]


@dataclass(frozen=True)
class SkipInit(BlockScheme):
    r"""The factor of each branch 0, or :math:`L^{-1/2}` with L blocks; all weights as He et al.

    .. math:: x \mapsto x + \alpha F(x), \qquad W_{ij} \sim N(0, 2/\text{fan_in})

    At α = 0 the Jacobian of a block with an identity skip connection is the identity, bit for bit.
    Layers outside of the blocks and in skip connections are drawn in the same way; the paper's own last layer
    is not known to us, and ``include`` leaves it out.

    Source:
        De and Smith 2020; the start at :math:`L^{-1/2}` as we recall it.

    >>> SkipInit().factor(16), SkipInit(start="root").factor(16)
    (0.0, 0.25)
    """

    name = "skipinit"
    label = "SkipInit"
    colour = "#4d9221"
    source = "De and Smith 2020"
    needs_scale = True

    start: Literal["zero", "root"] = option(
        "zero", ("zero", "root"), "where the factors start: 0, or one over the root of the number of blocks"
    )

    def prescribe(self, slot: Slot) -> Rule:
        """Return He's normal draws."""
        return normal(slot, math.sqrt(2.0 / slot.fan_in))

    def branch(self, slot: Slot, place: tuple[int, int], blocks: int) -> Rule:
        """Return He's normal draws."""
        return self.prescribe(slot)

    def factor(self, blocks: int) -> float:
        """Return 0, or one over the root of the number of blocks."""
        return 0.0 if self.start == "zero" else blocks**-0.5


@dataclass(frozen=True)
class ReZero(BlockScheme):
    r"""The factor of each branch 0; all layers, biases too, drawn anew as torch draws them by default.

    .. math:: x \mapsto x + \alpha F(x), \qquad \alpha = 0, \quad
              W_{ij}, b_i \sim U(-1/\sqrt{\text{fan_in}}, 1/\sqrt{\text{fan_in}})

    The paper states the form for whole layers, whatever is in them, and the authors' code leaves these at
    their defaults.

    Source:
        Bachlechner et al. 2020, and the authors' code.

    >>> ReZero().factor(16), ReZero().prescribe(Slot((64, 3))).std
    (0.0, 0.333...)
    """

    name = "rezero"
    label = "ReZero"
    colour = "#1b7f8c"
    source = "Bachlechner et al. 2020"
    needs_scale = True

    def prescribe(self, slot: Slot) -> Rule:
        """Return torch's default."""
        return torch_default(slot)

    def branch(self, slot: Slot, place: tuple[int, int], blocks: int) -> Rule:
        """Return torch's default."""
        return self.prescribe(slot)

    def bias(self, slot: Slot) -> Rule | None:
        """Return torch's default."""
        return torch_default(slot)

    def factor(self, blocks: int) -> float:
        """Return 0."""
        return 0.0
