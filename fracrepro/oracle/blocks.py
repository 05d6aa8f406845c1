"""The factor of a residual block by a second route: Kummer's function, averaged over the branch's density.

Given the branch, R² = c² χ'² with χ'² noncentral, of d degrees of freedom and noncentrality β²/c², so that

    E[R^s | c] = (2c²)^(s/2) Γ((d + s)/2)/Γ(d/2) ₁F₁(-s/2; d/2; -β²/(2c²)),

and c² = α² σ₁² σ₂² X.  The density of X, the squared factor of the hidden layer, is inverted from ℓ(t)^h on
Talbot's contour.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
from mpmath import mpf

from fracrepro.oracle import chi_moment, death, pieces, transform


def density(x: Any, hidden: int, activation: Any) -> mpf:
    """Return the density of X = R_h² at x > 0, dead layers left out.

    >>> round(float(density(2, 2, (1, 1))), 12) == round(float(mp.exp(-1) / 2), 12)   # χ²_2
    True
    """
    dead = death(hidden, activation)
    return mp.invertlaplace(lambda t: transform(t, activation) ** hidden - dead, mpf(x), method="talbot")


def mean_over_branch(function: Callable[[mpf], Any], hidden: int, activation: Any) -> Any:
    """Return E[f(X); X > 0] by quadrature in log X."""
    rate = mpf(1) / 2 if death(1, activation) else mpf(hidden) / 2
    top = max(abs(part.high) for part in pieces(activation)) ** 2
    left = mp.log(top) - (mp.mp.dps + 2) * mp.log(10) / rate
    # A sum of h squares beyond this has a probability of 10^(-dps).
    right = mp.log(top * (2 * hidden + 6 * mp.mp.dps))
    ends = [left + (right - left) * j / 12 for j in range(13)]
    return mp.quad(lambda y: mp.exp(y) * density(mp.exp(y), hidden, activation) * function(mp.exp(y)), ends)


def moment(
    s: Any,
    width: int,
    hidden: int,
    activation: Any,
    alpha: Any,
    variances: tuple[Any, Any],
    skip: Any = 1,
    *,
    dps: int = 25,
) -> mpf:
    """Return E R^s of a residual block with α ≠ 0 and β ≠ 0, for s > -d.

    >>> round(float(moment(2, 3, 1, (1, 1), 1, (1, 1))), 12)   # 1 + d h
    4.0
    """
    with mp.workdps(dps):
        s, half, beta2 = mpf(s), mpf(width) / 2, mpf(skip) ** 2
        kappa = mpf(alpha) ** 2 * mpf(variances[0]) * mpf(variances[1])

        def given(x: mpf) -> mpf:
            c2 = kappa * x
            return c2 ** (s / 2) * chi_moment(s, width) * mp.hyp1f1(-s / 2, half, -beta2 / (2 * c2))

        return mean_over_branch(given, hidden, activation) + death(hidden, activation) * beta2 ** (s / 2)


def log_mean(
    width: int,
    hidden: int,
    activation: Any,
    alpha: Any,
    variances: tuple[Any, Any],
    skip: Any = 1,
    *,
    dps: int = 25,
) -> mpf:
    """Return E log R of a residual block with α ≠ 0 and β ≠ 0, from a formula of its own.

    E log χ'² = log λ + E₁-like terms: with L(t) = (1 + 2t)^(-d/2) exp(-λt/(1 + 2t)), the transform of χ'²,
    E log χ'² = ∫ (e^(-t) - L(t)) dt/t over t > 0.

    >>> from mpmath import log, digamma
    >>> found = log_mean(2, 1, (1, 1), 1, (1, 1), 1e-9)   # no skip to speak of: log χ_2 + log χ_1
    >>> abs(float(found - (log(4) + digamma(1) + digamma(0.5)) / 2)) < 1e-8
    True
    """
    with mp.workdps(dps):
        half, beta2 = mpf(width) / 2, mpf(skip) ** 2
        kappa = mpf(alpha) ** 2 * mpf(variances[0]) * mpf(variances[1])
        far = (mp.mp.dps + 2) * mp.log(10)

        def given(x: mpf) -> mpf:
            noncentral = beta2 / (kappa * x)

            def gap(y: mpf) -> mpf:
                t = mp.exp(y)
                return mp.exp(-t) - (1 + 2 * t) ** -half * mp.exp(-noncentral * t / (1 + 2 * t))

            left = -far - mp.log(1 + noncentral)
            ends = [left, left / 2, -mp.log(1 + noncentral) - 2, -mp.log(1 + noncentral) + 2, 0, 3, 5, 9]
            return mp.log(kappa * x) + mp.quad(gap, sorted([*ends, 9 + far / half]))

        live = mean_over_branch(given, hidden, activation)
        return (live + death(hidden, activation) * mp.log(beta2)) / 2
