"""Passes with all weights: hand-computed networks, autograd, exact mean squares, the order of the draws."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

import fracrepro as fr
from fracrepro.errors import ArgumentError
from fracrepro.theory import norms, passes

LEAKY = fr.LeakyReLU(-0.5)


def fixed(*matrices):
    """A law that deals the given matrices, one a call, to every network."""
    left = iter(matrices)
    return lambda rng, shape: np.broadcast_to(np.array(next(left), float), shape)


def test_a_network_small_enough_to_compute_by_hand():
    # From x = (1, 2) with slope -1/2: a = (1 - 2, 3 + 2), y = (0.5, 5); then a = 2·(0.5 - 5) = -9, y = 4.5.
    law = fixed([[1, -1], [3, 1]], [[1, -1]])
    x, rng = np.array([[1.0, 2.0]]), np.random.default_rng(0)
    layers = list(passes.forward(x, [1.0, 2.0], LEAKY, rng, widths=[2, 1], law=law))
    assert [layer.preactivations.tolist() for layer in layers] == [[[-1.0, 5.0]], [[-9.0]]]
    assert [layer.slopes.tolist() for layer in layers] == [[[-0.5, 1.0]], [[-0.5]]]
    assert [layer.outputs.tolist() for layer in layers] == [[[0.5, 5.0]], [[4.5]]]
    # Back from g = 4: h = -2, g = 2·(-2)·(1, -1) = (-4, 4), h = (2, 4), g = 2·(1, -1) + 4·(3, 1) = (14, 2).
    steps = list(passes.backward(layers, np.array([[4.0]])))
    assert [(h.tolist(), g.tolist()) for h, g in steps] == [
        ([[-2.0]], [[-4.0, 4.0]]),
        ([[2.0, 4.0]], [[14.0, 2.0]]),
    ]


def test_biases_masks_and_tied_weights_by_hand():
    # a = 2x + 1, y = 3a: 1 → 9 → 57 with one draw for both layers.
    law, bias = fixed([[2]]), fixed([1])
    options = {"law": law, "bias": bias, "mask": lambda rng, shape: 3.0, "tied": True}
    layers = passes.forward(np.ones((1, 1)), [1.0, 1.0], fr.Linear(), np.random.default_rng(0), **options)
    assert [layer.outputs.item() for layer in layers] == [9.0, 57.0]


ACTIVATIONS = {
    "relu": (fr.ReLU(), torch.relu),
    "leaky": (LEAKY, lambda z: torch.nn.functional.leaky_relu(z, -0.5)),
    "linear": (fr.Linear(), lambda z: z),
    "tanh": (passes.TANH, torch.tanh),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_backward_pass_is_that_of_autograd(name):
    activation, in_torch = ACTIVATIONS[name]
    rng, widths = np.random.default_rng(3), [5, 4, 6]
    x = rng.standard_normal((7, 3))
    options = {"bias": passes.normal, "mask": passes.dropout(0.4), "widths": widths}
    layers = list(passes.forward(x, [0.7, 0.8, 0.9], activation, rng, **options))
    top = rng.standard_normal((7, 6))

    leaf = torch.tensor(x, requires_grad=True)
    y, weights, hidden = leaf, [], []
    for layer in layers:
        w = torch.tensor(layer.weights, requires_grad=True)
        # The bias is what the pre-activation has beyond W x.
        bias = layer.preactivations - np.einsum("nij,nj->ni", layer.weights, layer.inputs)
        z = torch.einsum("nij,nj->ni", w, y) + torch.tensor(bias)
        z.retain_grad()
        y = torch.tensor(layer.mask) * in_torch(z)
        assert np.abs(bias).min() > 1e-3
        np.testing.assert_allclose(layer.outputs, y.detach(), rtol=0, atol=1e-13)
        weights.append(w)
        hidden.append(z)
    y.backward(torch.tensor(top))

    steps = list(passes.backward(layers, top))
    for layer, w, z, (h, _) in zip(layers, weights, hidden, steps[::-1], strict=True):
        np.testing.assert_allclose(h, z.grad, rtol=0, atol=1e-13)
        np.testing.assert_allclose(h[:, :, None] * layer.inputs[:, None], w.grad, rtol=0, atol=1e-13)
    np.testing.assert_allclose(steps[-1][1], leaf.grad, rtol=0, atol=1e-13)


def test_draws_come_layer_by_layer_as_weights_biases_mask_slopes():
    phi, x = fr.RReLU(), np.ones((2, 3))
    rng, replay = np.random.default_rng(5), np.random.default_rng(5)
    options = {"bias": passes.normal, "mask": passes.dropout(0.25)}
    y = x
    for layer in passes.forward(x, [0.5, 2.0], phi, rng, **options):
        std = 0.5 if y is x else 2.0
        w, b = std * replay.standard_normal((2, 3, 3)), replay.standard_normal((2, 3))
        mask = (replay.random((2, 3)) < 0.75) / 0.75
        z = np.stack([w[i] @ y[i] + b[i] for i in range(2)])
        slopes = np.where(z > 0, 1, replay.uniform(phi.lower, phi.upper, (2, 3)))
        np.testing.assert_allclose(layer.preactivations, z, rtol=1e-14)
        np.testing.assert_array_equal(layer.slopes, slopes)
        y = layer.outputs
        np.testing.assert_array_equal(y, mask * (slopes * layer.preactivations))
    assert rng.bit_generator.state == replay.bit_generator.state


def test_tied_weights_are_drawn_once():
    rng, replay = np.random.default_rng(1), np.random.default_rng(1)
    layers = list(passes.forward(np.ones((2, 3)), [0.5] * 4, fr.ReLU(), rng, tied=True))
    assert all(layer.weights is layers[0].weights for layer in layers)
    replay.standard_normal((2, 3, 3))
    assert rng.bit_generator.state == replay.bit_generator.state


def symmetric_matrices():
    """Every 2 x 2 matrix with rows ±q, ±q', orthogonal and of length √2: symmetric, second moment I."""
    q = math.sqrt(2) * np.array([[math.cos(0.3), math.sin(0.3)], [-math.sin(0.3), math.cos(0.3)]])
    return np.array(list(itertools.product((*q, *-q), repeat=2)))


