"""Graph networks at initialization: bounds, the wide limit by quadrature, and full weights."""

import math

import numpy as np
import pytest
from scipy import integrate

import fracrepro as fr
from fracrepro.errors import ArgumentError
from fracrepro.theory.aggregation import karate_club, mean_aggregation, symmetric_aggregation
from fracrepro.theory.graphs import (
    energy_bounds,
    propagate,
    smallest_cosine,
    wide_gradients,
    wide_grams,
)

MATRIX = symmetric_aggregation(karate_club())
SMALL = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.0, 0.4, 0.6]])
GRAM = np.array([[2.0, 0.4, -0.3], [0.4, 1.0, 0.2], [-0.3, 0.2, 0.5]])


@pytest.mark.parametrize(
    "activation", [fr.ReLU(), fr.LeakyReLU(0.3), fr.LeakyReLU(-2), fr.Abs(), fr.Linear()]
)
def test_one_wide_layer_against_an_integral(activation):
    found = wide_grams(1, GRAM, SMALL, activation, 1.7)[1]
    s = 1.7 * SMALL @ GRAM @ SMALL.T

    def entry(i, j):
        """E φ(h_i) φ(h_j) over the angle of two independent normal variables: E r² = 2 over the plane."""
        first, second = np.linalg.cholesky(s[np.ix_([i, j], [i, j])] + 1e-300 * np.eye(2))

        def value(t):
            point = np.array([math.cos(t), math.sin(t)])
            return float(np.prod(activation.apply(np.array([first @ point, second @ point]))))

        kinks = sorted(t % (2 * math.pi) for v in (first, second) for t in (math.atan2(v[0], -v[1]),))
        kinks = sorted([*kinks, *((t + math.pi) % (2 * math.pi) for t in kinks)])
        return integrate.quad(value, 0, 2 * math.pi, points=kinks, epsabs=1e-13, limit=200)[0] / math.pi

    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert found[i, j] == pytest.approx(entry(i, j), rel=1e-10, abs=1e-12)
    diagonal = activation.even_moment(1) * np.diag(s)
    assert np.diag(found) == pytest.approx(diagonal, rel=1e-14)


def test_residual_connections_add_the_layer():
    layer = wide_grams(1, GRAM, SMALL, fr.ReLU(), 2.0)[1]
    np.testing.assert_allclose(
        wide_grams(1, GRAM, SMALL, fr.ReLU(), 2.0, 0.5)[1], GRAM + layer / 4, rtol=1e-14
    )


@pytest.mark.parametrize("activation", [fr.ReLU(), fr.LeakyReLU(0.3), fr.LeakyReLU(-2), fr.Abs()])
@pytest.mark.parametrize("matrix", [MATRIX, mean_aggregation(karate_club())], ids=["symmetric", "mean"])
def test_the_wide_limit_lies_within_the_bounds(activation, matrix):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((34, 5))
    gram = x @ x.T / 5
    low, high = energy_bounds(30, gram, matrix)
    constant = 1 / activation.even_moment(1)
    sizes = np.trace(wide_grams(30, gram, matrix, activation, constant), axis1=1, axis2=2)
    assert (low <= sizes * (1 + 1e-12)).all()
    assert (sizes <= high * (1 + 1e-12)).all()
    # The control: a fifth more of the constant leaves them.
    more = np.trace(wide_grams(30, gram, matrix, activation, 1.2 * constant), axis1=1, axis2=2)
    assert more[-1] > high[-1]


def test_the_bounds_hold_at_width_two():
    """20 000 networks, 4 layers: the mean lies between the bounds, and not between those of another matrix.

    The bounds are 40 standard errors and more away, so that chance plays no part.
    """
    x = np.random.default_rng(1).standard_normal((3, 2))
    gram = x @ x.T / 2
    found = propagate(20_000, 4, x, SMALL, fr.ReLU(), 2 / 2, np.random.default_rng(2)).features / 2
    low, high = energy_bounds(4, gram, SMALL)
    error = found.std(0) / math.sqrt(len(found))
    assert (found.mean(0)[1:] > low[1:] - 4 * error[1:]).all()
    assert (found.mean(0)[1:] < high[1:] + 4 * error[1:]).all()
    wrong, _ = energy_bounds(4, gram, np.eye(3))
    assert (found.mean(0)[1:] < wrong[1:] - 4 * error[1:]).all()


