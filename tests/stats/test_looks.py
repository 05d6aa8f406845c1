"""Bounds of several looks: published constants, plane integrals, error rates over 200 seeds."""

import math

import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

from fracrepro.stats import looks as seq

FIVE = [0.2, 0.4, 0.6, 0.8, 1.0]


@pytest.mark.parametrize(
    ("shape", "constants"),
    [
        # Pocock (1977) and O'Brien and Fleming (1979), as tabulated by Jennison and Turnbull (2000).
        (lambda t: np.ones_like(t), {2: 2.178, 3: 2.289, 4: 2.361, 5: 2.413}),
        (lambda t: t**-0.5, {2: 1.977, 3: 2.004, 4: 2.024, 5: 2.040}),
    ],
)
def test_published_constants_of_equal_looks(shape, constants):
    for count, constant in constants.items():
        times = np.arange(1, count + 1) / count

        def excess(c, times=times):
            return seq.crossing(times, c * shape(times)).sum() - 0.05

        assert optimize.brentq(excess, 1.5, 3.5) == pytest.approx(constant, abs=5.1e-4)


@pytest.mark.parametrize("drift", [0.0, 1.5, -2.5])
def test_crossing_agrees_with_an_integral_over_the_plane(drift):
    times, bounds = [0.3, 0.7, 1.0], [2.6, 2.3, 2.0]

    def third_inside(w, u):
        """Increments of the first two looks are u and w; the third is inside by a normal law."""
        s, step = u + w, 0.3
        inside = [special.ndtr((sign * bounds[2] - s - drift * step) / math.sqrt(step)) for sign in (1, -1)]
        density = stats.norm.pdf(u, 0.3 * drift, math.sqrt(0.3)) * stats.norm.pdf(
            w, 0.4 * drift, math.sqrt(0.4)
        )
        return density * (inside[0] - inside[1])

    first, second = bounds[0] * math.sqrt(0.3), bounds[1] * math.sqrt(0.7)
    kept = integrate.dblquad(
        third_inside, -first, first, lambda u: -second - u, lambda u: second - u, epsabs=1e-13, epsrel=1e-13
    )[0]
    assert 1 - seq.crossing(times, bounds, drift).sum() == pytest.approx(kept, rel=1e-11)


@pytest.mark.parametrize("fractions", [[1.0], [0.5, 1.0], FIVE, [0.01, 0.02, 1.0]])
@pytest.mark.parametrize("level", [0.05, 0.001])
def test_every_look_spends_its_part(fractions, level):
    found = seq.looks(fractions, level)
    parts = seq.crossing(found.fractions, found.bounds)
    np.testing.assert_allclose(np.cumsum(parts), seq.spent(fractions, level), rtol=1e-9, atol=1e-290)
    assert found.power(0.0) == pytest.approx(level, rel=1e-11)


def test_bounds_are_those_of_the_published_program():
    # Five equal looks at 0.05, as Reboussin, DeMets, Kim and Lan (2000) print them, to three decimals.
    assert seq.looks(FIVE).bounds == pytest.approx((4.877, 3.357, 2.680, 2.290, 2.031), abs=5.1e-4)


def test_the_bounds_fall_as_the_level_grows():
    """What the p-value of several looks rests on."""
    levels = np.geomspace(1e-10, 0.9, 40)
    for fractions in ([0.5, 1.0], FIVE, [0.1, 0.9, 1.0]):
        bounds = np.array([seq.looks(fractions, level).bounds for level in levels])
        assert (np.diff(bounds, axis=0) < 0).all()


def test_the_p_value_of_several_looks_is_small_exactly_when_one_rejects():
    rng = np.random.default_rng(4)
    for _ in range(30):
        count = int(rng.integers(1, 6))
        values = rng.uniform(0, 1, count) ** 4
        level = float(rng.uniform(0.001, 0.3))
        rejects = (values <= np.array(seq.looks(FIVE, level).levels[:count])).any()
        assert rejects == (seq.sequential_p(values.tolist(), FIVE) <= level)


def runs(seed, mean=0.0, pairs=30):
    """The two-sided p-values of Student's test after a fifth, two fifths … of the pairs."""
    values = np.random.default_rng([7, seed]).normal(mean, 1, pairs)
    return [float(stats.ttest_1samp(values[: pairs * k // 5], 0).pvalue) for k in range(1, 6)]


def test_level_and_power_over_200_seeds():
    def rate(mean, rejects):
        return sum(rejects(runs(seed, mean)) for seed in range(200))

    levels = np.array(seq.looks(FIVE).levels)
    low, high = stats.binom.ppf([0.0005, 0.9995], 200, 0.05)
    assert low <= rate(0.0, lambda p: (np.array(p) <= levels).any()) <= high
    # Control: five looks at 0.05 each, the habit that the bounds replace.
    assert rate(0.0, lambda p: (np.array(p) <= 0.05).any()) > high
    # Student's quantiles cost a little of the power of a normal statistic; at 30 pairs less than 0.04.
    power = seq.looks(FIVE).power(0.5 * math.sqrt(30))
    low, high = stats.binom.ppf([0.0005, 0.9995], 200, power)
    assert low - 8 <= rate(0.5, lambda p: (np.array(p) <= levels).any()) <= high
    assert 0.7 < power < 0.8


def test_a_strong_effect_ends_early():
    plan = seq.looks(FIVE)
    assert plan.expected_fraction(0.0) > 0.98
    assert plan.expected_fraction(5.0) < 0.6
    assert plan.expected_fraction(2.8) == pytest.approx(
        1.0 - sum(0.2 * part for part in np.cumsum(seq.crossing(FIVE, plan.bounds, 2.8))[:-1]), rel=1e-12
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: seq.looks([0.5, 0.4, 1.0]), "need growing ones that end with 1"),
        (lambda: seq.looks([0.5]), "need growing ones that end with 1"),
        (lambda: seq.looks([0.0, 1.0]), "fractions = 0.0"),
        (lambda: seq.looks([1.0], 0.0), "level = 0.0"),
        (lambda: seq.crossing([1.0], []), "bounds"),
        (lambda: seq.crossing([1.0], [-1.0]), "bounds"),
        (lambda: seq.crossing([1.0], [2.0], math.nan), "drift"),
        (lambda: seq.spent(0.0), "fraction"),
        (lambda: seq.sequential_p([0.1, 0.1], [1.0]), "looks until now = 2"),
        (lambda: seq.sequential_p([], [1.0]), "looks until now = 0"),
    ],
)
def test_bad_input_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
