"""The ensemble trainer against other ways to train the same models, side by side in one run, as ratios.

    python benchmarks/training.py             # one step of every contender, all networks: seven minutes
    python benchmarks/training.py mnist       # the same for one of them
    python benchmarks/training.py --epochs cifar10    # whole epochs against what most people write

Steps: the models of one lane, on one thread, all by turns of a few steps, as steps follow each other in a
training. Ours; its matrix products alone, a bound for whoever makes them with the same library;
`torch.func.vmap` over `grad_and_value` as torch's tutorial on ensembles has it; the same compiled by
`torch.compile`, where there is a C++ compiler; one model after the other with torch's own optimizer, data in
memory; and a DataLoader that augments, converts and normalizes one sample at a time, one model.
All that train a lane must begin with the same losses.
Residual and spiking networks have our ensemble for any module and the loop.
Ratios are of processor times, the least ones and the median of the ratios in each turn.
Beside them stands the share of the peak: the operations of a step's products and convolutions by
`fracrepro.nn.training.cost` over its time, by the rate of a product of large matrices in the same run.
The C library keeps freed memory, as in `train`; it does so for all contenders.

Epochs: train and test, against the loader, timed with one thread and with all, of which the faster counts; it
trains one model on the first `--samples` images, and its time is scaled to the whole set.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import resource
import shutil
import time

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from fracrepro.memory import keep_freed_memory
from fracrepro.nn import data
from fracrepro.nn.experiments import PROTOCOLS
from fracrepro.nn.schemes import make
from fracrepro.nn.training import batches, train
from fracrepro.nn.training.cost import step_cost
from fracrepro.nn.training.ensemble import Ensemble
from fracrepro.nn.training.families import Residual, Spiking
from fracrepro.nn.training.functional import FunctionalEnsemble
from fracrepro.nn.training.lanes import split
from fracrepro.nn.training.network import build_module
from fracrepro.nn.training.start import initial_parameters, starting_modules

TARGETS = {"mnist": 6.0, "cifar10": 2.0}
OURS = "our ensemble"
PRODUCTS = "its products alone"
IN_A_ROW = 10  # steps of a turn

# Networks that our ensemble for any module trains: image shape, and what a batch and a lane hold.
FAMILIES = {
    "residual, dense": (Residual((1, 28, 28), blocks=8, scale=1.0), "kaiming", 128, 2, 4),
    "residual, convolutions": (
        Residual((3, 32, 32), blocks=4, width=16, hidden=16, kernel=3),
        "kaiming",
        128,
        1,
        4,
    ),
    "spiking": (Spiking((1, 28, 28), depth=4), "spiking", 128, 2, 4),
}


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


def by_loader(protocol, dataset):
    """A step of one model on a batch that is loaded sample by sample."""
    module = build_module(protocol.network)
    module.load_state_dict(initial_parameters(protocol.network, protocol.schemes[0], 0))
    optimizer = torch.optim.SGD(
        module.parameters(), protocol.learning_rate, weight_decay=protocol.weight_decay
    )
    samples = PerSample(dataset.train_images, dataset.train_labels, protocol.augment)
    loader = DataLoader(samples, protocol.batch_size, shuffle=True)
    loaded = itertools.chain.from_iterable(itertools.repeat(loader))

    def step():
        images, labels = next(loaded)
        loss = torch.nn.functional.cross_entropy(module(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def products(ensemble, images):
    """The matrix products of a step of our ensemble and nothing else; they train nothing."""
    weights, biases = ensemble.weights, ensemble.biases
    first = images.flatten(2)
    out = [torch.empty(w.shape[0], first.shape[1], w.shape[2]) for w in weights]
    hidden = [torch.randn(ensemble.size, first.shape[1], w.shape[1]) for w in weights[1:]]
    delta, below = [torch.randn_like(each) for each in out], torch.empty_like(hidden[0])

    @torch.no_grad()
    def step():
        for k, h in enumerate([first, *hidden]):
            torch.baddbmm(biases[k], h, weights[k], out=out[k])
            if k:
                torch.bmm(delta[k], weights[k].mT, out=below)
            weights[k].baddbmm_(h.mT, delta[k], beta=1, alpha=-1e-9)

    return step


def opponents(protocol, dataset, compiled):
    """A step of every model of a lane by each contender, with the number of models; and one model's work."""
    seeds = split(protocol, torch.device("cpu"))[0]
    chosen = torch.arange(protocol.batch_size * len(seeds)).view(len(seeds), -1)
    images = batches.normalize(torch.tensor(dataset.train_images)[chosen])
    labels = torch.tensor(dataset.train_labels, dtype=torch.int64)[chosen]
    modules = []
    for seed in seeds:
        for scheme in protocol.schemes:
            modules.append(build_module(protocol.network))
            modules[-1].load_state_dict(initial_parameters(protocol.network, scheme, seed))
    task = (modules, images, labels, protocol.learning_rate, protocol.weight_decay)
    contenders = {
        OURS: ours(Ensemble(protocol.network, protocol.schemes, seeds, "cpu"), *task[1:]),
        "our ensemble for any module": ours(FunctionalEnsemble(modules, len(seeds)), *task[1:]),
        "torch.func.vmap": by_vmap(*task),
        "one model after the other": one_after_the_other(*task),
    }
    if compiled:
        contenders["torch.func.vmap, compiled"] = by_vmap(*task, compiled=True)
    agree(contenders)
    counted = {name: (step, len(modules)) for name, step in contenders.items()}
    if not protocol.network.convolves:
        bare = Ensemble(protocol.network, protocol.schemes, seeds, "cpu")
        counted[PRODUCTS] = products(bare, images), len(modules)
    counted["one model, loaded by sample"] = by_loader(protocol, dataset), 1
    return counted, step_cost(modules[0], images[0], labels[0]).flops


