"""The mean of log R² under the law tilted by R^(2q): the derivative of log E R^(2q), without differences.

With the formula of `factor`, E Y^q = E G^q + q (q - 1) J(q), the derivative is

    d/dq log E Y^q = [γ + ((2q - 1) J + q (q - 1) J')/E G^q] / [1 + q (q - 1) J/E G^q],

γ = ψ(b + q) - log b, and J' = ψ(2 - q) J - (1/Γ(2 - q)) ∫ (E e^{-tY} - E e^{-tG}) log(t) t^{-q-1} dt
comes from the same points.
Near q = 2 the two terms of J' cancel; there the contour integral for high moments is differentiated instead.
See numerics.md: numerics-stationary-tilt.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from fracrepro.theory.numerics.factor import Factor
from fracrepro.theory.numerics.special import log_gamma_ratio

# numerics.md: numerics-stationary-tilt.  From here on the contour serves: ψ(2 - q) stays below 2 on the left.
_CONTOUR_FROM = 1.5


def log_slope(q: float, layer: Factor, weights: str) -> float:
    """d/dq log E[(X/E X)^q; X > 0], X the squared factor; -order/2 < q."""
    b = layer.shape
    # ψ(b + q) - log b, relatively accurate where b is large
    gamma = float(np.log1p(q / b) + log_gamma_ratio(b + q, np.array(0.0)))
    if q >= _CONTOUR_FROM:
        slope = _contour_slope(q, layer)
        return slope if weights == "gaussian" else slope - gamma
    excess, mean_log = _integrals(q, layer)
    rise = excess * (2.0 * q - 1.0) + q * (q - 1.0) * (special.digamma(2.0 - q) * excess - mean_log)
    scale = q * (q - 1.0) * excess
    # The mean given survival is E X/P, so that a factor P^(1-q) remains.
    slope = (rise - gamma * scale) / (1.0 + scale) - layer.log_alive
    return slope + gamma if weights == "gaussian" else slope


def _integrals(q: float, layer: Factor) -> tuple[float, float]:
    """J(q)/E G^q, and the same integral with a factor log t."""
    if layer.activation.is_linear:
        return 0.0, 0.0
    x, step = layer._nodes(q, q)
    scale, bracket = layer.bracket(x)
    front = special.loggamma(2.0 - q) + q * float(log_gamma_ratio(layer.shape, np.array(q)))
    terms = np.exp(scale - q * x - front) * bracket * step
    return float(terms.sum()), float(terms @ x)


def _contour_slope(q: float, layer: Factor) -> float:
    """ψ(q + 1) minus the mean of log z, weighted by the integrand of the contour for high moments."""
    log_z, terms, _ = layer.contour(q)
    return float(special.digamma(q + 1.0) - (terms * log_z).real.sum() / terms.real.sum())
