"""What measurements of gradient tails share: the figures of one network, and the way to keep them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from fracrepro.arguments import choice, distinct, integer, integers
from fracrepro.errors import ArgumentError
from fracrepro.nn import data
from fracrepro.nn.data.base import Dataset
from fracrepro.nn.experiments.base import Experiment
from fracrepro.nn.training.checkpoints import checked_figures, read_checkpoint, write_checkpoint
from fracrepro.nn.training.gradients import gradient_norms, layer_gradients, mean_loss
from fracrepro.nn.training.network import Network
from fracrepro.nn.training.settings import Runs
from fracrepro.nn.training.start import check_scheme
from fracrepro.nn.training.streams import stream
from fracrepro.nn.training.trainer import training_device
from fracrepro.stats.tails import extreme_value_index, stable_index

__all__ = ["ESTIMATORS", "TailStudy", "figures_of", "pooled", "sample_of", "top"]

TOP = 0.05  # the part of a sample whose order statistics an index is estimated from
BLOCK = 64  # coordinates per sum in the stable index
VECTORS = 200  # noise vectors whose stable index is estimated, each on its own
#: The constants of the estimators: part of the record, changed by no experiment.
ESTIMATORS = {"top": TOP, "block": BLOCK, "vectors": VECTORS}


@dataclass(frozen=True)
class TailStudy(Runs, Experiment):
    """An experiment that trains fully connected networks at several batch sizes and measures tails.

    A subclass has the fields `batch_sizes`, `layer`, `draws` and `images`, which are checked here.
    """

    network: Network

    if TYPE_CHECKING:  # fields of the subclasses, which a property here would hide

        @property
        def batch_sizes(self) -> tuple[int, ...]:
            """Images per step."""

        @property
        def layer(self) -> int:
            """Whose weights are looked at."""

        @property
        def draws(self) -> int:
            """Batches whose noise is drawn."""

        @property
        def images(self) -> int:
            """Training images that these are drawn from."""

    def __post_init__(self) -> None:
        """Check every field that all measurements have."""
        super().__post_init__()
        if not isinstance(self.network, Network) or self.network.channels:
            raise ArgumentError(
                f"network = {self.network!r}: need a fully connected one, without convolutions"
            )
        distinct("batch_sizes", list(self.batch_sizes))
        sizes = integers("batch_sizes", list(self.batch_sizes), "[1, inf)")
        object.__setattr__(self, "batch_sizes", tuple(sizes.tolist()))
        integer("layer", self.layer, f"[0, {self.network.depth - 1}]")
        integer("draws", self.draws, "[500, inf)")
        integer("images", self.images, "[500, inf)")

    def to_dict(self) -> dict[str, Any]:
        """Return every field, and the constants of the estimators, ready for JSON."""
        return super().to_dict() | ESTIMATORS

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Return what :meth:`to_dict` described; ArgumentError also for other constants of the estimators."""
        fields = dict(record)
        for name, value in ESTIMATORS.items():
            if fields.pop(name, None) != value:
                raise ArgumentError(f"{name} = {record.get(name)!r}: the estimators here have {value!r}")
        return super().from_dict(fields)

    def _loaded(self, dataset: Dataset | None, device: str) -> tuple[Tensor, Tensor, dict[str, Any]]:
        """The training images and labels on the device, and what every checkpoint must agree with."""
        where = training_device(device)
        for scheme in self.schemes:
            check_scheme(self.network, scheme, data=False)
        dataset = data.load(self.dataset) if dataset is None else dataset
        choice("dataset", dataset.name, (self.dataset,))
        images = torch.tensor(dataset.train_images, device=where)
        labels = torch.tensor(dataset.train_labels, device=where, dtype=torch.int64)
        return images, labels, self.to_dict() | {"data digest": dataset.digest, "device": where.type}


