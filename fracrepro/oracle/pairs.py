"""A second route to what two inputs share: mean products behind an activation, and a mean cosine."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import mpmath as mp
from mpmath import mpf

from fracrepro.oracle.transforms import Piece, pieces


def mean_product(activation: Any, cosine: Any, m: int, n: int, *, shared: bool = False, dps: int = 20) -> mpf:
    """Return E φ(u)^m φ(v)^n for standard normal u and v of the given correlation, n up to 2.

    An integral over u of what a normal v given u contributes on either side of zero; masks and random slopes
    are drawn for each of the two, or one draw for both (`shared`).

    >>> round(float(2 * mp.pi * mean_product((1, 0), 0, 1, 1)), 12)   # ReLU, independent: 1/√(2π), squared
    1.0
    """
    with mp.workdps(max(dps, mp.mp.dps)):
        c = mp.mpf(cosine)
        sides = pieces(activation)[-2:]
        keep = 2 * sides[0].weight
        total = mpf(0)
        for i, one in enumerate(sides):
            for j, other in enumerate(sides):
                if shared and i == j:
                    weight = keep * _power(one, m + n)
                else:
                    weight = keep ** (1 if shared else 2) * _power(one, m) * _power(other, n)
                if weight:
                    sign = (-1) ** (m * i + n * j)
                    total += sign * weight * _quadrant(c if i == j else -c, m, n, mp.mp.prec)
        return total


def _power(side: Piece, power: int) -> mpf:
    """The mean of slope^power, the slope uniform on the side's interval."""
    if side.low == side.high:
        return side.high**power
    return (side.high ** (power + 1) - side.low ** (power + 1)) / ((power + 1) * (side.high - side.low))


@lru_cache(maxsize=1024)
def _quadrant(c: mpf, m: int, n: int, prec: int) -> mpf:
    """E u^m v^n over u, v > 0 at the given precision, n = 1, 2: an integral over u."""
    del prec  # the working precision, a key of the cache
    s = mp.sqrt((1 - c) * (1 + c))

    def given(x: mpf) -> mpf:
        """The mean of (μ + s w)₊^n with w normal."""
        mean = c * x
        if s == 0:
            return max(mean, mpf(0)) ** n
        above, density = mp.ncdf(mean / s), s * mp.npdf(mean / s)
        return mean * above + density if n == 1 else (mean**2 + s**2) * above + mean * density

    far = mp.sqrt(2 * (mp.mp.dps + 6) * mp.log(10))
    # Where v turns from mostly negative to mostly positive, within s/|c| of 0.
    turn = min(far, 4 * s / abs(c)) if c else far
    ends = sorted({mpf(0), turn / 4, turn / 2, turn, mpf(1), mpf(2), mpf(4), far})
    return mp.quad(lambda x: x**m * mp.npdf(x) * given(x), ends, method="gauss-legendre")


def mean_correlation(width: int, cosine: Any, *, dps: int = 30) -> mpf:
    r"""Return the mean cosine of two outputs of a linear layer: E r of `width` pairs of normal numbers.

    .. math:: E r = \frac{2\rho}{n} \Bigl(\frac{\Gamma((n + 1)/2)}{\Gamma(n/2)}\Bigr)^2
              {}_2F_1\Bigl(\frac12, \frac12; \frac{n + 2}{2}; \rho^2\Bigr)

    with n = `width`, a classical formula.

    >>> round(float(mean_correlation(1, 0.5)), 12)   # a product of signs: (2/π) arcsin(1/2)
    0.333333333333
    """
    with mp.workdps(max(dps, mp.mp.dps)):
        n, rho, half = mpf(width), mpf(cosine), mpf(1) / 2
        front = 2 * rho / n * (mp.gamma((n + 1) / 2) / mp.gamma(n / 2)) ** 2
        return front * mp.hyp2f1(half, half, (n + 2) / 2, rho**2)
