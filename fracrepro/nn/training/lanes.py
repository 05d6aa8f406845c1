"""A lane: the runs of some seeds that train together, advanced one epoch at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fracrepro.memory import keep_freed_memory
from fracrepro.nn.data.base import Dataset
from fracrepro.nn.schemes.base import Scheme
from fracrepro.nn.training import batches
from fracrepro.nn.training.ensemble import Ensemble
from fracrepro.nn.training.functional import FunctionalEnsemble
from fracrepro.nn.training.graphs import Replayed
from fracrepro.nn.training.network import Network, NetworkDescription
from fracrepro.nn.training.precision import full_precision
from fracrepro.nn.training.settings import Runs, Settings
from fracrepro.nn.training.start import stand_in, starting_modules

__all__ = ["FIGURES", "Images", "Lane", "ensemble_of", "split"]

FIGURES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy", "seconds")
# Eight models of the MNIST network keep their activations in a core's cache; more only wait for memory.
MODELS_PER_LANE = 8
# On a GPU all models of a lane share the launches of a step, and a lane holds what all of them need at once:
# by their shapes about 7 MB for a fully connected model of the protocols, 130 for one with convolutions.
MODELS_PER_GPU_LANE = {"convolutions": 64, "fully connected": 512}
TEST_BATCH = 1000
# What a scheme that needs data sees: as many images, of the first in the order of the seed's first epoch.
START_BATCH = 256


def split(protocol: Runs, device: torch.device) -> list[tuple[int, ...]]:
    """Return the seeds of each lane, by the protocol and the device alone, never by the number of threads.

    On a GPU lanes are large: the authors' experiments are one each.
    On a CPU convolutions run fastest with one seed at a time, whose schemes convolve the same images at once.
    Fully connected nets run fastest with about eight models at a time; two seeds make at least two lanes.
    """
    seeds, schemes = protocol.seeds, len(protocol.schemes)
    if device.type == "cuda":
        kind = "convolutions" if protocol.network.convolves else "fully connected"
        most = max(1, MODELS_PER_GPU_LANE[kind] // schemes)
        together = -(-len(seeds) // -(-len(seeds) // most))  # as few lanes as can be, about alike
    else:
        together = 1 if protocol.network.convolves else max(1, MODELS_PER_LANE // schemes)
        together = min(together, -(-len(seeds) // 2))
    return [seeds[i : i + together] for i in range(0, len(seeds), together)]


class Images:
    """A data set on the training device, shared by all lanes."""

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        """Copy the arrays to the device, as uint8."""
        self.train_images = torch.tensor(dataset.train_images, device=device)
        self.train_labels = torch.tensor(dataset.train_labels, device=device, dtype=torch.int64)
        self.test_images = torch.tensor(dataset.test_images, device=device)
        self.test_labels = torch.tensor(dataset.test_labels, device=device, dtype=torch.int64)


def ensemble_of(
    network: NetworkDescription,
    schemes: Sequence[Scheme],
    seeds: Sequence[int],
    device: torch.device | str,
    starts: Sequence[Tensor] | None = None,
) -> Ensemble | FunctionalEnsemble:
    """Return the runs of a network at their start: its own ensemble where it has one, else any module's.

    Args:
        network: the description.
        schemes: S of them.
        seeds: G of them.
        device: where the tensors live.
        starts: images for each seed, which schemes that need data see; None gives them noise.
    """
    seen = [stand_in(network)] * len(seeds) if starts is None else starts
    if isinstance(network, Network):
        return Ensemble(network, schemes, seeds, device, seen)
    modules = starting_modules(network.build, schemes, seeds, batches=seen, bias=network.start_biases)
    noise = seeds[0] if network.draws else None
    return FunctionalEnsemble(modules, len(seeds), device, rate_of=network.rate_of, noise=noise)


class Lane:
    """Some seeds of a protocol: parameters, and the figures of the epochs so far.

    Args:
        protocol: what is trained.
        seeds: those of this lane.
        images: the data, on `device`.
        device: where to train.
    """

    def __init__(
        self, protocol: Settings, seeds: Sequence[int], images: Images, device: torch.device
    ) -> None:
        """Draw the starting parameters."""
        self.protocol, self.seeds, self.images, self.device = protocol, tuple(seeds), images, device
        network, schemes = protocol.network, protocol.schemes
        if device.type == "cpu":
            keep_freed_memory()
        starts = self._starts() if any(scheme.needs_data for scheme in schemes) else None
        self.ensemble = ensemble_of(network, schemes, self.seeds, device, starts)
        # A graph would repeat the draws that it recorded.
        replays = device.type == "cuda" and not network.draws
        self.step = Replayed(self._step) if replays else self._step
        self.size = self.ensemble.size  # how many runs
        self.figures = torch.empty(0, len(FIGURES), self.size, dtype=torch.float64)

    @property
    def epoch(self) -> int:
        """How many epochs are done."""
        return len(self.figures)

    def advance(self, check: Callable[[], None] = lambda: None) -> None:
        """Train for one epoch and test; `check` is called before every step and may raise to stop."""
        start = time.perf_counter()
        with full_precision(self.device):
            train = self._train_epoch(self.epoch + 1, check).cpu()
            test = self._test().cpu()
        seconds = torch.full((1, self.size), (time.perf_counter() - start) / self.size)
        figures = torch.cat([train, test, seconds.to(torch.float64)])
        self.figures = torch.cat([self.figures, figures.unsqueeze(0)])

    def release(self) -> None:
        """Let go of parameters, buffers and recordings, which a lane that has ended needs no more."""
        for name in ("ensemble", "step"):
            self.__dict__.pop(name, None)

    def _starts(self) -> list[Tensor]:
        """Images for schemes that need data, one batch a seed, on the CPU, where runs start."""
        order = batches.order(self.seeds, 1, len(self.images.train_labels))[:, :START_BATCH]
        images = self.images.train_images[order.to(self.device)].cpu()
        return list(batches.normalize(images))

    def _train_epoch(self, epoch: int, check: Callable[[], None]) -> Tensor:
        """Mean loss and accuracy over the epoch, each batch before its own step."""
        protocol, n = self.protocol, len(self.images.train_labels)
        order = batches.order(self.seeds, epoch, n).to(self.device)
        draws = batches.augmentation(self.seeds, epoch, n).to(self.device) if protocol.augment else None
        rate = protocol.learning_rate_at(epoch)
        totals = torch.zeros(2, self.size, dtype=torch.float64, device=self.device)
        for first in range(0, n, protocol.batch_size):
            check()
            window = slice(first, first + protocol.batch_size)
            totals += self.step(order[:, window], None if draws is None else draws[:, :, window], rate)
        return totals / n

    def _step(self, indices: Tensor, draws: Tensor | None, learning_rate: float) -> Tensor:
        """One step of every run on the images at `indices`."""
        images, labels = self._batch(indices, draws)
        return self.ensemble.step(images, labels, learning_rate, self.protocol.weight_decay)

    def _batch(self, indices: Tensor, draws: Tensor | None) -> tuple[Tensor, Tensor]:
        """Images (G, B, channels, height, width) in [−1, 1], and labels (G, B)."""
        # Rows by their number: a third of the time of torch's general indexing.
        pixels = self.images.train_images
        images = pixels.flatten(1).index_select(0, indices.flatten()).view(*indices.shape, *pixels.shape[1:])
        if draws is not None:
            top, left, flip = draws.flatten(1)
            images = batches.crop_and_flip(images.flatten(0, 1), top, left, flip).unflatten(0, indices.shape)
        return batches.normalize(images), self.images.train_labels[indices]

    def _test(self) -> Tensor:
        """Mean loss and accuracy on the test set."""
        n = len(self.images.test_labels)
        totals = torch.zeros(2, self.size, dtype=torch.float64, device=self.device)
        for first in range(0, n, TEST_BATCH):
            window = slice(first, first + TEST_BATCH)
            images = batches.normalize(self.images.test_images[window])
            totals += self.ensemble.evaluate(images, self.images.test_labels[window])
        return totals / n
