"""Moments of R and of log R, as integrals of the transform."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import mpmath as mp
from mpmath import mpf

from fracrepro.errors import ArgumentError
from fracrepro.oracle.mixtures import weight_law
from fracrepro.oracle.transforms import death, mean_square, pieces, transforms

__all__ = ["log_moments", "moment", "tilted_log_mean"]


def moment(s: Any, width: int, activation: Any, *, weights: str = "gaussian", dps: int = 30) -> mpf:
    r"""Return E[R^s; R > 0] for s < 4 above minus the order where the moment diverges.

    .. math:: E R^s = \frac{1}{\Gamma(2 - s/2)} \int_0^\infty t^{1 - s/2} L''(t) \, dt

    with :math:`L = \ell^d` the transform of R².
    Orthogonal weights divide by the moment of χ_d.

    >>> float(moment(2, 64, (1, 0)))
    32.0
    """
    with mp.workdps(max(dps, mp.mp.dps)):
        front, integral = _mellin(s, width, activation)
        return front * integral(0) / weight_law(weights).radius(s, width)


def tilted_log_mean(s: Any, width: int, activation: Any, *, weights: str = "gaussian", dps: int = 30) -> mpf:
    """Return E[R^s log R; R > 0], the derivative of `moment` in s, taken under its integral.

    >>> round(float(tilted_log_mean(0, 2, (1, 1))), 6)   # (log 2 - γ)/2
    0.057966
    """
    with mp.workdps(max(dps, mp.mp.dps)):
        front, integral = _mellin(s, width, activation)
        value, q = integral(0), mpf(s) / 2
        log_two, digamma, _ = weight_law(weights).logs(mpf(width) / 2 + q)
        level = mp.log(width * mean_square(activation)) + mp.digamma(2 - q) - (log_two + digamma)
        return front * (value * level + integral(1)) / 2 / weight_law(weights).radius(s, width)


def log_moments(width: int, activation: Any, *, weights: str = "gaussian", dps: int = 30) -> tuple[mpf, mpf]:
    r"""Return mean and variance of log R given R > 0, by integrals of Frullani's type.

    For Y of mean 1 with transform L,

    .. math::
        E \log Y &= \int_0^\infty \frac{e^{-t} - L(t)}{t} \, dt, \\
        E \log^2 Y &= 2 \int_0^\infty \frac{L(t) - e^{-t}}{t} \log t \, dt - 2 \gamma E \log Y.

    >>> [round(float(value), 6) for value in log_moments(2, (1, 1))]   # (log 2 - γ)/2 and π²/24
    [0.057966, 0.411234]
    """
    with mp.workdps(max(dps, mp.mp.dps)):
        dead, parts = death(width, activation), pieces(activation)
        scale = width * mean_square(activation) / (1 - dead)

        @functools.cache  # both integrals take it at the same points
        def gap(x: mpf) -> mpf:
            t = mp.exp(x)
            return mp.exp(-t) - (transforms(t / scale, parts, 1)[0] ** width - dead) / (1 - dead)

        ends = _ends(2, _order(width, activation) / 2)
        first = mp.quad(gap, ends)
        second = -2 * mp.quad(lambda x: gap(x) * x, ends) - 2 * mp.euler * first
        log_two, digamma, trigamma = weight_law(weights).logs(mpf(width) / 2)
        return (mp.log(scale) + first - log_two - digamma) / 2, (second - first**2 - trigamma) / 4


def _mellin(s: Any, width: int, activation: Any) -> tuple[mpf, Callable[[int], mpf]]:
    """The factor before the integral of `moment`, and ∫ (-x)^power t^(2 - q) L''(t) dx at t = e^x E R²."""
    q, order = mpf(s) / 2, _order(width, activation)
    if not -order < s < 4:
        raise ArgumentError(f"s = {s!r}: need a number in (-{order}, 4)")
    scale, parts = width * mean_square(activation), pieces(activation)

    @functools.cache  # the integrals of two powers take it at the same points
    def integrand(x: mpf) -> mpf:
        t = mp.exp(x) / scale
        value, slope, curve = transforms(t, parts, 3)
        second = width * value ** (width - 2) * ((width - 1) * slope**2 + value * curve)
        return mp.exp((2 - q) * x) * second / scale**2

    ends = _ends(2 - q, mpf(order) / 2 + q)
    return scale**q / mp.gamma(2 - q), lambda power: mp.quad(lambda x: (-x) ** power * integrand(x), ends)


def _ends(left_rate: Any, right_rate: Any) -> list[mpf]:
    """Pieces of the line for an integrand about x = 0 with these exponential rates of decay."""
    far = (mp.mp.dps + 3) * mp.log(10)
    left, right = -9 - far / left_rate, 9 + far / right_rate
    return [left, (left - 9) / 2, -9, -3, -1, 1, 3, 5, 9, 9 + (right - 9) / 4, right]


def _order(width: int, activation: Any) -> int:
    """The order at which negative moments of R diverge."""
    return 1 if death(1, activation) else width
