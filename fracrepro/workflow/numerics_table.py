"""The table of measured errors of page numerics: every layer of the computation against another route.

What the theory wing computes is compared with `fracrepro.oracle` at fixed points; an error above its budget
stops the build.  The budgets are what the docstrings promise, not what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import mpmath as mp
import numpy as np

from fracrepro import files, oracle
from fracrepro.theory import activations as act
from fracrepro.theory import special
from fracrepro.theory.depth import LogNormLaw
from fracrepro.theory.layer import log_moments, moment
from fracrepro.theory.numerics import amplitudes
from fracrepro.theory.numerics.complex_moments import complex_moments
from fracrepro.theory.numerics.factor import factor
from fracrepro.theory.numerics.inversion import SumLaw
from fracrepro.theory.numerics.quantiles import log_factor_of_normal
from fracrepro.theory.weights import GAUSSIAN, WeightLaw
from fracrepro.workflow.project import Project

_FIXED = (
    act.Linear(),
    act.ReLU(),
    act.LeakyReLU(0.1),
    act.LeakyReLU(-2.0),
    act.Dropout(act.ReLU(), 0.25),
    act.Dropout(act.LeakyReLU(0.25), 0.25),
)
_RANDOM = (act.RReLU(), act.RReLU(-0.25, 0.5), act.Dropout(act.RReLU(), 0.5))
_WIDTHS = (1, 2, 12)
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
_ORDERS, _HIGH_ORDERS = (-0.75, 0.001, 1.0, 1.5, 3.0, 3.9), (4.0, 6.0, 20.5)
_SUMS = ((act.ReLU(), -0.3), (act.ReLU(), 1.0), (act.Dropout(act.ReLU(), 0.25), 5.0))
_INTEGRALS = ((_FIXED[2], -0.4), (_FIXED[2], -2.0), (_FIXED[2], 1.0), (_FIXED[5], -0.3))
_LOWER, _MIDDLE = (1e-12, 1e-9, 1e-6, 1e-3), (1e-3, 0.1, 0.5, 0.9, 0.999)
_UPPER = (1e-3, 1e-6, 1e-9)
_DEFINITION, _MIXTURE = "its definition in 60 digits", "hypergeometric mixture"
_QUADRATURE, _TALBOT = "adaptive quadrature of the Laplace transform", "Talbot's inversion in 40 digits"
_MEIJER = "Meijer's G-function"
_SHARE = "share of the real moment"


@dataclass(frozen=True)
class Row:
    """One line of the table: what is computed, where the page explains it, the other route, the budget."""

    target: str
    quantity: str
    route: str
    measure: str
    budget: float
    differences: Callable[[], Iterable[Any]]

    def error(self) -> float:
        """The largest difference over all points."""
        return max(float(abs(value)) for value in self.differences())


ROWS: list[Row] = []


def _row(
    target: str, quantity: str, route: str, measure: str, budget: float, *arguments: Any
) -> Callable[[Callable[..., Iterable[Any]]], Callable[..., Iterable[Any]]]:
    """Enter a function that yields differences into the table, with these arguments."""

    def enter(function: Callable[..., Iterable[Any]]) -> Callable[..., Iterable[Any]]:
        ROWS.append(Row(target, quantity, route, measure, budget, lambda: function(*arguments)))
        return function

    return enter


def as_table(rows: Iterable[Row]) -> str:
    """Return the table with the errors measured now; RuntimeError if one of them exceeds its budget."""
    lines = ["| quantity | other route | difference | largest | budget |", "|---|---|---|---|---|"]
    problems = []
    for row in rows:
        error = row.error()
        if not error <= row.budget:
            problems.append(f"{row.quantity}: {error:.1e} where {row.budget:.0e} is promised")
        link = f"{{ref}}`{row.quantity} <numerics-{row.target}>`"
        lines.append(f"| {link} | {row.route} | {row.measure} | {error:.0e} | {row.budget:.0e} |")
    if problems:
        raise RuntimeError("the laws miss their promised accuracy:\n" + "\n".join(problems))
    return "\n".join(lines) + "\n"


def write(project: Project) -> None:
    """Measure, and write the table that the book's page on numerics includes, if it has that page."""
    if (project.root / "book" / "numerics.md").is_file():
        files.write_text(project.root / "book" / "_generated" / "numerics.md", as_table(ROWS))


@_row("cancellation", "log(1 + y) - y and exp(y) - 1 - y", _DEFINITION, "relative", 1e-14)
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


