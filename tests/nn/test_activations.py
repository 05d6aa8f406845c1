"""The torch side of activations: a module for every description, and the law back from modules and calls."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fracrepro.nn import activations
from fracrepro.nn.activations import Homogeneous, call_law, compose, draw_slopes, homogeneous, law, module
from fracrepro.theory.activations import Abs, Activation, Dropout, LeakyReLU, Linear, ReLU, RReLU
from fracrepro.theory.slopes import Slopes

EXAMPLES = [
    Linear(),
    ReLU(),
    LeakyReLU(0.2),
    LeakyReLU(-1.0),
    RReLU(0.1, 0.5),
    Abs(),
    Dropout(RReLU(), 0.3),
    Dropout(Dropout(Abs(), 0.1), 0.2),
]
X = torch.linspace(-2, 2, 41, dtype=torch.float64)


@dataclass(frozen=True)
class Bent(Activation):  # no name: in no list
    """Two slopes of which torch has no module, one of them random."""

    @property
    def slopes(self):
        return Slopes((2.0, 2.0), (-1.0, 0.5))


@pytest.mark.parametrize("activation", [*EXAMPLES, Bent()], ids=repr)
def test_the_law_of_the_module_is_the_activation(activation):
    assert law(module(activation)) == activation


@pytest.mark.parametrize("name", Activation.registry)
def test_every_described_activation_has_a_module(name):
    activation = Activation.registry[name]()
    made = module(activation)
    if activation.torch_name:
        assert type(made) is getattr(nn, activation.torch_name)
    if not activation.slopes.random:
        expected = activation.apply(X.numpy())
        np.testing.assert_array_equal(made(X).numpy(), expected)
        np.testing.assert_array_equal(homogeneous(X, activation).numpy(), expected)
        np.testing.assert_array_equal(Homogeneous(activation)(X).numpy(), expected)


def test_random_slopes_are_drawn_in_training_and_stand_at_their_mean_after():
    bent = module(Bent())
    torch.manual_seed(0)
    slopes = (bent(X) / X)[X < 0]
    assert len(set(slopes.tolist())) == len(slopes)
    assert ((slopes >= -1) & (slopes <= 0.5)).all()
    assert torch.equal(bent(X)[X > 0], 2 * X[X > 0])
    bent.eval()
    torch.testing.assert_close(bent(X)[X < 0], -0.25 * X[X < 0])
    # Two modes agree in the mean: 10^5 draws of a uniform slope of standard deviation 1.5/sqrt(12) = 0.433.
    # Five standard errors of the mean, 0.0068: a false-alarm rate of 6e-7.
    z = torch.full((100_000,), -1.0, dtype=torch.float64)
    bent.train()
    assert abs(bent(z).mean() - 0.25) < 5 * 0.433 / math.sqrt(1e5)
    assert abs(bent(z).mean() - 0.25 * 1.1) > 5 * 0.433 / math.sqrt(1e5)


def test_slopes_are_drawn_as_ever():
    """Masks before slopes, the outer mask first: the streams of every page before the redesign."""

    def seeded():
        return torch.Generator().manual_seed(5)

    g = seeded()
    outer = torch.empty_like(X).bernoulli_(0.8, generator=g)
    inner = torch.empty_like(X).bernoulli_(0.9, generator=g)
    below = torch.empty_like(X).uniform_(0.1, 0.5, generator=g)
    expected = torch.where(X > 0, 1.0, below) * inner / (1 - 0.1) * outer / (1 - 0.2)
    drawn = draw_slopes(X, Dropout(Dropout(RReLU(0.1, 0.5), 0.1), 0.2), seeded())
    assert torch.equal(drawn, expected)
    g = seeded()
    draw_slopes(X, LeakyReLU(0.3), g)
    assert torch.equal(g.get_state(), seeded().get_state())


@dataclass(frozen=True)
class Masked(Activation):
    """A mask of its own, not by Dropout."""

    @property
    def slopes(self):
        return Slopes((2.0, 2.0), (0.0, 0.0), kept=0.5)


def test_a_mask_in_the_slopes_is_drawn_too():
    slopes = draw_slopes(torch.ones(1000), Masked(), torch.Generator().manual_seed(0))
    assert set(slopes.tolist()) == {0.0, 2.0}
    evaluated = module(Masked()).eval()
    assert torch.equal(evaluated(X)[X > 0], X[X > 0])


UNEQUAL = nn.PReLU(2)
with torch.no_grad():
    UNEQUAL.weight.copy_(torch.tensor([0.1, 0.2]))


class Swish(nn.ReLU):
    """A subclass that does something else."""

    def forward(self, input):
        return input * torch.sigmoid(input)


@pytest.mark.parametrize(
    ("thing", "expected"),
    [
        (nn.Identity(), Linear()),
        (nn.ReLU(inplace=True), ReLU()),
        (nn.RReLU(0.2, 0.4), RReLU(0.2, 0.4)),
        (nn.PReLU(), LeakyReLU(0.25)),
        (nn.PReLU(3, init=0.125), LeakyReLU(0.125)),
        (UNEQUAL, None),
        (nn.Threshold(0, 0), ReLU()),
        (nn.Threshold(0.1, 0), None),
        (nn.Dropout(0.2), Dropout(Linear(), 0.2)),
        (nn.Dropout2d(0.0), Linear()),
        (nn.Dropout(1.0), None),
        (nn.AlphaDropout(0.2), None),
        (nn.Sequential(), Linear()),
        (nn.Sequential(nn.Dropout(0.1), nn.ReLU(), nn.Identity(), nn.Dropout(0.2)), "both"),
        (nn.Sequential(nn.ReLU(), nn.LeakyReLU()), None),
        (nn.Sequential(nn.ReLU(), nn.Tanh()), None),
        (nn.LeakyReLU(1e-200), None),
        (nn.Tanh(), None),
        (nn.ReLU6(), None),
        (nn.GELU(), None),
        (nn.Linear(2, 2), None),
        (Swish(), None),
        (torch.relu, ReLU()),
        (F.relu_, ReLU()),
        (torch.Tensor.relu, ReLU()),
        (torch.abs, Abs()),
        (torch.Tensor.absolute, Abs()),
        (F.leaky_relu, LeakyReLU(0.01)),
        (F.dropout, Dropout(Linear(), 0.5)),
        (F.linear, None),
        (torch.tanh, None),
        ("relu", None),
        (3, None),
    ],
    ids=repr,
)
def test_the_law_of_modules_and_functions(thing, expected):
    if expected == "both":
        expected = Dropout(Dropout(ReLU(), 0.1), 0.2)
    assert law(thing) == expected


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "expected"),
    [
        (F.leaky_relu, (X, 0.2), {}, LeakyReLU(0.2)),
        (F.leaky_relu, (X,), {"negative_slope": 0.3, "inplace": True}, LeakyReLU(0.3)),
        (F.rrelu, (X, 0.1, 0.3, True), {}, RReLU(0.1, 0.3)),
        (F.rrelu, (X, 0.1, 0.3), {}, LeakyReLU(0.2)),
        (F.rrelu, (X,), {"training": True}, RReLU()),
        (F.prelu, (X, torch.tensor([0.5], dtype=X.dtype)), {}, LeakyReLU(0.5)),
        (F.dropout, (X, 0.3), {}, Dropout(Linear(), 0.3)),
        (F.dropout, (X, 0.3, False), {}, Linear()),
        (torch.clamp, (X,), {"min": 0}, ReLU()),
        (torch.Tensor.clamp, (X, 0.0), {}, ReLU()),
        (torch.Tensor.clamp_min, (X, 0), {}, ReLU()),
        (torch.clamp, (X, 0, 6), {}, None),
        (torch.clamp, (X,), {"max": 0}, None),
        (torch.clamp, (X, torch.zeros(1)), {}, None),
        (F.threshold, (X, 0, 0), {}, ReLU()),
        (F.threshold, (X, 0, 1), {}, None),
        (homogeneous, (X, Abs()), {"training": True}, Abs()),
        (homogeneous, (X,), {"activation": Abs()}, Abs()),
    ],
)
def test_the_law_of_a_call(function, args, kwargs, expected):
    found = call_law(function, args, kwargs)
    assert found == expected
    if expected is not None and not expected.slopes.random:
        applied = function(X.clone(), *args[1:], **kwargs).numpy()
        np.testing.assert_array_equal(applied, expected.apply(X.numpy()))


def test_names_lose_the_marks_of_operators_and_in_place_versions():
    names = [
        (torch.Tensor.add_, "add"),
        (torch.Tensor.__iadd__, "add"),
        (torch.Tensor.__rsub__, "sub"),
        (torch.Tensor.__rdiv__, "div"),
        (torch.Tensor.T.__get__, "T"),
        (torch.Tensor.__getitem__, "getitem"),
        (torch.relu_, "relu"),
        (torch.Tensor.__abs__, "abs"),
    ]
    assert [activations.function_name(function) for function, _ in names] == [name for _, name in names]


def test_composition_keeps_what_it_can():
    assert compose(Linear(), Linear()) == Linear()
    assert compose(Dropout(Linear(), 0.1), LeakyReLU(0.1)) == Dropout(LeakyReLU(0.1), 0.1)
    assert compose(ReLU(), Dropout(ReLU(), 0.1)) is None
    assert compose(Dropout(ReLU(), 0.1), LeakyReLU(0.1)) is None


def test_anything_else_is_refused():
    with pytest.raises(ValueError, match="activation = 'relu'"):
        module("relu")
    with pytest.raises(ValueError, match="activation = None"):
        Homogeneous(None)
