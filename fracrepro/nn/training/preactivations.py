"""The pre-activations of a network and their tails, layer by layer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from scipy import special
from torch import Tensor

from fracrepro.arguments import integer, integers, real, reals
from fracrepro.errors import ArgumentError
from fracrepro.nn.data.base import Dataset
from fracrepro.nn.schemes.base import NormalScheme, Scheme
from fracrepro.nn.schemes.plan import Slot
from fracrepro.nn.training.batches import normalize, order
from fracrepro.nn.training.ensemble import Ensemble
from fracrepro.nn.training.gradients import mean_loss
from fracrepro.nn.training.network import Network
from fracrepro.nn.training.start import initial_parameters
from fracrepro.theory.activations import LeakyReLU

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "LayerTails",
    "layer_tails",
    "normal_twin",
    "pre_activations",
    "stable_layers",
    "start_probabilities",
    "tail_indices",
    "tails_in_training",
]


@dataclass(frozen=True)
class LayerTails:
    """The tails of one layer's pre-activations.

    Attributes:
        evi_images: extreme value index of a neuron's pre-activations over the images, in absolute value,
            the median over the neurons.
        evi_layer: the same of all pre-activations of the layer together.
        kurtosis_images: excess kurtosis over the images, the median over the neurons.
        kurtosis_layer: the same of all pre-activations of the layer together.
    """

    evi_images: float
    evi_layer: float
    kurtosis_images: float
    kurtosis_layer: float


@torch.no_grad()
def pre_activations(
    network: Network, parameters: Mapping[str, Tensor], images: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the inputs h of every fully connected layer, and its pre-activations z = W h + b.

    Args:
        network: fully connected.
        parameters: named as in :func:`.network.build_module`.
        images: normalized, shape (n, channels, height, width).

    Returns:
        Two lists over the layers, of shapes (n, n_in) and (n, n_out), in float64.

    Raises:
        ArgumentError: for a network with convolutions.
    """
    if network.channels:
        raise ArgumentError(f"network = {network!r}: need a fully connected one, without convolutions")
    h, inputs, found = images.flatten(1).double(), [], []
    for k in range(network.depth):
        inputs.append(h)
        found.append(
            F.linear(h, parameters[f"dense{k}.weight"].double(), parameters[f"dense{k}.bias"].double())
        )
        h = F.leaky_relu(found[-1], network.negative_slope)
    return inputs, found


def start_probabilities(
    network: Network, scheme: NormalScheme, seed: int, image: Tensor, *, factor: float = 1.0
) -> np.ndarray:
    r"""Return the pre-activations of one image before training, each through its distribution function.

    Given the input h of a layer they are independent, each the sum of a normal number of standard deviation
    :math:`\sigma \lVert h \rVert` and a bias uniform within :math:`\pm 1/\sqrt{n_{in}}`.
    The results are therefore independent and uniform on [0, 1], over all layers.

    Args:
        network: fully connected.
        scheme: of the start.
        seed: of the network.
        image: normalized, shape (1, channels, height, width).
        factor: of the standard deviation in the distribution function; other than 1, it is a wrong one.

    Raises:
        ArgumentError: for a factor outside (0, inf), and a network with convolutions.

    Source:
        Derived on page 11, section "Pre-activations during training".
    """
    factor = real("factor", factor, "(0, inf)")
    parameters = initial_parameters(network, scheme, seed)
    inputs, found = pre_activations(network, parameters, image)
    follows, results = LeakyReLU(network.negative_slope), []
    for shape, h, z in zip(network.layer_shapes, inputs, found, strict=True):
        std = factor * scheme.std(Slot(shape, follows)) * float(h.norm())
        bound = 1 / math.sqrt(shape[1])
        # The mean of Φ over the interval is a difference of its antiderivative G(x) = xΦ(x) + φ(x).
        upper, lower = (z.numpy().ravel() + bound) / std, (z.numpy().ravel() - bound) / std
        results.append((_antiderivative(upper) - _antiderivative(lower)) * std / (2 * bound))
    return np.concatenate(results)


