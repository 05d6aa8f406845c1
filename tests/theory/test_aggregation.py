"""Aggregations of a graph: the bundled one, both normalizations, and the variance that goes with them."""

import numpy as np
import pytest

import fracrepro as fr
from fracrepro.errors import ArgumentError
from fracrepro.theory import aggregation as agg

ADJACENCY = agg.karate_club()


def test_the_karate_club_is_the_published_one():
    networkx = pytest.importorskip("networkx")  # comes with torch
    theirs = networkx.to_numpy_array(networkx.karate_club_graph(), weight=None)
    np.testing.assert_array_equal(ADJACENCY, theirs)
    # Known facts of the graph: 78 edges, and degrees 16 and 17 of the two leaders.
    assert ADJACENCY.sum() == 2 * 78
    assert (ADJACENCY.sum(0)[0], ADJACENCY.sum(0)[33]) == (16, 17)


@pytest.mark.parametrize("loops", [True, False])
def test_both_normalizations_have_spectral_radius_one(loops):
    symmetric = agg.symmetric_aggregation(ADJACENCY, self_loops=loops)
    mean = agg.mean_aggregation(ADJACENCY, self_loops=loops)
    assert (symmetric == symmetric.T).all()
    np.testing.assert_allclose(mean.sum(axis=1), 1.0, rtol=1e-15)
    # They are similar: one spectrum.
    found = [np.sort(np.linalg.eigvals(each).real) for each in (symmetric, mean)]
    np.testing.assert_allclose(*found, rtol=0, atol=1e-13)
    for each in (symmetric, mean):
        assert agg.spectral_radius(each) == pytest.approx(1.0, rel=1e-13)
    # The control: without normalization it is far from 1.
    assert agg.spectral_radius(ADJACENCY) > 6


def test_entries_by_hand():
    path = [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    symmetric = agg.symmetric_aggregation(path)
    assert symmetric[0, 1] == pytest.approx(1 / np.sqrt(6), rel=1e-15)
    assert agg.mean_aggregation(path)[1].tolist() == [1 / 3, 1 / 3, 1 / 3]
    np.testing.assert_array_equal(
        agg.residual_aggregation(symmetric, 0.25), 0.75 * np.eye(3) + 0.25 * symmetric
    )
    # Bipartite without self-loops: -1 is an eigenvalue as well as 1.
    values = np.linalg.eigvalsh(agg.symmetric_aggregation(path, self_loops=False))
    assert values[[0, -1]] == pytest.approx([-1, 1], rel=1e-13)


def test_large_matrices_by_another_route():
    rng = np.random.default_rng(0)
    n = 500
    adjacency = np.triu(rng.random((n, n)) < 0.02, 1).astype(float)
    adjacency += adjacency.T
    for matrix in (adjacency, adjacency + np.triu(adjacency)):
        expected = np.abs(np.linalg.eigvals(matrix)).max()
        assert agg.spectral_radius(matrix) == pytest.approx(expected, rel=1e-11)
        assert agg.spectral_radius(matrix) == agg.spectral_radius(matrix)


@pytest.mark.parametrize(
    ("activation", "square"),
    [
        (fr.ReLU(), 0.5),
        (fr.LeakyReLU(0.3), 0.545),
        (fr.LeakyReLU(-2), 2.5),
        (fr.Linear(), 1.0),
        (fr.Abs(), 1.0),
    ],
)
def test_the_variance_by_its_formula(activation, square):
    radius = np.abs(np.linalg.eigvals(ADJACENCY)).max()
    expected = 1 / (20 * square * radius**2)
    assert agg.energy_preserving_variance(ADJACENCY, 20, activation) == pytest.approx(expected, rel=1e-13)
    normalized = agg.symmetric_aggregation(ADJACENCY)
    found = agg.energy_preserving_variance(normalized, 20, activation)
    assert found == pytest.approx(1 / (20 * square), rel=1e-13)


def infinite_width(matrix, gram, constant, layers):
    """The features' Gram matrix through infinitely wide ReLU layers, by the arc-cosine kernel."""
    for _ in range(layers):
        s = constant * matrix @ gram @ matrix.T
        sizes = np.sqrt(np.diag(s))
        cosine = np.clip(s / np.outer(sizes, sizes), -1, 1)
        angle = np.arccos(cosine)
        gram = np.outer(sizes, sizes) * (np.sin(angle) + (np.pi - angle) * cosine) / (2 * np.pi)
    return gram


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_two_over_the_square_of_the_radius_keeps_wide_networks_in_size(scale):
    """200 layers, identity at the input: within a factor 30 under the rule, and not with five percent off."""
    matrix = scale * agg.symmetric_aggregation(ADJACENCY)
    constant = 20 * agg.energy_preserving_variance(matrix, 20, fr.ReLU())
    trace = {
        factor: np.trace(infinite_width(matrix, np.eye(34), factor * constant, 200)) / 34
        for factor in (0.95, 1.0, 1.05)
    }
    assert 1 / 30 < trace[1.0] < 1
    assert trace[0.95] < 1e-4
    assert trace[1.05] > 1e2


def test_the_size_settles_under_the_rule():
    matrix = agg.symmetric_aggregation(ADJACENCY)
    traces = [np.trace(infinite_width(matrix, np.eye(34), 2.0, depth)) for depth in (100, 200, 400)]
    assert traces[1] == pytest.approx(traces[2], rel=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: agg.symmetric_aggregation([[0, 1], [0, 0]]), "need a symmetric matrix"),
        (lambda: agg.symmetric_aggregation([[0, -1], [-1, 0]]), "adjacency = -1"),
        (lambda: agg.mean_aggregation([[0, 1, 0]]), r"adjacency has shape \(1, 3\): need a square matrix"),
        (lambda: agg.mean_aggregation([[0, 0], [1, 0]], self_loops=False), "node 0 has no neighbours"),
        (lambda: agg.mean_aggregation(1.0), "adjacency has shape"),
        (lambda: agg.residual_aggregation(np.eye(2), 1.5), "share = 1.5"),
        (lambda: agg.spectral_radius([[np.nan]]), "aggregation = nan"),
        (lambda: agg.spectral_radius(np.zeros((0, 0))), "need a square matrix"),
        (lambda: agg.energy_preserving_variance([[0, 1], [0, 0]], 5, fr.ReLU()), "spectral radius is 0"),
        (lambda: agg.energy_preserving_variance(np.eye(2), 0, fr.ReLU()), "fan_in = 0"),
        (lambda: agg.energy_preserving_variance(np.eye(2), 5, "relu"), "activation = 'relu'"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
