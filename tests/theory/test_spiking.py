"""The chain of threshold layers: exact arithmetic on small widths, full networks on larger ones."""

import itertools
import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from scipy import stats

import fracrepro as fr
from fracrepro.errors import ArgumentError
from fracrepro.theory.spiking import rate_preserving_variance, simulate_spikes, spike_probability

CRITICAL = fr.SpikingChain.critical_threshold


def upper_tail(x):
    return mp.erfc(mp.mpf(x) / mp.sqrt(2)) / 2


def reference(width, threshold, variance, depth, start):
    """The law of K by a sum over binomials in 40 digits; `start` is a law or None for currents N(0, 1)."""
    with mp.workdps(40):
        theta, v = mp.mpf(threshold), mp.mpf(variance)

        def row(p):
            return [mp.binomial(width, j) * p**j * (1 - p) ** (width - j) for j in range(width + 1)]

        rows = [row(mp.mpf(0))] + [row(upper_tail(theta / mp.sqrt(v * k))) for k in range(1, width + 1)]
        law = row(upper_tail(theta)) if start is None else [mp.mpf(k == start) for k in range(width + 1)]
        for _ in range(depth):
            law = [mp.fsum(law[k] * rows[k][j] for k in range(width + 1)) for j in range(width + 1)]
        return law


@pytest.mark.parametrize(
    ("width", "threshold", "variance", "start"),
    [(1, 0.7, None, 1), (6, 1.0, None, None), (6, 2.5, 0.9, 3), (13, 0.2, None, 13), (40, 0.5, None, None)],
)
def test_every_probability_against_forty_digits(width, threshold, variance, start):
    chain = fr.SpikingChain(width, threshold, variance)
    for depth in (0, 1, 4):
        expected = reference(width, threshold, chain.variance, depth, start)
        law = chain.distribution(depth, start)
        # relative, down to the rarest count
        assert law == pytest.approx([float(p) for p in expected], rel=1e-12, abs=1e-300)
        silent = chain.silent_probability(depth, start)
        assert silent == pytest.approx(float(expected[0]), rel=1e-12, abs=1e-300)
        mean = float(mp.fsum(k * p for k, p in enumerate(expected)) / width)
        assert chain.mean_rate(depth, start) == pytest.approx(mean, rel=1e-12)


def test_at_threshold_zero_the_chain_is_rational():
    # Every current is symmetric about 0, so that K' is Bin(n, 1/2) until it is 0, whatever v is.
    n, depth = 7, 9
    dies = Fraction(1, 2**n)
    expected = 1 - (1 - dies) ** depth
    for variance in (None, 0.3):
        found = fr.SpikingChain(n, 0.0, variance).silent_probability(depth, 3)
        assert found == pytest.approx(float(expected), rel=1e-13)


@pytest.mark.parametrize("fan_in", [1, 3, 50, 64, 784, 1001])
def test_at_threshold_zero_the_rule_is_kaimings(fan_in):
    assert rate_preserving_variance(0.0, fan_in) == 2 / fan_in
    assert fr.SpikingChain(fan_in, 0.0).variance == 2 / fan_in


@pytest.mark.parametrize("threshold", [0.5, 1.0, 1.5, 2.0, 8.0])
def test_the_rule_against_thirty_digits(threshold):
    with mp.workdps(30):
        expected = float(1 / (100 * upper_tail(threshold)))
    assert rate_preserving_variance(threshold, 100) == pytest.approx(expected, rel=1e-14)
    # Currents of variance 1 on average: E v·K = 1 for K ~ Bin(n, Q(θ)); at another variance they are not.
    chain = fr.SpikingChain(40, threshold)
    assert chain.variance * 40 * chain.mean_rate(0) == pytest.approx(1.0, rel=1e-13)
    assert chain.target_rate == spike_probability(threshold)


def test_rare_silence_keeps_its_digits():
    # Two routes to a probability below the spacing of floats near 1: forward law, and steps back.
    chain = fr.SpikingChain(200, 0.5)
    value = chain.silent_probability(100)
    assert 1e-21 < value < 1e-19
    assert chain.distribution(100)[0] == pytest.approx(value, rel=1e-12)
    # One step from all units on, against 40 digits: (1 - Q(θ/√(vn)))^n.
    wide = fr.SpikingChain(900, 0.5)
    with mp.workdps(40):
        p = upper_tail(mp.mpf("0.5") / mp.sqrt(mp.mpf(wide.variance) * 900))
        expected = float((1 - p) ** 900)
    assert expected < 1e-150
    assert wide.silent_probability(1, 900) == pytest.approx(expected, rel=1e-12)


def test_silence_only_grows_with_depth_and_falls_with_the_spikes_that_come_in():
    chain = fr.SpikingChain(30, 1.0)
    by_depth = chain.silent_probability(np.arange(60), 5)
    assert (np.diff(by_depth) > 0).all()
    assert (np.diff(chain.silent_probability(8, np.arange(31))) < 0).all()
    assert chain.silent_probability(8, 0) == 1.0
    assert chain.mean_rate(8, 0) == 0.0


