"""The schemes of spiking and graph networks: what they read off a model, what they do, what they refuse."""

import math
import warnings

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import fracrepro as fr
from fracrepro.errors import ArgumentError
from fracrepro.nn import initialize_, networks, schemes
from fracrepro.nn.networks.graph import Aggregate
from fracrepro.nn.networks.spiking import IntegrateAndFire, Spike
from fracrepro.theory.aggregation import (
    karate_club,
    mean_aggregation,
    residual_aggregation,
    spectral_radius,
    symmetric_aggregation,
)

X = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
NODES = torch.randn(34, 8, generator=torch.Generator().manual_seed(1))
ADJACENCY = karate_club()
WAYS = pytest.mark.parametrize("seen", [True, False], ids=["traced", "by modules"])


def stds(model, scheme, batch=None, **options):
    report = initialize_(model, scheme, batch=batch, generator=torch.Generator().manual_seed(0), **options)
    weights = report[report["parameter"] == "weight"]
    return dict(zip(weights["layer"], weights["std"], strict=True)), weights


def upper_tail(x):
    return stats.norm.sf(x)


class Net(nn.Module):
    """A model whose forward pass is a function of itself and its inputs."""

    def __init__(self, run, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self.run = run

    def forward(self, *inputs):
        return self.run(self, *inputs)


@WAYS
@pytest.mark.parametrize("steps", [1, 3])
def test_each_layer_takes_the_threshold_of_the_units_that_it_reads(seen, steps):
    model = networks.spiking([8, 16, 20, 3], [1.0, 0.4], steps=steps)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # what follows the last layer of several steps is a guess
        found, report = stds(model, "spiking", X if seen else None)
    # The control is the same formula with the units that a layer drives: another number in every row.
    expected = [1 / 8, 1 / (16 * upper_tail(1.0)), 1 / (20 * upper_tail(0.4))]
    assert [value**2 for value in found.values()] == pytest.approx(expected, rel=1e-13)
    assert report["note"].str.contains("several time steps").tolist() == [False, steps > 1, steps > 1]


def test_at_threshold_zero_hidden_layers_are_kaimings():
    found, _ = stds(networks.spiking([8, 16, 16, 3], 0.0), "spiking")
    assert list(found.values())[1:] == [math.sqrt(2 / 16), math.sqrt(2 / 16)]


def test_options_override_what_is_read():
    found, _ = stds(networks.spiking([8, 16, 3], 1.0), "spiking", threshold=0.4, input_square=0.25)
    expected = [1 / (8 * 0.25), 1 / (16 * upper_tail(0.4))]
    assert [value**2 for value in found.values()] == pytest.approx(expected, rel=1e-13)


class Surrogate(torch.autograd.Function):
    """Somebody else's, which no torch function shows."""

    @staticmethod
    def forward(ctx, u):
        return (u > 0).to(u.dtype)

    @staticmethod
    def backward(ctx, grad):
        return grad


class Theirs(nn.Module):
    """Threshold units that this package has not made: one number as `threshold`, a function of their own."""

    def __init__(self, threshold):
        super().__init__()
        self.register_buffer("threshold", torch.tensor(threshold))

    def forward(self, u):
        return Surrogate.apply(u - self.threshold)


@WAYS
def test_threshold_units_of_others_are_read_too(seen):
    model = nn.Sequential(nn.Linear(8, 16), Theirs(0.7), nn.Linear(16, 3))
    found, report = stds(model, "spiking", X if seen else None)
    assert found["2"] ** 2 == pytest.approx(1 / (16 * upper_tail(0.7)), rel=1e-7)  # their number is a float32
    assert report["follows"].tolist() == ["Theirs", ""]
    with pytest.raises(ArgumentError, match="layer '0', scheme 'kaiming': followed by Theirs, for which"):
        initialize_(model, "kaiming", batch=X if seen else None)


def test_hooks_of_the_model_and_of_torch_are_left_alone():
    before = dict(torch.nn.modules.module._global_forward_hooks)
    model = nn.Sequential(nn.Linear(8, 16), Theirs(0.7), nn.Linear(16, 3))
    initialize_(model, "spiking", batch=X)
    with pytest.raises(ArgumentError, match="does not run"):
        initialize_(model, "spiking", batch=NODES[:, :3])
    assert dict(torch.nn.modules.module._global_forward_hooks) == before


@pytest.mark.parametrize("name", ["fractional", "kaiming", "random_walk", "lyapunov"])
@pytest.mark.parametrize("steps", [1, 2])
@WAYS
def test_schemes_for_other_networks_refuse_threshold_units(name, steps, seen):
    model = networks.spiking([8, 16, 3], 1.0, steps=steps)
    start = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(
        ArgumentError, match=rf"dense0', scheme '{name}': followed by \w+, for which there is no"
    ):
        initialize_(model, name, batch=X if seen else None)
    assert all(torch.equal(value, start[key]) for key, value in model.state_dict().items())


def mixed(self, x):
    return self.out(torch.relu(self.b(self.units(self.a(x)))))


REFUSED = [
    (networks.mlp([8, 4, 2], fr.ReLU()), None, "no layer reads threshold units; with a batch"),
    (networks.mlp([8, 4, 2], fr.ReLU()), X, "no layer reads threshold units$"),
    (
        Net(mixed, a=nn.Linear(8, 8), units=Spike(1.0), b=nn.Linear(8, 8), out=nn.Linear(8, 2)),
        X,
        "layer 'out', scheme 'spiking': reads no spikes of threshold units that are known; threshold=",
    ),
    (
        Net(mixed, a=nn.Linear(8, 8), units=Spike(1.0), b=nn.Linear(8, 8), out=nn.Linear(8, 2)),
        None,
        "layer 'a', scheme 'spiking': the order in which the model runs its modules is not known",
    ),
    (
        Net(
            lambda self, x: self.out(self.one(self.a(x)) + self.two(self.a(x))),
            **{"a": nn.Linear(8, 8), "one": Spike(1.0), "two": Spike(0.5), "out": nn.Linear(8, 2)},
        ),
        X,
        "layer 'out', scheme 'spiking': what it reads is of different kinds",
    ),
]


@pytest.mark.parametrize(("model", "batch", "message"), REFUSED)
def test_the_spiking_scheme_names_layer_and_reason(model, batch, message):
    with pytest.raises(ArgumentError, match=message):
        initialize_(model, "spiking", batch=batch)


def test_full_networks_of_the_scheme_follow_the_chain():
    """500 networks of the package, 24 units, spikes of currents N(0, 1) at the input, four layers.

    Mean and share of silent networks within 4 standard errors (false alarm rate 1.3e-4); the control, torch's
    default weights, has none that are alive.
    """
    n, theta, depth, draws = 24, 0.8, 4, 500
    model = networks.spiking([n] * (depth + 1), theta, last=True, bias=False)
    generator = torch.Generator().manual_seed(5)
    spikes = (torch.randn(draws, n, generator=generator) > theta).float()

    def counts(scheme):
        found = np.empty(draws)
        for k in range(draws):
            if scheme:
                initialize_(model, scheme, generator=generator, input_square=upper_tail(theta))
            found[k] = model(spikes[k]).sum().item()
        return found

    chain = fr.SpikingChain(n, theta)
    law, k = chain.distribution(depth), np.arange(n + 1)
    mean = law @ k
    sd = math.sqrt(law @ k**2 - mean**2)
    found = counts("spiking")
    assert abs(found.mean() - mean) < 4 * sd / math.sqrt(draws)
    assert abs((found == 0).mean() - law[0]) < 4 * math.sqrt(law[0] * (1 - law[0]) / draws)
    torch.manual_seed(0)
    model = networks.spiking([n] * (depth + 1), theta, last=True, bias=False)
    assert (counts(None) == 0).all()


def test_a_shape_alone_has_kaimings_variance_on_a_graph_and_none_among_spikes():
    from fracrepro.nn.schemes.plan import Slot

    slot = Slot((64, 50), fr.ReLU())
    assert schemes.make("graph").std(slot) == 0.2
    with pytest.raises(ArgumentError, match="reads no spikes"):
        schemes.make("spiking").std(slot)


@WAYS
@pytest.mark.parametrize(
    "aggregation",
    [
        symmetric_aggregation(ADJACENCY),
        mean_aggregation(ADJACENCY),
        residual_aggregation(mean_aggregation(ADJACENCY), 0.3),
        ADJACENCY,
        0.3 * ADJACENCY,
    ],
    ids=["symmetric", "mean", "residual", "adjacency", "scaled"],
)
@pytest.mark.parametrize("slope", [0.0, 0.3, -1.5])
def test_the_graph_scheme_reads_the_aggregation(aggregation, slope, seen):
    phi = fr.LeakyReLU(slope)
    model = networks.graph([8, 16, 16, 3], aggregation, phi)
    found, _ = stds(model, "graph", NODES if seen else None)
    radius = np.abs(np.linalg.eigvals(aggregation)).max()
    square = (1 + slope**2) / 2
    expected = [1 / (fan * square * radius**2) for fan in (8, 16)] + [1 / (16 * radius**2)]
    assert [value**2 for value in found.values()] == pytest.approx(expected, rel=1e-6)  # A is a float32 there
    fixed, _ = stds(model, "graph", NODES if seen else None, constant=2.0)
    assert [value**2 for value in fixed.values()] == pytest.approx([2 / 8, 2 / 16, 2 / 16], rel=1e-14)


def test_graph_layers_written_by_others():
    """The matrix before or behind the layer, as a buffer, a constant, sparse, or as an input of the model."""
    a = torch.from_numpy(ADJACENCY).float()
    radius = spectral_radius(ADJACENCY)

    def parts():
        return {"one": nn.Linear(8, 16), "two": nn.Linear(16, 3)}

    sparse = a.to_sparse()
    models = [
        (Net(lambda m, x: a @ m.two(torch.relu(a @ m.one(x))), **parts()), (NODES,)),
        (Net(lambda m, x: m.two(a @ torch.relu(m.one(torch.mm(a, x)))), **parts()), (NODES,)),
        (Net(lambda m, x, g: g @ m.two(torch.relu(g @ m.one(x))), **parts()), (NODES, a)),
        (
            Net(lambda m, x: torch.sparse.mm(sparse, m.two(torch.relu(sparse @ m.one(x)))), **parts()),
            (NODES,),
        ),
    ]
    for model, batch in models:
        found, _ = stds(model, "graph", batch)
        expected = [2 / (8 * radius**2), 1 / (16 * radius**2)]
        assert [found["one"] ** 2, found["two"] ** 2] == pytest.approx(expected, rel=1e-6)


def test_a_matrix_counts_once_and_for_its_own_layer():
    a = torch.from_numpy(ADJACENCY).float()
    radius = spectral_radius(ADJACENCY)
    # Two layers without an activation between them: the matrix behind the first is the first one's.
    model = Net(lambda m, x: m.two(a @ m.one(x)), one=nn.Linear(8, 16), two=nn.Linear(16, 3))
    found, _ = stds(model, "graph", NODES)
    assert [found["one"] ** 2, found["two"] ** 2] == pytest.approx([1 / (8 * radius**2), 1 / 16], rel=1e-6)
    # Two matrices around one layer: the spectral radius is that of their product.
    b = torch.from_numpy(mean_aggregation(ADJACENCY)).float()
    model = Net(lambda m, x: torch.relu(b @ m.one(a @ x)), one=nn.Linear(8, 16))
    found, _ = stds(model, "graph", NODES)
    product = spectral_radius(mean_aggregation(ADJACENCY) @ ADJACENCY)
    assert found["one"] ** 2 == pytest.approx(2 / (8 * product**2), rel=1e-6)


@WAYS
@pytest.mark.parametrize("name", ["fractional", "kaiming", "xavier", "lyapunov"])
def test_other_schemes_see_through_the_aggregation(name, seen):
    graph = networks.graph([8, 16, 16, 3], symmetric_aggregation(ADJACENCY))
    plain = networks.mlp([8, 16, 16, 3], fr.ReLU())
    ours, _ = stds(graph, name, NODES if seen else None)
    theirs, _ = stds(plain, name)
    assert ours == theirs
    assert torch.equal(graph.dense1.weight, plain.dense1.weight)


@pytest.mark.parametrize(
    ("model", "batch", "message"),
    [
        (
            networks.mlp([8, 4, 2], fr.ReLU()),
            None,
            "scheme 'graph': no layer with a fixed aggregation; with a",
        ),
        (networks.mlp([8, 4, 2], fr.ReLU()), X, "scheme 'graph': no layer with a fixed aggregation$"),
        (
            Net(
                lambda m, x: m.b(m.h(x) + m.a(m.h(x))), h=nn.ReLU(), a=Aggregate(ADJACENCY), b=nn.Linear(8, 2)
            ),
            NODES,
            "layer 'b', scheme 'graph': what it reads is of different kinds",
        ),
        (networks.graph([8, 4, 2], np.triu(ADJACENCY, 1)), None, "layer 'dense0'.* spectral radius .* is 0"),
        (
            nn.Sequential(*networks.graph([8, 4, 2], ADJACENCY)[:2], nn.Tanh(), nn.Linear(4, 2)),
            None,
            "layer '1', scheme 'graph': followed by Tanh, for which there is no law",
        ),
    ],
)
def test_the_graph_scheme_names_layer_and_reason(model, batch, message):
    with pytest.raises(ArgumentError, match=message):
        initialize_(model, "graph", batch=batch)


def energy(networks_drawn, std, matrix, x, aggregate, generator):
    """tr XXᵀ/width behind one layer, for many draws of its weights."""
    width = 16
    w = std * torch.randn(networks_drawn, width, x.shape[1], generator=generator, dtype=torch.float64)
    h = torch.relu((matrix @ x if aggregate else x) @ w.mT)
    return (h.square().sum((1, 2)) / width).numpy()


def test_one_layer_multiplies_the_energy_by_what_the_formula_says():
    """E tr G' = (C/2) tr(A G Aᵀ) within 4 standard errors of 4000 draws; without A it is refuted."""
    matrix = torch.from_numpy(mean_aggregation(ADJACENCY))
    x = NODES.double()
    std = schemes.make("graph").std(schemes_slot(x.shape[1]))
    gram = x @ x.T / x.shape[1]
    expected = torch.trace(matrix @ gram @ matrix.T).item()  # C = 2

    def distance(aggregate):
        found = energy(4000, std, matrix, x, aggregate, torch.Generator().manual_seed(2))
        return abs(found.mean() - expected) / (found.std() / math.sqrt(len(found)))

    assert distance(True) < 4
    assert distance(False) > 50


def schemes_slot(fan_in):
    from fracrepro.nn.schemes.plan import Slot

    return Slot((16, fan_in), fr.ReLU())


def test_integrate_and_fire_keeps_no_state_between_calls():
    unit = IntegrateAndFire(1.0)
    assert not list(unit.buffers())
    assert torch.equal(unit(X)[0], unit(X)[0])
