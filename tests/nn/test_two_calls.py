"""Two calls, `initialize_` and `diagnose`, for every scheme on every family of networks that it claims."""

import pytest
import torch
from torch import nn

from fracrepro.errors import ArgumentError
from fracrepro.nn import diagnose, initialize_, networks, schemes
from fracrepro.nn.schemes.base import FAMILIES
from fracrepro.theory.activations import LeakyReLU, ReLU

NAMES = schemes.names()
RING = torch.eye(6).roll(1, 0) / 3 + torch.eye(6) / 3 + torch.eye(6).roll(-1, 0) / 3


def inputs(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7))


BUILT = {
    "dense": lambda: (networks.mlp([12, 16, 16, 4], ReLU()), inputs(5, 12)),
    "conv": lambda: (convolutions(), inputs(5, 4, 8, 8)),
    "residual": lambda: (
        networks.framed(networks.residual(16, 3, 16, kind="post", scale=1.0), 12, 4),
        inputs(5, 12),
    ),
    "spiking": lambda: (networks.spiking([40, 60, 60, 4], 0.5), inputs(5, 40)),
    "graph": lambda: (networks.graph([8, 16, 16, 4], RING), inputs(6, 8)),
}


def convolutions():
    """A stack without pooling, which every convolutional scheme accepts."""
    return nn.Sequential(
        nn.Conv2d(4, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(16 * 64, 4),
    )  # fmt: skip


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", NAMES)
def test_each_scheme_serves_the_families_that_it_claims_and_refuses_the_rest_whole(name, family):
    model, batch = BUILT[family]()
    before = state(model)
    if family not in schemes.get(name).families:
        refusal = None
        try:  # schemes that ask nothing of what follows may do more than they claim
            initialize_(model, name, batch=batch, generator=generator())
        except ArgumentError as error:
            refusal = str(error)
        if refusal is not None:
            assert any(word in refusal for word in ("layer '", "block", "model = "))
            assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
        return
    report = initialize_(model, name, batch=batch, generator=generator())
    assert (report["scheme"] == name).sum() >= 3
    assert all(value.isfinite().all() for value in model.state_dict().values())
    frame = diagnose(model, batch)
    assert len(frame) >= 3
    assert frame["log_norm"].iloc[0] == frame["log_norm"].iloc[0]
    again, _ = BUILT[family]()
    again.load_state_dict(before)
    initialize_(again, name, batch=batch, generator=generator())
    for key, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


class Bottom(nn.Module):
    """A basic block as people write it: functional ReLUs, a downsampling where the shape changes."""

    def __init__(self, n_in, n_out, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.downsample = None
        if stride != 1 or n_in != n_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x):
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class SmallResNet(nn.Module):
    """The ResNet that everybody has, small."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(Bottom(8, 8), Bottom(8, 8))
        self.layer2 = nn.Sequential(Bottom(8, 16, 2), Bottom(16, 16))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.layer2(self.layer1(x))), 1))


class Shared(nn.Module):
    """One hidden layer that is used three times."""

    def __init__(self):
        super().__init__()
        self.first, self.hidden, self.last = nn.Linear(12, 16), nn.Linear(16, 16), nn.Linear(16, 4)

    def forward(self, x):
        h = torch.relu(self.first(x))
        for _ in range(3):
            h = torch.relu(self.hidden(h))
        return self.last(h)


FOUND = {
    "resnet": lambda: (SmallResNet(), inputs(4, 3, 32, 32)),
    "sequential": lambda: (
        nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4)),
        inputs(5, 12),
    ),
    "leaky": lambda: (
        networks.mlp([12, 16, 16, 16, 4], LeakyReLU(0.1)).double(),
        inputs(5, 12).double(),
    ),
    "shared": lambda: (Shared(), inputs(5, 12)),
    "batchnorm": lambda: (
        nn.Sequential(
            *(nn.Linear(12, 16), nn.BatchNorm1d(16), nn.ReLU()),
            *(nn.Linear(16, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4)),
        ),
        inputs(5, 12),
    ),
}
# What each scheme says of a model that it was not written for; a reason has to be in the error.
REFUSES = {
    ("looks_linear", "resnet"): "sum|pool|norm",
    ("looks_linear", "batchnorm"): "norm",
    **{(name, model): "block" for name in ("fixup", "skipinit", "rezero", "risotto") for model in FOUND},
    **{("spiking", model): "threshold" for model in FOUND},
    **{("graph", model): "aggregat" for model in FOUND},
}


@pytest.mark.parametrize("kind", FOUND)
@pytest.mark.parametrize("name", NAMES)
def test_models_that_were_not_written_for_the_purpose(name, kind):
    model, batch = FOUND[kind]()
    before, training = state(model), model.training
    reason = REFUSES.get((name, kind))
    if reason:
        with pytest.raises(ArgumentError, match=reason):
            initialize_(model, name, batch=batch, generator=generator())
        assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    else:
        report = initialize_(model, name, batch=batch, generator=generator())
        assert (report["scheme"] == name).any()
        assert model.training is training
        buffers = dict(model.named_buffers())
        assert all(torch.equal(value, before[key]) for key, value in buffers.items())
    there = torch.get_rng_state()
    frame = diagnose(model, batch)
    assert torch.equal(torch.get_rng_state(), there)
    assert frame["layer"].tolist()
    assert not frame["log_norm"].isna().all()
    assert all(parameter.grad is None for parameter in model.parameters())
    assert {layer for layer in frame["layer"] if layer == "hidden"} == (
        {"hidden"} if kind == "shared" else set()
    )
    if kind == "shared":
        assert (frame["layer"] == "hidden").sum() == 3


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_seed_changes_random_schemes_and_no_others(name):
    family = next(each for each in FAMILIES if each in schemes.get(name).families)
    results = []
    for seed in (1, 2):
        torch.manual_seed(0)
        model, batch = BUILT[family]()
        initialize_(model, name, batch=batch, generator=generator(seed))
        results.append(torch.cat([value.detach().flatten() for value in model.parameters()]))
    assert torch.equal(*results) != schemes.get(name).random
    assert results[0].isfinite().all()
