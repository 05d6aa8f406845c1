"""Random walk initialization."""

from __future__ import annotations

from dataclasses import dataclass

from fracrepro.nn import scale
from fracrepro.nn.schemes.base import NormalScheme, option
from fracrepro.nn.schemes.plan import Slot

__all__ = ["RandomWalk"]


@dataclass(frozen=True)
class RandomWalk(NormalScheme):
    """Sussillo and Abbott's fit of the scale that keeps the mean log-norm; dropout is left out of it.

    Source:
        Sussillo and Abbott 2014, in the form of the authors' code, which leaves the slope out of the gain.

    >>> from fracrepro.theory.activations import ReLU
    >>> round(RandomWalk().std(Slot((64, 64), ReLU())), 6)
    0.180254
    """

    name = "random_walk"
    label = "Random walk"
    colour = "#cc78bc"
    source = "Sussillo and Abbott 2014"

    a: float | None = option(
        0.0, "(-inf, inf)", "negative slope in the gain; None takes that of the activation", optional=True
    )

    def std(self, slot: Slot) -> float:
        """Return the standard deviation."""
        activation = scale.with_slope(scale.without_dropout(slot.activation), self.a)
        return scale.random_walk_std(slot.fan_in, activation)
