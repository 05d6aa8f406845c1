"""Simulation: reproducible, the same from a stream, and of the law it claims."""

import itertools
import math

import numpy as np
import pytest

import fracrepro as fr
from fracrepro.theory.limit import goldie_constant, simulate_stationary
from fracrepro.theory.simulate import stream_log_norms


def test_same_seed_same_bits_and_streams_agree():
    args = (3000, 100, 16, fr.ReLU(), 2 / 16)
    whole = fr.simulate_log_norms(*args, rng=np.random.default_rng(3))
    again = fr.simulate_log_norms(*args, rng=np.random.default_rng(3))
    blocks = list(stream_log_norms(*args, rng=np.random.default_rng(3)))
    assert np.array_equal(whole, again)
    assert len(blocks) > 1
    assert np.array_equal(whole, np.concatenate(blocks))


def test_ten_million_deep_networks_come_in_bounded_blocks():
    blocks = stream_log_norms(10**7, 100, 64, fr.ReLU(), 2 / 64, rng=np.random.default_rng(0))
    assert all(block.nbytes < 4e6 for block in itertools.islice(blocks, 3))


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize(
    "activation", [fr.ReLU(), fr.LeakyReLU(0.3), fr.RReLU(-0.5, 1.0), fr.Dropout(fr.ReLU(), 0.3)], ids=repr
)
def test_moments_of_the_draws(activation, weights):
    """Mean of R^s over 40000 draws within 5 standard errors: false-alarm rate 6e-7 for each of four orders.

    Negative control: a variance 3 % too large must leave the band at s = 2.
    """
    n, d = 40000, 6
    x = fr.simulate_log_norms(n, 1, d, activation, 1.0, rng=np.random.default_rng(11), weights=weights)[:, 1]
    for s in (-0.3, 0.5, 1.0, 2.0):
        with np.errstate(invalid="ignore"):
            y = np.where(np.isfinite(x), np.exp(s * np.where(np.isfinite(x), x, 0)), 0)
        error = y.std() / math.sqrt(n)
        exact = fr.moment(s, d, activation, weights=weights)
        assert abs(y.mean() - exact) < 5 * error
    assert abs(1.03**2 * y.mean() - exact) > 5 * error or error > 0.01 * exact


@pytest.mark.parametrize("activation", [fr.ReLU(), fr.LeakyReLU(0.3), fr.Dropout(fr.ReLU(), 0.3)], ids=repr)
def test_tilted_draws(activation):
    """Weights times r^s are constant, and reweighted draws give another moment within 5 standard errors."""
    n, d, s = 20000, 10, 1.0
    sigma2 = fr.critical_variance(s, d, activation)
    x, log_weight = fr.simulate_tilted_log_norms(
        n, 30, d, activation, sigma2, s=s, rng=np.random.default_rng(1)
    )
    assert np.abs(s * x + log_weight).max() < 1e-9
    y = np.exp(log_weight[:, 2] + 0.5 * x[:, 2])
    exact = (sigma2**0.25 * fr.moment(0.5, d, activation)) ** 2
    assert abs(y.mean() - exact) < 5 * y.std() / math.sqrt(n)
    assert abs(np.exp(0.5 * x[:, 2]).mean() - exact) > 5 * y.std() / math.sqrt(n)  # without weights: rejected


def test_required_draws():
    assert fr.required_draws(0.05, 2, 1, 1, fr.Linear()) == 800
    assert fr.required_draws(0.05, 2, 100, 64, fr.ReLU()) == 739158
    assert len(str(fr.required_draws(0.05, 1, 10000, 2, fr.ReLU()))) > 1000


