"""The tails of gradient noise and of trained weights against the batch size."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fracrepro.arguments import choice, distinct, integer, integers
from fracrepro.errors import ArgumentError
from fracrepro.nn import data, schemes
from fracrepro.nn.data.base import Dataset
from fracrepro.nn.experiments.protocol import MNIST, Protocol
from fracrepro.nn.training import batches
from fracrepro.nn.training.checkpoints import read_checkpoint, write_checkpoint
from fracrepro.nn.training.ensemble import Ensemble
from fracrepro.nn.training.gradients import gradient_norms, layer_gradients, mean_loss
from fracrepro.nn.training.lanes import full_precision
from fracrepro.nn.training.network import stream
from fracrepro.nn.training.train import training_device
from fracrepro.stats.tails import extreme_value_index, stable_index

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FIGURES", "GRADIENT_TAILS", "STAGES", "GradientTails", "measure_gradient_tails"]

STAGES = ("start", "end")
FIGURES = (
    "loss",
    "image_evi",
    "noise_evi",
    "gaussian_evi",
    "noise_stable_index",
    "gaussian_stable_index",
    "kurtosis",
    "weight_evi",
    "step_evi",
)
TOP = 0.05  # the part of a sample whose order statistics an index is estimated from
BLOCK = 64  # coordinates per sum in the stable index
VECTORS = 200  # noise vectors whose stable index is estimated, each on its own


@dataclass(frozen=True)
class GradientTails:
    """One measurement: networks trained at several batch sizes for the same number of steps.

    Args:
        protocol: data set, network, schemes, seeds and learning rate; its other settings play no part.
        batch_sizes: images per step, each at least 1, no two alike.
        steps: of stochastic gradient descent, at least 1; a batch is drawn anew for each, with replacement.
        layer: whose weights are looked at, counted from 0, in [0, depth - 1].
        draws: batches whose noise is drawn in each measurement, at least 500.
        images: training images that these batches and the Gaussian noise are drawn from, at least 500; all
            where there are fewer.

    Raises:
        ArgumentError: for a value outside these ranges, and a network with convolutions.
    """

    protocol: Protocol
    batch_sizes: tuple[int, ...]
    steps: int
    layer: int
    draws: int = 2000
    images: int = 5_000

    def __post_init__(self) -> None:
        """Check every field."""
        if not isinstance(self.protocol, Protocol):
            raise ArgumentError(f"protocol = {self.protocol!r}: need a Protocol")
        if self.protocol.network.channels:
            raise ArgumentError("protocol.network: need a fully connected network, without convolutions")
        distinct("batch_sizes", list(self.batch_sizes))
        sizes = integers("batch_sizes", list(self.batch_sizes), "[1, inf)")
        object.__setattr__(self, "batch_sizes", tuple(sizes.tolist()))
        integer("steps", self.steps, "[1, inf)")
        integer("layer", self.layer, f"[0, {self.protocol.network.depth - 1}]")
        integer("draws", self.draws, "[500, inf)")
        integer("images", self.images, "[500, inf)")

    @property
    def experiment(self) -> str:
        """The name of the experiment."""
        return self.protocol.experiment

    @property
    def dataset(self) -> str:
        """The name of the data set."""
        return self.protocol.dataset

    def replace(self, **changes: Any) -> GradientTails:
        """Return a copy with other values in some fields of the measurement or of its protocol."""
        own = {field.name for field in dataclasses.fields(self)}
        mine = {key: value for key, value in changes.items() if key in own}
        others = {key: value for key, value in changes.items() if key not in own}
        return dataclasses.replace(self, **{"protocol": self.protocol.replace(**others), **mine})

    def to_dict(self) -> dict[str, Any]:
        """Return plain dictionaries, lists and numbers, ready for JSON."""
        record = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        full = record.pop("protocol").to_dict()
        used = ("experiment", "dataset", "network", "schemes", "seeds", "learning_rate")
        estimators = {"top": TOP, "block": BLOCK, "vectors": VECTORS}
        lists = {"batch_sizes": list(self.batch_sizes)}
        return {key: full[key] for key in used} | record | lists | estimators


def measure_gradient_tails(
    study: GradientTails,
    dataset: Dataset | None = None,
    *,
    device: str = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Train, and measure the tails before and after.

    Args:
        study: the experiment.
        dataset: the data; None loads the study's own.
        device: where to train, as in :func:`fracrepro.nn.training.train`; the measurements run on the CPU.
        checkpoint: a folder, where every finished batch size is kept.
        progress: True shows a bar, False none, None one in a terminal only.

    Returns:
        One row per batch size, scheme, seed and stage (``"start"`` and ``"end"`` of training), with

        * `loss`: mean over all training images;
        * `image_evi`: extreme value index of the norms of single images' gradients, all weights, all images;
        * `noise_evi`, `gaussian_evi`: the same of the norm of a batch's noise in the layer, and of normal
          vectors with the same covariance;
        * `noise_stable_index`, `gaussian_stable_index`: index of a stable law fitted to the coordinates of
          one noise vector as if they were independent and alike, the median over vectors;
        * `kurtosis`: median over the layer's weights of the excess kurtosis of single images' gradients;
        * `weight_evi`, `step_evi`: extreme value index of the layer's weights, and of their way from the
          start, in absolute value; `step_evi` is NaN at the start.

        Every figure is NaN where the loss is not finite, and a figure that cannot be estimated (all
        gradients zero) is NaN too.

    Raises:
        ArgumentError, DataError, CheckpointError, OSError:
            as :func:`fracrepro.nn.training.train.train`.
    """
    import pandas as pd
    from tqdm import tqdm

    if not isinstance(study, GradientTails):
        raise ArgumentError(f"study = {study!r}: need a GradientTails")
    where = training_device(device)
    dataset = data.load(study.dataset) if dataset is None else dataset
    choice("dataset", dataset.name, (study.dataset,))
    images, labels = torch.tensor(dataset.train_images), torch.tensor(dataset.train_labels).long()
    expected = study.to_dict() | {"data digest": dataset.digest, "device": where.type}
    total = study.steps * len(study.batch_sizes)
    rows = []
    with tqdm(total=total, unit="step", desc=study.experiment, disable=_quiet(progress)) as bar:
        for batch_size in study.batch_sizes:
            path = None if checkpoint is None else Path(checkpoint) / f"batch-{batch_size}.ckpt"
            if path is not None and path.exists():
                figures = read_checkpoint(path, expected)["figures"]
            else:
                figures = _measure_all(study, batch_size, images, labels, where, bar.update)
                if path is not None:
                    write_checkpoint(path, {"experiment": json.dumps(expected), "figures": figures})
            rows.append(figures)
    frame = pd.DataFrame(torch.cat(rows).numpy(), columns=list(FIGURES))
    index = [
        (study.experiment, batch_size, scheme.name, scheme.order, seed, stage)
        for batch_size in study.batch_sizes
        for stage in STAGES
        for seed in study.protocol.seeds
        for scheme in study.protocol.schemes
    ]
    columns = ["experiment", "batch_size", "scheme", "s", "seed", "stage"]
    return pd.concat([pd.DataFrame(index, columns=columns).astype({"s": float}), frame], axis=1)


