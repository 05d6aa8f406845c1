r"""The factor of a residual block by a second route: Kummer's function, averaged over the branch's density.

Given the branch, R² = c² χ'² with χ'² noncentral, of d degrees of freedom and noncentrality β²/c², so that

.. math:: E[R^s \mid c] = (2c^2)^{s/2} \, \frac{\Gamma((d + s)/2)}{\Gamma(d/2)} \,
          {}_1F_1\Bigl(-\frac{s}{2}; \frac{d}{2}; -\frac{\beta^2}{2c^2}\Bigr),

and c² = α² σ₁² σ₂² X.  The density of X, the squared factor of the hidden layer, is inverted from ℓ(t)^h on
Talbot's contour.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import mpmath as mp
from mpmath import mpf

from fracrepro.oracle.transforms import chi_moment, death, pieces, transform


def density(x: Any, hidden: int, activation: Any) -> mpf:
    """Return the density of X = R_h² at x > 0, dead layers left out.

    >>> round(float(density(2, 2, (1, 1))), 12) == round(float(mp.exp(-1) / 2), 12)   # χ²_2
    True
    """
    dead = death(hidden, activation)
    return mp.invertlaplace(lambda t: transform(t, activation) ** hidden - dead, mpf(x), method="talbot")


@lru_cache(maxsize=32)
def branch_points(hidden: int, activation: Any, dps: int) -> tuple[tuple[mpf, mpf], ...]:
    """Return points x and weights of the law of X given X > 0, times its probability, for smooth functions.

    The trapezoidal rule in log X, for functions that are analytic off the negative axis as the density is: a
    step h leaves e^(-π²/h).  Kept, because the density is the slow part and serves every order.

    >>> points = branch_points(2, (1, 1), 20)
    >>> round(float(mp.fsum(weight * x for x, weight in points)), 12)   # E χ²_2
    2.0
    """
    with mp.workdps(dps):
        rate = mpf(1) / 2 if death(1, activation) else mpf(hidden) / 2
        top = max(abs(part.high) for part in pieces(activation)) ** 2
        digits = dps * mp.log(10)
        step = mp.pi**2 / (digits + 4)
        # Left the density of log X falls like e^(rate y), right like that of a gamma variable.
        left, right = mp.log(top) - digits / rate, mp.log(top * (2 * hidden + 4 * digits))
        points = [mp.exp(right - step * j) for j in range(int(mp.ceil((right - left) / step)))]
        return tuple((x, step * x * density(x, hidden, activation)) for x in points)


def moment(
    s: Any,
    width: int,
    hidden: int,
    activation: Any,
    alpha: Any,
    variances: tuple[Any, Any],
    skip: Any = 1,
    *,
    dps: int = 17,
) -> mpf:
    """Return E R^s of a residual block with α ≠ 0 and β ≠ 0, for s > -d.

    >>> round(float(moment(2, 3, 1, (1, 1), 1, (1, 1))), 12)   # 1 + d h
    4.0
    """
    with mp.workdps(max(dps, mp.mp.dps)):
        s, half, beta2 = mpf(s), mpf(width) / 2, mpf(skip) ** 2
        kappa = mpf(alpha) ** 2 * mpf(variances[0]) * mpf(variances[1])

        def given(x: mpf) -> mpf:
            c2 = kappa * x
            return c2 ** (s / 2) * chi_moment(s, width) * mp.hyp1f1(-s / 2, half, -beta2 / (2 * c2))

        live = mp.fsum(weight * given(x) for x, weight in branch_points(hidden, activation, mp.mp.dps))
        return live + death(hidden, activation) * beta2 ** (s / 2)


def log_moments(
    width: int,
    hidden: int,
    activation: Any,
    alpha: Any,
    variances: tuple[Any, Any],
    skip: Any = 1,
    *,
    dps: int = 24,
) -> tuple[mpf, mpf]:
    """Return mean and variance of log R of a residual block with α ≠ 0 and β ≠ 0.

    Differences of the moments of orders ±h and ±2h, which err by h⁴.

    >>> mean, _ = log_moments(2, 1, (1, 1), 1e-2, (1, 1))   # log ‖x‖ is harmonic in two dimensions
    >>> abs(float(mean)) < 1e-14
    True
    """
    with mp.workdps(max(dps, mp.mp.dps)):
        h = mpf(10) ** (-mp.mp.dps // 5)
        near, far = (
            [moment(sign * step, width, hidden, activation, alpha, variances, skip) for sign in (1, -1)]
            for step in (h, 2 * h)
        )
        mean = (8 * (near[0] - near[1]) - (far[0] - far[1])) / (12 * h)
        square = (16 * (near[0] + near[1]) - (far[0] + far[1]) - 30) / (12 * h**2)
        return mean, square - mean**2
