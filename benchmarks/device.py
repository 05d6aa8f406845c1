"""What a GPU makes of the two experiments, beside its own limits: writes `recorded/device.json`.

    FRACREPRO_DATA=... python benchmarks/device.py           # on an idle device, about four minutes
    FRACREPRO_DATA=... python benchmarks/device.py --trial   # small sizes, on a CPU too, to see that it runs

Limits of the device, measured here: the rate of a product of large matrices in full float32, the bytes that a
copy reads and writes, and the time of one launch, from a recording of a thousand that do nothing else.

Steps, all models of a lane on the same batches, by turns: ours as one recording that is replayed, as in
`train`; ours launched one operation at a time; the whole step of a training, which also gathers, augments and
normalizes its images; `torch.func.vmap` over `grad_and_value`; the same compiled; one model after the other
with torch's own optimizer.  All must begin with the same losses.
The share of each limit is what a step needs at least, by the limit, over the time that it took: its products
and convolutions by `fracrepro.nn.training.cost`; its operations that do work, a launch each; and its bytes,
where every parameter and every number of a forward pass is read and written once.

Epochs: one lane of each experiment, training and test, after the steps are recorded.
Convolutions, forward and backward: grouped with the channels first, as in `train` on a GPU, or last, and
unfolded images with products of matrices.  What a library refuses has its message in place of a time.
"""

from __future__ import annotations

import statistics
import time

import recording
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from training import by_vmap, one_after_the_other, ours

from fracrepro.nn import data
from fracrepro.nn.experiments import PROTOCOLS
from fracrepro.nn.training import batches
from fracrepro.nn.training.cost import step_cost
from fracrepro.nn.training.ensemble import Ensemble
from fracrepro.nn.training.graphs import Replayed
from fracrepro.nn.training.lanes import Images, Lane, full_precision
from fracrepro.nn.training.network import build_module
from fracrepro.nn.training.start import initial_parameters

# Seeds of the authors' experiment, and of a whole lane at a hundred.
FULL = {"turns": 20, "in_a_row": 5, "matrix": 8192, "copied": 2**30, "launches": 1000, "timed_epochs": 2}
SEEDS = {"mnist": (20, 100), "cifar10": (10, 20)}
TRIAL = {"turns": 2, "in_a_row": 1, "matrix": 256, "copied": 2**20, "launches": 10, "timed_epochs": 1}
TRIAL_SEEDS = {"mnist": (2,), "cifar10": (1,)}
OURS, LAUNCHED, WHOLE = "ours, replayed", "ours, launched", "ours with its images, replayed"


class Counted(TorchDispatchMode):
    """Counts the operations that do work: views of what is there do none."""

    def __init__(self):
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.operations += not func.is_view
        return func(*args, **(kwargs or {}))


class Clock:
    """Seconds of what a device does; it waits for the device, never inside."""

    def __init__(self, device):
        self.device = device

    def seconds(self, work, times=1):
        """Mean of so many calls in a row."""
        if self.device.type != "cuda":
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
    """The work as one recording, where the device can; no input, no result."""
    if device.type != "cuda":
        return work
    step = Replayed(lambda indices, draws, rate: work())
    unused = torch.zeros(1, device=device)
    return lambda: step(unused, None, 0.0)


