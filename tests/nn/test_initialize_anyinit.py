"""The report beside that of AnyInit, another package that finds what follows each layer of a model.

AnyInit asks for a mean square of 1 after every activation, which for plain layers is Kaiming's rule with the
slope in the gain. Where the two differ is said in the book and checked here.
"""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from fracrepro.nn import initialize_, networks
from fracrepro.theory.activations import LeakyReLU, Linear, ReLU

anyinit = pytest.importorskip("anyinit", reason="the package to compare with is not installed")

THEIR_NAMES = {"": "none", "ReLU()": "relu"}


class Block(nn.Module):
    """A residual block with its activation after the sum."""

    def __init__(self, channels, normalized):
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, 1, 1) for _ in range(2))
        self.norm1, self.norm2 = (nn.BatchNorm2d(channels) if normalized else nn.Identity() for _ in range(2))

    def forward(self, x):
        return torch.relu(x + self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x))))))


def resnet(normalized):
    stem, head = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 10)
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(stem, nn.ReLU(), Block(8, normalized), pool, head)


def both(model, batch):
    """(what follows, standard deviation) by layer: ours, and theirs."""
    theirs = {each.name: (each.activation, each.scale) for each in anyinit.initialize(model).layers}
    report = initialize_(model, "kaiming", a=None, batch=batch, generator=torch.Generator())
    weights = report[(report["parameter"] == "weight") & (report["scheme"] != "")]
    ours = {row.layer: (row.follows, row.std) for row in weights.itertuples()}
    assert set(ours) <= set(theirs)
    return ours, theirs


PLAIN = {
    "linear": networks.mlp([20, 64, 64, 3], Linear()),
    "relu": networks.mlp([20, 64, 64, 3], ReLU()),
    "leaky": networks.mlp([20, 64, 64, 3], LeakyReLU(0.1)),
}


@pytest.mark.parametrize("name", PLAIN)
def test_fully_connected_networks_are_the_same(name):
    ours, theirs = both(PLAIN[name], torch.ones(2, 20))
    for layer, (follows, std) in ours.items():
        activation, scale = theirs[layer]
        assert std == pytest.approx(scale, rel=1e-12)
        assert (follows == "") == (activation == "none")
    # Without the slope in the gain the leaky network differs.
    report = initialize_(PLAIN["leaky"], "kaiming", generator=torch.Generator())
    assert report["std"][0] != pytest.approx(both(PLAIN["leaky"], None)[1]["dense0"][1], rel=1e-3)


def test_convolutions_are_the_same_but_for_pooling():
    images = torch.ones(2, 3, 16, 16)
    layers = (nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3, groups=2), nn.ReLU(), nn.Flatten())
    ours, theirs = both(nn.Sequential(*layers, nn.Linear(8 * 12 * 12, 10)), images)
    for layer, (_, std) in ours.items():
        assert std == pytest.approx(theirs[layer][1], rel=1e-12)
    # They count what pooling does to the mean square; here only the activation counts.
    pooled = networks.conv((3, 16, 16), (6,), [32, 10], ReLU())
    ours, theirs = both(pooled, images)
    assert theirs["conv0"][0] == "relu→MaxPool2d"
    assert ours["conv0"] == ("ReLU()", pytest.approx((2 / 75) ** 0.5, rel=1e-12))
    assert 0.3 < theirs["conv0"][1] / ours["conv0"][1] < 0.9
    assert all(ours[layer][1] == pytest.approx(theirs[layer][1], rel=1e-12) for layer in ("dense0", "dense1"))


def test_residual_blocks_differ_at_the_sum():
    ours, theirs = both(resnet(normalized=False), torch.ones(2, 3, 8, 8))
    for layer in ("0", "2.conv1", "4"):
        assert THEIR_NAMES[ours[layer][0]] == theirs[layer][0]
        assert ours[layer][1] == pytest.approx(theirs[layer][1], rel=1e-6)
    # They scale the branch so that the sum keeps the mean square; here the branch ends with a linear layer.
    assert ours["2.conv2"] == ("", pytest.approx((1 / 72) ** 0.5, rel=1e-12))
    assert theirs["2.conv2"][0].startswith("add→relu")
    assert theirs["2.conv2"][1] < 0.5 * ours["2.conv2"][1]


def test_behind_a_normalization_they_move_the_gain_into_it():
    ours, theirs = both(resnet(normalized=True), torch.ones(2, 3, 8, 8))
    assert ours["2.conv1"] == ("ReLU()", pytest.approx((2 / 72) ** 0.5, rel=1e-12))
    assert theirs["2.conv1"] == ("none", pytest.approx((1 / 72) ** 0.5, rel=1e-6))
    assert theirs["2.norm1"] == ("relu", pytest.approx(2**0.5, rel=1e-6))


def test_their_draws_have_a_realized_size_and_the_law_of_one():
    """R² = d·Beta(d/2, d(d-1)/2) for square linear layers, page 16; that of independent entries is rejected.

    Kolmogorov-Smirnov test at level 0.001 of 2500 layers of width 4; the distance of both laws is above 0.05,
    so the control is rejected with probability above 0.99.
    """
    width, depth = 4, 50
    squares = []
    for seed in range(50):
        model = networks.mlp([width] * (depth + 1), Linear(), bias=False).double()
        anyinit.initialize(model, seed=seed)
        for parameter in model.parameters():
            weight = parameter.detach()
            # Their realized variance times fan-in is 1, about the mean of the entries; about zero the size
            # is a little larger, and what is left of the draw beside its size has the law to be tested.
            assert weight.var(correction=0).item() * width == pytest.approx(1.0, rel=1e-6)
            size = weight.square().mean().sqrt() * width**0.5
            squares.append((weight[:, 0] / size).square().sum().item())
    beta = stats.beta(width / 2, width * (width - 1) / 2)
    assert stats.kstest(np.array(squares) / width, beta.cdf).pvalue > 1e-3
    assert stats.kstest(np.array(squares) * width, stats.chi2(width).cdf).pvalue < 1e-3