@_row("stirling", "moments of gamma variables", _DEFINITION, "relative", 1e-14)
def _gamma_ratios() -> Iterable[Any]:
    """(1/q) log of the q-th moment of a gamma variable of mean 1, relatively."""
    for shape in (0.5, 3.0, 32.0, 5e5):
        orders = np.array([1e-9, 0.7, 1.9, -0.4, 2.0 + 3.0j, -0.3 + 50.0j])
        for q, value in zip(orders, special.log_gamma_ratio(shape, orders), strict=True):
            with mp.workdps(60):
                b, order = mp.mpf(shape), mp.mpmathify(q)
                yield value / ((mp.loggamma(b + order) - mp.loggamma(b)) / order - mp.log(b)) - 1


@_row("one-coordinate", "transform of one coordinate", _DEFINITION, "relative", 1e-14)
def _transforms() -> Iterable[Any]:
    """E[e^(-tC); C > 0] and what it has beyond its linear part, relatively."""
    points = np.array([1e-9, 1e-3, 0.3, 40.0, 1e9, 2.0 + 5.0j])
    for phi in (*_FIXED, *_RANDOM):
        values = amplitudes.transform(phi.live, points), amplitudes.remainder(phi.live, points)
        for t, value, remainder in zip(points, *values, strict=True):
            with mp.workdps(60):
                exact = oracle.transform(mp.mpmathify(t), phi)
                yield value / (exact - oracle.death(1, phi)) - 1
                yield remainder / (exact - 1 + mp.mpmathify(t) * oracle.mean_square(phi)) - 1


@_row("high-moments", "moments of order from 4 on", _MIXTURE, "relative", 1e-12, _HIGH_ORDERS, "gaussian")
@_row("moments", "moments, orthogonal weights", _MIXTURE, "relative", 1e-12, _ORDERS, "orthogonal")
@_row("moments", "moments of order below 4", _MIXTURE, "relative", 1e-12, _ORDERS, "gaussian")
def _moments(orders: tuple[float, ...], weights: WeightLaw) -> Iterable[Any]:
    """E[R^s; R > 0] of layers with fixed slopes, relatively."""
    for phi in _FIXED:
        for width in _WIDTHS:
            for s, value in zip(orders, moment(orders, width, phi, weights=weights), strict=True):
                yield value / oracle.mixture_moment(s, width, phi, weights=weights, dps=20) - 1


@_row("moments", "moments with random slopes", _QUADRATURE, "relative", 1e-12)
def _moments_of_random_slopes() -> Iterable[Any]:
    """The same for random slopes."""
    for phi in _RANDOM:
        for s, width in ((-0.5, 2), (3.5, 24)):
            yield moment(s, width, phi) / oracle.moment(s, width, phi, dps=16) - 1


@_row("log-moments", "mean and variance of the log", _QUADRATURE, "both", 1e-12)
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


@_row("two-integrals", "complex moments as integrals", _MIXTURE, _SHARE, 1e-12, _INTEGRALS)
@_row("live-neurons", "complex moments as sums", _MIXTURE, _SHARE, 1e-12, _SUMS)
def _complex_moments(cases: tuple[tuple[act.Activation, float], ...]) -> Iterable[Any]:
    """Along lines up to frequency 30."""
    for phi, real in cases:
        q = real + 1j * np.linspace(0.0, 30.0, 7)
        yield from _along_a_line(phi, 8, q, np.exp(complex_moments(factor(8, phi), GAUSSIAN).log_power(q)), 1)


@_row("deep-lines", "complex moments left of the pole", _MIXTURE, _SHARE, 1e-12)
def _restricted_moments() -> Iterable[Any]:
    """Over the layers that keep five neurons or more."""
    q = -2.0 + 1j * np.linspace(0.0, 30.0, 7)
    for phi in (act.ReLU(), _FIXED[5]):
        moments = complex_moments(factor(12, phi), GAUSSIAN)
        yield from _along_a_line(phi, 12, q, np.exp(moments.log_restricted(q, 5, 13)), 5)


@_row("inversion", "cdf of one layer, down to 1e-12", "mixture of chi-squared laws", "relative", 1e-5, True)
@_row("inversion", "cdf of one layer", "mixture of chi-squared laws", "absolute", 1e-10, False)
def _live_layers(relative: bool) -> Iterable[Any]:
    """P(R ≤ x | R > 0) of one layer at its own quantiles, by binomial mixtures of χ² laws."""
    for width, phi in (
        (1, act.Linear()),
        (64, act.Linear()),
        (2, act.ReLU()),
        (64, act.ReLU()),
        (16, _FIXED[4]),
    ):
        law = LogNormLaw(1, width, phi, 1.0)
        for x in law.ppf([*_LOWER, 0.1, 0.5, 0.9, 0.999]).tolist():
            exact = oracle.mixture_probability(mp.exp(x), width, phi, dps=20)
            yield (law.cdf(x) - exact) / (exact if relative else 1)


