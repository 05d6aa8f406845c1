"""Networks that grow at either end: against an explicit loop, their law, and the inequality of page 04."""

import math

import numpy as np
import pytest

import fracrepro as fr
from fracrepro.errors import ArgumentError
from fracrepro.stats import mean_test
from fracrepro.theory.input_side import both_ends, grow_both_ends, perpetuity

FAMILIES = [fr.Linear(), fr.ReLU(), fr.LeakyReLU(0.01), fr.LeakyReLU(0.5), fr.Abs(), fr.RReLU()]


def layers_of(networks, width, depth, std, bias_std, rng):
    """The layers in the order in which the library draws them, for fixed slopes."""
    return [
        (
            std * rng.standard_normal((networks, width, width)),
            bias_std * rng.standard_normal((networks, width)),
        )
        for _ in range(depth)
    ]


def passed(x, layers, f):
    for w, b in layers:
        x = f.apply(np.einsum("nij,nj->ni", w, x) + b)
    return x


@pytest.mark.parametrize("f", [fr.ReLU(), fr.LeakyReLU(0.3), fr.Abs()])
def test_both_ends_are_the_explicit_compositions(f):
    x, depths = np.random.default_rng(1).standard_normal((5, 3)), [1, 2, 6]
    inner, outer = grow_both_ends(x, depths, f, 0.4, bias_std=0.7, rng=np.random.default_rng(2))
    layers = layers_of(5, 3, 6, math.sqrt(0.4), 0.7, np.random.default_rng(2))
    for i, k in enumerate(depths):
        np.testing.assert_allclose(inner[i], passed(x, layers[6 - k :], f), rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(outer[i], passed(x, layers[:k], f), rtol=1e-13, atol=1e-15)
    assert not np.allclose(inner[1], outer[1])


def test_random_slopes_belong_to_the_layer():
    """Two inputs of one network meet the same slopes: x and 2x without biases stay proportional."""
    x = np.random.default_rng(3).standard_normal((4, 5))
    runs = [
        grow_both_ends(c * x, [7], fr.RReLU(), 0.3, bias_std=0.0, rng=np.random.default_rng(4))[0]
        for c in (1.0, 2.0)
    ]
    np.testing.assert_allclose(runs[1], 2 * runs[0], rtol=1e-13)


def test_the_series_is_the_recursion():
    squares, logs = perpetuity(50, 20, 4, fr.LeakyReLU(0.2), 0.3, bias_std=0.5, rng=np.random.default_rng(5))
    factors = np.exp(2 * np.diff(logs, axis=1))
    for k in (1, 5, 20):
        y = np.zeros(50)
        for i in reversed(range(k)):  # the last factor of the product is the innermost
            y = factors[:, i] * (y + 0.25 / 0.3)
        np.testing.assert_allclose(squares[:, k], y, rtol=1e-12)


def test_both_ends_are_the_networks_and_the_series():
    f, depths, size = fr.LeakyReLU(0.2), [1, 3, 6, 12], (40, 4)
    streams = [np.random.default_rng(9), np.random.default_rng(10)]
    found = both_ends(
        size[0], depths, size[1], f, 0.3, bias_std=0.5, between=(3, 6), rng=streams[0], series_rng=streams[1]
    )
    x = np.tile([1.0, 0.0, 0.0, 0.0], (40, 1))
    layers = layers_of(*size, 12, math.sqrt(0.3), 0.5, np.random.default_rng(9))
    outer = [passed(x, layers[:k], f) for k in depths]
    inner = [passed(x, layers[12 - k :], f) for k in depths]
    np.testing.assert_allclose(found.outer, np.linalg.norm(outer, axis=2), rtol=1e-12)
    np.testing.assert_allclose(found.inner, np.linalg.norm(inner[-1], axis=1), rtol=1e-12)
    for outputs, rate in ((inner, found.inner_rate), (outer, found.outer_rate)):
        near, far = (np.log(np.linalg.norm(outputs[i] - outputs[-1], axis=1)) for i in (2, 1))
        assert rate == pytest.approx(np.mean(near - far) / 3, rel=1e-9)
    # r' = sqrt(σ² r² + σ_b²) R with the last factor innermost, from an input of norm 1
    _, logs = perpetuity(40, 12, 4, f, 0.3, bias_std=0.5, rng=np.random.default_rng(10))
    y = np.ones(40)
    for i in reversed(range(12)):
        y = np.exp(2 * (logs[:, i + 1] - logs[:, i])) * (y + 0.25 / 0.3)
    np.testing.assert_allclose(found.series, np.sqrt(y), rtol=1e-12)
    np.testing.assert_array_equal(found.products, logs[:, -1])


def test_networks_that_have_all_merged_have_no_finite_rate():
    """One ReLU neuron a layer: after 40 layers of which 39 may kill, 20 networks are at X_K already."""
    streams = {"rng": np.random.default_rng(1), "series_rng": np.random.default_rng(2)}
    found = both_ends(20, [60, 61, 62], 1, fr.ReLU(), 2.0, bias_std=1.0, between=(60, 61), **streams)
    assert found.inner_rate == -math.inf
    assert math.isfinite(found.outer_rate)


@pytest.mark.parametrize("between", [(1, 4), (4, 1), (1, 3), (1, 1)])
def test_the_slopes_need_two_depths_below_the_last(between):
    streams = {"rng": np.random.default_rng(1), "series_rng": np.random.default_rng(2)}
    with pytest.raises(ArgumentError, match="between"):
        both_ends(2, [1, 2, 4], 1, fr.ReLU(), 2.0, bias_std=1.0, between=between, **streams)


def ratios(f, width, share, rng, n=100_000):
    """|F(x) - F(y)|/|x - y| over layers with σ = 1, for inputs at an angle with a bias as in the network."""
    x, y = np.zeros(width + 1), np.zeros(width + 1)
    x[0], y[0], y[1 % width] = 1.0, math.cos(share * math.pi), math.sin(share * math.pi)
    x[-1] = y[-1] = 0.3  # the bias as one more input
    w = rng.standard_normal((n, width, width + 1))
    a, b = w @ x, w @ y
    up, down = (low if low == high else rng.uniform(low, high, a.shape) for low, high in f.slopes.sides)
    gap = np.where(a > 0, up, down) * a - np.where(b > 0, up, down) * b
    return np.linalg.norm(gap, axis=1) / np.linalg.norm(x - y)


@pytest.mark.parametrize("f", FAMILIES)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_two_inputs_come_closer_as_the_theorem_says(f, share):
    """E |F(x) - F(y)|^h ≤ E R^h |x - y|^h for h ≥ 1, by a one-sided test at 4 standard errors (3e-5)."""
    found = ratios(f, 3, share, np.random.default_rng([6, int(100 * share)]))
    for h in (1.0, 1.5, 2.0):
        bound = fr.moment(h, 3, f)
        assert mean_test(found**h, bound).z < 4
        assert mean_test(found**h, 0.8 * fr.moment(h, 3, f)).z > 4 or share > 0.02  # sharp for close inputs


def test_the_inequality_needs_orders_from_one():
    """In one dimension, leaky ReLU, opposite inputs: at h = 1/4 the difference exceeds the bound."""
    found = ratios(fr.LeakyReLU(0.01), 1, 1.0, np.random.default_rng(7))
    assert mean_test(found**0.25, fr.moment(0.25, 1, fr.LeakyReLU(0.01))).z > 10
    assert mean_test(found**2.0, fr.moment(2.0, 1, fr.LeakyReLU(0.01))).z < 4


def test_relu_networks_merge_at_kaimings_variance_and_above():
    """Part 3 of the theorem: at width 1 two inputs merge with probability at least 1/4 a layer."""
    x = np.ones((20_000, 1))
    for variance in (2.0, 20.0):
        inner, _ = grow_both_ends(
            x, [20, 40], fr.ReLU(), variance, bias_std=1.0, rng=np.random.default_rng(8)
        )
        moved = np.mean(inner[0] != inner[1])
        # At most one in 300 may differ; 4 standard errors beside.
        assert moved < 0.75**19 + 4 * math.sqrt(0.75**19 / 20_000)
    linear, _ = grow_both_ends(x, [20, 40], fr.Linear(), 2.0, bias_std=1.0, rng=np.random.default_rng(8))
    assert np.mean(linear[0] != linear[1]) == 1.0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"inputs": np.ones(3)}, "inputs"),
        ({"depths": [2, 1]}, "depths"),
        ({"depths": [0]}, "depths"),
        ({"variance": 0.0}, "variance"),
        ({"bias_std": -1.0}, "bias_std"),
        ({"rng": 0}, "rng"),
    ],
)
def test_wrong_arguments_are_refused(change, named):
    chosen = {"inputs": np.ones((2, 3)), "depths": [1, 2], "variance": 1.0, "bias_std": 1.0}
    chosen |= {"rng": np.random.default_rng(0)} | change
    with pytest.raises(ArgumentError, match=named):
        grow_both_ends(
            chosen.pop("inputs"), chosen.pop("depths"), fr.ReLU(), chosen.pop("variance"), **chosen
        )
    with pytest.raises(ArgumentError, match="bias_std"):
        perpetuity(2, 2, 2, fr.ReLU(), 1.0, bias_std=0.0, rng=np.random.default_rng(0))
