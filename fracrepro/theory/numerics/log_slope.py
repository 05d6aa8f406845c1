"""The mean of log R² under the law tilted by R^(2q): the derivative of log E R^(2q), without differences.

With the formula of `factor`, E Y^q = E G^q + q (q - 1) J(q), the derivative is

    d/dq log E Y^q = γ + [(2q - 1) J + q (q - 1) (J' - γ J)]/[E G^q + q (q - 1) J],   γ = d/dq log E G^q,

and J' = ψ(2 - q) J - (1/Γ(2 - q)) ∫ (E e^{-tY} - E e^{-tG}) log(t) t^{-q-1} dt comes from the same points.
Near q = 2 the two terms of J' cancel; there the contour for high moments is differentiated instead.
Derivation: book/numerics.md.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from fracrepro.theory.numerics.factor import Factor
from fracrepro.theory.numerics.high_moments import high_moment_slope
from fracrepro.theory.special import log_gamma_ratio, log_gamma_slope
from fracrepro.theory.weights import Weights

# numerics.md: numerics-tilted-log
_CONTOUR_FROM = 1.5


def log_slope(q: float, layer: Factor, weights: Weights) -> float:
    """d/dq log E[(X/E X)^q; X > 0], X the squared factor; -order/2 < q."""
    radius, gamma = weights.radius_slope(layer.shape, q), float(log_gamma_slope(layer.shape, np.array(q)))
    if q >= _CONTOUR_FROM:
        return high_moment_slope(q, layer.width, layer.mean, layer.activation) + (radius - gamma)
    excess, mean_log = _integrals(q, layer)
    excess_slope = special.digamma(2.0 - q) * excess - mean_log
    scale = q * (q - 1.0)
    rise = (2.0 * q - 1.0) * excess + scale * (excess_slope - gamma * excess)
    # The mean given survival is E X/P, so that a factor P^(1-q) remains.
    return float(rise / (1.0 + scale * excess)) + radius - layer.log_alive


def _integrals(q: float, layer: Factor) -> tuple[float, float]:
    """J(q)/E G^q, and the same integral with a factor log t."""
    if layer.activation.is_linear:
        return 0.0, 0.0
    x, step = layer.nodes(q, q)
    scale, bracket = layer.bracket(x)
    front = special.loggamma(2.0 - q) + q * float(log_gamma_ratio(layer.shape, np.array(q)))
    terms = np.exp(scale - q * x - front) * bracket * step
    return float(terms.sum()), float(terms @ x)
