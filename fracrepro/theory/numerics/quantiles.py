"""Quantiles of an exact law, and the map from normal numbers to draws from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import numpy as np
from scipy import special

from fracrepro.theory.activations import Activation
from fracrepro.theory.numerics.factor import factor
from fracrepro.theory.numerics.inversion import SumLaw
from fracrepro.theory.numerics.transforms import Group
from fracrepro.theory.weights import GAUSSIAN

# numerics.md: numerics-quantile-newton
_NEWTON_STEPS = 100
_TOLERANCE = 1e-13
_LONGEST_STEP = 3.0
# numerics.md: numerics-quantile-map
_KNOTS = 4001
_LAST_KNOT, _LAST_KNOT_ABSOLUTE = 8.2, 6.0
_FAR_LINE = 4.0


class Law(Protocol):
    """The law of a sum S, as :class:`SumLaw` describes it."""

    sd: float

    @property
    def reach(self) -> float: ...  # noqa: D102
    def cdf_sf(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...  # noqa: D102
    def pdf(self, x: np.ndarray) -> np.ndarray: ...  # noqa: D102


class Quantiles:
    """Quantiles of shift + S for S of a law with mean `mean`."""

    def __init__(self, law: Law, mean: float, shift: float) -> None:
        """Keep the law; nothing is computed before the first question."""
        self.law = law
        self.mean = mean
        self.shift = shift

    def solve(self, tail: np.ndarray, lower: np.ndarray) -> np.ndarray:
        """Solve cdf(x) = tail where `lower`, else sf(x) = tail, for vectors of tails in (0, 1/2]."""
        sd = self.law.sd
        sign = np.where(lower, -1.0, 1.0)
        x = self.mean - sign * sd * special.ndtri(tail)
        low, high = np.full_like(x, -np.inf), np.full_like(x, np.inf)
        for _ in range(_NEWTON_STEPS):
            value = np.where(lower, *self.law.cdf_sf(x))
            with np.errstate(divide="ignore", invalid="ignore"):
                # The logarithm of a tail is close to concave, so that Newton's steps on it do not overshoot.
                step = sign * np.log(value / tail) * value / self.law.pdf(x)
            right = sign * (value - tail) > 0.0  # the solution lies to the right of x
            low, high = np.where(right, x, low), np.where(right, high, x)
            converged = np.abs(step) <= _TOLERANCE * (sd + np.abs(x))
            limit = _LONGEST_STEP * sd
            newton = x + np.clip(step, -limit, limit)
            # Strictly inside: a step back onto a bound would go back and forth for ever.
            # Where the bracket is open, or the tail underflows, walk towards the solution instead.
            closed = np.isfinite(low) & np.isfinite(high)
            with np.errstate(invalid="ignore"):
                middle = np.where(closed, (low + high) / 2.0, x + np.where(right, limit, -limit))
            new = np.where((low < newton) & (newton < high), newton, middle)
            if converged.all():
                break
            x = np.where(converged, x, new)
        return x + self.shift

    def of_normal(self) -> Callable[[np.ndarray], np.ndarray]:
        """The smooth map x(z) with cdf(x(z)) = Φ(z); beyond the last knot its tangent.

        A draw beyond z = 6 has probability 1e-9; a cubic run on from knots this close would be wild there.
        """
        from scipy.interpolate import CubicHermiteSpline  # here, because it is slow to import

        # Without lines far to the right the upper tail has absolute accuracy only, enough for z = 6.
        relative = self.law.reach * self.law.sd > _FAR_LINE
        z = np.linspace(-_LAST_KNOT, _LAST_KNOT if relative else _LAST_KNOT_ABSOLUTE, _KNOTS)
        x = self.solve(special.ndtr(-np.abs(z)), z < 0)
        slope = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi) / self.law.pdf(x - self.shift)
        spline = CubicHermiteSpline(z, x, slope)

        def quantile(normal: np.ndarray) -> np.ndarray:
            inside = np.clip(normal, z[0], z[-1])
            beyond = normal - inside
            result: np.ndarray = spline(inside)
            return result + np.where(beyond > 0.0, slope[-1], slope[0]) * beyond

        return quantile


@lru_cache(maxsize=8)
def log_factor_of_normal(width: int, activation: Activation) -> Callable[[np.ndarray], np.ndarray]:
    """The map from a standard normal number to log R of one layer with Gaussian weights; slow to build."""
    layer = factor(width, activation)
    mean, variance = layer.log_moments(GAUSSIAN)
    shift = 0.5 * (math.log(layer.mean) - layer.log_alive)
    law = SumLaw([Group(layer, GAUSSIAN, 1)], math.sqrt(variance))
    return Quantiles(law, mean - shift, shift).of_normal()
