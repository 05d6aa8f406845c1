"""The ensemble trainer against a straightforward loop over one model, side by side, as ratios.

    python benchmarks/training.py mnist
    python benchmarks/training.py cifar10

The loop is what most people write: a DataLoader that augments, converts and normalizes one sample at a time,
one module, torch's own optimizer; it is timed with one thread and with all, and the faster counts.
Both sides do the same protocol on the same cores, train and test.
The loop is timed over one model on the first `--samples` images and scaled to the whole set.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from fracrepro.nn import data
from fracrepro.nn.networks import build_module, initial_parameters
from fracrepro.nn.protocols import PROTOCOLS
from fracrepro.nn.train import train

TARGETS = {"mnist": 6.0, "cifar10": 2.0}


class PerSample(TorchDataset):
    """One sample at a time, as the usual stack of per-sample transforms does it."""

    def __init__(self, images, labels, augment):
        self.images, self.labels, self.augment = images.copy(), labels, augment  # torch wants it writable

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = self.images[index]
        if self.augment:
            image = np.pad(image, ((0, 0), (4, 4), (4, 4)))
            top, left, flip = np.random.randint((9, 9, 2))  # noqa: NPY002  # as the usual transforms do
            image = image[:, top : top + 32, left : left + 32]
            image = image[:, :, ::-1] if flip else image
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(torch.float32).div(255)
        return pixels.sub(0.5).div(0.5), int(self.labels[index])


def plain_loop(protocol, dataset, samples):
    """Seconds for one epoch of one model, training and test, scaled to the whole set."""
    module = build_module(protocol.network)
    module.load_state_dict(initial_parameters(protocol.network, protocol.schemes[0], 0))
    rate, decay = protocol.learning_rate, protocol.weight_decay
    optimizer = torch.optim.SGD(module.parameters(), rate, weight_decay=decay)
    start = time.perf_counter()
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
    return (time.perf_counter() - start) / part


def ensemble(protocol, dataset, seeds):
    """Seconds per model and epoch, training and test."""
    few = protocol.replace(seeds=range(seeds), epochs=1)
    start = time.perf_counter()
    train(few, dataset, device="cpu", progress=False)
    return (time.perf_counter() - start) / (seeds * len(few.schemes))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=sorted(TARGETS))
    parser.add_argument("--samples", type=int, default=20_000, help="training images for the plain loop")
    parser.add_argument("--seeds", type=int, default=4, help="runs per scheme in the ensemble")
    parser.add_argument("--repeats", type=int, default=2, help="alternating measurements; the best counts")
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
    loop, ours = min(loops), min(ensembles)
    print(f"plain loop  {loop:8.2f} s per model and epoch")
    print(f"ensemble    {ours:8.2f} s per model and epoch, {arguments.seeds * len(protocol.schemes)} models")
    print(f"ratio       {loop / ours:8.1f}   (target {TARGETS[arguments.name]:g})")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:8.2f} GiB, the data and the plain loop included")


if __name__ == "__main__":
    main()
