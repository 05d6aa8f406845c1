"""The tails of gradient noise and of trained weights against the batch size."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from fracrepro.arguments import integer
from fracrepro.errors import ArgumentError
from fracrepro.nn import schemes
from fracrepro.nn.data.base import Dataset
from fracrepro.nn.experiments.base import lines
from fracrepro.nn.experiments.protocol import MNIST
from fracrepro.nn.experiments.tail_figures import TailStudy, figures_of, kept, sample_of
from fracrepro.nn.training import batches
from fracrepro.nn.training.ensemble import Ensemble
from fracrepro.nn.training.network import Network
from fracrepro.nn.training.precision import full_precision
from fracrepro.nn.training.settings import Setup
from fracrepro.nn.training.streams import stream

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


@dataclass(frozen=True)
class GradientTails(Setup, TailStudy):
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
        integer("steps", self.steps, "[1, inf)")

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

        images, labels, expected = self._loaded(dataset, device)
        quiet = None if progress is None else not progress  # None: tqdm looks for a terminal
        rows = []
        with tqdm(
            total=self.steps * len(self.batch_sizes), unit="step", desc=self.name, disable=quiet
        ) as bar:
            for batch_size in self.batch_sizes:
                part = {**expected, "images per step": batch_size}
                shape = len(STAGES) * len(self.seeds) * len(self.schemes), len(FIGURES)
                measure = partial(_measure_all, self, batch_size, images, labels, bar.update)
                rows.append(kept(checkpoint, f"batch-{batch_size}", part, shape, measure))
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
    rows, pixels = [], batches.normalize(images)
    for models in (starts, ends):
        for number, parameters in enumerate(models):
            seed = study.seeds[number // len(study.schemes)]
            sample = sample_of(study, parameters, starts[number], seed, pixels, labels, batch_size=batch_size)
            rows.append(figures_of({name: values.cpu() for name, values in sample.items()}, FIGURES))
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
