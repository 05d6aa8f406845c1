"""`initialize_` on a model of 10^8 parameters beside torch's own normal initialization of the same tensors.

Run: OMP_NUM_THREADS=1 python benchmarks/initialize.py"""

import resource
import time

import torch
from torch import nn

from fracrepro.nn import initialize_
from fracrepro.nn.networks import mlp
from fracrepro.theory.activations import ReLU

WIDTH, DEPTH, REPEATS = 5000, 4, 7


def ours(model):
    initialize_(model, "fractional", generator=torch.Generator().manual_seed(0))


def traced(model):
    batch = torch.ones(2, WIDTH)
    initialize_(model, "fractional", batch=batch, generator=torch.Generator().manual_seed(0))


def theirs(model):
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(module.bias)


def seconds(call, model):
    """Wall-clock and processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    call(model)
    return time.perf_counter() - wall, time.process_time() - processor


def main():
    with torch.device("meta"):
        model = mlp([WIDTH] * (DEPTH + 1), ReLU())
    model.to_empty(device="cpu")
    theirs(model)  # touches every page of the memory once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{parameters:.3g} parameters in {DEPTH} layers, float32, {torch.get_num_threads()} thread(s)")
    times = {call.__name__: [] for call in (theirs, ours, traced)}
    for _ in range(REPEATS):  # in turns, so that other work on the machine disturbs all alike
        for call in (theirs, ours, traced):
            times[call.__name__].append(seconds(call, model))
    best = {name: [min(column) for column in zip(*runs, strict=True)] for name, runs in times.items()}
    for name, (wall, processor) in best.items():
        first = times[name][0][0]
        print(f"{name:7} {wall:6.3f} s wall, {processor:6.3f} s processor, first call {first:6.3f} s")
    for name in ("ours", "traced"):
        ratios = [mine / torchs for mine, torchs in zip(best[name], best["theirs"], strict=True)]
        print(f"{name} / theirs: {ratios[0]:.3f} wall, {ratios[1]:.3f} processor (ours: at most 1.1)")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory {peak / 2**20:.2f} GiB, of which initialize_ {(peak - before) / 2**10:.0f} MiB")


if __name__ == "__main__":
    main()