def kept(
    folder: str | os.PathLike[str] | None,
    name: str,
    described: Mapping[str, Any],
    shape: tuple[int, int],
    measure: Callable[[], Tensor],
) -> Tensor:
    """Return the figures of one piece: those of its checkpoint, or measured now and kept there.

    Args:
        folder: of the checkpoints; None for none.
        name: of the file, without its ending.
        described: what the checkpoint must be of.
        shape: of the figures.
        measure: makes them.

    Raises:
        CheckpointError: when the checkpoint is damaged, or of another experiment.
    """
    path = None if folder is None else Path(folder) / f"{name}.ckpt"
    if path is not None and path.exists():
        return checked_figures(path, read_checkpoint(path, described), shape)
    figures = measure()
    if path is not None:
        write_checkpoint(path, described, {"figures": figures})
    return figures


def sample_of(
    study: TailStudy,
    parameters: Mapping[str, Tensor],
    start: Mapping[str, Tensor],
    seed: int,
    pixels: Tensor,
    labels: Tensor,
    *,
    batch_size: int | None,
) -> dict[str, Tensor]:
    """Return what the figures of one model are estimated from, computed on the device of the images.

    Args:
        study: says which layer, and how many draws and images.
        parameters: of the model.
        start: where its training began.
        seed: of the model.
        pixels: all training images, normalized.
        labels: of them.
        batch_size: of the noise that is drawn; None draws none.
    """
    network, generator = study.network, stream(seed, "noise")
    chosen = torch.randperm(len(labels), generator=generator)[: study.images].to(pixels.device)
    layer = layer_gradients(network, parameters, pixels[chosen], labels[chosen], study.layer)
    weights, first = (source[f"dense{study.layer}.weight"] for source in (parameters, start))
    sample = {
        "loss": mean_loss(network, parameters, pixels, labels),
        "image norms": gradient_norms(network, parameters, pixels, labels),
        "kurtosis": layer.kurtosis().nanmedian(),
        "weights": weights.flatten(),
        "step": (weights - first).flatten(),
    }
    if batch_size is None:
        return sample
    noise = layer.noise(batch_size, study.draws, generator)
    gaussian = layer.gaussian_noise(batch_size, study.draws, generator)
    drawn = {"noise norms": noise.norm(dim=1), "gaussian norms": gaussian.norm(dim=1)}
    return sample | drawn | {"noise": noise[:VECTORS], "gaussian": gaussian[:VECTORS]}


#: How a figure follows from the sample.
_FIGURES: dict[str, Callable[[Mapping[str, Tensor]], float]] = {
    "loss": lambda sample: sample["loss"].item(),
    "image_evi": lambda sample: top(sample["image norms"]),
    "noise_evi": lambda sample: top(sample["noise norms"]),
    "gaussian_evi": lambda sample: top(sample["gaussian norms"]),
    "noise_stable_index": lambda sample: pooled(sample["noise"]),
    "gaussian_stable_index": lambda sample: pooled(sample["gaussian"]),
    "kurtosis": lambda sample: sample["kurtosis"].item(),
    "weight_evi": lambda sample: top(sample["weights"]),
    "step_evi": lambda sample: top(sample["step"]),
}


def figures_of(sample: Mapping[str, Tensor], names: tuple[str, ...]) -> list[float]:
    """Return the figures of one model, from its sample on the host; all NaN where the loss is not finite.

    Args:
        sample: as :func:`sample_of` returns it.
        names: of the figures.
    """
    if not math.isfinite(sample["loss"].item()):
        return [math.nan] * len(names)
    return [_FIGURES[name](sample) for name in names]


def top(values: Tensor) -> float:
    """Return the extreme value index of absolute values, zeros left out; NaN where too few are not zero."""
    sample = values.double().abs()
    sample = sample[sample > 0]
    k = int(TOP * len(sample))
    if k < 10 or not len(sample.topk(k + 1).values.unique()) > 2:
        return math.nan
    return extreme_value_index(sample.numpy(), k)[0]


def pooled(vectors: Tensor) -> float:
    """Return the median over vectors of the stable index of their coordinates, zeros left out."""
    indices = []
    for vector in vectors.double():
        coordinates = vector[vector != 0]
        if len(coordinates) >= BLOCK:
            indices.append(stable_index(coordinates.numpy(), BLOCK))
    return float(torch.tensor(indices).median()) if indices else math.nan
