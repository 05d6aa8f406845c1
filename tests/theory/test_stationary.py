"""The law with Gaussian biases: exact moments, fixed point, Goldie's constant, another grid, simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, stats

import fracrepro as fr

RELU, LEAKY, DROPOUT = fr.ReLU(), fr.LeakyReLU(0.3), fr.Dropout(fr.RReLU(), 0.4)
CASES = [(8, RELU, 1.0), (1, RELU, 0.5), (3, LEAKY, 1.5), (5, DROPOUT, 2.0), (64, fr.Linear(), 1.0)]


def critical(width, activation, s, bias_std=0.3):
    return fr.StationaryLaw(width, activation, fr.critical_variance(s, width, activation), bias_std)


def power_mean(law, h):
    """E r^h by parts, from P(r > x) on a fine grid of log x, and beyond it by the power law."""
    step, centre = 0.01, math.log(law.isf(0.5 * law.sf(0.0)))
    y = centre + step * np.arange(-3500, 200 + round(200 / law.tail_index / step))
    values = h * np.exp(h * y + law.log_sf(np.exp(y)))
    return step * (values.sum() - values[-1] / 2) + values[-1] / (law.tail_index - h)


@pytest.mark.parametrize("share", [0.7, 0.3, 0.05])
@pytest.mark.parametrize(("width", "activation", "_"), CASES)
def test_second_and_fourth_moment_below_kaimings_variance(width, activation, _, share):
    """E r² and E r⁴ solve linear equations; at α > 4 the far tail needs more than its absolute accuracy."""
    variance, bias_std = share * fr.critical_variance(2, width, activation), 0.3
    law = fr.StationaryLaw(width, activation, variance, bias_std)
    a, b, eps2 = share, variance**2 * fr.moment(4, width, activation), bias_std**2 / variance
    second = a * eps2 / (1 - a)
    assert law.tail_index > 2
    accuracy = 5e-10 if law.tail_index < 4 else 2e-8
    assert power_mean(law, 2) == pytest.approx(second, rel=accuracy)
    if b < 1:
        assert power_mean(law, 4) == pytest.approx(b * (2 * eps2 * second + eps2**2) / (1 - b), rel=accuracy)
    control = fr.StationaryLaw(width, activation, 1.001 * variance, bias_std)
    assert power_mean(control, 2) != pytest.approx(second, rel=1e-6)


@pytest.mark.parametrize(("width", "activation", "s"), CASES)
def test_a_layer_leaves_the_law_unchanged(width, activation, s):
    """P(r' > x) as an integral over the quantiles of r; the control is a law with another variance."""
    law = critical(width, activation, s)
    other = fr.StationaryLaw(width, activation, 0.99 * law.variance, law.bias_std)
    one_layer = fr.LogNormLaw(1, width, activation, law.variance)
    alive = fr.survival_probability(1, width, activation)
    ratio = law.bias_std**2 / law.variance

    def above(u, x, guess):
        return alive * one_layer.sf(math.log(x) - 0.5 * math.log(ratio + guess.isf(u) ** 2))

    for q in (0.9 * alive, 0.3, 0.01):
        x, edges = law.isf(q), [1e-12, 1e-6, 1e-3, 0.02, 0.1, 0.3, 0.6, 0.9, 1 - 1e-12]

        def image(guess, x=x, edges=edges):
            pieces = itertools.pairwise(edges)
            return sum(integrate.quad(above, a, b, args=(x, guess), epsrel=1e-9)[0] for a, b in pieces)

        assert image(law) == pytest.approx(q, rel=3e-8)
        assert image(other) != pytest.approx(other.sf(x), rel=1e-5)


@pytest.mark.parametrize(("width", "activation", "s"), [*CASES, (8, RELU, 0.1), (512, RELU, 0.5)])
def test_goldies_constant_is_the_height_of_the_tail(width, activation, s):
    """Two independent ways through one grid: by the body of the law, and by its end."""
    law = critical(width, activation, s)
    assert law.tail_index == pytest.approx(s, abs=1e-10)
    for far in (1e12, 1e40):
        x = far * law.bias_std / math.sqrt(law.variance)
        if x**s < 1e250:
            assert law.log_sf(x) + law.tail_index * math.log(x) == pytest.approx(
                math.log(law.tail_constant), abs=3e-9
            )
            assert law.local_index(x) == pytest.approx(s, abs=1e-8)
    # One percent more variance: another constant and another index.
    control = fr.StationaryLaw(width, activation, 1.0001 * law.variance, law.bias_std)
    assert abs(control.tail_constant / law.tail_constant - 1) > 1e-6


def test_goldies_expectation_by_quadrature():
    """E[(r² + ε²)^(α/2) - r^α] over the quantiles, without integration by parts, for a tail it can bear."""
    law = critical(4, LEAKY, 1.0)
    epsilon = law.bias_std / math.sqrt(law.variance)

    def term(v):  # u = v³ takes the root singularity of the quantiles out
        r = law.isf(v**3)
        return 3 * v**2 * epsilon**2 / (math.hypot(r, epsilon) + r)

    mean = sum(integrate.quad(term, a, a + 0.1, epsrel=1e-10)[0] for a in np.arange(0.0, 0.95, 0.1))
    drift = fr.tilted_log_mean(1.0, law.variance, 4, LEAKY)
    assert law.tail_constant == pytest.approx(mean / drift, rel=1e-8)


@pytest.mark.parametrize(("width", "activation", "s"), CASES)
def test_half_the_step_changes_nothing_and_linear_interpolation_converges(width, activation, s):
    law = critical(width, activation, s)
    variance, bias_std = law.variance, law.bias_std
    half = fr.StationaryLaw(width, activation, variance, bias_std, step=law._grid.step / 2)
    x = law.isf(np.geomspace(1e-9, 0.9 * law.sf(0), 40))
    assert np.abs(half.log_sf(x) - law.log_sf(x)).max() < 2e-9
    # Negative control of the same comparison: three times the step is not enough.
    coarse = fr.StationaryLaw(width, activation, variance, bias_std, step=2.4 * law._grid.step)
    assert np.abs(coarse.log_sf(x) - law.log_sf(x)).max() > 1e-8
    gaps = []
    x = law.isf(np.linspace(0.02, 0.9 * law.sf(0), 40))
    for step in (0.1, 0.05) if width == 1 else (0.08, 0.04):
        linear = fr.StationaryLaw(width, activation, variance, bias_std, method="linear", step=step)
        gaps.append(np.abs(linear.log_sf(x) - law.log_sf(x)).max())
    # A root at the edge of P(g > u) leaves the order 3/2 and more.
    assert gaps[1] < gaps[0] / 2 < 0.02


@pytest.mark.parametrize(("width", "activation", "s"), CASES)
def test_finite_depth_has_the_exact_moments(width, activation, s):
    law = critical(width, activation, s)
    for depth, norm in ((1, 2.0), (2, 0.01), (5, 2.0)):
        at_depth = law.at_depth(depth, norm)
        y = np.arange(-40, 60, 0.01)
        survival = at_depth.sf(np.exp(y))
        moments = [0.01 * float(h * np.exp(h * y) @ survival) for h in (2, 4)]
        exact = fr.square_moments(depth, width, activation, law.variance, law.bias_std, norm=norm)[-1]
        assert moments[0] == pytest.approx(exact[0], rel=1e-9)
        assert moments[1] == pytest.approx(exact[1], rel=1e-7)
        wrong = fr.square_moments(depth, width, activation, 1.001 * law.variance, law.bias_std, norm=norm)[-1]
        assert moments[0] != pytest.approx(wrong[0], rel=1e-6)


def test_one_layer_and_very_many():
    law = critical(8, RELU, 1.0)
    one_layer, alive = fr.LogNormLaw(1, 8, RELU, law.variance), fr.survival_probability(1, 8, RELU)
    x = np.geomspace(0.2, 8.0, 60)
    exact = alive * one_layer.sf(np.log(x / math.hypot(1.0, law.bias_std / math.sqrt(law.variance))))
    assert np.abs(law.at_depth(1).sf(x) - exact).max() < 1e-8
    assert np.abs(law.at_depth(1000).sf(x) - law.sf(x)).max() < 1e-10
    assert np.abs(law.at_depth(20).sf(x) - law.sf(x)).max() > 1e-4
    linear = fr.StationaryLaw(8, RELU, law.variance, law.bias_std, method="linear", step=0.03)
    assert np.abs(linear.at_depth(20).sf(x) - law.at_depth(20).sf(x)).max() < 5e-4
    assert linear.at_depth(5).hill_target(0.1) == pytest.approx(law.at_depth(5).hill_target(0.1), rel=2e-3)


def test_every_name_of_the_interface_says_the_same():
    law = critical(2, RELU, 1.0)
    assert law.cdf(0.0) == pytest.approx(0.25, rel=1e-14)
    assert law.ppf(0.2) == 0.0
    q = np.array([0.26, 0.5, 0.9, 0.999, 1 - 1e-9])
    assert law.cdf(law.ppf(q)) == pytest.approx(q, rel=1e-9)
    tails = np.array([1e-300, 1e-30, 1e-9, 0.1, 0.7])
    assert law.sf(law.isf(tails)) == pytest.approx(tails, rel=1e-9)
    x = np.array([0.0, 1e-30, 1e-3, 1.0, 1e30])
    assert law.cdf(x) == pytest.approx(1 - law.sf(x), abs=1e-15)
    assert law.log_sf(x) == pytest.approx(np.log(law.sf(x)), abs=1e-14)
    assert np.all(np.diff(law.sf(np.geomspace(1e-12, 1e12, 2000))) <= 0)
    # Near zero a single live neuron decides: P(0 < r ≤ x) is proportional to x.
    assert (law.cdf(1e-14) - law.cdf(0.0)) / (law.cdf(1e-15) - law.cdf(0.0)) == pytest.approx(10, rel=0.2)
    assert isinstance(law.sf(1.0), float)
    assert law.sf(np.ones((2, 3))).shape == (2, 3)
    assert law.isf(0.5) == critical(2, RELU, 1.0, bias_std=0.6).isf(0.5) / 2
    assert fr.StationaryLaw(2, RELU, law.variance, 0.3, method="linear").isf(0.5) == pytest.approx(
        law.isf(0.5), rel=5e-3
    )
    with pytest.raises(ValueError, match="share"):
        law.hill_target(0.8)


def test_hills_target_is_the_mean_excess_of_the_logarithm():
    law = critical(4, LEAKY, 1.3)
    for share in (0.5, 0.05, 1e-7):
        mean = integrate.quad(lambda u, s=share: math.log(law.isf(u * s)), 0, 1, epsrel=1e-9, limit=400)[0]
        assert 1 / law.hill_target(share) == pytest.approx(mean - math.log(law.isf(share)), rel=1e-7)
    assert law.hill_target(1e-7) == pytest.approx(1.3, abs=1e-6)
    assert law.hill_target(0.5) != pytest.approx(1.3, abs=1e-2)


def test_draws_follow_the_law_and_not_another():
    """Four binomial tests at level 1e-4 each, false-alarm rate 4e-4; the control has 15 % more variance."""
    law = critical(4, RELU, 1.0)
    control = fr.StationaryLaw(4, RELU, 1.15 * law.variance, law.bias_std)
    r = law.rvs(20000, np.random.default_rng(5), depth=150)
    assert np.mean(r == 0) == pytest.approx(1 / 16, abs=0.01)
    rejected = []
    for q in (0.5, 0.1, 0.02):
        hits = [int((r > one.isf(q)).sum()) for one in (law, control)]
        p_values = [stats.binomtest(count, len(r), q).pvalue for count in hits]
        assert p_values[0] > 1e-4
        rejected.append(p_values[1] < 1e-4)
    assert all(rejected)
    depth_law = law.at_depth(3, norm=2.0)
    drawn = depth_law.rvs(20000, np.random.default_rng(6))
    assert stats.binomtest(int((drawn > depth_law.isf(0.2)).sum()), 20000, 0.2).pvalue > 1e-4
    assert stats.binomtest(int((drawn > law.isf(0.2)).sum()), 20000, 0.2).pvalue < 1e-4
    # The average of Goldie's terms is an estimate of the constant, within five standard errors.
    terms = law.goldie_terms(np.log(r[r > 0]))
    terms = np.append(terms, np.repeat(law.goldie_terms(-math.inf), (r == 0).sum()))
    error = terms.std(ddof=1) / math.sqrt(len(terms))
    assert abs(terms.mean() - law.tail_constant) < 5 * error < 0.2 * law.tail_constant


def test_draws_are_those_of_the_simulation():
    law = critical(16, RELU, 1.0)
    arguments = (16, RELU, law.variance)
    whole = fr.simulate_log_norms(500, 40, *arguments, bias_std=law.bias_std, rng=np.random.default_rng(1))
    drawn = law.log_rvs(500, np.random.default_rng(1), depth=40)
    assert np.array_equal(drawn, whole[:, -1])
    again = law.rvs((25, 20), np.random.default_rng(1), depth=40)
    assert np.array_equal(again, np.exp(drawn).reshape(25, 20))
    assert law.rvs(0, np.random.default_rng(1)).shape == (0,)


def test_the_limit_of_wide_layers():
    """The distance from Dufresne's law falls like 1/width."""
    distances, ratios = [], []
    for width in (64, 256, 1024):
        law = critical(width, RELU, 1.0)
        limit = law.wide_limit()
        x = limit.ppf(np.linspace(0.01, 0.99, 99))
        distances.append(float(np.abs(law.cdf(x) - limit.cdf(x)).max()))
        ratios.append(law.tail_constant / law.wide_tail_constant - 1)
        assert limit.sf(1e9) * 1e9 == pytest.approx(law.wide_tail_constant, rel=1e-6)
    assert np.array(distances[:-1]) / distances[1:] == pytest.approx([4, 4], rel=0.1)
    assert np.array(ratios[:-1]) / ratios[1:] == pytest.approx([4, 4], rel=0.1)


def test_square_moments_by_hand():
    """Linear network: R² is chi-squared, so E r_1⁴ = (σ² r_0² + σ_b²)² d (d + 2)."""
    second, fourth = fr.square_moments(2, 3, fr.Linear(), 0.5, 0.7, norm=2.0)[1:].T
    inner = 0.5 * 4 + 0.49
    assert second[0] == pytest.approx(3 * inner, rel=1e-14)
    assert fourth[0] == pytest.approx(15 * inner**2, rel=1e-14)
    assert second[1] == pytest.approx(3 * (0.5 * second[0] + 0.49), rel=1e-14)
    assert fourth[1] == pytest.approx(
        15 * (0.25 * fourth[0] + 2 * 0.5 * 0.49 * second[0] + 0.49**2), rel=1e-14
    )
    without = fr.square_moments(5, 8, LEAKY, 0.2, 0.0)
    assert without[5, 1] == pytest.approx((0.04 * fr.moment(4, 8, LEAKY)) ** 5, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("variance", lambda: fr.StationaryLaw(8, LEAKY, fr.critical_variance(0, 8, LEAKY), 1.0)),
        ("variance", lambda: fr.StationaryLaw(8, LEAKY, 5.0, 1.0)),
        ("variance", lambda: fr.StationaryLaw(64, RELU, 5.0, 1.0)),
        ("variance", lambda: fr.StationaryLaw(8, LEAKY, 1e-12, 1.0)),
        ("variance", lambda: fr.StationaryLaw(8, RELU, 0.02, 1.0).tail_constant),
        ("variance", lambda: fr.StationaryLaw(8, RELU, math.inf, 1.0)),
        ("width", lambda: fr.StationaryLaw(0, RELU, 0.2, 1.0)),
        ("width", lambda: fr.StationaryLaw(10**9, RELU, 2e-9, 1.0).sf(1.0)),
        ("width", lambda: fr.StationaryLaw(2000, RELU, 1e-3, 1.0, method="linear").sf(1.0)),
        ("bias_std", lambda: fr.StationaryLaw(8, RELU, 0.2, 0.0)),
        ("activation", lambda: fr.StationaryLaw(8, "relu", 0.2, 1.0)),
        ("method", lambda: fr.StationaryLaw(8, RELU, 0.2, 1.0, method="cubic")),
        ("step", lambda: fr.StationaryLaw(8, RELU, 0.2, 1.0, step=0.0)),
        ("step", lambda: fr.StationaryLaw(64, RELU, 0.03, 1.0, step=0.4).sf(1.0)),
        ("x", lambda: critical(8, RELU, 1.0).sf(-1.0)),
        ("x", lambda: critical(8, RELU, 1.0).local_index(0.0)),
        ("q", lambda: critical(8, RELU, 1.0).ppf(1.0)),
        ("depth", lambda: critical(8, RELU, 1.0).at_depth(0)),
        ("norm", lambda: critical(8, RELU, 1.0).at_depth(2, 0.0)),
        ("size", lambda: critical(8, RELU, 1.0).rvs(-1, np.random.default_rng(0))),
        ("rng", lambda: critical(8, RELU, 1.0).rvs(3, 7)),
        ("depth", lambda: fr.square_moments(0, 8, RELU, 0.2, 1.0)),
        ("bias_std", lambda: fr.square_moments(2, 8, RELU, 0.2, -1.0)),
        ("norm", lambda: fr.square_moments(2, 8, RELU, 0.2, 1.0, norm=0.0)),
    ],
)
def test_bad_arguments_are_named(name, call):
    with pytest.raises(ValueError, match=f"{name} = "):
        call()