def test_arrays_broadcast_and_scalars_stay_scalars():
    chain = fr.SpikingChain(9, 0.8)
    table = chain.silent_probability(np.array([[1], [4]]), np.array([2, 5, 9]))
    assert table.shape == (2, 3)
    for (i, depth), (j, active) in itertools.product(enumerate((1, 4)), enumerate((2, 5, 9))):
        assert table[i, j] == chain.silent_probability(depth, active)
    assert isinstance(chain.silent_probability(3, 2), float)
    assert isinstance(chain.mean_rate(3), float)
    laws = chain.distribution([0, 2, 0], 4)
    assert laws.shape == (3, 10)
    assert (laws[0] == laws[2]).all()
    assert laws.sum(axis=1) == pytest.approx([1, 1, 1], rel=1e-14)


def simulate(networks, width, threshold, std, depth, rng):
    """Spikes at the last of `depth` threshold layers behind a first one that currents N(0, 1) enter."""
    counts = np.empty(networks, dtype=int)
    for i in range(networks):
        spikes = (rng.standard_normal(width) > threshold).astype(float)
        for _ in range(depth):
            spikes = (std * rng.standard_normal((width, width)) @ spikes > threshold).astype(float)
        counts[i] = spikes.sum()
    return counts


def test_the_simulation_of_the_library_draws_the_same_law():
    # 3000 networks, silence and mean at the last layer within 4 standard errors (false alarm rate 1.3e-4).
    n, theta, depth, draws = 20, 0.9, 4, 3000
    counts = simulate_spikes(draws, depth, n, theta, rng=np.random.default_rng(22))
    again = simulate_spikes(draws, depth, n, theta, rng=np.random.default_rng(22))
    assert (counts == again).all()
    chain = fr.SpikingChain(n, theta)
    for layer in (0, depth):
        law, values = chain.distribution(layer), np.arange(n + 1)
        sd = math.sqrt(law @ values**2 - (law @ values) ** 2)
        assert abs(counts[:, layer].mean() - law @ values) < 4 * sd / math.sqrt(draws)
    silent = chain.silent_probability(depth)
    error = math.sqrt(silent * (1 - silent) / draws)
    assert abs((counts[:, depth] == 0).mean() - silent) < 4 * error
    assert (
        abs((counts[:, depth] == 0).mean() - chain.silent_probability(depth - 2)) > 4 * error
    )  # the control


def test_full_networks_follow_the_chain_and_ten_percent_more_variance_is_seen():
    # 4000 networks of 30 units, 5 layers: mean and share of silent ones within 4 standard errors, false alarm
    # rate 1.3e-4. The control, a chain with ten percent more variance, expects them 18 and 15 errors away, so
    # that each catches it with probability above 1 - 1e-20.
    n, theta, depth, draws = 30, 1.0, 5, 4_000
    chain = fr.SpikingChain(n, theta)
    counts = simulate(draws, n, theta, math.sqrt(chain.variance), depth, np.random.default_rng(20))

    def distances(model):
        law = model.distribution(depth)
        values = np.arange(n + 1)
        mean = law @ values
        spread = math.sqrt(law @ values**2 - mean**2)
        silent = law[0]
        return (
            abs(counts.mean() - mean) / (spread / math.sqrt(draws)),
            abs((counts == 0).mean() - silent) / math.sqrt(silent * (1 - silent) / draws),
        )

    assert max(distances(chain)) < 4
    assert min(distances(fr.SpikingChain(n, theta, 1.1 * chain.variance))) > 4


def test_the_whole_law_of_full_networks_by_chi_squared():
    # Cells of at least 20 expected networks, false alarm rate 0.001; the independent-layer law Bin(n, Q(θ)),
    # the control, is rejected.
    n, theta, depth, draws = 25, 0.8, 3, 6_000
    chain = fr.SpikingChain(n, theta)
    counts = simulate(draws, n, theta, math.sqrt(chain.variance), depth, np.random.default_rng(21))
    seen = np.bincount(counts, minlength=n + 1)

    def p_value(law):
        cells, left = [], [0.0, 0.0]
        for expected, found in zip(draws * law, seen, strict=True):
            left = [left[0] + expected, left[1] + found]
            if left[0] >= 20:
                cells.append(left)
                left = [0.0, 0.0]
        cells[-1] = [cells[-1][0] + left[0], cells[-1][1] + left[1]]
        expected, found = np.array(cells).T
        return stats.chi2.sf(((found - expected) ** 2 / expected).sum(), len(cells) - 1)

    assert p_value(chain.distribution(depth)) > 1e-3
    assert p_value(chain.distribution(0)) < 1e-3


def test_the_critical_threshold_against_thirty_digits():
    with mp.workdps(30):
        exact = mp.findroot(lambda x: x * mp.npdf(x) - 2 * upper_tail(x), 1.2)
    assert pytest.approx(float(exact), rel=1e-15) == CRITICAL


