"""Initializers: equal to torch at s = 2, the right variance elsewhere, and clear refusals."""

import math
from typing import get_args

import pytest
import torch

from fracrepro.nn import init, scale
from fracrepro.theory import activations
from fracrepro.theory.activations import LeakyReLU, Linear, ReLU
from fracrepro.theory.layer import critical_variance

SHAPES = [(64, 64), (10, 64), (64, 784), (1, 1), (16, 6, 5, 5), (4, 3, 7)]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
@pytest.mark.parametrize("formula", ["exact", "derived", "published"])
@pytest.mark.parametrize(
    ("nonlinearity", "a"),
    [
        *[(name, 0) for name in ("linear", "relu", "conv1d", "conv2d", "conv3d")],
        *[(f"conv_transpose{d}d", None) for d in (1, 2, 3)],
        *[("leaky_relu", a) for a in (0, None, 0.01, 0.5, 1.0, -1.0, 3, 1e-200)],
        ("relu", "unused"),
    ],
)
def test_order_two_is_kaiming_bit_for_bit(shape, mode, formula, nonlinearity, a):
    ours = init.fractional_normal_(torch.empty(shape), 2.0, a, mode, nonlinearity, seeded(), formula=formula)
    theirs = torch.nn.init.kaiming_normal_(torch.empty(shape), a, mode, nonlinearity, seeded())
    assert torch.equal(ours, theirs)


def test_arguments_and_return_value_follow_torch():
    weight = torch.nn.Parameter(torch.empty(8, 8))
    assert init.fractional_normal_(weight) is weight
    assert init.random_walk_normal_(weight) is weight
    assert weight.requires_grad
    assert weight.grad_fn is None
    torch.manual_seed(3)
    first = init.fractional_normal_(torch.empty(8, 8)).clone()
    assert torch.equal(first, init.fractional_normal_(torch.empty(8, 8), generator=seeded(3)))


@pytest.mark.parametrize("fill", [init.fractional_normal_, init.random_walk_normal_])
def test_empty_tensor_warns_and_comes_back_as_in_torch(fill):
    empty = torch.empty(0, 3)
    with pytest.warns(UserWarning, match="zero-element tensors is a no-op"):
        assert fill(empty) is empty


@pytest.mark.parametrize(
    ("nonlinearity", "a", "activation"),
    [("linear", 0.0, Linear()), ("relu", 0.0, ReLU()), ("leaky_relu", 0.2, LeakyReLU(0.2))],
)
@pytest.mark.parametrize("s", [0.25, 1.0, 1.5])
def test_exact_formula_uses_the_width_of_the_output(nonlinearity, a, activation, s):
    forward = init.fractional_std((10, 64), s, a, "fan_in", nonlinearity)
    backward = init.fractional_std((10, 64), s, a, "fan_out", nonlinearity)
    assert forward**2 == pytest.approx(10 * critical_variance(s, 10, activation) / 64, rel=1e-14)
    assert backward**2 == pytest.approx(64 * critical_variance(s, 64, activation) / 10, rel=1e-14)


@pytest.mark.parametrize("s", [0.25, 1.0, 1.5])
def test_torchs_names_stand_for_the_same_laws(s):
    for name in ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"):
        assert init.fractional_std((10, 64), s, nonlinearity=name) == init.fractional_std(
            (10, 64), s, nonlinearity="linear"
        )
    assert init.fractional_std((10, 64), s, None) == init.fractional_std((10, 64), s, 0.01)
    assert init.random_walk_std((10, 64), None) == init.random_walk_std((10, 64), 0.01)
    assert init.random_walk_std((10, 64), nonlinearity="conv2d") == init.random_walk_std(
        (10, 64), nonlinearity="linear"
    )


def test_every_name_that_torch_has_a_gain_for_is_served_or_refused_with_the_reason():
    names = get_args(torch.nn.init._NonlinearityType)
    assert "relu" in names
    for name in names:
        torch.nn.init.calculate_gain(name)
        if name in ("tanh", "sigmoid", "selu"):
            with pytest.raises(ValueError, match="no law here, because it is not positively homogeneous"):
                init.fractional_std((10, 64), nonlinearity=name)
        else:
            assert init.fractional_std((10, 64), nonlinearity=name) > 0


@pytest.mark.parametrize("name", activations.names())
def test_every_activation_of_the_theory_is_a_nonlinearity(name):
    expected = 10 * critical_variance(1.0, 10, activations.named(name, 0.0)) / 64
    assert init.fractional_std((10, 64), nonlinearity=name) ** 2 == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("a", [0.0, 1e-3, 0.01, 0.1, 0.2, 1 / 3, 0.5, 0.9, 1.0, -0.7, 2.0, 1e50])
def test_the_gain_is_torchs_to_the_last_bit(a):
    assert scale.gain(LeakyReLU(a)) == torch.nn.init.calculate_gain("leaky_relu", a)
    assert scale.gain(ReLU()) == torch.nn.init.calculate_gain("relu")
    assert scale.gain(Linear()) == torch.nn.init.calculate_gain("linear")


def test_published_formula_is_the_authors_expression():
    a, m, s = 0.01, 784, 1.0
    variance = 2 / ((1 + a**2) * m) + (2 - s) * ((5 * s - 24) * a**2 + 10) / (2 * (s + 2) * a**2 + 4) / m**2
    assert init.fractional_std((64, m), s, a, formula="published") == pytest.approx(
        math.sqrt(variance), rel=1e-14
    )