def tail_indices(samples: ArrayLike, top: float = 0.05) -> np.ndarray:
    """Return the extreme value index of every column, in absolute value, from its largest entries.

    It is :func:`fracrepro.extreme_value_index` with k = top·n, for many samples at once.

    Args:
        samples: shape (n, m), finite.
        top: part of a column that is used, in (0, 1), at least two entries.

    Returns:
        Shape (m,); NaN for a column whose largest entries are zero or all equal.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Dekkers, Einmahl and de Haan (1989).

    >>> tail_indices(np.exp([[0.0], [1.0], [3.0]]), 0.67).round(12)   # M₁ = 2, M₂ = 5: 3 - 0.5/(1 - 4/5)
    array([0.5])
    """
    values = reals("samples", samples, "(-inf, inf)")
    k = int(real("top", top, "(0, 1)") * len(values))
    if values.ndim != 2 or k < 2:
        raise ArgumentError(f"samples have shape {values.shape}: need columns, with two entries in the top")
    # Only the largest are sorted; largest first.
    largest = np.sort(np.partition(np.abs(values), -k - 1, axis=0)[-k - 1 :], axis=0)[::-1].copy()
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = np.log(largest[:-1] / largest[-1])
        first, second = excess.mean(0), (excess**2).mean(0)
        gamma = first + 1.0 - 0.5 / (1.0 - first**2 / second)
    return np.where(np.isfinite(gamma), gamma, np.nan)


def layer_tails(values: ArrayLike, top: float = 0.05) -> LayerTails:
    """Return the tails of one layer's pre-activations.

    Args:
        values: one row per image, one column per neuron, finite.
        top: as in :func:`tail_indices`.

    Raises:
        ArgumentError: as there.
    """
    z = reals("values", values, "(-inf, inf)")
    per_neuron = tail_indices(z, top)
    together = tail_indices(z.reshape(-1, 1), top)
    return LayerTails(
        evi_images=float(np.nanmedian(per_neuron)) if np.isfinite(per_neuron).any() else np.nan,
        evi_layer=float(together[0]),
        kurtosis_images=float(np.median(_excess_kurtosis(z))),
        kurtosis_layer=float(_excess_kurtosis(z.reshape(-1, 1))[0]),
    )


def stable_layers(
    alpha: float, images: int, neurons: int, layers: int, *, rng: np.random.Generator, shared: bool = False
) -> list[LayerTails]:
    """Return the tails of layers whose pre-activations have a symmetric stable law.

    Args:
        alpha: index of the law, in (0, 2]; 2 is the normal law.
        images: rows of a layer.
        neurons: columns of a layer.
        layers: independent layers.
        rng: a numpy Generator.
        shared: False for independent pre-activations; True for normal ones with one random factor for each
            image, √A with A positive stable of index α/2, so that each is stable and an image's are
            dependent.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Samorodnitsky and Taqqu (1994) for the product.
    """
    from scipy import stats

    alpha = real("alpha", alpha, "(0, 2]")
    images, neurons = integer("images", images, "[40, inf)"), integer("neurons", neurons, "[1, inf)")
    found = []
    for _ in range(integer("layers", layers, "[1, inf)")):
        if alpha == 2.0:
            z = rng.standard_normal((images, neurons))
        elif shared:
            factor = stats.levy_stable.rvs(alpha / 2, 1.0, size=(images, 1), random_state=rng)
            z = np.sqrt(np.abs(factor)) * rng.standard_normal((images, neurons))
        else:
            z = stats.levy_stable.rvs(alpha, 0.0, size=(images, neurons), random_state=rng)
        found.append(layer_tails(z))
    return found


