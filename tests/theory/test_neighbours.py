"""Numbers of neighbouring schemes for one layer, recomputed by formulas of their own."""

import math

import numpy as np
import pytest
from scipy import integrate, special, stats

import fracrepro as fr
from fracrepro import oracle

SLOPES = [(2, 0.01), (2, 0.1), (4, 0.1), (8, 0.1), (16, 0.1), (64, 0.1), (64, 0.5)]


def log_share(n, d, a):
    """E log(a² + (1 - a²) B), B ~ Beta(n/2, (d - n)/2), by quadrature in u with B = sin² u."""
    if n in (0, d):
        return 2 * math.log(a) if n == 0 else 0.0

    def integrand(u):
        s, c = math.sin(u), math.cos(u)
        return 2 * s ** (n - 1) * c ** (d - n - 1) * math.log(a * a + (1 - a * a) * s * s)

    points = [0, min(0.5, 3 * a), math.atan(math.sqrt(n / (d - n))), math.pi / 2]
    pieces = zip(sorted(points)[:-1], sorted(points)[1:], strict=True)
    total = sum(integrate.quad(integrand, *ends, epsabs=0, epsrel=1e-12, limit=200)[0] for ends in pieces)
    return total / special.beta(n / 2, (d - n) / 2)


def exponent(d, a):
    """I(d, a) = E log ‖φ(g)‖: half of log 2 + ψ(d/2), plus half of the mean over the signs."""
    mixture = math.fsum(math.comb(d, n) / 2**d * log_share(n, d, a) for n in range(d + 1))
    return (math.log(2) + special.digamma(d / 2) + mixture) / 2


@pytest.mark.parametrize(("d", "a"), SLOPES)
def test_lyapunov_exponents_and_the_gains_that_make_them_zero(d, a):
    activation = fr.LeakyReLU(a)
    value = exponent(d, a)
    linear = (math.log(2) + special.digamma(d / 2)) / 2
    assert fr.log_moments(d, activation)[0] == pytest.approx(value, abs=1e-10)
    assert float(oracle.log_moments(d, activation)[0]) == pytest.approx(value, abs=1e-10)
    sigma2 = fr.critical_variance(0, d, activation)
    eta2 = fr.critical_variance(0, d, activation, weights="orthogonal")
    assert sigma2 == pytest.approx(math.exp(-2 * value), rel=1e-9)
    assert math.sqrt(eta2) == pytest.approx(math.exp(linear - value), rel=1e-9)
    assert fr.lyapunov_exponent(sigma2, d, activation) == pytest.approx(0, abs=1e-13)
    assert fr.lyapunov_exponent(eta2, d, activation, weights="orthogonal") == pytest.approx(0, abs=1e-13)
    # He's and the orthogonal gain of order 2 are below: λ < 0
    he = fr.lyapunov_exponent(2 / ((1 + a * a) * d), d, activation)
    assert he == pytest.approx(value + 0.5 * math.log(2 / ((1 + a * a) * d)), abs=1e-10)
    orthogonal = fr.lyapunov_exponent(2 / (1 + a * a), d, activation, weights="orthogonal")
    assert he < orthogonal < 0
    unit = fr.lyapunov_exponent(1.0, d, activation, weights="orthogonal")
    assert unit == pytest.approx(value - linear, abs=1e-10)


def test_he_networks_of_width_two_are_not_stable():
    """The control: a gain that keeps the second moment lets the norm fall by e^-0.82 a layer."""
    he = fr.lyapunov_exponent(2 / (1.01 * 2), 2, fr.LeakyReLU(0.1))
    assert abs(he) > 0.8
    assert abs(he - (exponent(2, 0.1) + 0.5 * math.log(1 / 1.01))) < 1e-10


