"""The tails of gradients and pre-activations against the batch size, at equal epochs and at equal loss."""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from fracrepro.arguments import integer, real
from fracrepro.errors import ArgumentError
from fracrepro.nn import schemes
from fracrepro.nn.data.base import Dataset
from fracrepro.nn.experiments.base import lines
from fracrepro.nn.experiments.protocol import MNIST
from fracrepro.nn.experiments.tail_figures import TailStudy, figures_of, kept, sample_of
from fracrepro.nn.training import batches
from fracrepro.nn.training.ensemble import Ensemble
from fracrepro.nn.training.lanes import split
from fracrepro.nn.training.network import Network
from fracrepro.nn.training.preactivations import layer_tails, pre_activations
from fracrepro.nn.training.precision import full_precision

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BATCH_SIZE", "FIGURES", "STAGES", "BatchSizes"]

#: When the tails are measured: before the first step, when the loss first reaches the goal, after the last.
STAGES = ("start", "goal", "end")
_OF_GRADIENTS = ("loss", "image_evi", "kurtosis", "weight_evi", "step_evi")
_OF_NOISE = ("noise_evi", "gaussian_evi")
_OF_PRE_ACTIVATIONS = ("pre_kurtosis", "pre_evi")
#: What is measured, in the order of the columns.
FIGURES = (
    "passes",
    *_OF_GRADIENTS,
    "noise_kurtosis",
    *_OF_NOISE,
    "noise_gap",
    *_OF_PRE_ACTIVATIONS,
    "seconds",
)
CHECKS = 10  # how often in an epoch the loss is compared with the goal
CHECKED = 1000  # training images whose loss that is

Moment = tuple[float, Mapping[str, Tensor]]  # passes over the training images, and the parameters then


