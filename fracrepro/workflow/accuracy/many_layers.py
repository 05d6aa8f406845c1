"""Rows about laws: distribution functions over depth, quantiles, and the law with biases."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import mpmath as mp
import numpy as np

from fracrepro import oracle
from fracrepro.theory import activations as act
from fracrepro.theory.depth import LogNormLaw
from fracrepro.theory.layer import moment
from fracrepro.theory.numerics.factor import factor
from fracrepro.theory.numerics.inversion import SumLaw
from fracrepro.theory.numerics.quantiles import log_factor_of_normal
from fracrepro.theory.numerics.transforms import Group
from fracrepro.theory.stationary import StationaryLaw
from fracrepro.theory.weights import GAUSSIAN
from fracrepro.workflow.accuracy.rows import FIXED, MEIJER, TALBOT, Rows

# Depth, width, activation: products whose law is a Meijer function, or a mixture of some hundred of them.
_PRODUCTS = (
    (2, 1, act.Linear()),
    (2, 64, act.Linear()),
    (3, 2, act.Linear()),
    (4, 5, act.Linear()),
    (2, 4, act.ReLU()),
    (3, 3, act.ReLU()),
    (4, 2, act.ReLU()),
    (2, 4, act.Abs()),
    (2, 4, act.Dropout(act.Linear(), 0.5)),
)
_LOWER, _MIDDLE = (1e-12, 1e-9, 1e-6, 1e-3), (1e-3, 0.1, 0.5, 0.9, 0.999)
_UPPER = (1e-3, 1e-6, 1e-9)
ROWS = Rows()


@ROWS.enter(
    "inversion", "cdf of one layer, down to 1e-12", "mixture of chi-squared laws", "relative", 1e-5, True
)
@ROWS.enter("inversion", "cdf of one layer", "mixture of chi-squared laws", "absolute", 1e-10, False)
def _live_layers(relative: bool) -> Iterable[Any]:
    """P(R ≤ x | R > 0) of one layer at its own quantiles, by binomial mixtures of χ² laws."""
    for width, phi in (
        (1, act.Linear()),
        (64, act.Linear()),
        (2, act.ReLU()),
        (64, act.ReLU()),
        (16, FIXED[4]),
    ):
        law = LogNormLaw(1, width, phi, 1.0)
        for x in law.ppf([*_LOWER, 0.1, 0.5, 0.9, 0.999]).tolist():
            exact = oracle.mixture_probability(mp.exp(x), width, phi, dps=20)
            yield (law.cdf(x) - exact) / (exact if relative else 1)


@ROWS.enter("inversion", "cdf of one layer of two slopes", TALBOT, "relative", 1e-9)
def _layer_of_two_slopes() -> Iterable[Any]:
    """P(R ≤ x) of one layer from 4 standard deviations below the mean on, relatively."""
    for width, phi in (
        (8, act.LeakyReLU(0.1)),
        (32, act.RReLU()),
        (64, act.Dropout(act.LeakyReLU(0.25), 0.25)),
    ):
        law = LogNormLaw(1, width, phi, 1.0)
        for z in (-4.0, -1.0, 0.0, 2.0):
            eps = math.exp(law.mean() + z * math.sqrt(law.var()))
            yield law.small_output_probability(eps) / oracle.talbot_probability(eps, width, phi) - 1


@ROWS.enter("affordable", "cdf of one orthogonal layer", "mixture of beta laws", "absolute", 1e-10)
def _orthogonal_layer() -> Iterable[Any]:
    """P(R ≤ x | R > 0) of one orthogonal layer, absolutely."""
    for width, phi in ((64, act.ReLU()), (64, act.LeakyReLU(0.1)), (64, act.Dropout(act.Linear(), 0.5))):
        law = LogNormLaw(1, width, phi, 1.0, weights="orthogonal")
        for z in (-6.0, -3.0, 0.0, 2.0):
            x = law.mean() + z * math.sqrt(law.var())
            yield law.cdf(x) - oracle.mixture_probability(mp.exp(x), width, phi, weights="orthogonal", dps=20)


@ROWS.enter("inversion", "sf of 2 to 4 layers, down to 1e-9", MEIJER, "relative", 1e-6, True, _UPPER, True)
@ROWS.enter("inversion", "cdf of 2 to 4 layers, down to 1e-12", MEIJER, "relative", 1e-7, False, _LOWER, True)
@ROWS.enter("inversion", "cdf of 2 to 4 layers", MEIJER, "absolute", 1e-12, False, _MIDDLE, False)
def _products(upper: bool, orders: tuple[float, ...], relative: bool) -> Iterable[Any]:
    """P(R_1 ⋯ R_k ≤ x) or P(… > x) given survival, at the law's own quantiles."""
    for depth, width, phi in _PRODUCTS:
        law = LogNormLaw(depth, width, phi, 1.0)
        values = law.sf if upper else law.cdf
        for x in law.ppf([1.0 - order if upper else order for order in orders]).tolist():
            exact = oracle.product_probability(mp.exp(x), depth, width, phi, upper=upper, dps=20)
            yield (values(x) - exact) / (exact if relative else 1)


@ROWS.enter("inversion", "pdf of 2 and 3 layers", "derivative of the G-function", "relative", 1e-12)
def _densities() -> Iterable[Any]:
    """The density in the middle of the law of a product, by differentiating the G-function, relatively."""
    for depth, width, phi in ((3, 2, act.Linear()), (2, 3, act.ReLU())):
        law = LogNormLaw(depth, width, phi, 1.0)
        for x in law.ppf([1e-6, 0.1, 0.5, 0.99]).tolist():
            with mp.workdps(30):
                slope = mp.diff(
                    lambda y, of=(depth, width, phi): oracle.product_probability(mp.exp(y), *of), x
                )
            yield law.pdf(x) / slope - 1


