"""The convex problem of threshold networks: its patterns, its optimum, and that networks attain it."""

import numpy as np
import pytest
from scipy import optimize

from fracrepro.errors import ArgumentError
from fracrepro.nn.demonstrations import threshold_convex as convex

RNG = np.random.default_rng(21)
TARGETS = RNG.standard_normal(8)
COLUMNS = convex.patterns(8)


def test_patterns_are_those_of_random_neurons():
    """20,000 neurons find every pattern: the rarest has a gap of the points between its thresholds."""
    points = np.linspace(-1, 1, 8)
    weights = RNG.standard_normal((20_000, 2))
    found = {tuple(row) for row in (weights[:, :1] * points + weights[:, 1:] >= 0).astype(float)}
    assert found == {tuple(column) for column in COLUMNS.T} | {(0.0,) * 8}
    assert COLUMNS.shape == (8, 15)


@pytest.mark.parametrize("beta", [0.05, 0.3, 1.0])
def test_the_optimum_has_no_duality_gap_and_another_solver_finds_no_better(beta):
    best = convex.solve(COLUMNS, TARGETS, beta)
    value = convex.objective(COLUMNS, TARGETS, beta, best)
    assert abs(convex.duality_gap(COLUMNS, TARGETS, beta, best)) < 1e-11
    split = optimize.minimize(  # c as a difference of two nonnegative parts, by another algorithm
        lambda p: (
            convex.objective(COLUMNS, TARGETS, beta, p[:15] - p[15:])
            + beta * (p.sum() - np.abs(p[:15] - p[15:]).sum())
        ),
        np.full(30, 0.1),
        bounds=[(0, None)] * 30,
        method="L-BFGS-B",
        options={"maxiter": 20_000, "maxfun": 10**6, "ftol": 1e-15, "gtol": 1e-9},
    )
    assert value - 1e-12 <= split.fun <= value + 1e-5
    # The control: a gap opens for any other c.
    assert convex.duality_gap(COLUMNS, TARGETS, beta, best + 1e-4) > 1e-9


def test_one_pattern_is_soft_thresholding():
    assert convex.solve([[1.0], [1.0]], [2.0, 1.0], 0.5)[0] == pytest.approx(1.25, rel=1e-14)
    assert convex.solve([[1.0]], [0.4], 0.5)[0] == pytest.approx(0.0, abs=1e-15)


def test_a_network_has_the_objective_of_its_split_and_no_network_a_lower_one():
    best = convex.solve(COLUMNS, TARGETS, 0.3)
    value = convex.objective(COLUMNS, TARGETS, 0.3, best)
    assert convex.network_objective(COLUMNS, TARGETS, 0.3, best) == pytest.approx(value, rel=1e-14)
    for _ in range(200):  # any amplitudes and outer weights, of any patterns
        s, alpha = RNG.standard_normal((2, 15))
        error = COLUMNS @ (s * alpha) - TARGETS
        assert 0.5 * error @ error + 0.15 * np.sum(s**2 + alpha**2) >= value
    # The control: a split that is not even costs more.
    s, alpha = 2 * np.sqrt(np.abs(best)), np.sign(best) * np.sqrt(np.abs(best)) / 2
    error = COLUMNS @ (s * alpha) - TARGETS
    assert 0.5 * error @ error + 0.15 * np.sum(s**2 + alpha**2) > value + 1e-3


def test_more_neurons_come_down_to_the_optimum_and_fewer_do_not():
    best = convex.solve(COLUMNS, TARGETS, 1.0)
    used = int(np.sum(np.abs(best) > 1e-10))
    excess = np.array(convex.best_networks(COLUMNS, TARGETS, 1.0, used)) - convex.objective(
        COLUMNS, TARGETS, 1.0, best
    )
    assert np.all(np.diff(excess) <= 1e-12)
    assert abs(excess[-1]) < 1e-12
    assert used == 1 or excess[0] > 1e-3


@pytest.mark.parametrize(
    "call",
    [
        lambda: convex.patterns(0),
        lambda: convex.solve(COLUMNS, TARGETS, 0.0),
        lambda: convex.solve(COLUMNS, TARGETS[1:], 1.0),
        lambda: convex.best_networks(COLUMNS, TARGETS, 1.0, 16),
    ],
)
def test_what_is_out_of_range_is_refused(call):
    with pytest.raises(ArgumentError):
        call()