def _quiet(progress: bool | None) -> bool | None:
    return None if progress is None else not progress  # None: tqdm looks for a terminal


def _measure_all(
    study: GradientTails,
    batch_size: int,
    images: Tensor,
    labels: Tensor,
    device: torch.device,
    advance: Callable[[int], object],
) -> Tensor:
    """The figures of every model at one batch size, first at the start and then at the end."""
    protocol = study.protocol
    ensemble = Ensemble(protocol.network, protocol.schemes, protocol.seeds, device)
    starts = [ensemble.parameters(model) for model in range(ensemble.size)]
    _train(study, batch_size, ensemble, images.to(device), labels.to(device), advance)
    ends = [ensemble.parameters(model) for model in range(ensemble.size)]
    rows = []
    for models in (starts, ends):
        for number, parameters in enumerate(models):
            seed = protocol.seeds[number // len(protocol.schemes)]
            on_cpu = {name: tensor.cpu() for name, tensor in parameters.items()}
            start = {name: tensor.cpu() for name, tensor in starts[number].items()}
            rows.append(_figures(study, batch_size, on_cpu, start, seed, images, labels))
    return torch.tensor(rows, dtype=torch.float64)


def _train(
    study: GradientTails,
    batch_size: int,
    ensemble: Ensemble,
    images: Tensor,
    labels: Tensor,
    advance: Callable[[int], object],
) -> None:
    """Take the steps; all schemes at a seed see the same batches."""
    generators = [stream(seed, "order") for seed in study.protocol.seeds]
    with full_precision(images.device):
        for _ in range(study.steps):
            chosen = [torch.randint(len(labels), (batch_size,), generator=g) for g in generators]
            indices = torch.stack(chosen).to(images.device)
            ensemble.step(batches.normalize(images[indices]), labels[indices], study.protocol.learning_rate)
            advance(1)


def _figures(
    study: GradientTails,
    batch_size: int,
    parameters: Mapping[str, Tensor],
    start: Mapping[str, Tensor],
    seed: int,
    images: Tensor,
    labels: Tensor,
) -> list[float]:
    """The figures of one model, in the order of FIGURES."""
    network, generator = study.protocol.network, stream(seed, "noise")
    pixels = batches.normalize(images)
    loss = mean_loss(network, parameters, pixels, labels)
    if not math.isfinite(loss):
        return [math.nan] * len(FIGURES)
    chosen = torch.randperm(len(labels), generator=generator)[: study.images]
    layer = layer_gradients(network, parameters, pixels[chosen], labels[chosen], study.layer)
    noise = layer.noise(batch_size, study.draws, generator)
    gaussian = layer.gaussian_noise(batch_size, study.draws, generator)
    weights, first = (source[f"dense{study.layer}.weight"] for source in (parameters, start))
    norms = gradient_norms(network, parameters, pixels, labels)
    kurtosis = layer.kurtosis()
    return [
        loss,
        _top(norms),
        _top(noise.norm(dim=1)),
        _top(gaussian.norm(dim=1)),
        _pooled(noise),
        _pooled(gaussian),
        float(kurtosis.median()) if len(kurtosis) else math.nan,
        _top(weights.flatten()),
        _top((weights - first).flatten()),
    ]


def _top(values: Tensor) -> float:
    """The extreme value index of absolute values, zeros left out; NaN where too few are not zero."""
    sample = values.double().abs()
    sample = sample[sample > 0]
    k = int(TOP * len(sample))
    if k < 10 or not len(sample.topk(k + 1).values.unique()) > 2:
        return math.nan
    return extreme_value_index(sample.numpy(), k)[0]


def _pooled(vectors: Tensor) -> float:
    """The median over vectors of the stable index of their coordinates, zeros left out."""
    indices = []
    for vector in vectors[:VECTORS].double():
        coordinates = vector[vector != 0]
        if len(coordinates) >= BLOCK:
            indices.append(stable_index(coordinates.numpy(), BLOCK))
    return float(torch.tensor(indices).median()) if indices else math.nan


GRADIENT_TAILS = GradientTails(  # ours: the authors' network and learning rate
    protocol=MNIST.replace(
        experiment="gradient_tails",
        schemes=(schemes.make("fractional", s=1.0, formula="exact"), schemes.make("kaiming")),
        seeds=range(6),
    ),
    batch_sizes=(1, 2, 8, 32, 128, 512),
    steps=4000,
    layer=10,
)
