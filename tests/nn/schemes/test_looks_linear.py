"""Looks-linear: the network equals its linear network, and what breaks that is refused.

Every exact test has a control that must fail at the same tolerance.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.func import functional_call, jacrev, vmap
from torch.nn import functional as F

from fracrepro.errors import ArgumentError
from fracrepro.nn import init, initialize_, networks, schemes
from fracrepro.theory.activations import Abs, Dropout, LeakyReLU, Linear, ReLU, RReLU
from fracrepro.theory.layer import critical_variance

DEPTH = 50
SLOPES = {0.0: ReLU(), 0.1: LeakyReLU(0.1), 0.5: LeakyReLU(0.5), -0.5: LeakyReLU(-0.5), 1.0: Linear()}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def mlp(sizes, activation=None):
    return networks.mlp(sizes, activation or ReLU(), bias=False).double()


def weights(model):
    return [p.detach() for p in model.parameters() if p.ndim > 1]


def linear_map(model, a=0.0):
    """The product of the submatrices, read off the blocks of the layers."""
    first, *hidden, last = weights(model)
    product = first[: first.shape[0] // 2]
    for weight in hidden:
        product = (1 + a) * weight[: weight.shape[0] // 2, : weight.shape[1] // 2] @ product
    return (1 + a) * last[:, : last.shape[1] // 2] @ product


def inputs(n, width, seed=1):
    return torch.randn(n, width, generator=seeded(seed), dtype=torch.float64)


def jacobians(model, x):
    parameters = dict(model.named_parameters())
    return vmap(jacrev(lambda one: functional_call(model, parameters, (one,))))(x).detach()


def relative(found, expected):
    found, expected = found.detach(), expected.detach()
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("base", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("a", SLOPES)
def test_the_network_is_its_linear_network(base, a):
    model = mlp([12, *[16] * DEPTH, 8], SLOPES[a])
    initialize_(model, "looks_linear", base=base, generator=seeded())
    expected, x = linear_map(model, a), inputs(20, 12)
    assert relative(model(x).detach(), x @ expected.T) < 1e-12
    for jacobian in jacobians(model, x):
        assert relative(jacobian, expected) < 1e-12
    initialize_(model, "orthogonal", generator=seeded())  # the control
    if a != 1.0:
        assert relative(jacobians(model, x[:1])[0], linear_map(model, a)) > 0.1


def test_norms_are_those_of_the_submatrices():
    model = mlp([12, *[16] * DEPTH, 8])
    initialize_(model, "looks_linear", base="orthogonal", generator=seeded())
    x = u = inputs(20, 12)
    for k, weight in enumerate(weights(model)[:-1]):
        x = torch.relu(x @ weight.T)
        u = u @ weight[: weight.shape[0] // 2, : 12 if k == 0 else 8].T
        torch.testing.assert_close(x.norm(dim=1), u.norm(dim=1), rtol=1e-12, atol=0)


@pytest.mark.parametrize("a", SLOPES)
def test_all_singular_values_are_one_with_an_orthogonal_base(a):
    model = mlp([16, *[32] * DEPTH, 16], SLOPES[a])
    initialize_(model, "looks_linear", base="orthogonal", generator=seeded())
    values = torch.linalg.svdvals(jacobians(model, inputs(20, 16)))
    assert (values - 1).abs().max() < 1e-12
    initialize_(model, "looks_linear", base="gaussian", generator=seeded())  # the control
    assert (torch.linalg.svdvals(jacobians(model, inputs(2, 16))) - 1).abs().max() > 0.5


def test_the_hidden_form_on_the_raw_input_loses_half_of_it():
    """The control of the first layer: norms look fine, the rank is half."""
    model = mlp([16, 16, 16, 16])
    for k, weight in enumerate(model.parameters()):
        place = "last" if k == 2 else "hidden"
        init.looks_linear_(weight, "orthogonal", generator=seeded(k), place=place)
    jacobian = jacobians(model, inputs(1, 16))[0]
    assert torch.linalg.matrix_rank(jacobian) == 8
    initialize_(mlp([8, 16, 16, 8]), "looks_linear")
    good = mlp([8, 16, 16, 8])
    initialize_(good, "looks_linear", base="orthogonal", generator=seeded())
    assert torch.linalg.matrix_rank(jacobians(good, inputs(1, 8))[0]) == 8


def test_a_hidden_block_in_mirrored_coordinates_is_no_isometry():
    weight = init.looks_linear_(torch.empty(64, 64, dtype=torch.float64), "orthogonal", generator=seeded())
    before, after = ((torch.rand(32, generator=seeded(k)) > 0.5).double() for k in (1, 2))
    d_in, d_out = torch.cat([before, 1 - before]).diag(), torch.cat([after, 1 - after]).diag()
    for matrix, size in (
        (weight, 2.0),
        (d_out @ weight, 2**0.5),
        (weight @ d_in, 2**0.5),
        (d_out @ weight @ d_in, 1.0),
    ):
        values = torch.linalg.svdvals(matrix)
        torch.testing.assert_close(
            values[:32], torch.full((32,), size, dtype=torch.float64), rtol=1e-12, atol=0
        )
        assert values[32:].abs().max() < 1e-12


def test_a_generic_bias_breaks_the_mirror_and_a_mirrored_one_does_not():
    model = networks.mlp([16, *[32] * 10, 16], ReLU()).double()
    initialize_(model, "looks_linear", base="orthogonal", generator=seeded())
    x = inputs(5, 16)
    for sign, whole in ((-1.0, True), (1.0, False)):
        for k, layer in enumerate(each for each in model if isinstance(each, nn.Linear)):
            beta = torch.randn(layer.out_features // 2, generator=seeded(k), dtype=torch.float64)
            with torch.no_grad():
                layer.bias.copy_(torch.cat([beta, sign * beta]))
        values = torch.linalg.svdvals(jacobians(model, x))
        assert bool((values - 1).abs().max() < 1e-12) is whole


@pytest.mark.parametrize("s", [0.0, 0.5, 1.0, 2.0])
def test_the_order_acts_at_half_the_width(s):
    for n in (8, 64):
        model = mlp([n // 2, n, n, n // 2])
        report = initialize_(model, "looks_linear", s=s, generator=seeded())
        expected = critical_variance(s, n // 2, Linear())
        np.testing.assert_allclose(report["std"][:2] ** 2, expected, rtol=1e-13)
        orthogonal = initialize_(model, "looks_linear", base="orthogonal", s=s, generator=seeded())
        np.testing.assert_allclose(orthogonal["std"] ** 2, 2 / n, rtol=1e-13)  # no order: every norm is kept
    # E χ_m = √2 Γ((m + 1)/2)/Γ(m/2): the first order by hand, m = 4.
    chi = math.sqrt(2) * math.gamma(2.5) / math.gamma(2.0)
    assert schemes.make("looks_linear", s=1.0).std(fake((8, 8))) == pytest.approx(1 / chi, rel=1e-13)


def fake(shape):
    from fracrepro.nn.schemes.plan import Slot

    return Slot(shape)


def test_gaussian_log_norms_have_the_law_of_half_the_width():
    """KS of 2000 networks of depth 3 against products of χ²_m; the control is He's law at the same width.

    The level is 1e-3. Both laws are known from 10⁵ draws, and with their distance D the control escapes with
    a probability below 1e-3 if D exceeds twice √(log(2·10³)/2n), by the inequality of Massart.
    """
    n, depth, m = 3000, 3, 4
    model, x = mlp([m, *[2 * m] * depth, m]), inputs(1, m)
    generator, found = seeded(3), []
    for _ in range(n):
        initialize_(model, "looks_linear", generator=generator)
        h = x
        for weight in weights(model)[:-1]:
            h = torch.relu(h @ weight.T)
        found.append(float(h.norm().log() - x.norm().log()))
    rng, size = np.random.default_rng(0), (100_000, depth)
    chains = 0.5 * np.log(rng.chisquare(m, size) / m).sum(1)
    alive = np.maximum(rng.binomial(2 * m, 0.5, size), 1)  # a layer is dead with probability 2^-8
    kaiming = 0.5 * np.log(rng.chisquare(alive) / m).sum(1)
    assert stats.ks_2samp(found, chains).pvalue > 1e-3
    assert stats.ks_2samp(kaiming, chains).statistic > 2 * math.sqrt(math.log(2e3) / (2 * n))
    assert stats.ks_2samp(found, kaiming).pvalue < 1e-3


def train(model, x, y, steps, rate=0.05):
    for _ in range(steps):
        loss = ((model(x) - y) ** 2).mean()
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                parameter -= rate * gradient
    return model


def swap_defect(weight):
    """How far W₁₁ = W₂₂ and W₁₂ = W₂₁ are from true, relative to the weights."""
    return relative(weight.roll((weight.shape[0] // 2, weight.shape[1] // 2), (0, 1)), weight)


@pytest.mark.parametrize("closed", [True, False])
def test_training_keeps_the_swap_symmetry_on_sign_closed_data_only(closed):
    model = mlp([6, 16, 16, 3])
    initialize_(model, "looks_linear", generator=seeded())
    x, y = inputs(12, 6), inputs(12, 3, seed=2)
    if closed:
        x, y = torch.cat([x, -x]), torch.cat([y, -y])
    train(model, x, y, 200)
    hidden = model[2].weight.detach()
    if closed:
        assert swap_defect(hidden) < 1e-12
        assert relative(-model(-x).detach(), model(x).detach()) < 1e-12
        # Odd, but no longer linear: the two halves of a row no longer cancel.
        assert (hidden[:, :8] + hidden[:, 8:]).norm() > 0.01
    else:
        assert swap_defect(hidden) > 1e-3


class ConvNet(nn.Module):
    """Convolutions with a functional activation, an average and a readout."""

    def __init__(self, between=None):
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, padding=1)
        self.b = nn.Conv2d(8, 8, 3, padding=1)
        self.c = nn.Linear(8 * 16, 5)
        self.between = between or nn.Identity()

    def forward(self, x):
        x = self.between(F.relu(self.b(F.relu(self.a(x)))))
        return self.c(torch.flatten(F.avg_pool2d(x, 2), 1))


IMAGES = torch.zeros(2, 3, 8, 8)


def test_convolutions_are_mirrored_in_their_channels():
    for base in ("gaussian", "orthogonal"):
        model = ConvNet()
        report = initialize_(model, "looks_linear", base=base, batch=IMAGES, generator=seeded())
        model.double()
        for weight in (model.a.weight, model.b.weight):
            taps = weight.detach().abs().sum((0, 1)) > 0
            assert taps.nonzero().tolist() == [[1, 1]]
        x, y = (torch.randn(4, 3, 8, 8, generator=seeded(k), dtype=torch.float64) for k in (1, 2))
        assert relative(model(x + 3 * y), model(x) + 3 * model(y)) < 1e-12
        notes = report.set_index(["layer", "parameter"])["note"]
        assert notes["b", "weight"].startswith("through avg_pool2d; mirrored, hidden, centre")
    initialize_(model, "orthogonal", batch=IMAGES.double(), generator=seeded())
    assert relative(model(x + 3 * y), model(x) + 3 * model(y)) > 1e-3  # the control


def test_a_mean_over_places_keeps_the_mirror():
    model = Places()
    initialize_(model, "looks_linear", batch=IMAGES, generator=seeded())
    model.double()
    x, y = (torch.randn(3, 3, 8, 8, generator=seeded(k), dtype=torch.float64) for k in (1, 2))
    assert relative(model(x + 3 * y), model(x) + 3 * model(y)) < 1e-12


def test_a_transposed_convolution_is_mirrored_too():
    model = nn.Sequential(
        *(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(4, 6, 3, stride=2), nn.ReLU()),
        nn.Conv2d(6, 1, 1),
    ).double()
    initialize_(model, "looks_linear", generator=seeded())
    x, y = (torch.randn(3, 2, 5, 5, generator=seeded(k), dtype=torch.float64) for k in (1, 2))
    assert relative(model(x + 3 * y), model(x) + 3 * model(y)) < 1e-12


def test_a_shared_hidden_weight_is_mirrored_once():
    shared = nn.Linear(8, 8)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), shared, nn.ReLU(), shared, nn.ReLU(), nn.Linear(8, 4))
    model.double()
    initialize_(model, "looks_linear", generator=seeded())
    x, y = inputs(4, 4), inputs(4, 4, 2)
    assert relative(model(x + 3 * y), model(x) + 3 * model(y)) < 1e-12


def chain(*between, sizes=(8, 8, 8)):
    return nn.Sequential(
        nn.Linear(4, sizes[0]), *between, nn.Linear(*sizes[:2]), nn.ReLU(), nn.Linear(sizes[1], 3)
    )


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x):
        x = F.relu(self.a(x))
        return self.c(F.relu(x + self.b(x)))


class TwoWays(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 8), nn.Linear(8, 2), nn.Linear(8, 2)

    def forward(self, x):
        h = self.a(x)
        return self.b(h), self.c(F.relu(h))


class Channels(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 1), nn.Linear(8, 2)

    def forward(self, x):
        return self.b(F.relu(self.a(x)).mean((1, 2)))


class Places(Channels):
    def forward(self, x):
        return self.b(F.relu(self.a(x)).mean((2, 3)))


class Ends(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x):
        return self.a(F.relu(self.b(F.relu(self.a(x)))))


X = torch.zeros(2, 8)
GROUPED = nn.Sequential(
    nn.Conv2d(4, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 1, groups=2), nn.ReLU(), nn.Conv2d(8, 2, 1)
)
REFUSED = {
    "odd width": (chain(nn.ReLU(), sizes=(7, 8)), None, r"layer '0', .*7 output units: need an even number"),
    "one unit": (chain(nn.ReLU(), sizes=(8, 1)), None, "layer '2' breaks.*1 output units"),
    "dropout": (chain(nn.ReLU(), nn.Dropout(0.5)), None, "layer '0', .*random slopes differ within a mirr"),
    "batch norm": (chain(nn.BatchNorm1d(8), nn.ReLU()), None, "layer '0', .*normalization .BatchNorm1d."),
    "random slopes": (chain(nn.RReLU()), None, "layer '0', .*RReLU.*random slopes"),
    "even": (mlp([4, 8, 8, 2], Abs()), None, "layer 'dense0', .*even: mirrored pairs cancel"),
    "tanh": (chain(nn.Tanh()), None, "layer '0', .*no law"),
    "sum": (Residual(), X, "layer 'a', .*a sum with another signal .add."),
    "guess": (Residual(), None, "its place is a guess: need a batch"),
    "fork": (TwoWays(), X, "layer 'a', .*with and without its activation"),
    "ends": (Ends(), X, "layer 'a', .*used in several places"),
    "pool": (ConvNet(nn.MaxPool2d(1)), IMAGES, "layer 'b' breaks.*pool .max_pool2d."),
    "average of units": (chain(nn.ReLU(), nn.AvgPool1d(1)), None, "layer '0', .*average .AvgPool1d."),
    "mean of channels": (Channels(), IMAGES, "layer 'a', .*pool .mean."),
    "groups": (GROUPED, None, "layer '2' breaks.*2 groups: need 1"),
    "computed": (
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 8)), nn.ReLU(), nn.Linear(8, 2)),
        None,
        "fed by a layer that is not initialized",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore:.*order in which")
def test_what_breaks_the_mirror_is_refused_and_nothing_changes(name):
    model, batch, message = REFUSED[name]
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(ArgumentError, match=f"scheme 'looks_linear'.*{message}|{message}"):
        initialize_(model, "looks_linear", batch=batch, generator=seeded())
    report = initialize_(model, "looks_linear", batch=batch, generator=seeded(), untreatable="keep")
    assert (report["scheme"] == "").all()  # all or nothing
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_biases_that_stay_are_refused_unless_they_are_mirrored():
    model = chain(nn.ReLU())
    with pytest.raises(
        ArgumentError, match=r"layer '0', .*bias is left as it is \(kept\) and is not mirrored"
    ):
        initialize_(model, "looks_linear", bias="keep")
    with torch.no_grad():
        for layer in (model[0], model[2]):
            layer.bias[4:] = -layer.bias[:4]
    initialize_(model, "looks_linear", bias="keep", generator=seeded())
    frozen = chain(nn.ReLU())
    frozen[2].bias.requires_grad_(False)
    with pytest.raises(ArgumentError, match=r"layer '2' breaks.*\(frozen\)"):
        initialize_(frozen, "looks_linear")
    with pytest.raises(ArgumentError, match="fed by a layer that is not initialized"):
        initialize_(chain(nn.ReLU()), "looks_linear", include=lambda name, _: name != "0")


SHAPES = [
    (2, 2),
    (4, 2),
    (2, 6),
    (16, 8),
    (8, 16),
    (12, 20),
    (100, 64),
    (8, 4, 3, 3),
    (4, 8, 3),
    (6, 2, 2, 2, 2),
]


@pytest.mark.parametrize("base", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_tensor_of_any_even_shape(shape, base):
    tensor = torch.empty(shape, dtype=torch.float64)
    assert init.looks_linear_(tensor, base, 2.0, seeded()) is tensor
    again = init.looks_linear_(torch.empty(shape, dtype=torch.float64), base, 2.0, seeded())
    assert torch.equal(tensor, again)
    matrix = tensor[(..., *(k // 2 for k in shape[2:]))]
    assert tensor.count_nonzero() == matrix.count_nonzero() == matrix.numel()
    half = matrix[: shape[0] // 2, : shape[1] // 2]
    assert torch.equal(matrix, torch.cat([torch.cat([half, -half], 1), torch.cat([-half, half], 1)]))
    if base == "orthogonal":
        torch.testing.assert_close(torch.linalg.svdvals(half), torch.full((min(half.shape),), 2.0).double())


def test_odd_sizes_count_only_where_units_are_paired():
    init.looks_linear_(torch.empty(4, 3), place="first")
    init.looks_linear_(torch.empty(3, 4), place="last")
    for shape, place, message in (
        ((3, 4), "hidden", "n_out = 3: need an even number, hidden units"),
        ((4, 3), "hidden", "n_in = 3"),
        ((3, 4), "first", "n_out = 3"),
        ((4, 3), "last", "n_in = 3"),
        ((4,), "hidden", "need .n_out, n_in"),
    ):
        with pytest.raises(ArgumentError, match=message):
            init.looks_linear_(torch.empty(shape), place=place)
    with pytest.raises(ArgumentError, match="base = 'haar'"):
        init.looks_linear_(torch.empty(4, 4), "haar")
    with pytest.warns(UserWarning, match="zero-element"):
        assert init.looks_linear_(torch.empty(0, 4)).shape == (0, 4)


def test_a_law_with_random_slopes_or_dropout_is_refused_by_its_law():
    for law in (RReLU(), Dropout(ReLU(), 0.2)):
        with pytest.raises(ArgumentError, match="random slopes"):
            initialize_(mlp([4, 8, 8, 2], law), "looks_linear")