@pytest.mark.parametrize("activation", [fr.Linear(), fr.ReLU(), LEAKY])
def test_mean_squares_over_all_networks_are_those_of_the_theorem(activation):
    # Page 01, variance-thm-recursion: 16² networks of two layers, four gradients of signs, and no others.
    std, factor = 0.7, activation.even_moment(1) * 2 * 0.7**2
    pairs = itertools.product(symmetric_matrices(), repeat=2)
    law = fixed(*(np.array(layer) for layer in zip(*pairs, strict=True)))
    x = np.tile([1.0, math.sqrt(2)], (256, 1))
    layers = list(passes.forward(x, [std, std], activation, np.random.default_rng(0), law=law))
    forward = [np.mean(passes.norms(layer.outputs) ** 2) for layer in layers]
    assert forward == pytest.approx([3 * factor, 3 * factor**2], rel=1e-13)
    signs = itertools.product((-1.0, 1.0), repeat=2)
    steps = [list(passes.backward(layers, np.tile(sign, (256, 1)))) for sign in signs]
    backward = [np.mean([passes.norms(step[i][1]) ** 2 for step in steps]) for i in range(2)]
    # A ReLU layer of two is dead with probability 1/4, and then nothing arrives at its output.
    alive = 0.75 if activation == fr.ReLU() else 1.0
    assert backward == pytest.approx([2 * factor * alive, 2 * factor**2], rel=1e-13)