def ours(ensemble, images, labels, rate, decay):
    """A step of one of our ensembles, returning mean losses."""
    return lambda: ensemble.step(images, labels, rate, decay)[0] / labels.shape[1]


def family_opponents(network, scheme, batch, seeds, schemes):
    """Our ensemble for any module and the loop, for random images; and one model's work."""
    modules = starting_modules(
        network.build, [make(scheme)] * schemes, range(seeds), bias=network.start_biases
    )
    rng = torch.Generator().manual_seed(0)
    images = torch.empty(seeds, batch, *network.image_shape).uniform_(-1, 1, generator=rng)
    labels = torch.randint(0, 10, (seeds, batch), generator=rng)
    contenders = {
        OURS: ours(FunctionalEnsemble(modules, seeds), images, labels, 0.01, 0.0),
        "one model after the other": one_after_the_other(modules, images, labels, 0.01, 0.0),
    }
    agree(contenders)
    counted = {name: (step, len(modules)) for name, step in contenders.items()}
    return counted, step_cost(modules[0], images[0], labels[0]).flops


def agree(contenders):
    """Print how far the contenders' first losses are apart."""
    first = {name: step().detach() for name, step in contenders.items()}
    apart = max((losses - first[OURS]).abs().max().item() for losses in first.values())
    print(f"first losses agree to {apart:.1e}")


def peak(size=1024, repeats=10):
    """Operations a second of a product of large matrices in float32, by processor time; the best counts."""
    left, right = torch.rand(2, size, size)
    out, seconds = torch.empty(size, size), []
    for _ in range(repeats):
        start = time.process_time()
        torch.mm(left, right, out=out)
        seconds.append(time.process_time() - start)
    return 2 * size**3 / min(seconds)


