"""Uniform schemes: equal to torch bit for bit, and other than the factor law says."""

import math

import pytest
import torch
from torch import nn

from fracrepro.nn import initialize_, schemes
from fracrepro.nn.schemes.plan import Slot
from fracrepro.theory.activations import LeakyReLU, ReLU


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def model():
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=4), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.ConvTranspose2d(8, 6, 3, stride=2), nn.ReLU(), nn.Conv2d(6, 1, 1, bias=False), nn.Flatten()),
        *(nn.Linear(81, 7), nn.ReLU(), nn.Linear(7, 1)),
    )


def layers(made):
    return [each for each in made if hasattr(each, "weight") and not isinstance(each, nn.BatchNorm2d)]


def test_torchs_default_is_torchs_default_bit_for_bit():
    torch.manual_seed(5)
    fresh = model()
    ours = model()
    torch.manual_seed(5)
    report = initialize_(ours, "torch_default")
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), ours.parameters(), strict=True))
    assert (report[report["parameter"] == "bias"]["std"].dropna() > 0).all()
    torch.manual_seed(5)
    initialize_(ours, "xavier")  # the control
    assert not torch.equal(fresh[0].weight, ours[0].weight)


def test_torchs_default_draws_in_the_order_of_indices_whatever_the_layout():
    torch.manual_seed(5)
    fresh = model()
    ours = model().to(memory_format=torch.channels_last)
    torch.manual_seed(5)
    initialize_(ours, "torch_default")
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), ours.parameters(), strict=True))


def test_biases_of_torchs_default_stay_where_they_are_kept():
    ours = model()
    ours[9].bias.requires_grad_(False)
    before = [layer.bias.clone() for layer in layers(ours) if layer.bias is not None]
    report = initialize_(ours, "torch_default", generator=seeded())
    after = [layer.bias for layer in layers(ours) if layer.bias is not None]
    assert [torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [
        False,
        False,
        False,
        True,
        False,
    ]
    assert report[report["parameter"] == "bias"].set_index("layer").loc["9", "note"] == "frozen"
    before = [layer.bias.clone() for layer in layers(ours) if layer.bias is not None]
    initialize_(ours, "torch_default", generator=seeded(), bias="keep")
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("shape", [(64, 64), (10, 64), (7, 3), (1, 1), (16, 6, 5, 5), (4, 3, 7)])
def test_kaiming_and_xavier_are_torchs_bit_for_bit(shape):
    kind = {2: nn.Linear, 3: nn.Conv1d, 4: nn.Conv2d}[len(shape)]
    layer = kind(shape[1], shape[0], *shape[2:3], bias=False)
    net = nn.Sequential(layer, nn.LeakyReLU(0.2))
    for name, options, fill in (
        ("kaiming_uniform", {}, nn.init.kaiming_uniform_),
        (
            "kaiming_uniform",
            {"a": None},
            lambda t, generator: nn.init.kaiming_uniform_(t, 0.2, generator=generator),
        ),
        ("xavier_uniform", {}, nn.init.xavier_uniform_),
    ):
        report = initialize_(net, name, generator=seeded(), **options)
        assert torch.equal(layer.weight, fill(torch.empty(shape), generator=seeded()))
        assert layer.weight.abs().max() <= math.sqrt(3) * report["std"][0]


def test_torchs_default_is_six_times_below_kaiming_before_a_relu():
    slot = Slot((64, 48), ReLU())
    ratio = (schemes.make("kaiming").std(slot) / schemes.make("torch_default").std(slot)) ** 2
    assert ratio == pytest.approx(6.0, rel=1e-14)
    assert schemes.make("torch_default").std(slot) == schemes.make("torch_default").std(Slot((64, 48)))


def test_the_fourth_moment_depends_on_the_direction():
    """E R⁴ at width N = 8 for one coordinate and for a flat vector; a normal layer has 1.625 for both.

    Given x the h_i are independent with the fourth moment σ⁴(3 − 1.2 Σ x̂⁴), so that
    E R⁴ = (N(N − 1)/4 + N(3 − 1.2 Σ x̂⁴)/2)(2/N)².
    Five standard errors of 200,000 layers: a false alarm has a probability below 6e-7 a check. The control
    1.625 lies 0.3 from the value for one coordinate, more than 50 standard errors.
    """
    n, d = 200_000, 8
    generator, bound = seeded(), math.sqrt(3) * schemes.make("kaiming_uniform").std(Slot((d, d), ReLU()))
    weights = (2 * torch.rand((n, d, d), generator=generator) - 1) * bound
    flat, axis = torch.full((d,), d**-0.5), torch.eye(d)[0]
    for x, exact in ((axis, 1.325), (flat, 1.5875)):
        quartic = float(x.double().pow(4).sum())
        formula = (d * (d - 1) / 4 + d * (3 - 1.2 * quartic) / 2) * (2 / d) ** 2
        assert formula == pytest.approx(exact, rel=1e-6)
        values = torch.relu(weights @ x).square().sum(1).double().square().numpy()
        error = values.std() / math.sqrt(n)
        assert abs(values.mean() - exact) < 5 * error
        if x is axis:
            assert abs(values.mean() - 1.625) > 5 * error


def test_a_slope_in_the_gain_is_an_option_of_the_uniform_scheme_too():
    slot = Slot((64, 64), LeakyReLU(0.5))
    assert schemes.make("kaiming_uniform").std(slot) == math.sqrt(2) / 8
    assert schemes.make("kaiming_uniform", a=None).std(slot) == math.sqrt(2 / 1.25) / 8
