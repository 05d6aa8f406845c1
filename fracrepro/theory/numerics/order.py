"""The order that a variance preserves: the positive root of log E (σR)^s, a convex function of s."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from fracrepro.errors import ArgumentError
from fracrepro.theory.numerics.factor import Factor
from fracrepro.theory.special import log_product
from fracrepro.theory.weights import Weights

# numerics.md: numerics-order-search
_LOWEST, _HIGHEST = 1e-12, 1e6
_XTOL, _RTOL = 1e-13, 1e-14
# numerics.md: numerics-order-rounding
_ROUNDING = 8.0 * float(np.finfo(float).eps)


def preserved_order(sigma2: float, layer: Factor, weights: Weights) -> float:
    """The root s = 2q of log(σ² E R²) + (1/q) log E[(R²/E R²)^q] = 0; 0 where it lies at or very near 0."""
    from scipy.optimize import brentq  # here, because it doubles the time to import the package

    level = log_product(sigma2, layer.mean_square(weights))

    def rate(q: float) -> float:
        return level + float(layer.log_power_mean(np.array([q]), weights)[0])

    if level == 0.0:  # Kaiming's variance to the last bit; the second term is exactly 0 at q = 1
        return 2.0
    if level > 0.0 and not layer.has_atom and not _decays(sigma2, layer, weights):
        return 0.0
    low, high = 1.0, 1.0
    while rate(low) > 0.0:
        low /= 4.0
        if low < _LOWEST:  # the root lies closer to 0 than the exponent can be told from 0
            return 0.0
    while rate(high) < 0.0:
        high *= 2.0
        if high > _HIGHEST:
            raise ArgumentError(
                f"variance = {sigma2!r}: need a larger value; the preserved order exceeds {_HIGHEST:g}"
            )
    return float(2.0 * brentq(rate, low, high, xtol=_XTOL, rtol=_RTOL))


def _decays(sigma2: float, layer: Factor, weights: Weights) -> bool:
    """Whether the Lyapunov exponent is negative; False where it is 0 up to rounding, refused above."""
    log_mean = layer.log_moments(weights)[0]
    exponent = math.log(sigma2) / 2.0 + log_mean
    scale = abs(math.log(sigma2)) + abs(log_mean) + abs(math.log(layer.mean_square(weights)))
    if abs(exponent) <= _ROUNDING * scale:
        return False
    if exponent > 0.0:
        raise ArgumentError(
            f"variance = {sigma2!r}: need a value below critical_variance(0) = "
            f"{math.exp(-2.0 * log_mean)!r}; above it every moment of positive order grows with depth"
        )
    return True


def rising_root(rate: Callable[[float], float], high: float) -> float:
    """The root of a function that is negative far left, and not negative at `high` or further right."""
    from scipy.optimize import brentq  # here, because it doubles the time to import the package

    step = 1.0
    while rate(high) < 0.0:
        high += step
        step *= 2.0
    low, step = high - 1.0, 1.0
    while rate(low) > 0.0:
        step *= 2.0
        low -= step
    return float(brentq(rate, low, high, xtol=_XTOL, rtol=_RTOL))