@ROWS.enter("line-choice", "cdf of 10,000 layers", "another line of integration", "absolute", 1e-10)
def _deepest() -> Iterable[Any]:
    """Ten thousand layers: two lines of integration whose errors have nothing in common, absolutely."""
    for phi in (act.ReLU(), act.LeakyReLU(0.1), act.Dropout(act.LeakyReLU(0.25), 0.25)):
        layer = factor(64, phi)
        mean, variance = layer.log_cumulants(GAUSSIAN)
        law = SumLaw([Group(layer, GAUSSIAN, 10_000)], 100.0 * math.sqrt(variance / 4.0))
        x = 10_000 * mean / 2.0 + law.sd * np.linspace(-3.0, 3.0, 13)
        left = int(np.where(law.proper.tilts < 0, law.proper.tilts, -np.inf).argmax())
        right = int(np.where(law.proper.tilts > 0, law.proper.tilts, np.inf).argmin())
        yield from 1.0 - law.proper.integrate(left, x, 1) - law.proper.integrate(right, x, 1)


@ROWS.enter("quantiles", "quantiles, down to 1e-12", MEIJER, "relative", 1e-7)
def _quantiles() -> Iterable[Any]:
    """The order to which a quantile leads back, relatively."""
    for depth, width, phi in _PRODUCTS[:4]:
        law = LogNormLaw(depth, width, phi, 1.0)
        for order in _LOWER:
            exact = oracle.product_probability(mp.exp(law.ppf(order)), depth, width, phi, dps=20)
            yield exact / order - 1


@ROWS.enter("quantile-map", "map from normal numbers", TALBOT, "absolute", 1e-10)
def _interpolated_quantiles() -> Iterable[Any]:
    """The order to which the map from normal numbers leads back, absolutely; between the knots."""
    quantile = log_factor_of_normal(80, act.RReLU())
    for z in (-5.9991, -3.0007, -1.0003, 0.0009, 1.5001, 3.0007):
        x = float(quantile(np.array([z]))[0])
        yield oracle.talbot_probability(math.exp(x), 80, act.RReLU()) - mp.ncdf(z)


def _with_biases() -> Iterable[tuple[int, act.Activation, float, StationaryLaw]]:
    """Width, activation, variance and law, with biases as large as the weights: ε = 1, tail index 3."""
    for width, phi in ((2, act.ReLU()), (8, act.LeakyReLU(0.1)), (32, act.RReLU())):
        variance = float(moment(3.0, width, phi)) ** (-2.0 / 3.0)
        yield width, phi, variance, StationaryLaw(width, phi, variance, math.sqrt(variance))


def _mean_power(law: Any, order: int, last: float) -> float:
    """E r^order = ∫ order·e^(order·y) P(log r > y) dy by the trapezoidal rule."""
    y = np.arange(-40.0, last, 0.02)
    return float(0.02 * order * np.exp(order * y) @ np.asarray(law.sf(np.exp(y))))


@ROWS.enter("stationary", "stationary law with biases: second moment", "closed form", "relative", 1e-9)
def _stationary_moment() -> Iterable[Any]:
    """E r² = a/(1 - a), a = E M²."""
    for width, phi, variance, law in _with_biases():
        square = variance * width * oracle.mean_square(phi)
        yield _mean_power(law, 2, 60.0) / (square / (1 - square)) - 1


@ROWS.enter("stationary-weight", "the same far out: height of the tail", "Goldie's formula", "relative", 1e-9)
def _power_tail() -> Iterable[Any]:
    """t^α P(r > t) against its limit."""
    t = np.array([1e7, 1e10])
    for _, _, _, law in _with_biases():
        yield from np.asarray(law.sf(t)) * t**law.tail_index / law.tail_constant - 1


@ROWS.enter("stationary", "the same at depth 2 and 4: moments", "exact recursion", "relative", 1e-9)
def _moments_with_biases() -> Iterable[Any]:
    """E r_k² and E r_k⁴ from r_0 = 1, by the moments of M² and M⁴."""
    for width, phi, variance, limit in _with_biases():
        law, low, high = {k: limit.at_depth(k) for k in (2, 4)}, mp.mpf(1), mp.mpf(1)
        second = variance * width * oracle.mean_square(phi)
        fourth = variance**2 * oracle.mixture_moment(4, width, phi) if phi != act.RReLU() else None
        for k in range(1, 5):
            if fourth is not None:
                high = fourth * (high + 2 * low + 1)
            low = second * (low + 1)
            if k in law:
                yield _mean_power(law[k], 2, 9.0) / low - 1
                if fourth is not None:
                    yield _mean_power(law[k], 4, 9.0) / high - 1


@ROWS.enter(
    "stationary-table", "the same at depth 1 near 0: cdf", "mixture of chi-squared laws", "absolute", 1e-10
)
def _small_norms_with_biases() -> Iterable[Any]:
    """P(r_1 ≤ x) from r_0 = 1: r_1 = σ √2 R."""
    for width, phi, variance in ((2, act.ReLU(), 0.5), (8, act.ReLU(), 0.2), (8, act.Linear(), 0.1)):
        law, dead = (
            StationaryLaw(width, phi, variance, math.sqrt(variance)).at_depth(1),
            oracle.death(width, phi),
        )
        for x in (1e-6, 1e-3, 0.1):
            exact = oracle.mixture_probability(x / mp.sqrt(2 * variance), width, phi)
            yield law.cdf(x) - (dead + (1 - dead) * exact)