def compare_steps(title, contenders, operations, repeats, budget):
    """Print what a step of one model costs each contender; `budget` bounds the seconds."""
    times, begun = {name: [] for name in contenders}, time.perf_counter()
    for step, _ in contenders.values():
        step()  # the first steps of a shape make buffers
    best_rate = peak()
    for turn in range(repeats):  # in turns, so that other work on the machine disturbs all alike
        if turn > 3 and time.perf_counter() - begun > budget:
            break
        for name, (step, models) in contenders.items():
            start = np.array([time.perf_counter(), time.process_time()])
            for _ in range(IN_A_ROW):
                step()
            spent = np.array([time.perf_counter(), time.process_time()]) - start
            times[name].append(spent / (IN_A_ROW * models))
    best_rate = max(best_rate, peak())
    models, turns = contenders[OURS][1], len(times[OURS])
    print(f"{title}: {models} models, one thread, {turns} turns of {IN_A_ROW} steps")
    print(f"{operations / 1e6:.0f} million operations a model and step")
    print(
        f"{'a model and step, ms':28}   wall    CPU  CPU/ours  median  of peak {best_rate / 1e9:.0f} GFLOP/s"
    )
    base = np.array(times[OURS])[:, 1]
    for name, each in times.items():
        wall, cpu = np.min(each, axis=0)
        ratios = np.array(each)[:, 1] / base
        print(
            f"{name:28}{1e3 * wall:7.2f}{1e3 * cpu:7.2f}{cpu / base.min():10.2f}{np.median(ratios):8.2f}"
            f"{operations / cpu / best_rate:9.0%}"
        )
    print()


def compare_epochs(name, samples, seeds, repeats):
    """Print what an epoch of one model costs us and the loader."""
    protocol, dataset = PROTOCOLS[name], data.load(name)
    threads = torch.get_num_threads()
    print(f"{name}, batch {protocol.batch_size}, {threads} threads")
    loops, ensembles = [], []
    for _ in range(repeats):  # alternating, so that a busy machine slows both
        for count in {1, threads}:
            torch.set_num_threads(count)
            loops.append(plain_loop(protocol, dataset, samples))
        torch.set_num_threads(threads)
        ensembles.append(ensemble(protocol, dataset, seeds))
    loop, ours = np.min(loops, axis=0), np.min(ensembles, axis=0)
    print("seconds per model and epoch   wall      CPU")
    print(f"plain loop                {loop[0]:8.2f} {loop[1]:8.2f}")
    print(f"ensemble of {seeds * len(protocol.schemes):3} models     {ours[0]:8.2f} {ours[1]:8.2f}")
    print(f"ratio of wall times       {loop[0] / ours[0]:8.1f}   (target {TARGETS[name]:g})")
    print(f"ratio of CPU times        {loop[1] / ours[1]:8.1f}   (per core; steadier on a busy machine)")


def main():
    names = [*sorted(TARGETS, reverse=True), *FAMILIES]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(names)}; all if left out")
    parser.add_argument("--steps", type=int, default=100, help="turns of each contender at most")
    parser.add_argument("--seconds", type=float, default=40, help="for the turns of one network")
    parser.add_argument("--eager", action="store_true", help="leave out torch.compile, which takes a minute")
    parser.add_argument(
        "--epochs", choices=sorted(TARGETS), help="measure whole epochs on these data instead"
    )
    parser.add_argument("--samples", type=int, default=20_000, help="training images for the plain loop")
    parser.add_argument("--seeds", type=int, default=4, help="runs per scheme in the ensemble, for epochs")
    parser.add_argument("--repeats", type=int, default=2, help="alternating epochs; the best counts")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; need some of {', '.join(names)}")
    keep_freed_memory()
    if arguments.epochs:
        compare_epochs(arguments.epochs, arguments.samples, arguments.seeds, arguments.repeats)
    else:
        torch.set_num_threads(1)
        compiles = not arguments.eager and shutil.which("c++") is not None
        print("with torch.compile" if compiles else "without torch.compile")
        for name in arguments.names or names:
            if name in FAMILIES:
                contenders, operations = family_opponents(*FAMILIES[name])
            else:
                contenders, operations = opponents(PROTOCOLS[name], data.load(name), compiles)
            compare_steps(name, contenders, operations, arguments.steps, arguments.seconds)
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {largest:8.2f} GiB, the data and the opponents included")


if __name__ == "__main__":
    main()