@_row("inversion", "cdf of one layer of two slopes", _TALBOT, "relative", 1e-6)
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


@_row("affordable", "cdf of one orthogonal layer", "mixture of beta laws", "absolute", 1e-10)
def _orthogonal_layer() -> Iterable[Any]:
    """P(R ≤ x | R > 0) of one orthogonal layer, absolutely."""
    for width, phi in ((64, act.ReLU()), (64, act.LeakyReLU(0.1)), (64, act.Dropout(act.Linear(), 0.5))):
        law = LogNormLaw(1, width, phi, 1.0, weights="orthogonal")
        for z in (-6.0, -3.0, 0.0, 2.0):
            x = law.mean() + z * math.sqrt(law.var())
            yield law.cdf(x) - oracle.mixture_probability(mp.exp(x), width, phi, weights="orthogonal", dps=20)


@_row("inversion", "sf of 2 to 4 layers, down to 1e-9", _MEIJER, "relative", 1e-6, True, _UPPER, True)
@_row("inversion", "cdf of 2 to 4 layers, down to 1e-12", _MEIJER, "relative", 1e-6, False, _LOWER, True)
@_row("inversion", "cdf of 2 to 4 layers", _MEIJER, "absolute", 1e-11, False, _MIDDLE, False)
def _products(upper: bool, orders: tuple[float, ...], relative: bool) -> Iterable[Any]:
    """P(R_1 ⋯ R_k ≤ x) or P(… > x) given survival, at the law's own quantiles."""
    for depth, width, phi in _PRODUCTS:
        law = LogNormLaw(depth, width, phi, 1.0)
        values = law.sf if upper else law.cdf
        for x in law.ppf([1.0 - order if upper else order for order in orders]).tolist():
            exact = oracle.product_probability(mp.exp(x), depth, width, phi, upper=upper, dps=20)
            yield (values(x) - exact) / (exact if relative else 1)


@_row("inversion", "pdf of 2 and 3 layers", "its derivative", "relative", 1e-6)
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


@_row("line-choice", "cdf of 10000 layers", "another line of integration", "absolute", 1e-10)
def _deepest() -> Iterable[Any]:
    """Ten thousand layers: two lines of integration whose errors have nothing in common, absolutely."""
    for phi in (act.ReLU(), act.LeakyReLU(0.1), act.Dropout(act.LeakyReLU(0.25), 0.25)):
        layer = factor(64, phi)
        mean, variance = layer.log_cumulants(GAUSSIAN)
        law = SumLaw(layer, GAUSSIAN, 10_000, 100.0 * math.sqrt(variance / 4.0))
        x = 10_000 * mean / 2.0 + law.sd * np.linspace(-3.0, 3.0, 13)
        left = int(np.where(law.proper.tilts < 0, law.proper.tilts, -np.inf).argmax())
        right = int(np.where(law.proper.tilts > 0, law.proper.tilts, np.inf).argmin())
        yield from 1.0 - law.proper.integrate(left, x, 1) - law.proper.integrate(right, x, 1)


@_row("quantiles", "quantiles, down to 1e-12", _MEIJER, "relative", 1e-6)
def _quantiles() -> Iterable[Any]:
    """The order to which a quantile leads back, relatively."""
    for depth, width, phi in _PRODUCTS[:4]:
        law = LogNormLaw(depth, width, phi, 1.0)
        for order in _LOWER:
            exact = oracle.product_probability(mp.exp(law.ppf(order)), depth, width, phi, dps=20)
            yield exact / order - 1


@_row("quantile-map", "map from normal numbers", _TALBOT, "absolute", 1e-10)
def _interpolated_quantiles() -> Iterable[Any]:
    """The order to which the map from normal numbers leads back, absolutely; between the knots."""
    quantile = log_factor_of_normal(80, act.RReLU())
    for z in (-5.9991, -3.0007, -1.0003, 0.0009, 1.5001, 3.0007):
        x = float(quantile(np.array([z]))[0])
        yield oracle.talbot_probability(math.exp(x), 80, act.RReLU()) - mp.ncdf(z)