def test_expansion_meets_the_exact_value_to_third_order():
    # The neglected term is O(width^-3): doubling the width divides the relative gap by about 4.
    gaps = [
        init.fractional_std((d, d), 1.0, 0.2, formula="derived") / init.fractional_std((d, d), 1.0, 0.2) - 1
        for d in (64, 128)
    ]
    assert gaps[0] / gaps[1] == pytest.approx(4, rel=0.1)


def test_random_walk_closed_form():
    assert init.random_walk_std((10, 64)) == pytest.approx(
        math.sqrt(2 / 64) * math.exp(1.2 / 61.6), rel=1e-15
    )
    assert init.random_walk_std((10, 64), mode="fan_out", nonlinearity="linear") == pytest.approx(
        math.exp(1 / 20) / math.sqrt(10), rel=1e-15
    )


@pytest.mark.parametrize("scale", [1.0, 1.02])
def test_draws_have_the_stated_standard_deviation(scale):
    # n = 10^6 draws: the sample deviation has relative standard error 1/sqrt(2n) = 7.1e-4.
    # Five standard errors: a false-alarm rate of 6e-7; the 2 % error of the control is 28 of them.
    weight = init.fractional_normal_(torch.empty(1000, 1000), 0.5, 0.1, generator=seeded(1))
    error = abs(weight.double().std().item() / (scale * init.fractional_std((1000, 1000), 0.5, 0.1)) - 1)
    assert (error < 5 * 7.1e-4) == (scale == 1.0)


BAD = [
    ({"s": -0.1}, r"s = -0.1: need .*\[0, 2\]"),
    ({"s": 2.5}, "s = 2.5"),
    ({"s": math.nan}, "s = nan"),
    ({"s": "1"}, "s = '1'"),
    ({"s": True}, "s = True"),
    ({"a": math.nan}, "a = nan"),
    ({"a": math.inf}, "a = inf"),
    ({"mode": "fan"}, "mode = 'fan': need one of 'fan_in', 'fan_out'"),
    ({"mode": None}, "mode = None"),
    ({"nonlinearity": "rleu"}, r"nonlinearity = 'rleu': need one of 'linear', .*; did you mean 'relu'\?"),
    ({"nonlinearity": None}, "nonlinearity = None"),
    *(
        (
            {"nonlinearity": name},
            f"nonlinearity = '{name}': has no law here, because it is not",
        )
        for name in ("tanh", "sigmoid", "selu")
    ),
    ({"formula": "best"}, "formula = 'best': need one of 'exact', 'derived', 'published'"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_argument_is_named_and_leaves_the_tensor_alone(arguments, message):
    weight = torch.ones(4, 4)
    with pytest.raises(ValueError, match=message):
        init.fractional_normal_(weight, **arguments)
    if not {"s", "formula"} & set(arguments):
        with pytest.raises(ValueError, match=message):
            init.random_walk_normal_(weight, **arguments)
    assert torch.equal(weight, torch.ones(4, 4))


def test_shapes_without_a_fan_are_refused():
    with pytest.raises(ValueError, match=r"shape = \(3,\)"):
        init.fractional_normal_(torch.empty(3))
    with pytest.raises(ValueError, match="fan_in = 2: need at least 3"):
        init.random_walk_normal_(torch.empty(3, 2))


def test_negative_published_variance_is_refused():
    with pytest.raises(ValueError, match="published"):
        init.fractional_std((1, 1), 0.0, 3.0, formula="published")


@pytest.mark.parametrize("call", ["fractional_normal_", "random_walk_normal_"])
def test_a_compiled_call_is_one_graph_with_the_same_bits(call):
    """Also for sizes that vary, which the compiler would leave open; a break of the graph is an error."""
    torch._dynamo.reset()
    fill = getattr(init, call)
    compiled = torch.compile(lambda weight: fill(weight, mode="fan_out"), backend="eager", fullgraph=True)
    for shape in ((8, 8), (8, 16), (32, 64), (4, 3, 5, 5)):
        torch.manual_seed(0)
        found = compiled(torch.empty(shape))
        torch.manual_seed(0)
        assert torch.equal(found, fill(torch.empty(shape), mode="fan_out"))


def test_without_the_constant_the_compiler_breaks_the_graph():
    """The control of the test above: the same formula, followed line by line."""
    torch._dynamo.reset()

    def follow(weight):
        return weight * scale.fractional_std(1.0, 8, 8, ReLU(), "exact")

    with pytest.raises(torch._dynamo.exc.Unsupported):
        torch.compile(follow, backend="eager", fullgraph=True)(torch.empty(8, 8))


@pytest.mark.parametrize("place", ["hidden", "first", "last"])
@pytest.mark.parametrize("shape", [(8, 6), (4, 6, 3, 3)])
def test_mirrored_weights_are_put_together_from_one_draw(place, shape):
    """By concatenation, a route of its own; entries that the tensor held before leave no trace."""
    kernel = init.looks_linear_(torch.full(shape, torch.nan), generator=seeded(), place=place)
    matrix = kernel[:, :, 1, 1] if len(shape) > 2 else kernel
    rows, columns = shape[0] // (1 + (place != "last")), shape[1] // (1 + (place != "first"))
    half = torch.empty(rows, columns).normal_(0, 1 / math.sqrt(columns), generator=seeded())
    whole = torch.cat([half, -half], 1) if place != "first" else half
    assert torch.equal(matrix, torch.cat([whole, -whole]) if place != "last" else whole)
    if len(shape) > 2:
        assert kernel.count_nonzero() == matrix.count_nonzero()
