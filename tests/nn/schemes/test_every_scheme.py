"""Every scheme on models not written for it: it serves them, or says which layer it cannot serve and why."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fracrepro.errors import ArgumentError
from fracrepro.nn import initialize_, schemes

IMAGES, ROWS = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.ones(2, 20)
# These act on blocks or need data; their own tests say on what.
OWN = {name for name in schemes.names() if not {"dense", "conv"} & set(schemes.get(name).families)}
OWN |= {name for name in schemes.names() if schemes.get(name).needs_data}
NAMES = [name for name in schemes.names() if name not in OWN]


class BasicBlock(nn.Module):
    """The block of a ResNet as torchvision writes it."""

    def __init__(self, n_in, n_out, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(n_out), nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride > 1 or n_in != n_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(8, 8), BasicBlock(8, 8))
        self.layer2 = nn.Sequential(BasicBlock(8, 16, 2), BasicBlock(16, 16))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(16, 10)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.avgpool(self.layer2(self.layer1(x)))
        return self.fc(torch.flatten(x, 1))


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(20, 16), nn.Linear(16, 16), nn.Linear(16, 3)

    def forward(self, x):
        x = F.relu(self.a(x))
        for _ in range(3):
            x = F.relu(self.b(x))
        return self.c(x)


MODELS = {
    "resnet": (ResNet, IMAGES),
    "sequential": (lambda: nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 3)), ROWS),
    "shared": (Shared, ROWS),
    "batch norm": (
        lambda: nn.Sequential(nn.Linear(20, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3)),
        ROWS,
    ),
    "groups": (
        lambda: nn.Sequential(
            *(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=2), nn.ReLU()),
            *(
                nn.ConvTranspose2d(8, 8, 4, 2, groups=4),
                nn.LeakyReLU(0.1),
                nn.Flatten(),
                nn.Linear(8 * 26**2, 4),
            ),
        ),
        IMAGES,
    ),
}
# What cannot be served, and the layer that it is said of.
REFUSALS = {
    ("looks_linear", "resnet"): "normalization .batch_norm.",
    ("looks_linear", "batch norm"): "normalization .batch_norm.",
    ("looks_linear", "groups"): "layer '2' breaks.*2 groups",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("model", MODELS)
def test_a_scheme_serves_a_model_or_names_a_layer(name, model):
    make, batch = MODELS[model]
    torch.manual_seed(7)
    one, two, untouched = make(), make(), make()
    two.load_state_dict(one.state_dict())
    untouched.load_state_dict(one.state_dict())
    state = torch.get_rng_state()
    if (name, model) in REFUSALS:
        with pytest.raises(ArgumentError, match=f"scheme '{name}'.*{REFUSALS[name, model]}"):
            initialize_(one, name, batch=batch)
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), untouched.parameters(), strict=True))
        return
    report = initialize_(one, name, batch=batch, generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    initialize_(two, name, batch=batch, generator=generator)
    assert torch.equal(torch.get_rng_state(), state)
    drawn = not torch.equal(generator.get_state(), torch.Generator().manual_seed(3).get_state())
    assert drawn is schemes.get(name).random
    for (key, ours), theirs, old in zip(
        one.named_parameters(), two.parameters(), untouched.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)  # same seed, same bits
        assert ours.isfinite().all()
        if "bn" in key:
            assert torch.equal(ours, old)
    weights = report[(report["parameter"] == "weight") & (report["scheme"] == name)]
    assert len(weights) == sum(isinstance(m, (nn.Linear, nn.modules.conv._ConvNd)) for m in one.modules())
    with torch.no_grad():
        assert one.train()(batch).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sizes", [(5, 7, 3), (4, 6, 2), (8, 16, 8), (3, 1, 2), (1, 1, 1), (16, 4, 64)])
def test_odd_even_and_narrow_layers(name, sizes):
    net = nn.Sequential(nn.Linear(*sizes[:2]), nn.ReLU(), nn.Linear(*sizes[1:])).double()
    odd, narrow = sizes[1] % 2 == 1, sizes[0] < 3 or sizes[1] < 3
    if (name == "looks_linear" and odd) or (name == "random_walk" and sizes[0] < 3):
        with pytest.raises(ArgumentError, match=f"layer '0', scheme '{name}'"):
            initialize_(net, name)
        return
    report = initialize_(net, name, generator=torch.Generator().manual_seed(1))
    for row in report[report["parameter"] == "weight"].itertuples():
        assert math.isnan(row.std) or row.std > 0
    assert all(p.isfinite().all() for p in net.parameters())
    assert narrow or net(torch.ones(2, sizes[0]).double()).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_without_entries_is_left_alone(name):
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    net[2].weight = nn.Parameter(torch.empty(0, 6))
    net[2].bias = None
    report = initialize_(net, name, generator=torch.Generator().manual_seed(0))
    assert report.set_index(["layer", "parameter"]).loc[("2", "weight"), "note"] == "empty"