@dataclass(frozen=True)
class BatchSizes(TailStudy):
    """One measurement: networks trained at several batch sizes for the same epochs, each at its own rate.

    Args:
        name: as are `dataset`, `network` (without convolutions), `schemes` and `seeds`, a field of
            :class:`fracrepro.nn.training.settings.Runs`.
        batch_sizes: images per step, each at least 1, no two alike; the last batch of an epoch may be
            smaller.
        learning_rates: of stochastic gradient descent, one for each batch size, positive.
        epochs: passes over the training set, at least 1.
        goal: a training loss, positive; the networks are measured when they first reach it, too.
        layer: whose weights are looked at, counted from 0, in [0, depth - 1].
        draws: batches whose noise is drawn at the end, at least 500.
        images: training images that these batches, the Gaussian noise and the pre-activations are of, at
            least 500; all where there are fewer.
        measured: the first training images, whose loss and gradients are measured, at least `images`; all
            where there are fewer.

    Raises:
        ArgumentError: for a value outside these ranges, and a network with convolutions.
    """

    network: Network
    batch_sizes: tuple[int, ...]
    learning_rates: tuple[float, ...]
    epochs: int
    goal: float
    layer: int
    draws: int = 1000
    images: int = 1000
    measured: int = 10_000

    figures: ClassVar[tuple[str, ...]] = FIGURES
    # Quick takes the data that every installation has.
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"seeds": range(2), "epochs": 1, "dataset": "digits", "network": Network((1, 8, 8))},
        "book": {"seeds": range(2), "epochs": 1},
        "paper": {},
    }

    def __post_init__(self) -> None:
        """Check every field."""
        super().__post_init__()
        object.__setattr__(self, "learning_rates", tuple(self.learning_rates))
        if len(self.learning_rates) != len(self.batch_sizes):
            raise ArgumentError(
                f"learning_rates = {self.learning_rates!r}: need one for each of {self.batch_sizes}"
            )
        for rate in self.learning_rates:
            real("learning_rates", rate, "(0, inf)")
        integer("epochs", self.epochs, "[1, inf)")
        real("goal", self.goal, "(0, inf)")
        integer("measured", self.measured, f"[{self.images}, inf)")

    def run(
        self,
        dataset: Dataset | None = None,
        *,
        device: str = "auto",
        checkpoint: str | os.PathLike[str] | None = None,
        interval: float = 300.0,
        progress: bool | None = None,
    ) -> pd.DataFrame:
        """Train, and measure the tails before, at the goal and after.

        Args:
            dataset: as in :meth:`.base.Experiment.run`, as are `device` and `progress`.
            checkpoint: a folder, where every finished piece is kept: one batch size and a few seeds.
            interval: plays no part.

        Returns:
            One row per batch size, scheme, seed and stage (``"start"``, ``"goal"`` and ``"end"``), with the
            learning rate and

            * `passes`: over the training images until then; the loss of the first 1000 of them is compared
              with the goal ten times an epoch;
            * `loss`: mean over the measured training images;
            * `image_evi`: extreme value index of the norms of these images' gradients, of all weights;
            * `kurtosis`: median over the layer's weights of the excess kurtosis of single images' gradients;
            * `noise_kurtosis`: that of the noise of a batch, smaller by the batch size;
            * `weight_evi`, `step_evi`: extreme value index of the layer's weights, and of their way from the
              start, in absolute value; `step_evi` is NaN at the start;
            * `noise_evi`, `gaussian_evi`, `noise_gap`: at the end, extreme value index of the norm of a
              batch's noise in the layer, that of normal vectors with the same covariance, and the first minus
              the second;
            * `pre_kurtosis`, `pre_evi`: of the pre-activations, means over the layers of what
              :class:`fracrepro.nn.training.preactivations.LayerTails` calls `kurtosis_images` and
              `evi_layer`;
            * `seconds`: of processor time for the run, training and all measurements: a share of its piece,
              spread evenly over the stages, so that they add up.

            Every figure is NaN where the loss is not finite and for a goal that is never reached; a figure
            that cannot be estimated is NaN too.
        """
        from tqdm import tqdm

        images, labels, expected = self._loaded(dataset, device)
        pixels = batches.normalize(images)
        lanes = split(self, images.device)
        total = len(self.batch_sizes) * len(lanes) * self.epochs * len(labels)
        quiet = None if progress is None else not progress  # None: tqdm looks for a terminal
        rows = []
        with tqdm(total=total, unit="image", desc=self.name, disable=quiet) as bar:
            for place, seeds in itertools.product(range(len(self.batch_sizes)), lanes):
                name = f"batch-{self.batch_sizes[place]}-seeds-{seeds[0]}-{seeds[-1]}"
                part = {**expected, "images per step": self.batch_sizes[place], "runs at seeds": list(seeds)}
                shape = len(STAGES) * len(seeds) * len(self.schemes), len(FIGURES)
                measure = partial(_piece, self, place, seeds, pixels, labels, bar.update)
                rows.append(kept(checkpoint, name, part, shape, measure))
        return self._table(torch.cat(rows), lanes)

    def summary(self, results: pd.DataFrame) -> list[str]:
        """Return a line for each batch size and scheme: what training led to."""
        ends = results[results["stage"] == "end"]

        def say(runs: pd.DataFrame) -> str:
            loss, index, tail = (runs[name].mean() for name in ("loss", "image_evi", "pre_kurtosis"))
            return (
                f"loss {loss:.4f}, extreme value index of the gradients {index:.2f}, "
                f"excess kurtosis of pre-activations {tail:.2f}"
            )

        return list(lines(ends, ["batch_size", "scheme", "s"], say))

    def _table(self, figures: Tensor, lanes: Sequence[Sequence[int]]) -> pd.DataFrame:
        """The rows of :meth:`run`, from the figures of all pieces."""
        import pandas as pd

        index = [
            (self.name, batch_size, rate, scheme.name, scheme.order, seed, stage)
            for batch_size, rate in zip(self.batch_sizes, self.learning_rates, strict=True)
            for seeds in lanes
            for seed in seeds
            for scheme in self.schemes
            for stage in STAGES
        ]
        columns = ["experiment", "batch_size", "learning_rate", "scheme", "s", "seed", "stage"]
        frame = pd.DataFrame(figures.numpy(), columns=list(FIGURES))
        return pd.concat([pd.DataFrame(index, columns=columns).astype({"s": float}), frame], axis=1)