@pytest.mark.parametrize("threshold", [0.3, 0.5, 1.0, 1.19, 1.2, 1.5, 2.0, 4.0])
def test_fixed_points_under_the_rule(threshold):
    chain = fr.SpikingChain(50, threshold)
    zero, low, high = chain.fixed_points()
    assert zero == (0.0, 0.0, True)
    assert 0 < low.rate < high.rate < 0.5
    assert (low.stable, high.stable) == (False, True)
    own = high if threshold < CRITICAL else low
    assert own.rate == pytest.approx(float(upper_tail(threshold)), rel=1e-14)
    with mp.workdps(40):
        c = mp.mpf(chain.variance) * 50

        def rate_map(r):
            return upper_tail(threshold / mp.sqrt(c * r))

        for rate, slope, _ in (low, high):
            # The other one of two near roots is known to half the digits only; the residual always is.
            assert float(rate_map(rate) / rate) == pytest.approx(1.0, abs=1e-13)
            assert slope == pytest.approx(float(mp.diff(rate_map, rate)), rel=1e-9)


@pytest.mark.parametrize(
    ("threshold", "slope"), [(0.0, 0.0), (0.5, 0.285), (1.0, 0.763), (1.5, 1.454), (2.0, 2.373)]
)
def test_slopes_at_the_rules_own_rate(threshold, slope):
    own = [each for each in fr.SpikingChain(5, threshold).fixed_points() if each.rate > 0]
    target = spike_probability(threshold)
    nearest = min(own, key=lambda each: abs(each.rate - target))
    assert nearest.slope == pytest.approx(slope, abs=6e-4)


def test_fixed_points_away_from_the_rule():
    assert len(fr.SpikingChain(600, 1.0, 2 / 600).fixed_points()) == 1  # Kaiming's: silence only
    assert fr.SpikingChain(9, 0.0).fixed_points() == [(0.0, math.inf, False), (0.5, 0.0, True)]
    # At a double root the other fixed point is known to half the digits, and the rule's own to all of them.
    at_critical = fr.SpikingChain(10, CRITICAL).fixed_points()[1:]
    own = min(at_critical, key=lambda each: abs(each.rate - spike_probability(CRITICAL)))
    assert own.rate == pytest.approx(spike_probability(CRITICAL), rel=1e-14)
    assert own.slope == pytest.approx(1.0, rel=1e-14)
    assert [each.rate for each in at_critical] == pytest.approx([own.rate] * len(at_critical), rel=1e-7)
    more = fr.SpikingChain(600, 1.0, 9 / 600).fixed_points()
    assert len(more) == 3
    assert more[-1].rate > spike_probability(1.0)


def test_above_the_critical_threshold_wide_layers_leave_the_target():
    # θ = 1.5: the rule means to hand on 0.0668; the chain is silent or at 0.181, and seldom in between.
    chain = fr.SpikingChain(600, 1.5)
    law = chain.distribution(40)
    rates = np.arange(601) / 600
    near_target = law[np.abs(rates - chain.target_rate) < 0.02].sum()
    near_stable = law[np.abs(rates - chain.fixed_points()[-1].rate) < 0.05].sum()
    assert near_target < 0.02
    assert law[0] + near_stable > 0.95
    # The control: below it, they stay.
    below = fr.SpikingChain(600, 0.5)
    law = below.distribution(40)
    assert law[np.abs(rates - below.target_rate) < 0.08].sum() > 0.99


def test_the_extremes_are_numbers():
    for chain in (
        fr.SpikingChain(4, 30.0, 1e-300),
        fr.SpikingChain(4, 30.0, 1e300),
        fr.SpikingChain(4, 30.0),
        fr.SpikingChain(4, 0.0, 1e-300),
    ):
        law = chain.distribution([0, 1, 50], 4)
        assert np.isfinite(law).all()
        assert law.sum(axis=-1) == pytest.approx([1, 1, 1], rel=1e-13)
        assert all(math.isfinite(each.rate) for each in chain.fixed_points())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fr.SpikingChain(0, 1.0), r"width = 0: need an integer in \[1, 5000\]"),
        (lambda: fr.SpikingChain(True, 1.0), "width = True"),
        (lambda: fr.SpikingChain(5, -0.1), r"threshold = -0.1: need a finite number in \[0, 30\]"),
        (lambda: fr.SpikingChain(5, math.nan), "threshold = nan"),
        (lambda: fr.SpikingChain(5, 1.0, 0.0), r"variance = 0.0: need a finite number in \(0, inf\)"),
        (lambda: fr.SpikingChain(5, 1.0).silent_probability(-1, 2), "depth = -1"),
        (
            lambda: fr.SpikingChain(5, 1.0).silent_probability(1, 6),
            r"active = 6: need an integer in \[0, 5\]",
        ),
        (lambda: fr.SpikingChain(5, 1.0).silent_probability([1, 2], [1, 2, 3]), "broadcasts with depth"),
        (lambda: fr.SpikingChain(5, 1.0).mean_rate(1.5, 2), "depth = 1.5"),
        (lambda: fr.SpikingChain(5, 1.0).distribution(1, [1, 2]), "active"),
        (lambda: rate_preserving_variance(1.0, 0), "fan_in = 0"),
        (lambda: spike_probability(31), "threshold = 31"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
