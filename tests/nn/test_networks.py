"""Plain networks: the shapes and names they promise, and every scheme fills them."""

import pytest
import torch

from fracrepro.errors import ArgumentError
from fracrepro.nn import initialize_, networks
from fracrepro.nn.activations import law
from fracrepro.nn.training.network import Network, build_module
from fracrepro.theory import activations
from fracrepro.theory.activations import Abs, Dropout, LeakyReLU, ReLU


def test_a_fully_connected_network_is_what_it_says():
    model = networks.mlp([8, 16, 16, 3], LeakyReLU(0.2))
    assert [tuple(p.shape) for p in model.parameters()] == [(16, 8), (16,), (16, 16), (16,), (3, 16), (3,)]
    assert [name for name, _ in model.named_children()] == ["dense0", "leaky0", "dense1", "leaky1", "dense2"]
    x = torch.linspace(-1, 1, 8)
    h = x
    for k in range(2):
        h = torch.nn.functional.leaky_relu(getattr(model, f"dense{k}")(h), 0.2)
    assert torch.equal(model(x), model.dense2(h))


def test_biases_and_the_last_activation_are_a_choice():
    model = networks.mlp([4, 4], ReLU(), bias=False, last=True)
    assert [name for name, _ in model.named_parameters()] == ["dense0.weight"]
    assert (model(torch.randn(100, 4, generator=torch.Generator().manual_seed(0))) >= 0).all()


@pytest.mark.parametrize("name", activations.names())
def test_every_activation_fits(name):
    activation = activations.named(name)
    model = networks.conv((2, 12, 12), (3,), [8, 4], activation, kernel=3, block_activation=activation)
    assert model(torch.ones(1, 2, 12, 12)).shape == (1, 4)
    found = [law(child) for child in model.children()]
    assert found.count(activation) == 2
    report = initialize_(model, batch=torch.ones(2, 2, 12, 12), generator=torch.Generator())
    expected = "" if name == "linear" else repr(activation)
    assert report.loc[report["parameter"] == "weight", "follows"].tolist() == [expected, expected, ""]


def test_wrapped_activations_have_names_too():
    model = networks.mlp([4, 4, 2], Dropout(Abs(), 0.1))
    assert [name for name, _ in model.named_children()] == ["dense0", "dropout0", "dense1"]


@pytest.mark.parametrize(
    "network",
    [
        Network((1, 8, 8), depth=3),
        Network((3, 32, 32), channels=(6, 16)),
        Network((1, 8, 8), 2, 7, 0.0, (6,), 3),
    ],
)
def test_the_networks_of_the_protocols_are_among_them(network):
    sizes = [n_out for n_out, _ in network.layer_shapes]
    slope = LeakyReLU(network.negative_slope)
    model = networks.conv(
        network.image_shape, network.channels, sizes, slope, kernel=network.kernel, last=True
    )
    reference = build_module(network)
    model.load_state_dict(reference.state_dict())
    images = torch.linspace(-1, 1, 2 * torch.Size(network.image_shape).numel())
    images = images.reshape(2, *network.image_shape)
    assert torch.equal(model(images), reference(images))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: networks.mlp([8], ReLU()), "need the units of the input and of at least one layer"),
        (lambda: networks.mlp(8, ReLU()), "sizes = 8"),
        (lambda: networks.mlp([8, 0], ReLU()), "sizes = 0"),
        (lambda: networks.mlp([8, 1.5], ReLU()), "sizes"),
        (lambda: networks.mlp([8, 4], "relu"), "activation = 'relu'"),
        (lambda: networks.conv((8, 8), (6,), [10], ReLU()), "image_shape"),
        (lambda: networks.conv((1, 8, 8), (0,), [10], ReLU()), "channels = 0"),
        (lambda: networks.conv((1, 8, 8), (6, 16), [10], ReLU()), "too small for 2 blocks"),
        (lambda: networks.conv((1, 8, 8), (6,), [], ReLU()), "sizes"),
        (lambda: networks.conv((1, 8, 8), (6,), [10], ReLU(), kernel=0), "kernel = 0"),
        (lambda: networks.conv((1, 8, 8), (6,), [10], ReLU(), block_activation="relu"), "block_activation"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