def _piece(
    study: BatchSizes,
    place: int,
    seeds: Sequence[int],
    pixels: Tensor,
    labels: Tensor,
    advance: Callable[[int], object],
) -> Tensor:
    """The figures of some seeds at one batch size: rows run by run, each with its stages."""
    clock = time.process_time()
    ensemble = Ensemble(study.network, study.schemes, seeds, pixels.device)
    starts = [ensemble.parameters(model) for model in range(ensemble.size)]
    reached = _train(study, place, ensemble, seeds, pixels, labels, advance)
    rows = []
    for model, start in enumerate(starts):
        seed = seeds[model // len(study.schemes)]
        moments = (0.0, start), reached.get(model), (float(study.epochs), ensemble.parameters(model))
        for stage, moment in zip(STAGES, moments, strict=True):
            size = study.batch_sizes[place]
            rows.append(_measured(study, size, stage, moment, start, seed, pixels, labels))
    seconds = (time.process_time() - clock) / len(rows)
    return torch.tensor([[*row, seconds] for row in rows], dtype=torch.float64)


def _train(
    study: BatchSizes,
    place: int,
    ensemble: Ensemble,
    seeds: Sequence[int],
    pixels: Tensor,
    labels: Tensor,
    advance: Callable[[int], object],
) -> dict[int, Moment]:
    """Train to the end; return when each model first reached the goal, for those that did."""
    size, rate, n = study.batch_sizes[place], study.learning_rates[place], len(labels)
    checked = min(CHECKED, n)
    reached: dict[int, Moment] = {}
    with full_precision(pixels.device):
        for epoch in range(study.epochs):
            order = batches.order(seeds, epoch + 1, n).to(pixels.device)
            for first, last, check in _windows(n, size):
                chosen = order[:, first:last]
                ensemble.step(pixels[chosen], labels[chosen], rate)
                advance(last - first)
                if not check:
                    continue
                losses = ensemble.evaluate(pixels[:checked], labels[:checked])[0] / checked
                for model in torch.nonzero(losses <= study.goal).flatten().tolist():
                    if model not in reached:
                        reached[model] = epoch + last / n, ensemble.parameters(model)
    return reached


def _windows(n: int, size: int) -> Iterator[tuple[int, int, bool]]:
    """First and last image of every batch of an epoch, and whether the loss is looked at after it.

    >>> list(_windows(5, 2))
    [(0, 2, True), (2, 4, True), (4, 5, True)]
    """
    for first in range(0, n, size):
        last = min(first + size, n)
        yield first, last, last * CHECKS // n > first * CHECKS // n


def _measured(
    study: BatchSizes,
    batch_size: int,
    stage: str,
    moment: Moment | None,
    start: Mapping[str, Tensor],
    seed: int,
    pixels: Tensor,
    labels: Tensor,
) -> list[float]:
    """The figures of one model at one stage but for the seconds, in the order of FIGURES."""
    found = dict.fromkeys(FIGURES[:-1], math.nan)
    if moment is None:
        return list(found.values())
    found["passes"], parameters = moment
    drawn = batch_size if stage == "end" else None
    pixels, labels = pixels[: study.measured], labels[: study.measured]
    sample = sample_of(study, parameters, start, seed, pixels, labels, batch_size=drawn)
    sample = {name: values.cpu() for name, values in sample.items()}
    names = _OF_GRADIENTS + (_OF_NOISE if drawn else ())
    found |= dict(zip(names, figures_of(sample, names), strict=True))
    if math.isfinite(found["loss"]):
        found["noise_kurtosis"] = found["kurtosis"] / batch_size
        found["noise_gap"] = found["noise_evi"] - found["gaussian_evi"]
        layers = pre_activations(study.network, parameters, pixels[: study.images])[1]
        tails = [layer_tails(layer.cpu().numpy()) for layer in layers]
        found["pre_kurtosis"] = sum(tail.kurtosis_images for tail in tails) / len(tails)
        found["pre_evi"] = sum(tail.evi_layer for tail in tails) / len(tails)
    return list(found.values())


#: The planned measurement, ours, with the authors' network: plans/batch_size.yml.
BATCH_SIZE = BatchSizes(
    name="batch_size",
    dataset=MNIST.dataset,
    network=Network(MNIST.network.image_shape),
    schemes=(schemes.make("fractional", s=1.0, formula="exact"), schemes.make("kaiming")),
    seeds=tuple(range(300, 308)),
    batch_sizes=(2, 8, 32, 128),
    learning_rates=(0.003, 0.01, 0.01, 0.01),
    epochs=2,
    goal=math.log(10) / 2,
    layer=10,
)
