"""Moments of order s = 2q ≥ 4, where the integral of `factor` no longer converges.

With X = R² and E e^{zX} = L(-z), analytic to the left of z = 1/(2 max A²),

    E X^q = (Γ(q + 1)/(2πi)) ∫ E e^{zX} z^{-q-1} dz

along a curve through the saddle point.  Derivation: book/numerics.md.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from fracrepro.theory.activations import Activation
from fracrepro.theory.numerics import amplitudes

# numerics.md: numerics-saddle
_LOGIT_RANGE, _CANDIDATES = 30.0, 2001
# numerics.md: numerics-parabola
_STEP, _END = 1 / 32, 45.0
# numerics.md: numerics-hyperbola
_TURNING, _NEAR = 200.0, 0.5


def log_high_moment(q: float, width: int, mean: float, activation: Activation) -> float:
    """log E[(X/m)^q] for a squared factor X with Gaussian weights, of mean m, and q ≥ 2."""
    _, terms, exponent = _contour(q, width, mean, activation)
    return float(special.gammaln(q + 1.0) + exponent + math.log(_trapezoid(terms) * _STEP / math.pi))


def high_moment_slope(q: float, width: int, mean: float, activation: Activation) -> float:
    """d/dq of the same, q ≥ 1: ψ(q + 1) minus the mean of log z, weighted by the integrand."""
    log_z, terms, _ = _contour(q, width, mean, activation)
    return float(special.digamma(q + 1.0) - _trapezoid(terms * log_z) / _trapezoid(terms))


def _trapezoid(terms: np.ndarray) -> float:
    """The real part of a sum over half of a symmetrical line, whose first point belongs to both halves."""
    return float(terms.real.sum() - terms[0].real / 2)


def _contour(
    q: float, width: int, mean: float, activation: Activation
) -> tuple[np.ndarray, np.ndarray, float]:
    """log z on half of a curve, the integral's terms there, and the logarithm of their factor."""
    parts = activation.live
    top = max(part.high for part in parts)
    edge = mean / (2.0 * top * top)  # E e^{zX/m} is analytic to the left of this z

    def log_mgf(z: np.ndarray) -> np.ndarray:
        value = amplitudes.transform(parts, -z / mean) + (1.0 - activation.survival)
        return width * np.log(value)

    fractions = special.expit(np.linspace(-_LOGIT_RANGE, _LOGIT_RANGE, _CANDIDATES))
    objective = log_mgf(edge * fractions + 0j).real - q * np.log(edge * fractions)
    best = int(np.clip(objective.argmin(), 1, len(fractions) - 2))
    c = edge * fractions[best]
    # Scale of the peak along the line: the distance to the nearer singularity, or the Gaussian width.
    reach = min(1.0, edge / c - 1.0, 1.0 / math.sqrt(q))
    path = _hyperbola if q > _TURNING and c > _NEAR * edge else _parabola
    ratio, log_ratio, slope = path(reach)
    log_value = log_mgf(c * ratio) - (q + 1.0) * log_ratio - objective[best] - q * math.log(c)
    return math.log(c) + log_ratio, np.exp(log_value) * slope, float(objective[best])


def _parabola(reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """z/c, its logarithm and its slope over i on z = c (1 + iv)².

    The transform decays there, whereas on a vertical line it would oscillate.
    """
    v = reach * np.sinh(np.arange(0.0, _END, _STEP))
    line = 1.0 + 1j * v
    return line**2, 2.0 * np.log(line), 2.0 * line * np.sqrt(v * v + reach * reach)


def _hyperbola(reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same where log(z/c) runs on a hyperbola around the singularities.

    The power of z decays there and hardly turns, whereas on the parabola it turns faster than the step sees.
    """
    u = np.arange(0.0, math.asinh(math.pi / reach), _STEP)  # to the negative axis, where nothing is left
    log_ratio = reach * (np.cosh(u) - 1.0 + 1j * np.sinh(u))
    ratio = np.exp(log_ratio)
    return ratio, log_ratio, ratio * reach * (np.cosh(u) - 1j * np.sinh(u))
