"""Beside μP, a rule for how scales move with the width: at its base width it is torch's initialization."""

import pytest
import torch
from torch import nn

import fracrepro as fr
from fracrepro.nn import init, initialize_, networks

mup = pytest.importorskip("mup", reason="the package to compare with is not installed")


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def shaped(width, base):
    """A network of this width whose shapes are compared with those at the base width."""

    def build(n):
        model = networks.mlp([10, n, n, 4], fr.ReLU(), bias=False)
        model.dense2 = mup.MuReadout(n, 4, bias=False)
        return model

    model = build(width)
    mup.set_base_shapes(model, build(base), delta=build(2 * base))
    return model


def kaiming_(model, module):
    """Torch's or mup's `kaiming_normal_` for the hidden layers, both from torch's global generator."""
    torch.manual_seed(3)
    for parameter in (model.dense0.weight, model.dense1.weight):
        module.kaiming_normal_(parameter, nonlinearity="relu")
    return [parameter.detach().clone() for parameter in (model.dense0.weight, model.dense1.weight)]


def test_at_the_base_width_it_is_torch_and_ours_at_order_two_bit_for_bit():
    theirs, torchs = kaiming_(shaped(32, 32), mup.init), kaiming_(shaped(32, 32), nn.init)
    assert all(map(torch.equal, theirs, torchs))
    ours = [torch.empty(32, 10), torch.empty(32, 32)]
    torch.manual_seed(3)
    for tensor in ours:
        init.fractional_normal_(tensor, s=2.0)
    assert all(map(torch.equal, theirs, ours))


def test_at_another_width_the_readout_differs_and_hidden_layers_do_not():
    # Hidden weights keep variance 2/fan_in at every width; the readout's input is divided by the width.
    wide = shaped(128, 32)
    assert all(map(torch.equal, kaiming_(wide, mup.init), kaiming_(shaped(128, 32), nn.init)))
    base = shaped(32, 32)
    assert base.dense2.width_mult() == 1.0
    assert wide.dense2.width_mult() == 4.0
    hidden = torch.randn(5, 128, generator=seeded(0))
    plain = hidden @ wide.dense2.weight.T
    assert torch.allclose(wide.dense2(hidden), plain / 4)
    assert not torch.allclose(wide.dense2(hidden), plain)
    hidden = torch.randn(5, 32, generator=seeded(0))
    assert torch.equal(base.dense2(hidden), nn.functional.linear(hidden, base.dense2.weight))


def test_at_another_width_a_fixed_scale_differs_in_the_hidden_layers():
    # Torch's `normal_` knows no fan; theirs divides by √(width/base) where both sizes grow.
    def drawn(module, width):
        model = shaped(width, 32)
        torch.manual_seed(5)
        for parameter in model.parameters():
            module.normal_(parameter, std=0.1)
        return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    def differing(width):
        theirs, torchs = drawn(mup.init, width), drawn(nn.init, width)
        return [name for name in theirs if not torch.equal(theirs[name], torchs[name])]

    assert differing(32) == []
    assert "dense1.weight" in differing(128)
    assert "dense0.weight" not in differing(128)
    ratio = drawn(mup.init, 128)["dense1.weight"] / drawn(nn.init, 128)["dense1.weight"]
    assert torch.allclose(ratio, torch.full_like(ratio, 0.5))


def test_the_fractional_correction_vanishes_where_theirs_grows():
    ratios = []
    for width in (32, 128, 512):
        model = networks.mlp([width, width], fr.ReLU(), last=True, bias=False)
        report = initialize_(model, "fractional", s=1.0, generator=seeded(0))
        ratios.append(float(report["std"].iloc[0]) ** 2 * width / 2)
    assert ratios[0] > ratios[1] > ratios[2] > 1
    assert [
        round((ratio - 1) * n, 1) for ratio, n in zip(ratios, (32, 128, 512), strict=True)
    ] == pytest.approx([1.25] * 3, abs=0.15)
    assert shaped(512, 32).dense2.width_mult() == 16.0