def test_normalized_layers_carry_the_logs_of_the_plain_norms():
    x = np.random.default_rng(0).standard_normal((50, 4))
    plain, units = (
        list(passes.forward(x, [0.9] * 6, fr.ReLU(), np.random.default_rng(2), normalize=flag))
        for flag in (False, True)
    )
    steps = np.stack([passes.norms(x), *(passes.norms(layer.outputs) for layer in units)], 1)
    expected = np.stack([passes.norms(layer.outputs) for layer in plain], 1)
    np.testing.assert_allclose(np.cumprod(steps, 1)[:, 1:], expected, rtol=1e-13)
    assert 0 < np.count_nonzero(expected[:, -1] == 0) < 50  # dead networks stay dead, without a warning


def test_norms_of_both_passes_are_those_of_the_layers(monkeypatch):
    sizes, stds = [3, 5, 4], [0.8, 0.6]
    monkeypatch.setattr(norms, "_BLOCK", 4 * 35)  # four networks a block: 10 = 4 + 4 + 2
    plain, logs = (
        norms.propagate(10, sizes, stds, fr.ReLU(), np.random.default_rng(4), logs=flag)
        for flag in (False, True)
    )
    rng, rows = np.random.default_rng(4), []
    for count in (4, 4, 2):
        x = np.ones((count, 3))
        layers = list(passes.forward(x, stds, fr.ReLU(), rng, widths=sizes[1:]))
        g2 = rng.standard_normal((count, 4))
        (h2, g1), (h1, g0) = passes.backward(layers, g2)
        y1, y2 = (layer.outputs for layer in layers)
        signals, gradients = ([passes.norms(v) for v in part] for part in ((x, y1, y2), (g0, g1, g2)))
        # Frobenius norms of the outer products.
        weights = [np.linalg.norm(h[:, :, None] * v[:, None], axis=(1, 2)) for h, v in ((h1, x), (h2, y1))]
        rows.append([np.stack(part, 1) for part in (signals, gradients, weights)])
    for name, part in zip(("signals", "gradients", "weight_gradients"), zip(*rows, strict=True), strict=True):
        expected = np.concatenate(part)
        np.testing.assert_allclose(getattr(plain, name), expected, rtol=1e-13)
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(getattr(logs, name), np.log(expected), rtol=0, atol=1e-13)
    np.testing.assert_allclose(logs.first, plain.first, rtol=1e-13)
    np.testing.assert_allclose(logs.last, plain.last, rtol=1e-12)
    assert plain.first.shape == (10, 5)
    assert plain.last.shape == (10, 4)


def test_the_top_sees_the_outputs_at_their_size():
    seen = []

    def top(rng, outputs):
        seen.append(outputs)
        return np.ones_like(outputs)

    for logs in (False, True):
        norms.propagate(3, [2, 2, 2], [0.1, 0.1], fr.Linear(), np.random.default_rng(0), top=top, logs=logs)
    np.testing.assert_allclose(*seen, rtol=1e-13)


def test_one_vector_a_layer_has_the_law_of_full_gaussian_matrices():
    # 4000 networks; Kolmogorov and Smirnov at level 0.001, and a std 20 % off as the control.
    n, depth, width, std = 4000, 3, 5, 1.2
    rng = np.random.default_rng(8)
    x = np.zeros((n, width))
    x[:, 0] = 1.0
    *_, last = passes.forward(x, [std] * depth, passes.TANH, rng)
    full = np.log(passes.norms(last.outputs))
    right, wrong = (
        norms.gaussian_log_norms(n, depth, width, value, passes.TANH, rng)[:, -1]
        for value in (std, 1.2 * std)
    )
    assert stats.ks_2samp(full, right).pvalue > 0.001
    assert stats.ks_2samp(full, wrong).pvalue < 1e-6
    law = fr.LogNormLaw(depth, width, fr.Linear(), std**2)
    linear = norms.gaussian_log_norms(n, depth, width, std, fr.Linear(), rng)[:, -1]
    assert stats.kstest(linear, law.cdf).pvalue > 0.001
    assert stats.kstest(right, law.cdf).pvalue < 1e-6


