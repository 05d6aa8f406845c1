"""The Polyak-Lojasiewicz bound of a shallow network: derivatives by two routes, and every row."""

import numpy as np
import pytest

from fracrepro.errors import ArgumentError
from fracrepro.nn.demonstrations import shallow_pl

X, Y = shallow_pl.data(20, 6, np.random.default_rng(27))


def drawn(width):
    return shallow_pl.draw(width, 6, np.random.default_rng([28, width]))


def test_the_gradient_is_that_of_the_derivatives():
    network = drawn(7)
    by_torch = shallow_pl.autograd_gradient(network, X, Y)
    np.testing.assert_allclose(shallow_pl.gradient(network, X, Y), by_torch, rtol=1e-11, atol=1e-12)
    # The control: without the second layer's part.
    assert np.abs(by_torch[-7:]).max() > 0.1


@pytest.mark.parametrize(("width", "rank"), [(1, 7), (2, 14), (3, 20), (8, 20)])
def test_the_rank_is_bounded_by_the_parameters(width, rank):
    j = shallow_pl.jacobian(drawn(width), X)
    assert j.shape == (20, 7 * width)
    assert np.linalg.matrix_rank(j, tol=1e-9 * np.linalg.norm(j, 2)) == rank


def test_training_is_gradient_descent_and_its_rows_are_right():
    network = drawn(5)
    rows = shallow_pl.train(network, X, Y, steps=1, step=0.5, every=1)
    g, j = shallow_pl.gradient(network, X, Y), shallow_pl.jacobian(network, X)
    now = shallow_pl.loss(network, X, Y)
    size = 0.5 / np.linalg.norm(j, 2) ** 2
    after = shallow_pl.Shallow(network.w - size * g[:-5].reshape(5, 6), network.a - size * g[-5:])
    then = shallow_pl.loss(after, X, Y)
    assert rows["loss"].tolist() == pytest.approx([now, then], rel=1e-12)
    assert rows["descent"][0] == pytest.approx(then / now, rel=1e-12)
    assert rows["contraction"][0] == pytest.approx(g @ g / now, rel=1e-12)
    squared = np.linalg.svd(j, compute_uv=False) ** 2
    assert rows["least"][0] == pytest.approx(2 * squared[-1], rel=1e-9)
    assert rows["largest"][0] == pytest.approx(2 * squared[0], rel=1e-12)


@pytest.mark.parametrize("width", [4, 16, 64])
def test_the_loss_contracts_within_both_bounds(width):
    rows = shallow_pl.train(drawn(width), X, Y, steps=400, step=0.25, every=20)
    assert np.all(rows["contraction"] >= rows["least"] * (1 - 1e-9))
    assert np.all(rows["contraction"] <= rows["largest"] * (1 + 1e-9))
    assert np.all(rows["least"] > 0)
    # The control: the largest eigenvalue as the lower bound.
    assert np.any(rows["contraction"] < rows["largest"] / 2)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"step": 0.0}])
def test_what_is_out_of_range_is_refused(wrong):
    with pytest.raises(ArgumentError):
        shallow_pl.train(drawn(2), X, Y, **({"steps": 1, "step": 0.1} | wrong))
