"""`initialize_` beside torch's own normal initialization of the same tensors.

Run: OMP_NUM_THREADS=1 python benchmarks/initialize.py

First a fully connected model of 10^8 parameters, then, scheme by scheme, one of the size of a ResNet-50."""

import resource
import time
import warnings

import torch
from torch import nn

from fracrepro.errors import ArgumentError
from fracrepro.nn import initialize_, schemes
from fracrepro.nn.networks import mlp
from fracrepro.theory.activations import ReLU

WIDTH, DEPTH, REPEATS = 5000, 4, 7
ALLOWED = 1.0  # seconds for a ResNet-50; schemes that need data are beside the point


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions, each with batch normalization, beside a shortcut."""

    def __init__(self, inputs, inner, stride):
        super().__init__()
        outputs = 4 * inner
        self.conv1, self.bn1 = nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        self.downsample = nn.Identity()
        if stride > 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x):
        h = self.relu(self.bn1(self.conv1(x)))
        h = self.relu(self.bn2(self.conv2(h)))
        return self.relu(self.bn3(self.conv3(h)) + self.downsample(x))


def resnet50():
    """The shape of a ResNet-50: 25.6 million parameters, four stages of bottleneck blocks."""
    layers = [nn.Conv2d(3, 64, 7, 2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    layers.append(nn.MaxPool2d(3, 2, padding=1))
    inputs = 64
    for stage, (blocks, inner) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)]):
        for block in range(blocks):
            layers.append(Bottleneck(inputs, inner, 2 if stage and not block else 1))
            inputs = 4 * inner
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000))


def ours(model):
    initialize_(model, "fractional", generator=torch.Generator().manual_seed(0))


def traced(model):
    batch = torch.ones(2, WIDTH)
    initialize_(model, "fractional", batch=batch, generator=torch.Generator().manual_seed(0))


def theirs(model):
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def their_orthogonal(model):
    """The yardstick of schemes that draw orthogonal matrices: nearly all of their time is in the QR."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            nn.init.orthogonal_(module.weight, generator=generator)


def seconds(call, model):
    """Wall-clock and processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    call(model)
    return time.perf_counter() - wall, time.process_time() - processor


def in_turns(calls, model, repeats):
    """The times of each call, taken in turns, so that other work on the machine disturbs all alike."""
    times = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            times[name].append(seconds(call, model))
    return times


def dense():
    """A fully connected model of 10^8 parameters."""
    with torch.device("meta"):
        model = mlp([WIDTH] * (DEPTH + 1), ReLU())
    model.to_empty(device="cpu")
    theirs(model)  # touches every page of the memory once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{parameters:.3g} parameters in {DEPTH} layers, float32, {torch.get_num_threads()} thread(s)")
    times = in_turns({call.__name__: call for call in (theirs, ours, traced)}, model, REPEATS)
    best = {name: [min(column) for column in zip(*runs, strict=True)] for name, runs in times.items()}
    for name, (wall, processor) in best.items():
        first = times[name][0][0]
        print(f"{name:7} {wall:6.3f} s wall, {processor:6.3f} s processor, first call {first:6.3f} s")
    for name in ("ours", "traced"):
        ratios = [mine / torchs for mine, torchs in zip(best[name], best["theirs"], strict=True)]
        print(f"{name} / theirs: {ratios[0]:.3f} wall, {ratios[1]:.3f} processor (ours: at most 1.1)")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory {peak / 2**20:.2f} GiB, of which initialize_ {(peak - before) / 2**10:.0f} MiB")


def by_scheme(name, batch):
    """The call that a user makes for a scheme."""
    return lambda model: initialize_(model, name, batch=batch, generator=torch.Generator().manual_seed(0))


def convolutional():
    """Every scheme on a model of the size of a ResNet-50."""
    model = resnet50()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"\nResNet-50, {parameters:.3g} parameters, batch normalization, a batch of 2 small images")
    batch = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    calls = {"torch's kaiming_normal_": theirs, "torch's orthogonal_": their_orthogonal}
    for name in schemes.names():
        try:
            by_scheme(name, batch)(model)
        except ArgumentError as error:
            print(f"{name:24} refuses: {str(error)[:80]}")
        else:
            calls[name] = by_scheme(name, batch)
    times = in_turns(calls, model, 3)
    best = {name: [min(column) for column in zip(*runs, strict=True)] for name, runs in times.items()}
    print(f"{'seconds':24}    wall  processor  / torch's")
    for name, (wall, processor) in best.items():
        data = name in schemes.names() and schemes.get(name).needs_data
        verdict = ", needs data" if data else "" if wall < ALLOWED else f", more than {ALLOWED:g} s"
        share = processor / best["torch's kaiming_normal_"][1]
        print(f"{name:24}{wall:8.3f}{processor:11.3f}{share:11.2f}{verdict}")


if __name__ == "__main__":
    warnings.simplefilter("error")
    dense()
    convolutional()
