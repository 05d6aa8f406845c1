"""The exact law at finite depth: against closed forms, against simulation, and as a distribution."""

import numpy as np
import pytest
from scipy import stats

import fracrepro as fr


def relu_one_layer(x, d):
    """Binomial mixture of χ² laws given survival."""
    n = np.arange(1, d + 1)
    mass = stats.binom.pmf(n, d, 0.5)
    return (mass * stats.chi2.cdf(np.exp(2 * x)[:, None], n)).sum(axis=1) / -np.expm1(d * np.log(0.5))


@pytest.mark.parametrize("d", [1, 2, 8, 64, 300])
def test_relu_one_layer(d):
    law = fr.LogNormLaw(1, d, fr.ReLU(), 1.0)
    x = law.mean() + np.sqrt(law.var()) * np.linspace(-9, 6, 31)
    exact = relu_one_layer(x, d)
    assert np.abs(law.cdf(x) - exact).max() < 1e-10
    visible = exact > 1e-12
    assert np.abs(law.cdf(x) / exact - 1)[visible].max() < 1e-6


@pytest.mark.parametrize("d", [1, 3, 64, 10000])
def test_linear_one_layer(d):
    law = fr.LogNormLaw(1, d, fr.Linear(), 1.0)
    x = law.mean() + np.sqrt(law.var()) * np.linspace(-9, 6, 31)
    exact = stats.chi2.cdf(np.exp(2 * x), d)
    assert np.abs(law.cdf(x) - exact).max() < 1e-10
    visible = exact > 1e-12
    assert np.abs(law.cdf(x) / exact - 1)[visible].max() < 1e-6


CASES = [
    (1, 64, fr.LeakyReLU(0.1)),
    (20, 64, fr.ReLU()),
    (1000, 64, fr.ReLU()),
    (20, 64, fr.Dropout(fr.LeakyReLU(0.3), 0.2)),
    (10000, 1, fr.LeakyReLU(0.1)),
    (10000, 10000, fr.ReLU()),
    (1, 10000, fr.LeakyReLU(0.1)),
]


@pytest.mark.parametrize(("k", "d", "activation"), CASES)
def test_is_a_distribution_with_its_moments(k, d, activation):
    law = fr.LogNormLaw(k, d, activation, 2 / d)
    sd = np.sqrt(law.var())
    x = np.linspace(law.mean() - 9 * sd, law.mean() + 8 * sd, 1201)
    cdf, sf, pdf = law.cdf(x), law.sf(x), law.pdf(x)
    middle = np.abs(x - law.mean()) < 4 * sd
    assert (np.diff(cdf[middle]) > 0).all()
    assert np.abs(cdf + sf - 1).max() < 1e-10
    step = x[1] - x[0]
    # The trapezoidal rule on the density is exact to the tails left out, below 1e-10 beyond 8 sd.
    assert pdf.sum() * step == pytest.approx(1, abs=1e-8)
    assert (x * pdf).sum() * step == pytest.approx(law.mean(), abs=1e-7 * (1 + abs(law.mean())))
    assert (((x - law.mean()) ** 2) * pdf).sum() * step == pytest.approx(law.var(), rel=1e-6)


def test_two_layers_are_the_convolution_of_one():
    one, two = fr.LogNormLaw(1, 5, fr.LeakyReLU(0.2), 0.3), fr.LogNormLaw(2, 5, fr.LeakyReLU(0.2), 0.3)
    y = np.linspace(-25, 8, 6001)
    for x in (-3.0, -1.0, 0.0, 1.0):
        convolved = (one.pdf(y) * one.cdf(x - y)).sum() * (y[1] - y[0])
        assert two.cdf(x) == pytest.approx(convolved, abs=1e-10)


def test_quantiles_and_sampling():
    law = fr.LogNormLaw(20, 64, fr.ReLU(), 2 / 64)
    q = np.array([1e-12, 1e-6, 0.01, 0.5, 0.9, 0.9999])
    assert law.cdf(law.ppf(q)) == pytest.approx(q, rel=1e-9, abs=0)
    draws = law.rvs(20000, np.random.default_rng(5))
    # False-alarm rate 1e-4; the shifted law is the negative control, 0.1 sd away at n = 20000.
    assert stats.kstest(draws, law.cdf).pvalue > 1e-4
    assert stats.kstest(draws + 0.1 * np.sqrt(law.var()), law.cdf).pvalue < 1e-4


@pytest.mark.parametrize(("k", "d"), [(1, 64), (3, 8)])
def test_draws_far_out_in_the_upper_tail_stay_on_the_quantile(k, d):
    """Draws come from x(z); z = 5.9 and beyond the last knot z = 6.5, against the exact law."""
    law = fr.LogNormLaw(k, d, fr.Linear(), 1.0)
    draw = law._of_normal
    assert np.diff(draw(np.linspace(-9, 9, 401))).min() > 0
    if k == 1:
        exact = np.log(stats.chi2.isf(stats.norm.sf([5.9, 6.5]), d)) / 2
        assert draw(np.array([5.9, 6.5])) == pytest.approx(exact, abs=0.01 * np.sqrt(law.var()))


def test_normal_limit_and_its_error():
    errors = []
    for k in (10, 40, 160):
        law = fr.LogNormLaw(k, 16, fr.ReLU(), 2 / 16)
        x = law.mean() + np.sqrt(law.var()) * np.linspace(-4, 4, 161)
        exact = law.cdf(x)
        normal = np.abs(law.normal().cdf(x) - exact).max()
        with pytest.warns(DeprecationWarning, match="use cdf"):  # public for one more version
            edgeworth = np.abs(law.edgeworth_cdf(x) - exact).max()
        assert normal < law.berry_esseen_bound()
        errors.append((normal, edgeworth))
    assert errors[0][0] / errors[2][0] == pytest.approx(4, rel=0.15)  # order k^(-1/2): a factor 16^(1/2)
    assert errors[0][1] / errors[2][1] > 30  # order k^(-3/2): a factor 64


def test_small_outputs_count_dead_networks():
    law = fr.LogNormLaw(3, 4, fr.ReLU(), 0.5)
    dead = 1 - (1 - 2.0**-4) ** 3
    assert law.small_output_probability(1e-300) == pytest.approx(dead, rel=1e-9)
    assert law.small_output_probability(0.1) > dead
    assert fr.survival_probability(3, 4, fr.ReLU()) == pytest.approx(1 - dead, rel=1e-14)


def test_agrees_with_simulation_and_rejects_a_wrong_variance():
    """n = 20000, Kolmogorov-Smirnov, false-alarm rate 1e-4 each; variance off by 5 % must be rejected."""
    for k, d, activation in (
        (5, 8, fr.LeakyReLU(0.3)),
        (5, 8, fr.RReLU()),
        (5, 40, fr.Dropout(fr.ReLU(), 0.2)),
    ):
        x = fr.simulate_log_norms(20000, k, d, activation, 2 / d, rng=np.random.default_rng(7))[:, -1]
        x = x[np.isfinite(x)]
        assert stats.kstest(x, fr.LogNormLaw(k, d, activation, 2 / d).cdf).pvalue > 1e-4
        assert stats.kstest(x, fr.LogNormLaw(k, d, activation, 2.1 / d).cdf).pvalue < 1e-4
