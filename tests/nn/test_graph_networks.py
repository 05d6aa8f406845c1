"""Graph networks: what they compute, that the aggregation stays fixed, and training."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

from fracrepro.errors import ArgumentError
from fracrepro.nn import networks
from fracrepro.nn.networks.graph import Aggregate
from fracrepro.theory.activations import LeakyReLU
from fracrepro.theory.aggregation import karate_club, mean_aggregation, symmetric_aggregation

MATRIX = symmetric_aggregation(karate_club())


@pytest.mark.parametrize("bias", [True, False])
def test_a_graph_network_is_what_it_says(bias):
    model = networks.graph([5, 8, 3], MATRIX, LeakyReLU(0.2), bias=bias).double()
    assert [name for name, _ in model.named_children()] == [
        *("aggregate0", "dense0", "leaky0"),
        *("aggregate1", "dense1"),
    ]
    model.load_state_dict({**model.state_dict(), "aggregate0.aggregation": torch.from_numpy(MATRIX)})
    model.aggregate1.aggregation = model.aggregate0.aggregation
    x = np.random.default_rng(0).standard_normal((34, 5))
    layers = [model.dense0, model.dense1]
    signal = x
    for k, layer in enumerate(layers):
        signal = MATRIX @ signal @ layer.weight.detach().numpy().T
        if bias:
            signal = signal + layer.bias.detach().numpy()
        if k == 0:
            signal = np.where(signal > 0, signal, 0.2 * signal)
    np.testing.assert_allclose(model(torch.from_numpy(x)).detach().numpy(), signal, rtol=1e-11, atol=1e-13)
    # A stack of feature matrices goes through as a stack.
    stack = torch.from_numpy(np.stack([x, 2 * x]))
    torch.testing.assert_close(model(stack)[0], model(torch.from_numpy(x)))


def test_the_aggregation_is_a_buffer_that_all_layers_share():
    model = networks.graph([5, 8, 8, 3], torch.from_numpy(MATRIX), last=True)
    assert [name for name, _ in model.named_parameters()] == [
        f"dense{k}.{kind}" for k in range(3) for kind in ("weight", "bias")
    ]
    shared = {each.aggregation.data_ptr() for each in model.modules() if isinstance(each, Aggregate)}
    assert len(shared) == 1
    assert (model(torch.randn(34, 5)) >= 0).all()


def test_residual_blocks_are_what_they_say():
    model = networks.graph([5, 8, 8, 8, 2], MATRIX, skip=True, scale=0.5).double()
    assert [name for name, _ in model.named_children()] == [
        *("aggregate0", "dense0", "relu0", "block1", "block2", "aggregate3", "dense3")
    ]
    x = torch.randn(34, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    block = model.block1
    a = block.branch.aggregate.aggregation
    expected = x + 0.5 * block.branch.dense1(torch.relu(block.branch.dense0(a @ x)))
    torch.testing.assert_close(block(x), expected)


def test_it_learns_with_plain_torch_and_the_aggregation_stays():
    torch.manual_seed(0)
    model = networks.graph([34, 16, 2], MATRIX)
    before = model.aggregate0.aggregation.clone()
    halves = np.linalg.eigh(MATRIX)[1][:, -2] > 0  # two groups with few edges between them
    labels = torch.from_numpy(halves.astype(np.int64))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    found = []
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(torch.eye(34)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    assert found[-1] < 0.6 * found[0]
    assert torch.equal(model.aggregate0.aggregation, before)


def test_stacked_models_under_vmap_have_the_gradients_of_each_alone():
    models = [networks.graph([6, 8, 2], mean_aggregation(karate_club())) for _ in range(3)]
    parameters, buffers = stack_module_state(models)
    x = torch.randn(34, 6, generator=torch.Generator().manual_seed(0))

    def loss(parameters, buffers):
        return functional_call(models[0], (parameters, buffers), (x,)).square().mean()

    together = vmap(grad(loss))(parameters, buffers)
    for k, model in enumerate(models):
        model(x).square().mean().backward()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(together[name][k], parameter.grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: networks.graph([8], MATRIX), "need the features of the input and of at least one layer"),
        (lambda: networks.graph([8, 0], MATRIX), "sizes = 0"),
        (lambda: networks.graph([8, 4], MATRIX[:3]), "aggregation has shape"),
        (lambda: networks.graph([8, 4], [[np.inf]]), "aggregation = inf"),
        (lambda: networks.graph([8, 4], MATRIX, "relu"), "activation = 'relu'"),
        (lambda: networks.graph([8, 4, 3, 2], MATRIX, skip=True), "between two equal sizes with skip=True"),
        (lambda: networks.graph([8, 4, 4, 2], MATRIX, skip=True, scale=np.nan), "scale = nan"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
