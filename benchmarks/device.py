"""What a GPU makes of the two experiments, beside its own limits: writes `recorded/device.json`.

    python benchmarks/device.py              # on an idle device
    python benchmarks/device.py mnist        # one experiment alone
    python benchmarks/device.py --trial      # small sizes, on a CPU too, to see that it runs

Images are noise, since what a step costs does not depend on them.
What is found is kept in `device.part.json` as soon as it is there; the record follows at the end.

Limits of the device, measured here: the rate of a product of large matrices in full float32, the bytes that a
copy reads and writes, and the time of one launch, from a recording of a thousand that do nothing else.

Steps, all models of a lane on the same batches, by turns: ours as one recording that is replayed, as in
`train`; ours launched one operation at a time; for convolutions ours with grouped ones, as on a CPU;
`torch.func.vmap` over `grad_and_value`; the same compiled in the default mode, and that as one recording; one
model after the other with torch's own optimizer; and the whole step of a training, which also gathers,
augments and normalizes its images.  All but the last begin with the same losses, or say how far apart they
are; what a library refuses has its message in place of times.

Shares of the limits are what a step needs, counted roughly, over the time that it took: the operations of its
products and convolutions by `fracrepro.nn.training.cost`; a launch for each operation that does work; and as
bytes every parameter read and written once, every number that a layer hands on written and read once, and
every image read once.

Epochs: one lane of each experiment, training and test, after one epoch that records all steps but that of the
last batch.
"""

from __future__ import annotations

import copy
import gc
import statistics
import time

import numpy as np
import recording
import torch
from torch import nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.utils._python_dispatch import TorchDispatchMode
from training import by_vmap, one_after_the_other, ours

from fracrepro.nn.data import Dataset
from fracrepro.nn.experiments import PROTOCOLS
from fracrepro.nn.training.convolutions import grouped
from fracrepro.nn.training.cost import step_cost
from fracrepro.nn.training.graphs import Replayed
from fracrepro.nn.training.lanes import Images, Lane
from fracrepro.nn.training.network import build_module
from fracrepro.nn.training.precision import full_precision

FULL = {"turns": 20, "in_a_row": 5, "seconds": 30, "matrix": 8192, "copied": 2**30, "launches": 1000}
FULL |= {"timed_epochs": 2, "images": {"mnist": (60_000, 10_000), "cifar10": (50_000, 10_000)}}
TRIAL = {"turns": 2, "in_a_row": 1, "seconds": 5, "matrix": 256, "copied": 2**20, "launches": 10}
TRIAL |= {"timed_epochs": 1, "images": {"mnist": (1200, 1000), "cifar10": (1200, 1000)}}
# Seeds of the authors' experiment; and of a large lane, without the ways that take minutes to compile.
SEEDS = {"mnist": (20, 100), "cifar10": (10, 20)}
TRIAL_SEEDS = {"mnist": (2,), "cifar10": (1,)}
OURS, LAUNCHED, WHOLE = "ours, replayed", "ours, launched", "ours with its images, replayed"
LOOP = "one model after the other"
IDLE = (torch.ops.aten._unsafe_view.default,)  # launches nothing, and is called no view


class Counted(TorchDispatchMode):
    """Counts the operations that do work."""

    def __init__(self):
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.operations += not func.is_view and func not in IDLE
        return func(*args, **(kwargs or {}))


def seconds_of(work, device, times=1):
    """Mean time of so many calls in a row; on a GPU by its own clock."""
    if device.type != "cuda":
        start = time.perf_counter()
        for _ in range(times):
            work()
        return (time.perf_counter() - start) / times
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    for _ in range(times):
        work()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 1000 / times


def recorded(work, device):
    """The work as one recording, where the device can; no input."""
    if device.type != "cuda":
        return work
    step = Replayed(lambda indices, draws, rate: work())
    unused = torch.zeros(1, device=device)
    return lambda: step(unused, None, 0.0)