def test_gradients_of_losses_are_those_of_autograd():
    x = np.random.default_rng(1).standard_normal((6, 3))
    for name in ("output_norm", "cross_entropy"):
        found = getattr(norms, name)(4)(np.random.default_rng(2), x)
        replay = np.random.default_rng(2)
        read_out = torch.tensor(replay.standard_normal((6, 4, 3)) / math.sqrt(3))
        leaf = torch.tensor(x, requires_grad=True)
        logits = torch.einsum("nij,nj->ni", read_out, leaf)
        if name == "output_norm":
            loss = logits.norm(dim=1).sum()
        else:
            labels = torch.tensor(replay.integers(4, size=6))
            loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
        loss.backward()
        np.testing.assert_allclose(found, leaf.grad, rtol=0, atol=1e-14)


def test_forward_log_norms_are_logs_of_the_plain_norms():
    x = np.random.default_rng(0).standard_normal((20, 3))
    rng, replay = np.random.default_rng(6), np.random.default_rng(6)
    options = {"widths": [5, 2, 4, 3], "law": passes.uniform}
    found = norms.forward_log_norms(x, [1e-100] * 4, fr.Abs(), rng, **options)
    layers = passes.forward(x, [1.0] * 4, fr.Abs(), replay, **options)
    plain = np.log([passes.norms(x), *(passes.norms(layer.outputs) for layer in layers)])
    expected = plain + math.log(1e-100) * np.arange(5)[:, None]  # a plain pass would end at 0
    np.testing.assert_allclose(found, expected.T, rtol=1e-14)


def test_laws_have_mean_0_and_variance_1():
    # A million draws: 5 standard errors of the mean are 0.005, of the variance at most 0.007.
    for law in (passes.normal, passes.uniform):
        draws = law(np.random.default_rng(0), (10**6,))
        assert abs(draws.mean()) < 0.005
        assert abs(draws.var() - 1) < 0.007
    masks = passes.dropout(0.3)(np.random.default_rng(0), (10**6,))
    assert set(np.unique(masks)) == {0.0, 1 / 0.7}
    assert abs(masks.mean() - 1) < 5 * math.sqrt(0.3 / 0.7 / 10**6)


RNG = np.random.default_rng(0)
ONES = np.ones((2, 3))


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: passes.forward(np.ones(3), [1.0], fr.ReLU(), RNG), "inputs"),
        (lambda: passes.forward(ONES * math.nan, [1.0], fr.ReLU(), RNG), "inputs"),
        (lambda: passes.forward(ONES, [-1.0], fr.ReLU(), RNG), "stds"),
        (lambda: passes.forward(ONES, [1.0], fr.ReLU(), RNG, widths=[3, 3]), "widths"),
        (lambda: passes.forward(ONES, [1.0], fr.ReLU(), RNG, widths=[0]), "widths"),
        (lambda: passes.forward(ONES, [1.0, 2.0], fr.ReLU(), RNG, tied=True), "tied"),
        (lambda: passes.forward(ONES, [1.0], fr.ReLU(), RNG, widths=[4], tied=True), "tied"),
        (lambda: passes.forward(ONES, [1.0], passes.TANH, RNG, normalize=True), "normalize"),
        (
            lambda: passes.forward(ONES, [1.0], fr.ReLU(), RNG, bias=passes.normal, normalize=True),
            "normalize",
        ),
        (lambda: passes.forward(ONES, [1.0], fr.ReLU(), 0), "rng"),
        (lambda: passes.backward([], ONES), "gradients"),
        (lambda: passes.dropout(1.0), "p"),
        (lambda: norms.propagate(0, [2, 2], [1.0], fr.ReLU(), RNG), "networks"),
        (lambda: norms.propagate(1, [2], [], fr.ReLU(), RNG), "sizes"),
        (lambda: norms.gaussian_log_norms(1, 1, 1, 0.0, fr.ReLU(), RNG), "std"),
    ],
)
def test_bad_input_is_refused_before_anything_is_drawn(call, name):
    before = RNG.bit_generator.state
    with pytest.raises(ArgumentError, match=f"^{name} "):
        call()
    assert RNG.bit_generator.state == before
