"""The stationary law against an own discretization: Gauss-Legendre panels and closed-form densities.

In u = r² one layer is u' = (σ² u + σ_b²) R², and with v = log(σ² u + σ_b²) and f the density of R² over
living layers integration by parts leaves

    S(x) = P(R² > x/σ_b²) + ∫ S(u(v)) t f(t) dv,    t = x e^(-v),  v > log σ_b².

The unknowns are S at Gauss-Legendre points in v, on panels that are graded towards the lower end; nothing is
shared with the package's own grid in log r, its spline of the density, or its closing of the tail.
"""

import math

import numpy as np
import pytest
from scipy import special
from scipy.optimize import brentq

import fracrepro as fr

ORDER, REACH = 16, 24.0  # points a panel; the largest log(x/median) asked for, in log r², with room


def components(width, activation):
    """R² as a mixture of multiples of χ²: (weight, degrees of freedom, multiple)."""
    if activation == fr.Linear():
        return [(1.0, width, 1.0)]
    if activation == fr.ReLU():
        return [(math.comb(width, n) / 2**width, n, 1.0) for n in range(1, width + 1)]
    assert width == 1
    return [(0.5, 1, 1.0), (0.5, 1, activation.negative_slope**2)]


class Panels:
    """S at Gauss-Legendre points, times e^(α v/2), and what follows for any x."""

    def __init__(self, width, activation, variance, bias_std, index, per_unit=1.0):
        self.parts, self.bias2 = components(width, activation), bias_std**2
        far = REACH + 21 + 75 / (1 + index)
        graded = 4.0 ** np.arange(-24, 1)
        edges = np.concatenate([[0.0], graded, np.arange(1 + 1 / per_unit, far, 1 / per_unit)])
        nodes, weights = np.polynomial.legendre.leggauss(ORDER)
        half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
        offset = (middle[:, None] + half[:, None] * nodes).ravel()  # v - log σ_b²
        self.weights, self.v = (half[:, None] * weights).ravel(), math.log(self.bias2) + offset
        u = self.bias2 * np.expm1(offset) / variance
        tilt = np.exp(index / 2 * offset)
        matrix = self.kernel(u) * self.weights * tilt[:, None] / tilt
        matrix[:, -1] += self.beyond(u, math.log(self.bias2) + edges[-1], index) * tilt
        source = self.above(u / self.bias2) * tilt
        self.survival = np.linalg.solve(np.eye(len(u)) - matrix, source) / tilt

    def above(self, t):
        """P(R² > t)."""
        return sum(w * special.gammaincc(n / 2, t / a / 2) for w, n, a in self.parts)

    def kernel(self, x):
        """t f(t) at t = x e^(-v)."""
        total = 0.0
        for w, n, a in self.parts:
            z = x[:, None] * np.exp(-self.v) / a / 2
            total = total + w * np.exp(n / 2 * np.log(z) - z - special.gammaln(n / 2))
        return total

    def beyond(self, x, last, index):
        """∫ t f(t) (e^v/σ_b²)^(-α/2) dv over v > last: the power law from the last panel on."""
        q, total = index / 2, 0.0
        for w, n, a in self.parts:
            share = special.gammainc(n / 2 + q, x * math.exp(-last) / a / 2)
            size = np.exp(special.gammaln(n / 2 + q) - special.gammaln(n / 2))
            total = total + w * (2 * a) ** q * share * size
        return total * self.bias2**q * x**-q

    def sf(self, x):
        """P(r > x)."""
        square = np.square(x)
        return self.above(square / self.bias2) + self.kernel(square) @ (self.weights * self.survival)


def variance_of(index, width, activation):
    """σ² with the given tail index, by an own root search."""
    kaiming = fr.critical_variance(2, width, activation)
    if index <= 2:
        return fr.critical_variance(index, width, activation)
    return brentq(lambda v: fr.tail_index(v, width, activation) - index, 0.05 * kaiming, kaiming, rtol=1e-15)


CASES = [
    (1, fr.Linear(), 0.1),
    (1, fr.Linear(), 3.5),
    (1, fr.ReLU(), 0.5),
    (1, fr.ReLU(), 2.0),
    (1, fr.LeakyReLU(0.3), 1.5),
    (2, fr.Linear(), 1.0),
    (2, fr.ReLU(), 3.0),
    (8, fr.ReLU(), 1.0),
    (4, fr.ReLU(), 3.9),
    (64, fr.Linear(), 1.0),
]


@pytest.mark.parametrize(("width", "activation", "index"), CASES, ids=repr)
def test_the_law_is_that_of_another_discretization(width, activation, index):
    """P to 1e-9 and log P to 1e-8, what is asked of deterministic laws, from r small to e^12 medians.

    The reference agrees with itself on panels half as wide; a variance off by 1e-6 is seen.
    """
    variance, bias_std = variance_of(index, width, activation), 0.3
    law = fr.StationaryLaw(width, activation, variance, bias_std)
    median = law.isf(0.5 * law.sf(0.0))
    x = median * np.exp(np.linspace(-6, REACH / 2, 60))
    reference = Panels(width, activation, variance, bias_std, law.tail_index)
    finer = Panels(width, activation, variance, bias_std, law.tail_index, per_unit=1.5)
    assert np.log(reference.sf(x)) == pytest.approx(np.log(finer.sf(x)), abs=1e-11)
    assert law.sf(x) == pytest.approx(finer.sf(x), rel=0, abs=1e-9)
    assert law.log_sf(x) == pytest.approx(np.log(finer.sf(x)), rel=0, abs=1e-8)
    other = fr.StationaryLaw(width, activation, variance * (1 - 1e-6), bias_std)
    assert np.abs(other.log_sf(x) - np.log(finer.sf(x))).max() > 1e-7


def test_the_tail_constant_and_the_quantiles_agree_with_it():
    width, activation = 8, fr.ReLU()
    variance = fr.critical_variance(1.0, width, activation)
    law = fr.StationaryLaw(width, activation, variance, 0.3)
    reference = Panels(width, activation, variance, 0.3, law.tail_index)
    q = np.array([0.9, 0.5, 1e-2, 1e-4])
    assert reference.sf(law.isf(q)) == pytest.approx(q, rel=1e-8)
    far = law.isf(0.5) * math.exp(12)
    assert far**law.tail_index * reference.sf(np.array([far]))[0] == pytest.approx(
        law.tail_constant, rel=1e-8
    )
