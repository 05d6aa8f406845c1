"""The tails of gradient noise and of trained weights against the batch size."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor

from fracrepro.arguments import choice, distinct, integer, integers
from fracrepro.errors import ArgumentError
from fracrepro.nn import data, schemes
from fracrepro.nn.data.base import Dataset
from fracrepro.nn.experiments.base import Experiment, lines
from fracrepro.nn.experiments.protocol import MNIST
from fracrepro.nn.training import batches
from fracrepro.nn.training.checkpoints import checked_figures, read_checkpoint, write_checkpoint
from fracrepro.nn.training.ensemble import Ensemble
from fracrepro.nn.training.gradients import gradient_norms, layer_gradients, mean_loss
from fracrepro.nn.training.lanes import full_precision
from fracrepro.nn.training.network import Network
from fracrepro.nn.training.settings import Setup
from fracrepro.nn.training.start import check_scheme
from fracrepro.nn.training.streams import stream
from fracrepro.nn.training.trainer import training_device
from fracrepro.stats.tails import extreme_value_index, stable_index

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FIGURES", "GRADIENT_TAILS", "STAGES", "GradientTails"]

#: When the gradients are measured: before the first step and after the last.
STAGES = ("start", "end")
#: What is measured, in the order of the columns.
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
ESTIMATORS = {"top": TOP, "block": BLOCK, "vectors": VECTORS}  # part of the record, changed by no experiment


@dataclass(frozen=True)
class GradientTails(Setup, Experiment):
    """One measurement: networks trained at several batch sizes for the same number of steps.

    Args:
        name: as are `dataset`, `network` (without convolutions), `schemes`, `seeds` and `learning_rate`, a
            field of :class:`fracrepro.nn.training.settings.Setup`.
        batch_sizes: images per step, each at least 1, no two alike.
        steps: of stochastic gradient descent, at least 1; a batch is drawn anew for each, with replacement.
        layer: whose weights are looked at, counted from 0, in [0, depth - 1].
        draws: batches whose noise is drawn in each measurement, at least 500.
        images: training images that these batches and the Gaussian noise are drawn from, at least 500; all
            where there are fewer.

    Raises:
        ArgumentError: for a value outside these ranges, and a network with convolutions.
    """

    network: Network
    batch_sizes: tuple[int, ...]
    steps: int
    layer: int
    draws: int = 2000
    images: int = 5_000

    figures: ClassVar[tuple[str, ...]] = FIGURES
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"seeds": range(2), "steps": 50},
        "book": {"seeds": range(3), "steps": 500},
        "paper": {},
    }

    def __post_init__(self) -> None:
        """Check every field."""
        super().__post_init__()
        if not isinstance(self.network, Network) or self.network.channels:
            raise ArgumentError(
                f"network = {self.network!r}: need a fully connected one, without convolutions"
            )
        distinct("batch_sizes", list(self.batch_sizes))
        sizes = integers("batch_sizes", list(self.batch_sizes), "[1, inf)")
        object.__setattr__(self, "batch_sizes", tuple(sizes.tolist()))
        integer("steps", self.steps, "[1, inf)")
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

    def run(
        self,
        dataset: Dataset | None = None,
        *,
        device: str = "auto",
        checkpoint: str | os.PathLike[str] | None = None,
        interval: float = 300.0,
        progress: bool | None = None,
    ) -> pd.DataFrame:
        """Train, and measure the tails before and after.

        Args:
            dataset: as in :meth:`.base.Experiment.run`, as are `device` and `progress`.
            checkpoint: a folder, where every finished batch size is kept.
            interval: plays no part.

        Returns:
            One row per batch size, scheme, seed and stage (``"start"`` and ``"end"`` of training), with

            * `loss`: mean over all training images;
            * `image_evi`: extreme value index of the norms of single images' gradients, all weights, all
              images;
            * `noise_evi`, `gaussian_evi`: the same of the norm of a batch's noise in the layer, and of normal
              vectors with the same covariance;
            * `noise_stable_index`, `gaussian_stable_index`: index of a stable law fitted to the coordinates
              of one noise vector as if they were independent and alike, the median over vectors;
            * `kurtosis`: median over the layer's weights of the excess kurtosis of single images' gradients;
            * `weight_evi`, `step_evi`: extreme value index of the layer's weights, and of their way from the
              start, in absolute value; `step_evi` is NaN at the start.

            Every figure is NaN where the loss is not finite, and a figure that cannot be estimated (all
            gradients zero) is NaN too.
        """
        from tqdm import tqdm

        where = training_device(device)
        for scheme in self.schemes:
            check_scheme(self.network, scheme, data=False)
        dataset = data.load(self.dataset) if dataset is None else dataset
        choice("dataset", dataset.name, (self.dataset,))
        images = torch.tensor(dataset.train_images, device=where)
        labels = torch.tensor(dataset.train_labels, device=where, dtype=torch.int64)
        expected = self.to_dict() | {"data digest": dataset.digest, "device": where.type}
        quiet = None if progress is None else not progress  # None: tqdm looks for a terminal
        rows = []
        with tqdm(
            total=self.steps * len(self.batch_sizes), unit="step", desc=self.name, disable=quiet
        ) as bar:
            for batch_size in self.batch_sizes:
                path = None if checkpoint is None else Path(checkpoint) / f"batch-{batch_size}.ckpt"
                part = {**expected, "images per step": batch_size}
                if path is not None and path.exists():
                    rows_of_part = len(STAGES) * len(self.seeds) * len(self.schemes)
                    content = read_checkpoint(path, part)
                    figures = checked_figures(path, content, (rows_of_part, len(FIGURES)))
                else:
                    figures = _measure_all(self, batch_size, images, labels, bar.update)
                    if path is not None:
                        write_checkpoint(path, part, {"figures": figures})
                rows.append(figures)
        return self._table(torch.cat(rows))

    def summary(self, results: pd.DataFrame) -> list[str]:
        """Return a line for each batch size and scheme: what training led to."""
        ends = results[results["stage"] == "end"]

        def say(runs: pd.DataFrame) -> str:
            loss, index = runs["loss"].mean(), runs["image_evi"].mean()
            return f"loss {loss:.4f}, extreme value index of the gradients {index:.2f}"

        return list(lines(ends, ["batch_size", "scheme", "s"], say))

    def _with_epochs(self, epochs: int) -> dict[str, Any]:
        """Refuse: a network at batch size 1 would take 512 times the steps of one at 512."""
        raise ArgumentError(f"epochs = {epochs!r}: {self.name} counts steps, which only its profiles change")

    def _table(self, figures: Tensor) -> pd.DataFrame:
        """The rows of :meth:`run`, from all figures of all batch sizes."""
        import pandas as pd

        index = [
            (self.name, batch_size, scheme.name, scheme.order, seed, stage)
            for batch_size in self.batch_sizes
            for stage in STAGES
            for seed in self.seeds
            for scheme in self.schemes
        ]
        columns = ["experiment", "batch_size", "scheme", "s", "seed", "stage"]
        frame = pd.DataFrame(figures.numpy(), columns=list(FIGURES))
        return pd.concat([pd.DataFrame(index, columns=columns).astype({"s": float}), frame], axis=1)


measure_gradient_tails = GradientTails.run  # its name in version 0.1, for the module's old path


def _measure_all(
    study: GradientTails,
    batch_size: int,
    images: Tensor,
    labels: Tensor,
    advance: Callable[[int], object],
) -> Tensor:
    """The figures of every model at one batch size, first at the start and then at the end."""
    ensemble = Ensemble(study.network, study.schemes, study.seeds, images.device)
    starts = [ensemble.parameters(model) for model in range(ensemble.size)]
    _train(study, batch_size, ensemble, images, labels, advance)
    ends = [ensemble.parameters(model) for model in range(ensemble.size)]
    rows = []
    for models in (starts, ends):
        for number, parameters in enumerate(models):
            seed = study.seeds[number // len(study.schemes)]
            sample = _sample(study, batch_size, parameters, starts[number], seed, images, labels)
            rows.append(_figures({name: values.cpu() for name, values in sample.items()}))
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
    generators = [stream(seed, "order") for seed in study.seeds]
    with full_precision(images.device):
        for _ in range(study.steps):
            chosen = [torch.randint(len(labels), (batch_size,), generator=g) for g in generators]
            indices = torch.stack(chosen).to(images.device)
            ensemble.step(batches.normalize(images[indices]), labels[indices], study.learning_rate)
            advance(1)


def _sample(
    study: GradientTails,
    batch_size: int,
    parameters: Mapping[str, Tensor],
    start: Mapping[str, Tensor],
    seed: int,
    images: Tensor,
    labels: Tensor,
) -> dict[str, Tensor]:
    """What the figures of one model are estimated from, computed on the device of the images."""
    network, generator = study.network, stream(seed, "noise")
    pixels = batches.normalize(images)
    chosen = torch.randperm(len(labels), generator=generator)[: study.images].to(images.device)
    layer = layer_gradients(network, parameters, pixels[chosen], labels[chosen], study.layer)
    noise = layer.noise(batch_size, study.draws, generator)
    gaussian = layer.gaussian_noise(batch_size, study.draws, generator)
    weights, first = (source[f"dense{study.layer}.weight"] for source in (parameters, start))
    return {
        "loss": mean_loss(network, parameters, pixels, labels),
        "image norms": gradient_norms(network, parameters, pixels, labels),
        "noise norms": noise.norm(dim=1),
        "gaussian norms": gaussian.norm(dim=1),
        "noise": noise[:VECTORS],
        "gaussian": gaussian[:VECTORS],
        "kurtosis": layer.kurtosis().nanmedian(),
        "weights": weights.flatten(),
        "step": (weights - first).flatten(),
    }


def _figures(sample: Mapping[str, Tensor]) -> list[float]:
    """The figures of one model, in the order of FIGURES, from its sample on the host."""
    loss = sample["loss"].item()
    if not math.isfinite(loss):
        return [math.nan] * len(FIGURES)
    return [
        loss,
        _top(sample["image norms"]),
        _top(sample["noise norms"]),
        _top(sample["gaussian norms"]),
        _pooled(sample["noise"]),
        _pooled(sample["gaussian"]),
        sample["kurtosis"].item(),
        _top(sample["weights"]),
        _top(sample["step"]),
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
    for vector in vectors.double():
        coordinates = vector[vector != 0]
        if len(coordinates) >= BLOCK:
            indices.append(stable_index(coordinates.numpy(), BLOCK))
    return float(torch.tensor(indices).median()) if indices else math.nan


#: The recorded measurement, ours, with the authors' network and learning rate.
GRADIENT_TAILS = GradientTails(
    name="gradient_tails",
    dataset=MNIST.dataset,
    network=Network(MNIST.network.image_shape),
    schemes=(schemes.make("fractional", s=1.0, formula="exact"), schemes.make("kaiming")),
    seeds=tuple(range(6)),
    learning_rate=MNIST.learning_rate,
    batch_sizes=(1, 2, 8, 32, 128, 512),
    steps=4000,
    layer=10,
)