def limits(settings, device):
    """Operations a second, bytes a second, seconds a launch."""
    left, right = torch.rand(2, settings["matrix"], settings["matrix"], device=device)
    source = torch.rand(settings["copied"] // 4, device=device)
    target, one = torch.empty_like(source), torch.zeros(1, device=device)

    def tiny():
        for _ in range(settings["launches"]):
            one.add_(1.0)
        return one

    fastest = {}
    for name, work in (
        ("product", lambda: torch.mm(left, right)),
        ("copy", lambda: target.copy_(source)),
        ("launches", recorded(tiny, device)),
        ("launched", tiny),
    ):
        for _ in range(5):  # records, and wakes the device
            work()
        fastest[name] = min(seconds_of(work, device) for _ in range(5))
    return {
        "operations": 2 * settings["matrix"] ** 3 / fastest["product"],
        "bytes": 2 * settings["copied"] / fastest["copy"],
        "launch": fastest["launches"] / settings["launches"],
        "launch_by_host": fastest["launched"] / settings["launches"],
    }


def noise(protocol, counts):
    """A data set of the protocol's shape."""
    rng = np.random.default_rng(recording.SEED)
    parts = []
    for count in counts:
        parts.append(rng.integers(0, 256, (count, *protocol.network.image_shape), dtype=np.uint8))
        parts.append(rng.integers(0, 10, count, dtype=np.uint8))
    return Dataset(protocol.dataset, *parts)


def ways(protocol, lane, images, labels, compiled):
    """Functions that make a step of all runs, each in its way, from the start of the lane."""
    ensemble, device = lane.ensemble, lane.device
    modules = []
    for model in range(ensemble.size):
        modules.append(build_module(protocol.network))
        modules[-1].load_state_dict(ensemble.parameters(model))
    task = (images, labels, protocol.learning_rate, protocol.weight_decay)

    def on_device():
        return [copy.deepcopy(module).to(device) for module in modules]

    made = {
        OURS: lambda: recorded(ours(copy.deepcopy(ensemble), *task), device),
        LAUNCHED: lambda: ours(copy.deepcopy(ensemble), *task),
    }
    if protocol.network.convolves:
        made["ours with grouped convolutions"] = lambda: recorded(with_groups(ensemble, task), device)
    made["torch.func.vmap"] = lambda: by_vmap(on_device(), *task)
    if compiled:
        made["torch.func.vmap, compiled"] = lambda: by_vmap(on_device(), *task, compiled=True)
        made["torch.func.vmap, compiled and recorded"] = lambda: recorded(
            in_place(on_device(), *task), device
        )
    made[LOOP] = lambda: one_after_the_other(on_device(), *task)
    return made


def with_groups(ensemble, task):
    """A step of our ensemble with the convolutions of a CPU."""
    other = copy.deepcopy(ensemble)
    other._convolve = grouped
    return ours(other, *task)


def in_place(modules, images, labels, rate, decay):
    """A step of all models by compiled `torch.func`, which writes over one set of parameters."""
    copies = len(modules) // len(images)
    x, y = (tensor.repeat_interleave(copies, 0) for tensor in (images, labels))
    stacked, _ = stack_module_state(modules)
    state, base = {name: tensor.detach().clone() for name, tensor in stacked.items()}, modules[0]

    def loss(parameters, x, y):
        return nn.functional.cross_entropy(functional_call(base, parameters, (x,)), y)

    @torch.compile
    def update(parameters, x, y):
        gradients, losses = vmap(grad_and_value(loss))(parameters, x, y)
        for name, parameter in parameters.items():
            parameter.mul_(1 - rate * decay).sub_(gradients[name], alpha=rate)
        return losses

    return lambda: update(state, x, y)


def needs(protocol, lane, images, labels):
    """What a step of all runs needs: operations, bytes, launches."""
    module = build_module(protocol.network)
    handed = []
    for part in module.modules():
        if isinstance(part, (nn.Linear, nn.MaxPool2d)):
            part.register_forward_hook(lambda part, given, out: handed.append(out.numel()))
    module(images[0, :1].cpu())
    numbers = sum(parameter.numel() for parameter in module.parameters())
    numbers = 2 * (numbers + sum(handed) * images.shape[1]) * lane.size + images.numel()
    launched = ours(
        copy.deepcopy(lane.ensemble), images, labels, protocol.learning_rate, protocol.weight_decay
    )
    launched()
    with Counted() as counted:
        launched()
    flops = step_cost(build_module(protocol.network), images[0].cpu(), labels[0].cpu()).flops
    return {"operations": flops * lane.size, "bytes": 4 * numbers, "launches": counted.operations}


def compare_steps(protocol, lane, settings, compiled, ceilings):
    """A row for each way, in seconds of a step of all runs, and the shares of the limits."""
    device, size = lane.device, protocol.batch_size
    chosen = torch.arange(size * len(protocol.seeds), device=device).remainder(len(lane.images.train_labels))
    images, labels = lane._batch(chosen.view(len(protocol.seeds), size), None)
    row = {"experiment": protocol.name, "models": lane.size}
    row["needs"], steps, rows = needs(protocol, lane, images, labels), {}, {}
    losses = {}
    for name, make in ways(protocol, lane, images, labels, compiled).items():
        try:
            steps[name] = make()
            first = steps[name]().detach().clone()
            losses[name] = first
            rows[name] = {"way": name, "apart": (first - losses[OURS]).abs().max().item()}
            for _ in range(4):  # two more before a recording, the recording, a replay
                steps[name]()
        except Exception as error:  # a library on a device that nobody has tried
            rows[name] = {"way": name, "refused": f"{type(error).__name__}: {error}".partition("\n")[0]}
            steps.pop(name, None)
            print(name, rows[name], flush=True)
    steps[WHOLE] = whole(protocol, lane)
    rows[WHOLE] = {"way": WHOLE}
    times, begun = {name: [] for name in steps}, time.perf_counter()
    for turn in range(settings["turns"]):
        if turn > 1 and time.perf_counter() - begun > settings["seconds"]:
            break
        for name, step in steps.items():
            times[name].append(seconds_of(step, device, 1 if name == LOOP else settings["in_a_row"]))
    for name, each in times.items():
        ratios = [one / base for one, base in zip(each, times[OURS], strict=True)]
        rows[name] |= {"seconds": statistics.median(each), "low": min(each)}
        rows[name] |= {"ratio": statistics.median(ratios)}
    took = rows[OURS]["seconds"]
    row["shares"] = {
        "arithmetic": row["needs"]["operations"] / ceilings["operations"] / took,
        "memory": row["needs"]["bytes"] / ceilings["bytes"] / took,
        "launches": row["needs"]["launches"] * ceilings["launch"] / took,
    }
    return row | {"turns": len(times[OURS]), "rows": list(rows.values())}


def whole(protocol, lane):
    """A step of a training: the images at some numbers are gathered, augmented and normalized first."""
    shape = (len(protocol.seeds), protocol.batch_size)
    indices = torch.randint(0, len(lane.images.train_labels), shape).to(lane.device)
    draws = torch.randint(0, 2, (3, *shape)).to(lane.device) if protocol.augment else None
    for _ in range(5):
        lane.step(indices, draws, protocol.learning_rate)
    return lambda: lane.step(indices, draws, protocol.learning_rate)


def epochs(protocol, lane, settings):
    """Seconds of an epoch of all runs, training and test, after one that records the steps."""
    on_gpu = lane.device.type == "cuda"
    gc.collect()  # the other ways to make a step
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    lane.advance()
    seconds = []
    for _ in range(settings["timed_epochs"]):
        start = time.perf_counter()
        lane.advance()  # ends with figures on the host
        seconds.append(time.perf_counter() - start)
    row = {"experiment": protocol.name, "models": lane.size, "seconds": statistics.median(seconds)}
    memory = torch.cuda.max_memory_reserved() if on_gpu else None
    return row | {"all_epochs": protocol.epochs, "peak_bytes": memory}


def main():
    options = recording.options(__doc__, names=tuple(SEEDS))
    settings, seeds = (TRIAL, TRIAL_SEEDS) if options.trial else (FULL, SEEDS)
    device, called = recording.gpu(options)
    torch.manual_seed(recording.SEED)
    with recording.record("device", options) as found, full_precision(device):
        found["device"] |= {"training": called}
        found |= settings | {"limits": limits(settings, device)}
        print(found["limits"], flush=True)
        for name in options.names or seeds:
            images = Images(noise(PROTOCOLS[name], settings["images"][name]), device)
            for count in seeds[name]:
                protocol = PROTOCOLS[name].replace(seeds=range(count))
                start = time.perf_counter()
                lane = Lane(protocol, protocol.seeds, images, device)
                begun = time.perf_counter() - start
                compiled = not options.trial and count == seeds[name][0]
                row = compare_steps(protocol, lane, settings, compiled, found["limits"])
                recording.note(found, options, "steps", row)
                row = {"start": begun} | epochs(protocol, lane, settings)
                recording.note(found, options, "epochs", row)
                lane.release()


if __name__ == "__main__":
    main()