def test_the_drift_goes_and_the_fluctuations_stay():
    """d = 2, a = 0.1 at exponent 0: after 40 layers the log-norm still has a standard deviation of seven."""
    law = fr.LogNormLaw(40, 2, fr.LeakyReLU(0.1), fr.critical_variance(0, 2, fr.LeakyReLU(0.1)))
    assert law.mean() == pytest.approx(0, abs=1e-12)
    assert law.var() == pytest.approx(40 * float(oracle.log_moments(2, fr.LeakyReLU(0.1))[1]), rel=1e-10)
    assert math.sqrt(law.var()) > 7
    # Haar weights and |a| = 1 are the exception: the norm is not random at all.
    assert fr.log_moments(6, fr.Abs(), weights="orthogonal") == (0.0, 0.0)


def mixture(d, mean, variance):
    """Mean and variance of a mixture over N ~ Bin(d, 1/2) given N ≥ 1."""
    n = np.arange(1, d + 1)
    chance = stats.binom.pmf(n, d, 0.5) / -math.expm1(-d * math.log(2))
    means = mean(n)
    centre = chance @ means
    return centre, chance @ variance(n) + chance @ (means - centre) ** 2


@pytest.mark.parametrize("d", [8, 16, 64, 256])
def test_one_layer_of_each_scheme(d):
    """Mean and variance of log R² at the gain of order 2, from digamma functions; a wrong width is seen."""
    psi, psi1 = special.digamma, lambda x: special.polygamma(1, x)
    gaussian = mixture(d, lambda n: math.log(2 / d) + math.log(2) + psi(n / 2), lambda n: psi1(n / 2))
    haar = mixture(
        d,
        lambda n: math.log(2) + psi(n / 2) - psi(d / 2),
        lambda n: np.where(n < d, psi1(n / 2) - psi1(d / 2), 0.0),
    )
    looks_linear = (math.log(2 / d) + math.log(2) + psi(d / 4), psi1(d / 4))
    # A draw divided by its own standard deviation is a point on a sphere of d² dimensions: a share d of it.
    standardised = (math.log(d) + psi(d / 2) - psi(d * d / 2), psi1(d / 2) - psi1(d * d / 2))
    relu, linear = fr.ReLU(), fr.Linear()
    found = {
        "gaussian": (gaussian, 2 / d, fr.log_moments(d, relu)),
        "haar": (haar, 2.0, fr.log_moments(d, relu, weights="orthogonal")),
        "looks linear": (looks_linear, 2 / d, fr.log_moments(d // 2, linear)),
        "standardised": (
            standardised,
            d,
            fr.log_moments(d, linear, weights="orthogonal", input_width=d * d),
        ),
    }
    for (mean, variance), sigma2, moments in found.values():
        assert math.log(sigma2) + 2 * moments[0] == pytest.approx(mean, abs=1e-12)
        assert 4 * moments[1] == pytest.approx(variance, rel=1e-11)
    other = fr.log_moments(d + 1, relu)
    assert 4 * other[1] != pytest.approx(gaussian[1], rel=1e-3)
    assert 1 - fr.survival_probability(1, d, relu) == pytest.approx(2.0**-d, rel=1e-3 if d < 40 else 1)
    # Isometric schemes: a factor of 1.
    assert fr.log_moments(d // 2, linear, weights="orthogonal") == (0.0, 0.0)
    assert fr.ResidualBlock(d, d, relu, 0.0, (2 / d, 1 / d)).log_moments() == (0.0, 0.0)


def test_a_standardised_draw_has_the_law_of_a_sphere():
    """20000 square Gaussian matrices over their own root mean square, width 8: Kolmogorov-Smirnov at 1e-3.

    Independent entries, the control, must be rejected.
    """
    rng, d, n = np.random.default_rng(2), 8, 20_000
    w = rng.standard_normal((n, d, d))
    column = (w[:, :, 0] ** 2).sum(axis=1)
    squares = column / (w**2).mean(axis=(1, 2))
    law = fr.LogNormLaw(1, d, fr.Linear(), d, weights="orthogonal", input_width=d * d)
    assert stats.kstest(0.5 * np.log(squares / d), law.cdf).pvalue > 1e-3
    free = fr.LogNormLaw(1, d, fr.Linear(), 1 / d)
    assert stats.kstest(0.5 * np.log(squares / d), free.cdf).pvalue < 1e-3