def normal_twin(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return normal numbers with the mean and the covariance over the images of a layer's pre-activations.

    Args:
        values: one row per image, one column per neuron.
        rng: a numpy Generator.

    Returns:
        As many images and neurons.
    """
    centred = values - values.mean(0)
    level, vectors = np.linalg.eigh(centred.T @ centred / len(values))
    root = vectors * np.sqrt(np.maximum(level, 0.0)) @ vectors.T
    return cast(np.ndarray, values.mean(0) + rng.standard_normal(values.shape) @ root)


def tails_in_training(
    network: Network,
    scheme: Scheme,
    seeds: Sequence[int],
    dataset: Dataset,
    *,
    batch_sizes: Sequence[int],
    epochs: Sequence[int],
    learning_rate: float,
    images: int = 1000,
) -> pd.DataFrame:
    """Train a network at several batch sizes for the same epochs, and return its pre-activations' tails.

    Args:
        network: fully connected.
        scheme: of the start.
        seeds: one network each.
        dataset: its training images.
        batch_sizes: images per step, each at least 1; the last batch of an epoch may be smaller.
        epochs: after which to measure, increasing, each at least 1; the start is measured too.
        learning_rate: positive.
        images: how many training images the tails are taken over, at least 40; all where there are fewer.

    Returns:
        One row per batch size, epoch (the start, which all batch sizes share, has 0 for both), seed and
        layer: the fields of :class:`LayerTails`, ``evi_twin`` (`evi_layer` of the normal twin) and ``loss``
        (mean over the training images). What a diverged network would give is NaN.

    Raises:
        ArgumentError: for arguments outside these ranges.
    """
    import pandas as pd

    sizes = integers("batch_sizes", list(batch_sizes), "[1, inf)").tolist()
    ends = integers("epochs", list(epochs), "[1, inf)").tolist()
    if not ends or ends != sorted(set(ends)):
        raise ArgumentError(f"epochs = {epochs!r}: need increasing numbers")
    rate, images = real("learning_rate", learning_rate, "(0, inf)"), integer("images", images, "[40, inf)")
    pixels = normalize(torch.tensor(dataset.train_images))
    labels = torch.tensor(dataset.train_labels, dtype=torch.int64)
    rows: list[dict[str, float]] = []

    def measure(ensemble: Ensemble, batch_size: int, epoch: int) -> None:
        for model, seed in enumerate(seeds):
            of_model = ensemble.parameters(model)
            loss = float(mean_loss(network, of_model, pixels, labels))
            place = {"batch_size": batch_size, "epoch": epoch, "seed": seed, "loss": loss}
            found = pre_activations(network, of_model, pixels[:images])[1]
            rng = np.random.default_rng([seed, batch_size, epoch])
            for layer, z in enumerate(found):
                rows.append(place | {"layer": layer} | _row(z.numpy(), math.isfinite(loss), rng))

    for batch_size in sizes:
        ensemble = Ensemble(network, [scheme], seeds, "cpu")
        if not rows:
            measure(ensemble, 0, 0)
        for epoch in range(1, ends[-1] + 1):
            for chosen in order(seeds, epoch, len(labels)).split(batch_size, 1):
                ensemble.step(pixels[chosen], labels[chosen], rate)
            if epoch in ends:
                measure(ensemble, batch_size, epoch)
    return pd.DataFrame(rows)


def _antiderivative(x: np.ndarray) -> np.ndarray:
    """The antiderivative of the normal distribution function that vanishes at minus infinity."""
    return cast(np.ndarray, x * special.ndtr(x) + np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi))


def _row(z: np.ndarray, finite: bool, rng: np.random.Generator) -> dict[str, float]:
    """The tails of a layer and of its twin; NaN where the network has diverged."""
    if not finite or not np.isfinite(z).all():
        return dict.fromkeys(
            [*(field.name for field in dataclasses.fields(LayerTails)), "evi_twin"], math.nan
        )
    twin = tail_indices(normal_twin(z, rng).reshape(-1, 1))[0]
    return dataclasses.asdict(layer_tails(z)) | {"evi_twin": float(twin)}


def _excess_kurtosis(values: np.ndarray) -> np.ndarray:
    """The excess kurtosis of every column; that of a constant one is 0."""
    squares = (values - values.mean(0)) ** 2
    variance = squares.mean(0)
    ratio = (squares**2).mean(0) / np.where(variance > 0, variance, 1.0) ** 2
    return np.where(variance > 0, ratio - 3.0, 0.0)
