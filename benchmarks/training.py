"""The ensemble trainer against other ways to train the same models, side by side in one run, as ratios.

    python benchmarks/training.py mnist
    python benchmarks/training.py cifar10 --compiled

First whole epochs, train and test, against what most people write: a DataLoader that augments, converts and
normalizes one sample at a time, one module, torch's own optimizer; it is timed with one thread and with all,
and the faster counts. It is timed over one model on the first `--samples` images and scaled to the whole set.

Then single steps of all models of one lane on batches in memory, on one thread, against opponents without
that burden: one model after the other with torch's own optimizer; `torch.func.vmap` over `grad_and_value` as
torch's tutorial on ensembles has it; the same compiled by `torch.compile` (`--compiled`, which takes 20 s);
and our ensemble for any module. All must begin with the same losses.
"""

from __future__ import annotations

import argparse
import copy
import resource
import time

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from fracrepro.nn import data
from fracrepro.nn.experiments import PROTOCOLS
from fracrepro.nn.training import batches, train
from fracrepro.nn.training.ensemble import Ensemble
from fracrepro.nn.training.functional import FunctionalEnsemble
from fracrepro.nn.training.lanes import split
from fracrepro.nn.training.network import build_module
from fracrepro.nn.training.start import initial_parameters

TARGETS = {"mnist": 6.0, "cifar10": 2.0}


class PerSample(TorchDataset):
    """One sample at a time, with the steps that the usual image transforms take."""

    def __init__(self, images, labels, augment):
        self.images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        self.labels, self.augment = labels, augment

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        pixels = self.images[index]
        image = Image.fromarray(pixels if pixels.shape[2] > 1 else pixels[:, :, 0])
        if self.augment:
            image = ImageOps.expand(image, border=4, fill=0)
            top, left, flip = torch.randint(9, (3,)).tolist()
            image = image.crop((left, top, left + 32, top + 32))
            image = ImageOps.mirror(image) if flip % 2 else image
        values = torch.from_numpy(np.array(image)).view(pixels.shape).permute(2, 0, 1).contiguous()
        values = values.to(torch.float32).div(255)
        half = torch.full((pixels.shape[2], 1, 1), 0.5)
        return values.clone().sub_(half).div_(half), int(self.labels[index])


