"""What a start changes, taken apart: the output scale, the rates of the layers, or both, seed by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fracrepro.arguments import distinct, integer, integers, real
from fracrepro.errors import ArgumentError
from fracrepro.nn.data.base import Dataset
from fracrepro.nn.schemes.base import NormalScheme
from fracrepro.nn.training.batches import normalize, order
from fracrepro.nn.training.network import Network
from fracrepro.nn.training.rescaling import Rescaling
from fracrepro.nn.training.start import initial_parameters

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Arm", "arms_between", "train_arms"]


@dataclass(frozen=True)
class Arm:
    """One way to train from a reference start: other weights, another output scale, other rates.

    Args:
        weights: factors of the starting weights, one for each layer; biases keep theirs.
        output: factor of the output, which the loss sees.
        rates: factors of the learning rate for the weights of each layer; biases keep theirs.
    """

    weights: tuple[float, ...]
    output: float
    rates: tuple[float, ...]


def arms_between(rescaling: Rescaling) -> dict[str, Arm]:
    """Return the reference start, the one with the factors c, and what the theorem says of their difference.

    Without biases ``"both"`` is ``"other start"``: the same training.

    Args:
        rescaling: the factors c that make the reference's weights into those of the other start.

    Returns:
        ``"reference"``; ``"other start"``, the weights times c; ``"scale"``, the output times their product;
        ``"rates"``, the rates divided by c²; ``"both"`` of these two.

    Source:
        Derived on page 09, mnist-thm-scale.

    >>> arms_between(Rescaling((2.0, 4.0)))["both"]
    Arm(weights=(1.0, 1.0), output=8.0, rates=(0.25, 0.0625))
    """
    one = (1.0,) * len(rescaling.factors)
    slower = tuple(1 / c**2 for c in rescaling.factors)
    return {
        "reference": Arm(one, 1.0, one),
        "other start": Arm(rescaling.factors, 1.0, one),
        "scale": Arm(one, rescaling.output, one),
        "rates": Arm(one, 1.0, slower),
        "both": Arm(one, rescaling.output, slower),
    }


def train_arms(
    network: Network,
    reference: NormalScheme,
    arms: Mapping[str, Arm],
    seeds: Sequence[int],
    dataset: Dataset,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    biases: bool = True,
    precision: torch.dtype = torch.float32,
) -> pd.DataFrame:
    """Train every arm at every seed, all together; arms at a seed share draws, biases and batches.

    Args:
        network: fully connected.
        reference: the scheme of the reference start.
        arms: by name, each with as many factors as the network has layers.
        seeds: at least one, no two alike.
        dataset: its training images are used.
        epochs: at least 1.
        batch_size: at least 1; the last batch of an epoch may be smaller.
        learning_rate: positive.
        biases: whether there are any; without them every layer is linear before its activation.
        precision: ``torch.float32``, as the recorded trainings, or ``torch.float64``.

    Returns:
        One row per arm, seed and epoch, as the trainer's: ``scheme`` (the arm), ``seed``, ``epoch``,
        ``train_loss`` and ``train_accuracy``, which are means over the epoch, each batch before its own step.

    Raises:
        ArgumentError: outside these ranges, for convolutions, images of another shape, and arms of another
            depth.

    Source:
        Derived on page 09, mnist-thm-scale.
    """
    import pandas as pd

    epochs, batch_size = integer("epochs", epochs, "[1, inf)"), integer("batch_size", batch_size, "[1, inf)")
    rate = real("learning_rate", learning_rate, "(0, inf)")
    distinct("seeds", list(seeds))
    seeds = integers("seeds", list(seeds), "[0, 2147483648)").tolist()
    if network.channels or dataset.image_shape != network.image_shape:
        raise ArgumentError(f"network = {network!r}: need a fully connected one for {dataset.image_shape}")
    for name, arm in arms.items():
        if {len(arm.weights), len(arm.rates)} != {network.depth}:
            raise ArgumentError(f"arms[{name!r}] has another depth: need {network.depth} factors")
    stack = _Stack(network, reference, tuple(arms.values()), seeds, biases=biases, precision=precision)
    images = normalize(torch.tensor(dataset.train_images)).flatten(1).to(precision)
    labels = torch.tensor(dataset.train_labels, dtype=torch.int64)
    sums = torch.zeros(epochs, 2, len(seeds) * len(arms), dtype=torch.float64)
    for epoch in range(epochs):
        for chosen in order(seeds, epoch + 1, len(labels)).split(batch_size, 1):
            sums[epoch] += stack.step(images[chosen], labels[chosen], rate)
    means = (sums / len(labels)).unflatten(2, (len(seeds), -1)).permute(3, 2, 0, 1)
    index = pd.MultiIndex.from_product([list(arms), seeds, range(1, epochs + 1)])
    index.names = ["scheme", "seed", "epoch"]
    frame = pd.DataFrame(means.reshape(-1, 2).numpy(), index, ["train_loss", "train_accuracy"])
    return frame.reset_index()


class _Stack:
    """All runs as stacked tensors; model m = g·A + j has the seed number g and the arm number j of A."""

    def __init__(
        self,
        network: Network,
        reference: NormalScheme,
        arms: Sequence[Arm],
        seeds: Sequence[int],
        *,
        biases: bool,
        precision: torch.dtype,
    ) -> None:
        """Draw, scale and stack the starting parameters."""
        self.slope, self.copies, models = network.negative_slope, len(arms), len(arms) * len(seeds)
        starts = [initial_parameters(network, reference, seed) for seed in seeds]

        def per_model(values: Sequence[float]) -> Tensor:
            return torch.tensor(np.tile(values, len(seeds)), dtype=precision).view(models, 1, 1)

        self.output = per_model([arm.output for arm in arms])
        self.weights, self.biases, self.rates = [], [], []
        for k in range(network.depth):
            drawn = torch.stack([start[f"dense{k}.weight"].mT for start in starts]).to(precision)
            shift = torch.stack([start[f"dense{k}.bias"] for start in starts]).to(precision).unsqueeze(1)
            scaled = drawn.repeat_interleave(self.copies, 0) * per_model([arm.weights[k] for arm in arms])
            self.weights.append(scaled.requires_grad_())
            self.biases.append(shift.repeat_interleave(self.copies, 0).requires_grad_(biases))
            self.rates.append(per_model([arm.rates[k] for arm in arms]))
            if not biases:
                self.biases[-1].zero_()

    def step(self, images: Tensor, labels: Tensor, rate: float) -> Tensor:
        """Take one step; return the sum of losses and the correct answers before it, of shape (2, models)."""
        h = images.repeat_interleave(self.copies, 0)
        for weight, bias in zip(self.weights, self.biases, strict=True):
            h = F.leaky_relu(torch.baddbmm(bias, h, weight), self.slope)
        log_p = torch.log_softmax(self.output * h, 2)
        targets = labels.repeat_interleave(self.copies, 0).unsqueeze(2)
        losses = -log_p.gather(2, targets)
        moving = [*self.weights, *(bias for bias in self.biases if bias.requires_grad)]
        gradients = torch.autograd.grad(losses.sum() / labels.shape[1], moving)
        with torch.no_grad():
            for k, (tensor, gradient) in enumerate(zip(moving, gradients, strict=True)):
                factor = self.rates[k] if k < len(self.weights) else 1.0
                tensor.sub_(rate * factor * gradient)
            correct = log_p.argmax(2, keepdim=True) == targets
            return torch.stack([losses.sum((1, 2)), correct.sum((1, 2))]).double()
