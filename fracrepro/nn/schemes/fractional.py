"""The paper's family: a moment of order s preserved from layer to layer, and its end at s = 0."""

from __future__ import annotations

from dataclasses import dataclass

from fracrepro.nn import scale
from fracrepro.nn.schemes.base import NormalScheme, option
from fracrepro.nn.schemes.plan import Slot

__all__ = ["Fractional", "Lyapunov"]


@dataclass(frozen=True)
class Fractional(NormalScheme):
    """Preserves the moment of order `s` of the norm.

    Source:
        The abstract for square layers, the authors' code for ``formula="published"``; derived on page 08,
        backward-thm-rectangular, for the rest.

    >>> Fractional(s=2.0).std(Slot((64, 50))) == 50**-0.5   # nothing follows: linear
    True
    """

    name = "fractional"
    label = "Fractional"
    colour = "#0173b2"
    source = "the paper"

    s: float = option(1.0, "[0, 2]", "preserved order; 0 preserves the mean log-norm")
    formula: scale.Formula = option("exact", scale.FORMULAS, "of the variance")
    a: float | None = option(None, "(-inf, inf)", "negative slope; None takes that of the activation")
    mode: scale.Mode = option("fan_in", scale.MODES, "direction that is preserved: forward or backward")

    def std(self, slot: Slot) -> float:
        """Return the standard deviation by the chosen formula."""
        forward = self.mode == "fan_in"
        fan, width = (slot.fan_in, slot.width) if forward else (slot.fan_out, slot.input_width)
        activation = scale.with_slope(slot.activation, self.a)
        return scale.fractional_std(self.s, fan, width, activation, self.formula)


@dataclass(frozen=True)
class Lyapunov(NormalScheme):
    """Preserves the mean log-norm: the Lyapunov exponent is zero.

    Source:
        Kogler, Schwarz and Kittle 2026; the fractional scheme at s = 0, derived on page 02, thm-moment.
    """

    name = "lyapunov"
    label = "Lyapunov"
    colour = "#ca9161"
    source = "Kogler, Schwarz and Kittle 2026"

    def std(self, slot: Slot) -> float:
        """Return the standard deviation at order 0."""
        return scale.fractional_std(0.0, slot.fan_in, slot.width, slot.activation)
