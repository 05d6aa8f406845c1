"""Exact recursions of both passes: by hand, against independent moments, and against weights drawn here."""

import math

import numpy as np
import pytest

import fracrepro as fr
from fracrepro import oracle
from fracrepro.errors import ArgumentError
from fracrepro.theory import norms
from fracrepro.theory.recursions import loss_gradient_mean_squares, mean_squares, rms_moments

SIZES, STDS = [3, 7, 2, 5], [0.3, 0.9, 0.5]


@pytest.mark.parametrize(
    ("activation", "mean_square"),
    [(fr.Linear(), 1.0), (fr.ReLU(), 0.5), (fr.LeakyReLU(-3), 5.0), (fr.Abs(), 1.0), (fr.RReLU(0, 1), 2 / 3)],
)
def test_mean_squares_by_a_loop(activation, mean_square):
    ahead, back = mean_squares(SIZES, STDS, activation, deaths=False)
    factors = [mean_square * std**2 * n for std, n in zip(STDS, SIZES, strict=False)]
    assert np.exp(ahead) == pytest.approx([math.prod(factors[:k]) for k in range(4)], rel=1e-13)
    factors = [mean_square * std**2 * n for std, n in zip(STDS, SIZES[1:], strict=True)]
    assert np.exp(back) == pytest.approx([math.prod(factors[k:]) for k in range(4)], rel=1e-13)
    chance = 0.5 if activation == fr.ReLU() else 0.0
    alive = [1.0, 1 - chance**7, (1 - chance**7) * (1 - chance**2), 1.0]
    counted = mean_squares(SIZES, STDS, activation)[1]
    assert np.exp(counted - back) == pytest.approx(alive, rel=1e-13)


@pytest.mark.parametrize(
    ("activation", "s"),
    [
        (fr.Linear(), 0.3),
        (fr.ReLU(), 1.0),
        (fr.LeakyReLU(-0.5), 2.0),
        (fr.LeakyReLU(2), 3.5),
        (fr.RReLU(), 0.3),
    ],
)
def test_moments_of_root_mean_squares_against_independent_moments(activation, s):
    ahead, back = rms_moments(s, SIZES, STDS, activation)
    route = oracle.moment if activation.slopes.random else oracle.mixture_moment
    moment = {n: float(route(s, n, activation)) for n in SIZES}
    step = [
        std**s * (n_in / n_out) ** (s / 2) * moment[n_out]
        for std, n_in, n_out in zip(STDS, SIZES, SIZES[1:], strict=False)
    ]
    assert np.exp(ahead) == pytest.approx([math.prod(step[:k]) for k in range(4)], rel=1e-12)
    step = [
        std**s * (n_out / n_in) ** (s / 2) * moment[n_in]
        for std, n_in, n_out in zip(STDS[1:], SIZES[1:], SIZES[2:], strict=False)
    ]
    assert np.exp(back) == pytest.approx([math.prod(step[k:]) for k in range(3)], rel=1e-12)


def test_order_two_is_the_recursion_of_mean_squares():
    # E rms(h_l)² = E A² · E rms(g_l)² in every layer, so relative to the last layer both are one line.
    phi = fr.LeakyReLU(0.3)
    ahead, back = rms_moments(2.0, SIZES, STDS, phi)
    squares, gradients = mean_squares(SIZES, STDS, phi)
    np.testing.assert_allclose(ahead, squares, rtol=0, atol=1e-13)
    np.testing.assert_allclose(back, gradients[1:], rtol=0, atol=1e-13)


def test_full_networks_have_these_mean_squares_and_the_wrong_slope_is_seen():
    # 20 000 networks; the worst of 13 means stays within 4.5 standard errors (false alarms below 1e-4).
    phi, draws = fr.LeakyReLU(0.2), 20_000
    found = norms.propagate(draws, SIZES, STDS, phi, np.random.default_rng(2))

    def distance(activation):
        worst = 0.0
        for values, line in zip(
            (found.signals, found.gradients), mean_squares(SIZES, STDS, activation), strict=True
        ):
            ratio = values**2 / np.array(SIZES) / np.exp(line)
            error = np.maximum(ratio.std(0) / math.sqrt(draws), 1e-14)
            worst = max(worst, *(np.abs(ratio.mean(0) - 1) / error))
        return worst

    assert distance(phi) < 4.5
    assert distance(fr.ReLU()) > 5


def test_the_gradient_of_a_loss_by_weights_drawn_here():
    """Width 4, three layers, 2 outputs: the recursion against plain numpy."""
    rng = np.random.default_rng(7)
    n, d, m, depth = 100_000, 4, 2, 3
    x = np.ones((n, d, 1)) / 2
    layers = []
    for _ in range(depth):
        w = rng.standard_normal((n, d, d)) * math.sqrt(2 / d)
        z = w @ x
        x = np.maximum(z, 0)
        layers.append((w, z > 0))
    v = rng.standard_normal((n, m, d)) / math.sqrt(d)
    o = v @ x
    length = np.linalg.norm(o, axis=1, keepdims=True)
    g = v.mT @ (o / np.where(length > 0, length, 1))
    for w, mask in reversed(layers):
        g = w.mT @ (mask * g)
    squares = np.square(g).sum(axis=(1, 2))
    line = loss_gradient_mean_squares(depth, d, m / d, 1 / d)
    error = squares.std() / math.sqrt(n)
    assert abs(squares.mean() - line[0]) < 4 * error
    assert abs(squares.mean() - line[-1]) > 20 * error  # refuted: the independent one


def test_the_gradient_of_a_loss_relaxes_as_the_closed_form_says():
    # U is carried, and Q - U shrinks by 1 - (2/d)(1 - 2^-d) in every layer.
    d, along, across = 5, 0.7, 0.2
    rate = 1 - 2 / d * (1 - 2.0**-d)
    expected = [along + (d - 1) * (along + (across - along) * rate ** (6 - k)) for k in range(7)]
    assert loss_gradient_mean_squares(6, d, along, across) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: mean_squares([3], [], fr.ReLU()), "stds"),
        (lambda: mean_squares([3, 4], [1.0, 1.0], fr.ReLU()), "stds"),
        (lambda: mean_squares([3, 4], [0.0], fr.ReLU()), "stds"),
        (lambda: mean_squares([3, 0], [1.0], fr.ReLU()), "sizes"),
        (lambda: mean_squares([3, 4], [1.0], "relu"), "activation"),
        (lambda: rms_moments(4.0, [3, 4], [1.0], fr.ReLU()), "s"),
        (lambda: rms_moments(1.0, [3, 4], [1.0], "relu"), "activation"),
        (lambda: loss_gradient_mean_squares(0, 4, 1.0, 1.0), "depth"),
        (lambda: loss_gradient_mean_squares(1, 4, -1.0, 1.0), "along"),
        (lambda: norms.output_norm(0), "outputs"),
        (lambda: norms.cross_entropy(0), "outputs"),
    ],
)
def test_bad_input_is_refused(call, name):
    with pytest.raises(ArgumentError, match=f"^{name} "):
        call()
