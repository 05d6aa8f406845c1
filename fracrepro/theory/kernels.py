"""Mean products of two correlated coordinates behind an activation: arc-cosine kernels for any slopes."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from fracrepro import arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory.activations import Activation, check_activation
from fracrepro.theory.slopes import Component, Slopes

__all__ = ["angles", "cone_integral", "mean_product", "sides", "unit_means"]

#: The pairs of powers for which the integral over a cone is known here.
POWERS = ((0, 0), (1, 1), (2, 2), (3, 1))

# numerics.md: numerics-kernels
_SMALL, _TERMS = 1.0, 16


def angles(cosine: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return the angle θ of a cosine and π - θ, both without cancellation at either end.

    >>> [float(angle) for angle in angles(1.0)] == [0.0, math.pi]
    True
    """
    c = np.asarray(cosine, dtype=float)
    low, high = np.sqrt(1.0 - c), np.sqrt(1.0 + c)
    return 2.0 * np.arctan2(low, high), 2.0 * np.arctan2(high, low)


def cone_integral(powers: tuple[int, int], opening: ArrayLike) -> np.ndarray:
    r"""Return :math:`2\pi E|u|^m |v|^n` over a cone of the plane where u and v keep their signs.

    u and v are standard normal with the correlation cos θ; u, v > 0 is a cone of opening t = π - θ, and
    u > 0 > v one of opening t = θ:

    .. math::
        (0, 0)&: \quad t, \\
        (1, 1)&: \quad \sin t - t \cos t, \\
        (2, 2)&: \quad t (2 + \cos 2t) - \tfrac32 \sin 2t, \\
        (3, 1)&: \quad 3 (\sin t - t \cos t) - \sin^3 t.

    Args:
        powers: (m, n), one of these four.
        opening: t in [0, π], a number or an array.

    Raises:
        ArgumentError: for other powers.

    Source:
        Cho and Saul (2009) for equal powers; the last is the same integral in polar coordinates.

    >>> round(float(cone_integral((1, 1), math.pi)) / (2 * math.pi), 12)   # u = v: E u², u > 0
    0.5
    """
    powers = POWERS[POWERS.index(powers)] if powers in POWERS else _refuse(powers)
    t = np.asarray(opening, dtype=float)
    if powers == (0, 0):
        return t
    small = np.minimum(t, _SMALL)
    return np.where(t < _SMALL, _series(powers, small), _CLOSED[powers](t))


def sides(slopes: Slopes, powers: tuple[int, int], shared: bool) -> tuple[float, float]:
    """Return E a^m b^n over the slopes a of one input and b of another, summed over equal and unequal sides.

    The first number belongs to two coordinates on the same side of zero, the second to opposite sides.
    With ``shared`` one draw of mask and slopes serves both inputs, else each has its own.
    """
    m, n = powers
    means = {
        (side, power): Component(*bounds, 1.0).mean_power(power)
        for side, bounds in enumerate(slopes.sides)
        for power in (m, n, m + n)
    }
    total = [0.0, 0.0]
    for one, other in product((0, 1), repeat=2):
        if shared and one == other:
            total[0] += slopes.kept * means[one, m + n]
        else:
            chance = slopes.kept if shared or m + n == 0 else slopes.kept**2
            total[one != other] += chance * means[one, m] * means[other, n]
    return total[0], total[1]


def mean_product(
    activation: Activation, cosine: ArrayLike, powers: tuple[int, int] = (1, 1), *, shared: bool = False
) -> np.ndarray:
    r"""Return E φ(u)^m φ(v)^n for standard normal u and v with the correlation `cosine`.

    The plane falls into four cones, on each of which φ is linear, so that with the slopes p and q of either
    side and `cone_integral` K

    .. math:: 2\pi E \varphi(u)^m \varphi(v)^n
              = E[p^m p^n + q^m q^n] \, K(\pi - \theta) + (-1)^m E[p^m q^n + q^m p^n] \, K(\theta).

    Args:
        activation: φ; masks and random slopes are averaged over.
        cosine: in [-1, 1], a number or an array.
        powers: (m, n), one of (1, 1), (2, 2) and (3, 1).
        shared: whether one draw of mask and slopes serves both coordinates; by default each has its own.

    Returns:
        An array of the shape of `cosine`.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Derived on page 12, thm-gram-moments.

    >>> import fracrepro as fr
    >>> round(float(mean_product(fr.ReLU(), 0.0)) * 2 * math.pi, 12)
    1.0
    """
    check_activation("activation", activation)
    c = arguments.reals("cosine", cosine, "[-1, 1]")
    same, opposite = sides(activation.slopes, powers, shared)
    theta, rest = angles(c)
    sign = -1.0 if powers[0] % 2 else 1.0
    total = same * cone_integral(powers, rest) + sign * opposite * cone_integral(powers, theta)
    return total / (2.0 * math.pi)


def unit_means(activation: Activation, covariance: np.ndarray, power: int, shared: bool) -> np.ndarray:
    """Return E φ(h_a)^power φ(h_b)^power for h ~ N(0, S), power 1 or 2, of the shape of S, (..., m, m).

    >>> import fracrepro as fr
    >>> unit_means(fr.ReLU(), np.array([[4.0, 0.0], [0.0, 0.0]]), 1, False).tolist()   # no NaN
    [[2.0, 0.0], [0.0, 0.0]]
    """
    variance = np.diagonal(covariance, axis1=-2, axis2=-1)
    deviation = np.sqrt(variance)
    scale = deviation[..., :, None] * deviation[..., None, :]
    cosine = np.clip(covariance / np.where(scale > 0.0, scale, 1.0), -1.0, 1.0)
    means = np.asarray(mean_product(activation, cosine, (power, power), shared=shared) * scale**power)
    own = np.arange(covariance.shape[-1])
    means[..., own, own] = (2 * power - 1) * activation.even_moment(power) * variance**power
    return means


_CLOSED: dict[tuple[int, int], Callable[[np.ndarray], np.ndarray]] = {
    (1, 1): lambda t: np.sin(t) - t * np.cos(t),
    (2, 2): lambda t: t * (2.0 + np.cos(2.0 * t)) - 1.5 * np.sin(2.0 * t),
    (3, 1): lambda t: 3.0 * (np.sin(t) - t * np.cos(t)) - np.sin(t) ** 3,
}

# (2k+1)! times the coefficient of (-1)^k t^(2k+1), as exact integers.
_COEFFICIENTS: dict[tuple[int, int], Callable[[int], int]] = {
    (1, 1): lambda k: -2 * k,
    (2, 2): lambda k: 4**k * (2 * k - 2) if k else 0,
    (3, 1): lambda k: (9**k * 3 - 3) // 4 - 6 * k,
}


def _series(powers: tuple[int, int], t: np.ndarray) -> np.ndarray:
    """The power series of a closed form."""
    square, total = t * t, np.zeros_like(t)
    for k in range(_TERMS, -1, -1):
        total = total * square + (-1) ** k * _COEFFICIENTS[powers](k) / math.factorial(2 * k + 1)
    return np.asarray(total * t)


def _refuse(powers: object) -> tuple[int, int]:
    """Raise for powers without a closed form here."""
    need = ", ".join(map(str, POWERS))
    raise ArgumentError(f"powers = {powers!r}: need one of {need}")
