"""Initialization schemes by name: each gives a layer its standard deviation."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fracrepro.arguments import choice, real
from fracrepro.errors import ArgumentError
from fracrepro.nn import init

__all__ = ["SCHEMES", "Scheme"]

SCHEMES = ("fractional", "kaiming", "xavier", "random_walk", "lyapunov")


@dataclass(frozen=True)
class Scheme:
    """One initialization scheme: all draw normal weights, so a layer's standard deviation says everything.

    * ``"fractional"``: preserves the moment of order `s`, by a formula of `fracrepro.nn.init`.
    * ``"kaiming"``: √(2/fan_in); the authors call it without the slope, so the gain is √2.
    * ``"xavier"``: √(2/(fan_in + fan_out)).
    * ``"random_walk"``: Sussillo and Abbott's fit for rectifiers, gain √2.
    * ``"lyapunov"``: preserves the mean log-norm: the fractional scheme at s = 0, exact formula.

    Args:
        name: one of the five.
        s: order in [0, 2] for ``"fractional"``, None for the others.
        formula: ``"exact"``, ``"derived"`` or ``"published"`` for ``"fractional"``, None for the others.

    Raises:
        ArgumentError: for anything else.

    Source: the authors' code; ``"lyapunov"`` is our addition.

    >>> Scheme("kaiming").std((64, 50), negative_slope=0.01)
    0.2
    """

    name: str
    s: float | None = None
    formula: str | None = None

    def __post_init__(self) -> None:
        """Check that the order and the formula are given exactly where they mean something."""
        choice("scheme", self.name, SCHEMES)
        if self.name == "fractional":
            object.__setattr__(self, "s", real("s", self.s, "[0, 2]"))
            choice("formula", self.formula, init.FORMULAS)
        elif self.s is not None or self.formula is not None:
            given = f"s = {self.s!r}, formula = {self.formula!r}"
            raise ArgumentError(f"{given}: need None with scheme {self.name!r}")

    def std(self, shape: tuple[int, int], negative_slope: float) -> float:
        """Return the standard deviation for a weight matrix of shape (n_out, n_in) before leaky ReLU."""
        if self.name == "kaiming":
            return init.fractional_std(shape, 2.0)
        if self.name == "xavier":
            return math.sqrt(2.0 / sum(shape))
        if self.name == "random_walk":
            return init.random_walk_std(shape)
        if self.name == "lyapunov":
            return init.fractional_std(shape, 0.0, negative_slope)
        return init.fractional_std(shape, self.s or 0.0, negative_slope, formula=self.formula or "exact")