def test_biased_networks_have_the_stationary_tail():
    """Leaky, width 4, s = 1: all three estimators' 99.9 % intervals cover α = 1 and exclude α = 2."""
    activation = fr.LeakyReLU(0.3)
    sigma2 = fr.critical_variance(1, 4, activation)
    r = np.exp(simulate_stationary(40000, 4, activation, sigma2, 0.1, rng=np.random.default_rng(2)))
    for estimator in (fr.hill, fr.moment_estimator, fr.log_log_regression):
        estimate = estimator(r, 400, level=0.999)
        assert estimate.low < 1 < estimate.high < 2
    c, error = goldie_constant(40000, 4, activation, sigma2, 0.1, rng=np.random.default_rng(4))
    share = (r > 10).mean()
    assert abs(10 * share - c) < 4 * (error + 10 * math.sqrt(share / len(r))) + 0.05 * c


@pytest.mark.parametrize("alpha", [0.7, 2.0])
def test_estimators_on_exact_power_tails(alpha):
    """300 Pareto samples, n = 500, k = 100: 95 % intervals cover in 88 to 99 % (4 binomial sd)."""
    rng = np.random.default_rng(9)
    samples = rng.pareto(alpha, (300, 500)) + 1.0
    for estimator in (fr.hill, fr.moment_estimator, fr.log_log_regression):
        found = [estimator(sample, 100) for sample in samples]
        assert 0.88 <= np.mean([e.low <= alpha <= e.high for e in found]) <= 0.99
        # Negative control: 2.5 α lies at least 2.5 standard errors off for each of the three.
        assert np.mean([e.low <= 2.5 * alpha <= e.high for e in found]) < 0.5


def test_extreme_value_index_tells_power_from_normal_and_bounded_tails():
    """γ = 1/2, about 0, and -1: 95 % intervals cover in 88 to 99 % of 300 where γ ≥ 0, and exclude others."""
    rng = np.random.default_rng(10)
    draws = {
        0.5: rng.pareto(2.0, (300, 500)) + 1.0,
        0.0: rng.pareto(1000.0, (300, 500)) + 1.0,  # γ = 0.001
        -1.0: 1.0 + rng.random((300, 500)),
    }
    shares = {
        gamma: np.mean([low <= gamma <= high for _, low, high in map(_evi, samples)])
        for gamma, samples in draws.items()
    }
    assert 0.88 <= shares[0.5] <= 0.99
    assert 0.88 <= shares[0.0] <= 0.99
    for samples, wrong in ((draws[0.5], 0.0), (draws[-1.0], 0.0)):  # the controls: another class of tails
        assert np.mean([low <= wrong <= high for _, low, high in map(_evi, samples)]) < 0.05
    one = draws[0.5][0]
    assert fr.moment_estimator(one, 100).index == pytest.approx(1 / _evi(one)[0], rel=1e-14)


def _evi(sample):
    return fr.extreme_value_index(sample, 100)


def test_stable_index_finds_the_index_and_is_fooled_by_unequal_scales():
    """40 000 draws, blocks of 50: five standard errors over 20 samples are below 0.1."""
    rng = np.random.default_rng(11)
    normal = [fr.stable_index(rng.standard_normal(40000), 50) for _ in range(20)]
    cauchy = [fr.stable_index(rng.standard_cauchy(40000), 50) for _ in range(20)]
    assert np.mean(normal) == pytest.approx(2.0, abs=0.1)
    assert np.mean(cauchy) == pytest.approx(1.0, abs=0.1)
    # Normal coordinates of unequal scale have no heavy tail, and yet the estimate is far from 2.
    scales = np.exp(3 * rng.standard_normal(40000))
    assert fr.stable_index(scales * rng.standard_normal(40000), 50) < 1.5
    assert fr.stable_index(np.tile([1.0, -0.5], 50), 2) == math.inf  # sums are not larger than their terms


def test_hill_is_biased_where_the_tail_is_not_a_power_and_the_stability_plot_shows_it():
    sample = np.abs(np.random.default_rng(8).standard_t(2, 20000))
    plot = fr.stability_plot(sample, [100, 400, 8000])
    assert plot.low[0] < 2 < plot.high[0]
    assert plot.high[2] < 2