def test_full_networks_against_plain_loops():
    """The features and the gradient of one network, by loops and by finite differences."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((3, 2))
    phi = fr.LeakyReLU(0.3)
    found = propagate(1, 2, x, SMALL, phi, 0.7, np.random.default_rng(4))
    again = np.random.default_rng(4)
    weights = [math.sqrt(0.7) * again.standard_normal((1, 2, 2))[0] for _ in range(2)]
    direction = again.standard_normal((1, 3, 2))[0]

    def forward(start):
        signal = start
        for w in weights:
            signal = phi.apply(SMALL @ signal @ w)
        return signal

    np.testing.assert_allclose(found.output[0], forward(x), rtol=1e-13)
    assert found.features[0, -1] == pytest.approx(np.square(forward(x)).sum(), rel=1e-13)
    step, gradient = 1e-6, np.zeros((3, 2))
    for place in np.ndindex(3, 2):
        moved = x.copy()
        moved[place] += step
        gradient[place] = np.sum(direction * (forward(moved) - forward(x))) / step
    assert found.gradients[0, 0] == pytest.approx(np.square(gradient).sum(), rel=1e-7)
    assert found.gradients[0, -1] == pytest.approx(np.square(direction).sum(), rel=1e-13)


@pytest.mark.parametrize("slope", [0.0, 0.5, -0.7])
def test_wide_gradients_are_those_of_wide_networks(slope):
    """Width 500, three layers, 60 networks: sizes at every depth within 5 standard errors and one percent.

    The control, a graph that is left out on the way back, is more than ten percent off.
    """
    phi, width = fr.LeakyReLU(slope), 500
    rng = np.random.default_rng(8)
    x = rng.standard_normal((3, 3)) @ np.eye(3, width) * math.sqrt(width)
    constant = 1 / phi.even_moment(1)
    grams = wide_grams(3, x @ x.T / width, SMALL, phi, constant)
    expected = np.trace(wide_gradients(grams, SMALL, phi, constant), axis1=1, axis2=2)
    found = propagate(60, 3, x, SMALL, phi, constant / width, rng).gradients / width
    error = found.std(0) / math.sqrt(len(found))
    assert (np.abs(found.mean(0) - expected) < 5 * error + 0.01 * expected).all()
    without = np.trace(wide_gradients(grams, np.eye(3), phi, constant), axis1=1, axis2=2)
    assert abs(without[0] / found[:, 0].mean() - 1) > 0.1


def test_smoothed_features_are_one_plain_network():
    u, phi = np.abs(np.linalg.eigh(MATRIX)[1][:, -1]), fr.LeakyReLU(0.2)
    x = np.random.default_rng(5).standard_normal(4)

    def sizes(features, matrix):
        return propagate(50, 6, features, matrix, phi, 0.1, np.random.default_rng(6)).features

    plain = sizes(x[None], [[3.0]])
    np.testing.assert_allclose(sizes(np.outer(u, x), 3 * MATRIX), plain, rtol=1e-11)
    other = sizes(np.outer(u[::-1], x), 3 * MATRIX)  # no eigenvector: another size
    assert np.abs(other[:, 1] / plain[:, 1] - 1).min() > 1e-3


def test_cosines():
    assert smallest_cosine(GRAM) == pytest.approx(-0.3, rel=1e-12)
    assert smallest_cosine(np.stack([GRAM, np.eye(3)])).shape == (2,)
    dead = np.diag([2.0, 0.0, 3.0])
    dead[0, 2] = dead[2, 0] = 1.5
    assert smallest_cosine(dead) == pytest.approx(1.5 / math.sqrt(6), rel=1e-14)
    assert smallest_cosine(np.zeros((2, 2))) == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: energy_bounds(0, GRAM, SMALL), "depth = 0"),
        (lambda: energy_bounds(1, GRAM, -SMALL), "aggregation = -0.6: need entries of at least 0"),
        (lambda: energy_bounds(1, np.eye(2), SMALL), r"gram has shape \(2, 2\)"),
        (lambda: wide_grams(1, GRAM, SMALL, "relu", 2.0), "activation = 'relu'"),
        (lambda: wide_grams(1, GRAM, SMALL, fr.ReLU(), 0.0), "constant = 0"),
        (lambda: wide_grams(1, GRAM, SMALL, fr.ReLU(), 2.0, math.nan), "skip_scale = nan"),
        (lambda: wide_gradients(GRAM, SMALL, fr.ReLU(), 2.0), r"need \(L \+ 1, N, N\) with N = 3"),
        (lambda: wide_gradients(GRAM[None], SMALL, fr.RReLU(), 2.0), "fixed slopes"),
        (lambda: propagate(0, 1, GRAM, SMALL, fr.ReLU(), 1.0, np.random.default_rng()), "draws = 0"),
        (
            lambda: propagate(1, 1, np.eye(2), SMALL, fr.ReLU(), 1.0, np.random.default_rng()),
            "a row for each",
        ),
        (lambda: propagate(1, 1, GRAM, SMALL, fr.RReLU(), 1.0, np.random.default_rng()), "fixed slopes"),
        (lambda: propagate(1, 1, GRAM, SMALL, fr.ReLU(), 1.0, 7), "rng = 7"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
