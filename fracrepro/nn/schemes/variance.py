"""Schemes that preserve the variance."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fracrepro.nn import scale
from fracrepro.nn.schemes.base import NormalScheme, option
from fracrepro.nn.schemes.plan import Slot

__all__ = ["Kaiming", "Xavier"]


@dataclass(frozen=True)
class Kaiming(NormalScheme):
    """√(gain²/fan_in), without dropout in the gain, as torch's `kaiming_normal_`.

    The gain of a leaky ReLU is by default that of the ReLU, √2: torch's default and the authors' call.

    Source:
        He et al. 2015; the call is that of the authors' code.

    >>> from fracrepro.theory.activations import LeakyReLU
    >>> Kaiming().std(Slot((64, 50), LeakyReLU(0.01)))
    0.2
    """

    name = "kaiming"
    label = "Kaiming"
    colour = "#de8f05"
    source = "He et al. 2015"

    a: float | None = option(
        0.0, "(-inf, inf)", "negative slope in the gain; None takes that of the activation", optional=True
    )

    def std(self, slot: Slot) -> float:
        """Return the standard deviation."""
        activation = scale.with_slope(scale.without_dropout(slot.activation), self.a)
        return scale.gain(activation) / math.sqrt(slot.fan_in)


@dataclass(frozen=True)
class Xavier(NormalScheme):
    """√(2/(fan_in + fan_out)), whatever follows.

    Source:
        Glorot and Bengio 2010.

    >>> Xavier().std(Slot((64, 64))) == 64**-0.5
    True
    """

    name = "xavier"
    label = "Xavier"
    colour = "#029e73"
    source = "Glorot and Bengio 2010"

    def std(self, slot: Slot) -> float:
        """Return the standard deviation."""
        return math.sqrt(2.0 / (slot.fan_in + slot.fan_out))
