"""Laplace transforms of one squared coordinate C = A² z², from the law of its amplitude A.

The law is a mixture of points and uniform pieces, each a :class:`Component`, and so are the transforms.
Only components with a positive amplitude enter, `live` of the activation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from fracrepro.theory.slopes import Component

# numerics.md: numerics-transform-tail
_FAR = 600.0
# numerics.md: numerics-transform-series
_CLOSE, _NEAR, _TERMS = 0.5, 0.25, 30


def transform(parts: Sequence[Component], t: np.ndarray) -> np.ndarray:
    """E[exp(-t C); C > 0] for real t > -1/(2 max A²), or complex t off the negative axis; any shape."""
    return sum((part.weight * _transform(part, t) for part in parts), np.zeros_like(t))


def log_transform(parts: Sequence[Component], log_t: np.ndarray) -> np.ndarray:
    """log E[exp(-t C); C > 0] from log t (complex: argument included); no overflow however large t is."""
    excess = np.maximum(log_t.real - _FAR, 0.0)
    near = np.log(transform(parts, np.exp(log_t - excess)))
    if not excess.any():
        return near
    level, slope = np.sum([np.multiply(part.weight, _tail(part)) for part in parts], axis=0)
    growth = np.log((level + slope * log_t) / (level + slope * (log_t - excess)))
    return near - excess / 2 + growth


def remainder(parts: Sequence[Component], t: np.ndarray) -> np.ndarray:
    """E exp(-t C) - 1 + t E C, of order t² at zero and free of cancellation; real or complex t."""
    return sum((part.weight * _remainder(part, t) for part in parts), np.zeros_like(t))


def _transform(part: Component, t: np.ndarray) -> np.ndarray:
    """Mean of (1 + 2 A² t)^(-1/2) over one component."""
    low, high = part.low, part.high
    if low == high:
        return 1.0 / np.sqrt(1.0 + 2.0 * low * low * t)
    # asinh(high·y) - asinh(low·y) with y = √(2t), written without the difference, which would cancel.
    y = np.sqrt(2.0 * t)
    rise = (high * high - low * low) * y
    sines = high * np.sqrt(1.0 + (low * y) ** 2) + low * np.sqrt(1.0 + (high * y) ** 2)
    close = np.abs(high * y) < _CLOSE
    width = np.where(close, 1.0, (high - low) * y)
    far = np.arcsinh(np.where(close, 0.0, rise / sines)) / width
    return np.where(close, 1.0 - t * part.mean_power(2) + _remainder(part, np.where(close, t, 0.0)), far)


def _remainder(part: Component, t: np.ndarray) -> np.ndarray:
    """Mean of (1 + 2 A² t)^(-1/2) - 1 + A² t over one component."""
    if part.low == part.high:
        return _point_remainder(part.low**2 * t)
    # Near t = 0 the closed form cancels; there the binomial series serves, with the means of A^(2j).
    y = 2.0 * part.high**2 * t
    near = np.abs(y) < _NEAR
    result = np.empty_like(t)
    inside = y[near]
    scaled = Component(part.low / part.high, 1.0, 1.0)
    series = np.zeros_like(inside)
    for j in range(_TERMS, 1, -1):
        series = (series + float(special.binom(-0.5, j)) * scaled.mean_power(2 * j)) * inside
    result[near] = series * inside
    rest = t[~near]
    if rest.size:
        result[~near] = _transform(part, rest) - 1.0 + part.mean_power(2) * rest
    return result


def _point_remainder(t: np.ndarray) -> np.ndarray:
    """(1 + 2t)^(-1/2) - 1 + t as a product, for relative accuracy near t = 0."""
    root = np.sqrt(1.0 + 2.0 * t)
    return (2.0 * t / (1.0 + root)) ** 2 * (root + 2.0) / (2.0 * root)


def _tail(part: Component) -> tuple[float, float]:
    """(level, slope) such that the component's transform tends to (level + slope·log t)/√t."""
    low, high = part.low, part.high
    if low == high:
        return 1.0 / (math.sqrt(2.0) * low), 0.0
    scale = 1.0 / (math.sqrt(2.0) * (high - low))
    if low > 0.0:
        return scale * math.log(high / low), 0.0
    return scale * math.log(2.0 * math.sqrt(2.0) * high), scale / 2
