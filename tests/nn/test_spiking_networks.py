"""Threshold networks: what they compute, by hand and step by step; surrogate gradients; training."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

from fracrepro.errors import ArgumentError
from fracrepro.nn import networks
from fracrepro.nn.networks.spiking import IntegrateAndFire, OverTime, Spike, integrate_and_fire, spike


def test_one_time_step_is_a_plain_sequence():
    model = networks.spiking([5, 7, 6, 2], 0.4)
    assert [name for name, _ in model.named_children()] == ["dense0", "spike0", "dense1", "spike1", "dense2"]
    x = torch.randn(9, 5, generator=torch.Generator().manual_seed(0))
    h = (model.dense0(x) > 0.4).float()
    h = (model.dense1(h) > 0.4).float()
    assert torch.equal(model(x), model.dense2(h))
    assert 0 < h.mean() < 1


def test_thresholds_layer_by_layer_and_at_the_end():
    model = networks.spiking([3, 3, 3, 3], [0.1, 0.2, 0.3], last=True, bias=False)
    assert [each.threshold for each in model.modules() if isinstance(each, Spike)] == [0.1, 0.2, 0.3]
    assert model.dense0.bias is None
    assert set(model(torch.randn(20, 3)).unique().tolist()) <= {0.0, 1.0}
    assert len(networks.spiking([3, 2], 1.0)) == 1  # no hidden layer, no threshold unit


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_several_time_steps_against_plain_numpy(reset):
    model = networks.spiking([4, 8, 8, 3], 0.3, steps=5, leak=0.7, reset=reset).double()
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    layers = [each for each in model.layers if isinstance(each, nn.Linear)]
    weights = [(each.weight.detach().numpy(), each.bias.detach().numpy()) for each in layers]
    potentials, total, spikes = [0.0, 0.0], 0.0, 0
    for _ in range(5):
        signal = x.numpy()
        for k, (w, b) in enumerate(weights[:-1]):
            u = 0.7 * potentials[k] + signal @ w.T + b
            signal = (u > 0.3).astype(float)
            spikes += signal.sum()
            potentials[k] = u - 0.3 * signal if reset == "subtract" else np.where(signal > 0, 0.0, u)
        total = total + signal @ weights[-1][0].T + weights[-1][1]
    assert spikes > 50
    np.testing.assert_allclose(model(x).detach().numpy(), total / 5, rtol=1e-12, atol=1e-13)


def test_one_step_of_several_is_the_network_of_one_step():
    model = networks.spiking([4, 8, 3], 0.3)
    stepwise = OverTime(nn.Sequential(model.dense0, IntegrateAndFire(0.3, leak=0.5), model.dense1), steps=1)
    x = torch.randn(6, 4)
    assert torch.equal(model(x), stepwise(x))


def test_the_surrogate_is_what_it_says_and_stands_in_backward_only():
    u = torch.linspace(-3, 3, 13, dtype=torch.float64, requires_grad=True)
    out = spike(u, 0.5, 0.25)
    assert torch.equal(out, (u.detach() > 0.5).double())
    (found,) = torch.autograd.grad(out.sum(), u)
    expected = 1 / (1 + (u.detach() - 0.5).abs() / 0.25) ** 2
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=0)
    assert (found > 0).all()
    # The control: the true derivative, which is what torch has for a comparison, does not exist at all.
    assert not (u > 0.5).double().requires_grad


def test_no_gradient_passes_through_the_reset():
    u = torch.tensor([2.0], requires_grad=True)
    _, left = integrate_and_fire(u, None, 1.0, 0.9, "subtract")
    (found,) = torch.autograd.grad(left.sum(), u)
    assert found.item() == 1.0
    _, left = integrate_and_fire(u, None, 1.0, 0.9, "zero")
    (found,) = torch.autograd.grad(left.sum(), u)
    assert found.item() == 0.0


def data(n=200):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(n, 6, generator=generator)
    return x, (x[:, :3].sum(1) > 0).long()


@pytest.mark.parametrize("steps", [1, 4])
def test_it_learns_with_plain_torch_and_not_without_the_surrogate(steps):
    x, y = data()

    def losses(width):
        torch.manual_seed(0)
        model = networks.spiking([6, 32, 32, 2], 0.3, steps=steps, surrogate=width)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        found = []
        for _ in range(60):
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found, model

    found, model = losses(0.5)
    assert found[-1] < 0.6 * found[0]
    # The control: a surrogate so narrow that hidden layers get next to no gradient moves the readout only.
    _, stuck = losses(1e-9)
    first = "0.weight" if steps == 1 else "layers.dense0.weight"
    name = next(name for name, _ in stuck.named_parameters())
    torch.manual_seed(0)
    start = dict(networks.spiking([6, 32, 32, 2], 0.3, steps=steps).named_parameters())[name]
    moved = dict(model.named_parameters())[name]
    assert name in {first, "dense0.weight"}
    assert torch.linalg.norm(moved - start) > 100 * torch.linalg.norm(
        dict(stuck.named_parameters())[name] - start
    )


@pytest.mark.parametrize("steps", [1, 3])
def test_stacked_models_under_vmap_have_the_gradients_of_each_alone(steps):
    x, y = data(30)
    models = [networks.spiking([6, 8, 8, 2], 0.2, steps=steps) for _ in range(3)]
    parameters, buffers = stack_module_state(models)

    def loss(parameters, buffers):
        return nn.functional.cross_entropy(functional_call(models[0], (parameters, buffers), (x,)), y)

    together = vmap(grad(loss))(parameters, buffers)
    for k, model in enumerate(models):
        nn.functional.cross_entropy(model(x), y).backward()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(together[name][k], parameter.grad, rtol=1e-5, atol=1e-7)
    assert any(parameter.grad.abs().sum() > 0 for parameter in models[0].parameters())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: networks.spiking([8], 1.0), "need the units of the input and of at least one layer"),
        (lambda: networks.spiking([8, 0], 1.0), "sizes = 0"),
        (lambda: networks.spiking([8, 4, 2], float("nan")), "threshold = nan"),
        (lambda: networks.spiking([8, 4, 2], [1.0, 1.0]), "need one number, or 1"),
        (lambda: networks.spiking([8, 4, 2], 1.0, steps=0), "steps = 0"),
        (lambda: networks.spiking([8, 4, 2], 1.0, steps=2, leak=1.1), "leak = 1.1"),
        (lambda: networks.spiking([8, 4, 2], 1.0, steps=2, reset="hard"), "reset = 'hard'"),
        (lambda: networks.spiking([8, 4, 2], 1.0, surrogate=0), "surrogate = 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
