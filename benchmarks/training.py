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
from PIL import Image, ImageOps
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from fracrepro.nn import data
from fracrepro.nn.experiments import PROTOCOLS
from fracrepro.nn.training import train
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
    loop, ours = np.min(loops, axis=0), np.min(ensembles, axis=0)
    models = arguments.seeds * len(protocol.schemes)
    print("seconds per model and epoch   wall      CPU")
    print(f"plain loop                {loop[0]:8.2f} {loop[1]:8.2f}")
    print(f"ensemble of {models:3} models     {ours[0]:8.2f} {ours[1]:8.2f}")
    print(f"ratio of wall times       {loop[0] / ours[0]:8.1f}   (target {TARGETS[arguments.name]:g})")
    print(f"ratio of CPU times        {loop[1] / ours[1]:8.1f}   (per core; steadier on a busy machine)")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:8.2f} GiB, the data and the plain loop included")


if __name__ == "__main__":
    main()
