"""Rows about one layer: special functions, transforms, moments real and complex."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import mpmath as mp
import numpy as np

from fracrepro import oracle
from fracrepro.theory import activations as act
from fracrepro.theory import special
from fracrepro.theory.layer import log_moments, moment
from fracrepro.theory.limit import tilted_log_mean
from fracrepro.theory.numerics import amplitudes
from fracrepro.theory.numerics.complex_moments import complex_moments
from fracrepro.theory.numerics.factor import factor
from fracrepro.theory.weights import GAUSSIAN, WeightLaw
from fracrepro.workflow.accuracy.rows import DEFINITION, FIXED, MIXTURE, QUADRATURE, RANDOM, Rows

_WIDTHS = (1, 2, 12)
_ORDERS, _HIGH_ORDERS = (-0.75, 0.001, 1.0, 1.5, 3.0, 3.9), (4.0, 6.0, 20.5)
_SUMS = ((act.ReLU(), -0.3), (act.ReLU(), 1.0), (act.Dropout(act.ReLU(), 0.25), 5.0))
_INTEGRALS = ((FIXED[2], -0.4), (FIXED[2], -2.0), (FIXED[2], 1.0), (FIXED[5], -0.3))
_SHARE = "share of the real moment"
ROWS = Rows()


@ROWS.enter("cancellation", "log(1 + y) − y and exp(y) − 1 − y", DEFINITION, "relative", 1e-14)
def _logarithms() -> Iterable[Any]:
    """log(1 + y) - y and e^y - 1 - y, near zero and further out, relatively."""
    points = np.array([1e-12, -1e-5, 0.3, -0.45, 0.6, 3.0, 0.2 + 0.3j, -0.1 + 0.4j])
    for y, logarithm, exponential in zip(
        points, special.log1p_minus(points), special.expm1_minus(points), strict=True
    ):
        with mp.workdps(60):
            exact = mp.mpmathify(y)
            yield logarithm / (mp.log1p(exact) - exact) - 1
            yield exponential / (mp.expm1(exact) - exact) - 1


@ROWS.enter("stirling", "moments of gamma variables", DEFINITION, "relative", 1e-14)
def _gamma_ratios() -> Iterable[Any]:
    """(1/q) log of the q-th moment of a gamma variable of mean 1, relatively."""
    for shape in (0.5, 3.0, 32.0, 5e5):
        orders = np.array([1e-9, 0.7, 1.9, -0.4, 2.0 + 3.0j, -0.3 + 50.0j])
        for q, value in zip(orders, special.log_gamma_ratio(shape, orders), strict=True):
            with mp.workdps(60):
                b, order = mp.mpf(shape), mp.mpmathify(q)
                yield value / ((mp.loggamma(b + order) - mp.loggamma(b)) / order - mp.log(b)) - 1


@ROWS.enter("one-coordinate", "transform of one coordinate", DEFINITION, "relative", 1e-14)
def _transforms() -> Iterable[Any]:
    """E[e^(-tC); C > 0] and what it has beyond its linear part, relatively."""
    points = np.array([1e-9, 1e-3, 0.3, 40.0, 1e9, 2.0 + 5.0j])
    for phi in (*FIXED, *RANDOM):
        values = amplitudes.transform(phi.live, points), amplitudes.remainder(phi.live, points)
        for t, value, remainder in zip(points, *values, strict=True):
            with mp.workdps(60):
                exact = oracle.transform(mp.mpmathify(t), phi)
                yield value / (exact - oracle.death(1, phi)) - 1
                yield remainder / (exact - 1 + mp.mpmathify(t) * oracle.mean_square(phi)) - 1


@ROWS.enter(
    "high-moments", "moments of order from 4 on", MIXTURE, "relative", 1e-12, _HIGH_ORDERS, "gaussian"
)
@ROWS.enter("moments", "moments, orthogonal weights", MIXTURE, "relative", 1e-12, _ORDERS, "orthogonal")
@ROWS.enter("moments", "moments of order below 4", MIXTURE, "relative", 1e-12, _ORDERS, "gaussian")
def _moments(orders: tuple[float, ...], weights: WeightLaw) -> Iterable[Any]:
    """E[R^s; R > 0] of layers with fixed slopes, relatively."""
    for phi in FIXED:
        for width in _WIDTHS:
            for s, value in zip(orders, moment(orders, width, phi, weights=weights), strict=True):
                yield value / oracle.mixture_moment(s, width, phi, weights=weights, dps=20) - 1


@ROWS.enter("moments", "moments with random slopes", QUADRATURE, "relative", 1e-12)
def _moments_of_random_slopes() -> Iterable[Any]:
    """The same for random slopes."""
    for phi in RANDOM:
        for s, width in ((-0.5, 2), (3.5, 24)):
            yield moment(s, width, phi) / oracle.moment(s, width, phi, dps=16) - 1


@ROWS.enter("log-moments", "mean and variance of the log", QUADRATURE, "absolute, relative", 1e-12)
def _log_moments() -> Iterable[Any]:
    """Mean of log R absolutely, its variance relatively."""
    for phi in (act.ReLU(), act.LeakyReLU(0.1), act.RReLU(), act.Dropout(act.LeakyReLU(0.25), 0.25)):
        cases: tuple[tuple[int, WeightLaw], ...] = ((1, "gaussian"), (64, "orthogonal"))
        for width, weights in cases:
            mean, variance = log_moments(width, phi, weights=weights)
            exact = oracle.log_moments(width, phi, weights=weights, dps=16)
            yield from (mean - exact[0], variance / exact[1] - 1)


def _along_a_line(
    phi: act.Activation, width: int, q: np.ndarray, values: np.ndarray, fewest: int
) -> Iterable[Any]:
    """Differences of E[Y^q; N ≥ fewest], N the live neurons, Y = R²/E[R² | R > 0], over the first value."""
    alive = 1 - oracle.death(width, phi)
    mean = oracle.mixture_moment(2, width, phi) / alive
    exact = [
        oracle.mixture_moment(2 * order, width, phi, fewest=fewest) / mean**order / alive
        for order in map(mp.mpmathify, q)
    ]
    yield from ((value - other) / exact[0] for value, other in zip(values, exact, strict=True))


@ROWS.enter("tilted-log", "mean of the log under a tilt", "derivative of the mixture", "relative", 1e-11)
def _tilted_logs() -> Iterable[Any]:
    """E[R^s log R; R > 0] on both sides of the border between integral and contour."""
    for phi in FIXED:
        for s in (0.001, 1.0, 2.5, 3.5, 6.0):
            with mp.workdps(30):
                slope = mp.diff(lambda order, phi=phi: oracle.mixture_moment(order, 8, phi), s)
            yield tilted_log_mean(s, 1.0, 8, phi) / slope - 1


@ROWS.enter("two-integrals", "complex moments as integrals", MIXTURE, _SHARE, 1e-12, _INTEGRALS)
@ROWS.enter("live-neurons", "complex moments as sums", MIXTURE, _SHARE, 1e-12, _SUMS)
def _complex_moments(cases: tuple[tuple[act.Activation, float], ...]) -> Iterable[Any]:
    """Along lines up to frequency 30."""
    for phi, real in cases:
        q = real + 1j * np.linspace(0.0, 30.0, 7)
        yield from _along_a_line(phi, 8, q, np.exp(complex_moments(factor(8, phi), GAUSSIAN).log_power(q)), 1)


@ROWS.enter("deep-lines", "complex moments left of the pole", MIXTURE, _SHARE, 1e-12)
def _restricted_moments() -> Iterable[Any]:
    """Over the layers that keep five neurons or more."""
    q = -2.0 + 1j * np.linspace(0.0, 30.0, 7)
    for phi in (act.ReLU(), FIXED[5]):
        moments = complex_moments(factor(12, phi), GAUSSIAN)
        yield from _along_a_line(phi, 12, q, np.exp(moments.log_restricted(q, 5, 13)), 5)