def plain_loop(protocol, dataset, samples):
    """Wall and CPU seconds for one epoch of one model, training and test, scaled to the whole set."""
    module = build_module(protocol.network)
    module.load_state_dict(initial_parameters(protocol.network, protocol.schemes[0], 0))
    rate, decay = protocol.learning_rate, protocol.weight_decay
    optimizer = torch.optim.SGD(module.parameters(), rate, weight_decay=decay)
    start = np.array([time.perf_counter(), time.process_time()])
    subset = PerSample(dataset.train_images[:samples], dataset.train_labels[:samples], protocol.augment)
    for images, labels in DataLoader(subset, protocol.batch_size, shuffle=True):
        loss = torch.nn.functional.cross_entropy(module(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
    part = len(subset) / len(dataset.train_labels)
    share = int(part * len(dataset.test_labels))
    test = PerSample(dataset.test_images[:share], dataset.test_labels[:share], False)
    with torch.no_grad():
        for images, labels in DataLoader(test, 1000):
            torch.nn.functional.cross_entropy(module(images), labels).item()
    return (np.array([time.perf_counter(), time.process_time()]) - start) / part


def ensemble(protocol, dataset, seeds):
    """Wall and CPU seconds per model and epoch, training and test."""
    few = protocol.replace(seeds=range(seeds), epochs=1)
    start = np.array([time.perf_counter(), time.process_time()])
    train(few, dataset, device="cpu", progress=False)
    elapsed = np.array([time.perf_counter(), time.process_time()]) - start
    return elapsed / (seeds * len(few.schemes))


def one_after_the_other(modules, images, labels, rate, decay):
    """A step of every model by torch's own optimizer."""
    copies = [copy.deepcopy(module) for module in modules]
    optimizers = [torch.optim.SGD(module.parameters(), rate, weight_decay=decay) for module in copies]

    def step():
        losses = []
        for run, (module, optimizer) in enumerate(zip(copies, optimizers, strict=True)):
            seed = run * len(images) // len(modules)
            loss = torch.nn.functional.cross_entropy(module(images[seed]), labels[seed])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses)

    return step


def by_vmap(modules, images, labels, rate, decay, compiled=False):
    """A step of all models by torch.func, as torch's tutorial on ensembles has it."""
    copies = len(modules) // len(images)
    x, y = (tensor.repeat_interleave(copies, 0) for tensor in (images, labels))
    stacked, _ = stack_module_state(modules)
    base = copy.deepcopy(modules[0])

    def loss(parameters, x, y):
        return torch.nn.functional.cross_entropy(functional_call(base, parameters, (x,)), y)

    def update(parameters, x, y):
        gradients, losses = vmap(grad_and_value(loss))(parameters, x, y)
        moved = {k: (1 - rate * decay) * p - rate * gradients[k] for k, p in parameters.items()}
        return moved, losses

    state = [{name: tensor.detach().clone() for name, tensor in stacked.items()}]
    update = torch.compile(update) if compiled else update

    def step():
        state[0], losses = update(state[0], x, y)
        return losses

    return step


def opponents(protocol, dataset, compiled):
    """One step of every model of a lane, by each contender; our ensemble first."""
    seeds = split(protocol, torch.device("cpu"))[0]
    chosen = torch.arange(protocol.batch_size * len(seeds)).view(len(seeds), -1)
    images = batches.normalize(torch.tensor(dataset.train_images)[chosen])
    labels = torch.tensor(dataset.train_labels, dtype=torch.int64)[chosen]
    modules = []
    for seed in seeds:
        for scheme in protocol.schemes:
            modules.append(build_module(protocol.network))
            modules[-1].load_state_dict(initial_parameters(protocol.network, scheme, seed))
    rate, decay = protocol.learning_rate, protocol.weight_decay

    def ours(ensemble):
        return lambda: ensemble.step(images, labels, rate, decay)[0] / protocol.batch_size

    task = (modules, images, labels, rate, decay)
    contenders = {
        "our ensemble": ours(Ensemble(protocol.network, protocol.schemes, seeds, "cpu")),
        "our ensemble for any module": ours(FunctionalEnsemble(modules, len(seeds))),
        "torch.func.vmap": by_vmap(*task),
        "one model after the other": one_after_the_other(*task),
    }
    if compiled:
        contenders["torch.func.vmap, compiled"] = by_vmap(*task, compiled=True)
    return contenders, len(modules)


def compare_steps(protocol, dataset, compiled, repeats):
    """Print what a step of one model costs each contender."""
    torch.set_num_threads(1)
    contenders, models = opponents(protocol, dataset, compiled)
    first = {name: step() for name, step in contenders.items()}
    apart = max((losses - first["our ensemble"]).abs().max().item() for losses in first.values())
    times = {name: [] for name in contenders}
    for _ in range(repeats):  # in turns, so that other work on the machine disturbs all alike
        for name, step in contenders.items():
            start = np.array([time.perf_counter(), time.process_time()])
            step()
            times[name].append(np.array([time.perf_counter(), time.process_time()]) - start)
    best = {name: np.min(each, axis=0) / models for name, each in times.items()}
    print(f"one step, {models} models, batch {protocol.batch_size} in memory, one thread, best of {repeats}")
    print(f"first losses agree to {apart:.1e}")
    print(f"{'milliseconds per model and step':32}    wall     CPU   CPU / ours")
    for name, (wall, cpu) in best.items():
        print(f"{name:32}{1e3 * wall:8.2f}{1e3 * cpu:8.2f}{cpu / best['our ensemble'][1]:12.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=sorted(TARGETS))
    parser.add_argument("--samples", type=int, default=20_000, help="training images for the plain loop")
    parser.add_argument("--seeds", type=int, default=4, help="runs per scheme in the ensemble")
    parser.add_argument("--repeats", type=int, default=2, help="alternating measurements; the best counts")
    parser.add_argument("--steps", type=int, default=20, help="steps of each contender; the best counts")
    parser.add_argument("--compiled", action="store_true", help="add torch.compile to the contenders")
    arguments = parser.parse_args()
    protocol = PROTOCOLS[arguments.name]
    dataset = data.load(arguments.name)
    print(f"{arguments.name}, batch {protocol.batch_size}, {torch.get_num_threads()} threads")
    threads = torch.get_num_threads()
    loops, ensembles = [], []
    for _ in range(arguments.repeats):  # alternating, so that a busy machine slows both
        for count in {1, threads}:
            torch.set_num_threads(count)
            loops.append(plain_loop(protocol, dataset, arguments.samples))
        torch.set_num_threads(threads)
        ensembles.append(ensemble(protocol, dataset, arguments.seeds))
    loop, ours = np.min(loops, axis=0), np.min(ensembles, axis=0)
    models = arguments.seeds * len(protocol.schemes)
    print("seconds per model and epoch   wall      CPU")
    print(f"plain loop                {loop[0]:8.2f} {loop[1]:8.2f}")
    print(f"ensemble of {models:3} models     {ours[0]:8.2f} {ours[1]:8.2f}")
    print(f"ratio of wall times       {loop[0] / ours[0]:8.1f}   (target {TARGETS[arguments.name]:g})")
    print(f"ratio of CPU times        {loop[1] / ours[1]:8.1f}   (per core; steadier on a busy machine)")
    compare_steps(protocol, dataset, arguments.compiled, arguments.steps)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:8.2f} GiB, the data and the opponents included")


if __name__ == "__main__":
    main()