def limits(settings, device, clock):
    """Operations a second, bytes a second, seconds a launch."""
    left, right = torch.rand(2, settings["matrix"], settings["matrix"], device=device)
    source = torch.rand(settings["copied"] // 4, device=device)
    target, one = torch.empty_like(source), torch.zeros(1, device=device)

    def tiny():
        for _ in range(settings["launches"]):
            one.add_(1.0)
        return one

    fastest = {}
    launches = recorded(tiny, device)
    for name, work in (
        ("product", lambda: torch.mm(left, right)),
        ("copy", lambda: target.copy_(source)),
        ("launches", launches),
        ("launched", tiny),
    ):
        for _ in range(5):  # records, and wakes the device
            work()
        fastest[name] = min(clock.seconds(work) for _ in range(5))
    return {
        "operations": 2 * settings["matrix"] ** 3 / fastest["product"],
        "bytes": 2 * settings["copied"] / fastest["copy"],
        "launch": fastest["launches"] / settings["launches"],
        "launch_by_host": fastest["launched"] / settings["launches"],
    }


def contenders(protocol, dataset, device, compiled):
    """A step of all runs of a protocol by each, and what one of ours needs at least."""
    seeds, size = protocol.seeds, protocol.batch_size
    chosen = torch.arange(size * len(seeds)).remainder(len(dataset.train_labels)).view(len(seeds), -1)
    images = batches.normalize(torch.tensor(dataset.train_images)[chosen]).to(device)
    labels = torch.tensor(dataset.train_labels, dtype=torch.int64)[chosen].to(device)
    modules = []
    for seed in seeds:
        for scheme in protocol.schemes:
            modules.append(build_module(protocol.network))
            modules[-1].load_state_dict(initial_parameters(protocol.network, scheme, seed))
            modules[-1].to(device)
    task = (modules, images, labels, protocol.learning_rate, protocol.weight_decay)
    replayed, launched = (Ensemble(protocol.network, protocol.schemes, seeds, device) for _ in range(2))
    steps = {
        OURS: recorded_ours(replayed, *task[1:]),
        LAUNCHED: ours(launched, *task[1:]),
        "torch.func.vmap": by_vmap(*task),
        "one model after the other": one_after_the_other(*task),
    }
    if compiled:
        steps["torch.func.vmap, compiled"] = by_vmap(*task, compiled=True)
    first = {name: step().detach().clone() for name, step in steps.items()}
    apart = max((losses - first[OURS]).abs().max().item() for losses in first.values())
    if not apart < 1e-2:
        raise AssertionError(f"first losses are {apart} apart")
    with Counted() as counted:
        steps[LAUNCHED]()
    steps[WHOLE] = whole(protocol, dataset, device)
    shown = build_module(protocol.network)
    numbers = sum(parameter.numel() for parameter in shown.parameters())
    numbers += forward_numbers(shown, images[0, :1].cpu()) * size
    needs = {
        "operations": step_cost(shown, images[0].cpu(), labels[0].cpu()).flops * len(modules),
        "bytes": 2 * 4 * numbers * len(modules),
        "launches": counted.operations,
    }
    return steps, needs, apart


def recorded_ours(ensemble, images, labels, rate, decay):
    """A step of our ensemble as `train` takes it on a GPU, returning mean losses."""
    step = ours(ensemble, images, labels, rate, decay)
    return recorded(step, images.device)


def whole(protocol, dataset, device):
    """A step of a training: the images at some numbers are gathered, augmented and normalized first."""
    lane = Lane(protocol, protocol.seeds, Images(dataset, device), device)
    shape = (len(protocol.seeds), protocol.batch_size)
    indices = torch.randint(0, len(dataset.train_labels), shape).to(device)
    draws = torch.randint(0, 2, (3, *shape)).to(device) if protocol.augment else None
    return lambda: lane.step(indices, draws, protocol.learning_rate)


def forward_numbers(module, image):
    """How many numbers the layers of a module write for one image, the image itself included."""
    count = [image.numel()]
    hooks = [
        part.register_forward_hook(lambda part, given, out: count.append(out.numel()))
        for part in module.modules()
        if not list(part.children())
    ]
    module(image)
    for hook in hooks:
        hook.remove()
    return sum(count)


def compare_steps(protocol, dataset, device, settings, compiled, clock, ceilings):
    """A row for each contender, in milliseconds of a step of all runs, and the shares of the limits."""
    steps, needs, apart = contenders(protocol, dataset, device, compiled)
    for step in steps.values():
        for _ in range(5):  # three before a recording, the recording, a replay
            step()
    times = {name: [] for name in steps}
    for _ in range(settings["turns"]):
        for name, step in steps.items():
            slow = name == "one model after the other"
            times[name].append(clock.seconds(step, 1 if slow else settings["in_a_row"]))
    least = {
        "arithmetic": needs["operations"] / ceilings["operations"],
        "memory": needs["bytes"] / ceilings["bytes"],
        "launches": needs["launches"] * ceilings["launch"],
    }
    ours_took = statistics.median(times[OURS])
    rows = [
        {
            "way": name,
            "seconds": statistics.median(each),
            "low": min(each),
            "ratio": statistics.median(one / base for one, base in zip(each, times[OURS], strict=True)),
        }
        for name, each in times.items()
    ]
    return {
        "experiment": protocol.name,
        "models": len(protocol.seeds) * len(protocol.schemes),
        "needs": needs,
        "shares": {name: seconds / ours_took for name, seconds in least.items()},
        "first_losses_apart": apart,
        "rows": rows,
    }


def epochs(protocol, dataset, device, settings):
    """Seconds of an epoch of all runs, training and test, after one that records the steps."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    lane = Lane(protocol, protocol.seeds, Images(dataset, device), device)
    begun = time.perf_counter() - start
    lane.advance()
    seconds = []
    for _ in range(settings["timed_epochs"]):
        start = time.perf_counter()
        lane.advance()  # ends with figures on the host
        seconds.append(time.perf_counter() - start)
    return {
        "experiment": protocol.name,
        "models": len(protocol.seeds) * len(protocol.schemes),
        "start": begun,
        "seconds": statistics.median(seconds),
        "all_epochs": protocol.epochs,
        "peak_bytes": torch.cuda.max_memory_allocated() if device.type == "cuda" else None,
    }


def unfolded(h, weight, groups):
    """A grouped convolution as a product of matrices: (B, G·c, H, W) and (G·o, c, k, k) to (B, G·o, …)."""
    batch, _, height, width = h.shape
    k = weight.shape[-1]
    columns = F.unfold(h.reshape(batch * groups, -1, height, width), k).unflatten(0, (batch, groups))
    kernels = weight.view(groups, -1, columns.shape[2])
    return (kernels @ columns).view(batch, -1, height - k + 1, width - k + 1)


def convolution_ways(protocol, device, settings, clock):
    """Seconds of the two convolutions of all runs, forward and backward, in each way."""
    network, runs = protocol.network, len(protocol.seeds) * len(protocol.schemes)
    taken, rows = [network.image_shape[0], network.channels[0]], []
    ways = {
        "grouped, channels first": (torch.contiguous_format, lambda h, w: F.conv2d(h, w, groups=runs)),
        "grouped, channels last": (torch.channels_last, lambda h, w: F.conv2d(h, w, groups=runs)),
        "products": (torch.contiguous_format, lambda h, w: unfolded(h, w, runs)),
    }
    for side, channels, made in zip((32, 14), taken, network.channels, strict=True):
        images = torch.rand(protocol.batch_size, runs * channels, side, side, device=device)
        weight = torch.rand(runs * made, channels, network.kernel, network.kernel, device=device)
        expected = ways["products"][1](images, weight)
        for name, (layout, way) in ways.items():
            h, w = images.contiguous(memory_format=layout).requires_grad_(), weight.clone().requires_grad_()

            def both(h=h, w=w, way=way):
                out = way(h, w)
                return out, torch.autograd.grad(out, (h, w), out.detach())

            row = {"side": side, "way": name}
            try:
                apart = ((both()[0] - expected).norm() / expected.norm()).item()
                if not apart < 1e-5:
                    raise AssertionError(f"convolutions are {apart} apart")
                row["seconds"] = min(clock.seconds(both) for _ in range(settings["turns"]))
            except RuntimeError as error:
                row["refused"] = str(error).partition("\n")[0]
            rows.append(row)
    return rows


def main():
    options = recording.options(__doc__)
    settings, seeds = (TRIAL, TRIAL_SEEDS) if options.trial else (FULL, SEEDS)
    device, called = recording.gpu(options)
    clock = Clock(device)
    torch.manual_seed(recording.SEED)
    with recording.record("device", options) as found, full_precision(device):
        found["device"] |= {"training": called}
        found |= settings | {"limits": limits(settings, device, clock)}
        print(found["limits"], flush=True)
        for name, counts in seeds.items():
            dataset = data.load(name)
            if options.trial:
                dataset = few(dataset)
            for count in counts:
                protocol = PROTOCOLS[name].replace(seeds=range(count))
                compiled = not options.trial and count == counts[0]  # as many modules as the authors' runs
                task = (protocol, dataset, device, settings)
                note(found, "steps", compare_steps(*task, compiled, clock, found["limits"]))
                if not options.trial or not protocol.network.convolves:
                    note(found, "epochs", epochs(*task))
            if protocol.network.convolves:
                for row in convolution_ways(protocol, device, settings, clock):
                    note(found, "convolutions", row)


def few(dataset):
    """The first images of a data set."""
    parts = ("train_images", "train_labels", "test_images", "test_labels")
    return data.Dataset(dataset.name, *(getattr(dataset, part)[:2048] for part in parts))


def note(found, name, row):
    """Keep a row and show it at once."""
    found.setdefault(name, []).append(row)
    print(name, row, flush=True)


if __name__ == "__main__":
    main()
