"""The law under orthogonal weights: against beta laws at depth 1, their convolution at depth 2, simulation.

At depth 1, R² = B + a² (1 - B) with B ~ Beta(N/2, (d - N)/2) given N ~ Bin(d, 1/2) neurons on the positive
side, so the distribution function is a binomial mixture of incomplete beta functions.
"""

import numpy as np
import pytest
from scipy import special, stats

import fracrepro as fr


def one_layer(x, d, slope):
    """P(log R ≤ x), for slope 0 given R > 0."""
    share = np.clip((np.exp(2 * x) - slope**2) / (1 - slope**2), 0, 1)
    mass = stats.binom.pmf(np.arange(d + 1), d, 0.5)
    n = np.arange(1, d)
    value = (mass[1:d] * special.betainc(n / 2, (d - n) / 2, share[..., None])).sum(axis=-1)
    value = value + mass[d] * (share >= 1) + mass[0] * (share >= 0)
    return value if slope else (value - mass[0]) / (1 - mass[0])


CASES = [(64, 0.0), (300, 0.0), (64, 0.3), (300, 0.3), (300, 0.01), (300, 0.9), (3000, 0.3)]


@pytest.mark.parametrize(("d", "slope"), CASES)
def test_one_layer_is_a_mixture_of_beta_laws(d, slope):
    law = fr.LogNormLaw(1, d, fr.LeakyReLU(slope), 1.0, weights="orthogonal")
    x = law.mean() + np.sqrt(law.var()) * np.linspace(-8, 5, 53)
    x = x[x < 0]
    assert np.abs(law.cdf(x) - one_layer(x, d, slope)).max() < 1e-10
    # Negative control: a gain off by 1e-8 moves the distribution by more than the tolerance.
    off = fr.LogNormLaw(1, d, fr.LeakyReLU(slope), 1 + 1e-8, weights="orthogonal")
    assert np.abs(off.cdf(x) - one_layer(x, d, slope)).max() > 1e-10


def test_two_layers_are_the_convolution_of_beta_laws():
    """The lattice step 1/16 sd resolves a density that is smooth to far below 1e-10 at width 150."""
    d, slope = 150, 0.3
    one = fr.LogNormLaw(1, d, fr.LeakyReLU(slope), 1.0, weights="orthogonal")
    two = fr.LogNormLaw(2, d, fr.LeakyReLU(slope), 1.0, weights="orthogonal")
    y = one.mean() + np.sqrt(one.var()) * np.arange(-10, 10, 1 / 16)
    for x in 2 * one.mean() + np.sqrt(one.var()) * np.array([-4.0, -1.0, 0.0, 2.0]):
        convolved = (one.pdf(y) * one_layer(x - y, d, slope)).sum() * (y[1] - y[0])
        assert two.cdf(x) == pytest.approx(convolved, abs=2e-10)


@pytest.mark.parametrize(
    ("k", "d", "activation"),
    [
        (1, 64, fr.RReLU()),
        (20, 8, fr.LeakyReLU(0.3)),
        (20, 16, fr.Dropout(fr.LeakyReLU(0.3), 0.2)),
        (5, 40, fr.Dropout(fr.RReLU(), 0.1)),
        (20, 3, fr.ReLU()),
        (1000, 64, fr.LeakyReLU(0.01)),
    ],
    ids=repr,
)
def test_agrees_with_simulation_and_has_its_moments(k, d, activation):
    """n = 20000, Kolmogorov-Smirnov at false-alarm rate 1e-4; a shift by 0.1 sd must be rejected.

    Of the 20 x 3 ReLU networks only 7 % survive, 1400 draws, where the shift that is seen is 0.3 sd.
    """
    law = fr.LogNormLaw(k, d, activation, 1.0, weights="orthogonal")
    rng = np.random.default_rng(7)
    x = fr.simulate_log_norms(20000, k, d, activation, 1.0, rng=rng, weights="orthogonal")[:, -1]
    x = x[np.isfinite(x)]
    sd = np.sqrt(law.var())
    assert stats.kstest(x, law.cdf).pvalue > 1e-4
    assert stats.kstest(x + (0.1 if len(x) > 10000 else 0.3) * sd, law.cdf).pvalue < 1e-4
    # The trapezoidal rule on the density; a point mass or a missing tail would show here.
    points = np.linspace(law.mean() - 14 * sd, law.mean() + 7 * sd, 2001)
    mass = law.pdf(points) * (points[1] - points[0])
    assert mass.sum() == pytest.approx(1, abs=1e-6)
    assert mass @ points == pytest.approx(law.mean(), abs=1e-5 * sd)
    assert mass @ (points - law.mean()) ** 2 == pytest.approx(law.var(), rel=1e-4)


@pytest.mark.parametrize(
    ("k", "d", "activation"),
    [
        (1, 1, fr.ReLU()),
        (1, 8, fr.RReLU()),
        (1, 36, fr.LeakyReLU(0.3)),
        (20, 1, fr.LeakyReLU(0.3)),
        (2, 2, fr.ReLU()),
    ],
    ids=repr,
)
def test_point_masses_are_refused_at_once(k, d, activation):
    with pytest.raises(ValueError, match=f"width = {d} at depth = {k} .* need a larger"):
        fr.LogNormLaw(k, d, activation, 1.0, weights="orthogonal")
