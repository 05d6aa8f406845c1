r"""The gradients of single images, and what a batch of them leaves to chance.

In a fully connected layer :math:`z = W h + b` the gradient of one image's loss with respect to W is
:math:`\delta h^\top`, where :math:`\delta` is the gradient with respect to z.
Every statistic below follows from h and :math:`\delta` without forming n matrices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fracrepro.arguments import integer
from fracrepro.errors import ArgumentError
from fracrepro.nn.training.network import Network

__all__ = ["LayerGradients", "gradient_norms", "layer_gradients", "mean_loss"]

CHUNK = 4096  # images whose signals are held at a time
MATRICES = 1 << 24  # numbers in the gradients held at a time


@dataclass(frozen=True)
class LayerGradients:
    r"""The gradients :math:`\delta_i h_i^\top` of n images for the weights of one layer.

    Args:
        inputs: the :math:`h_i`, shape (n, n_in).
        deltas: the :math:`\delta_i`, shape (n, n_out), of the same floating type.
        active: for each image, which neurons before and after the weights are active, shapes of `inputs` and
            `deltas`, as :func:`layer_gradients` finds them; None where this is not known.
    """

    inputs: Tensor
    deltas: Tensor
    active: tuple[Tensor, Tensor] | None = None

    def mean(self) -> Tensor:
        """Return the full gradient, of shape (n_out, n_in)."""
        return self.deltas.mT @ self.inputs / len(self.inputs)

    def noise(self, batch_size: int, draws: int, generator: torch.Generator) -> Tensor:
        r"""Return the noise of batch gradients: the mean over a batch minus the full gradient.

        A batch is `batch_size` images drawn independently, so that its noise is a mean of independent terms.

        Args:
            batch_size: at least 1.
            draws: number of batches, at least 1.
            generator: source of the batches, on the CPU wherever the gradients are.

        Returns:
            Shape (draws, n_out·n_in).

        Raises:
            ArgumentError: for numbers outside these ranges.
        """
        batch_size, draws = integer("batch_size", batch_size, "[1, inf)"), integer("draws", draws, "[1, inf)")
        mean = self.mean()
        parts = []
        for count in _counts(draws, max(mean.numel(), batch_size * sum(mean.shape))):
            chosen = torch.randint(len(self.inputs), (count, batch_size), generator=generator)
            chosen = chosen.to(self.inputs.device)
            parts.append(torch.bmm(self.deltas[chosen].mT, self.inputs[chosen]) / batch_size - mean)
        return torch.cat(parts).flatten(1)

    def gaussian_noise(self, batch_size: int, draws: int, generator: torch.Generator) -> Tensor:
        r"""Return normal vectors with the exact covariance of :meth:`noise`.

        .. math:: \frac{1}{\sqrt{B n}} \sum_{i=1}^n \xi_i (\delta_i h_i^\top - \bar g),
                  \quad \xi_i \sim N(0, 1)

        What `noise` shows and this does not is due to the law and not to unequal or dependent coordinates.

        Args:
            batch_size: at least 1.
            draws: number of vectors, at least 1.
            generator: source of the draws, on the CPU wherever the gradients are.

        Returns:
            Shape (draws, n_out·n_in).

        Raises:
            ArgumentError: for numbers outside these ranges.

        Source:
            Our choice of a control, page 11.
        """
        batch_size, draws = integer("batch_size", batch_size, "[1, inf)"), integer("draws", draws, "[1, inf)")
        n, mean = len(self.inputs), self.mean()
        parts = []
        for count in _counts(draws, max(mean.numel(), n * self.deltas.shape[1])):
            xi = torch.empty(count, n, dtype=self.inputs.dtype).normal_(generator=generator)
            xi = xi.to(self.inputs.device)
            total = torch.einsum("ko,dk,ki->doi", self.deltas, xi, self.inputs)
            parts.append((total - xi.sum(1).view(-1, 1, 1) * mean) / (batch_size * n) ** 0.5)
        return torch.cat(parts).flatten(1)

    def kurtosis(self) -> Tensor:
        r"""Return the excess kurtosis of each weight's gradient over the images, in float64.

        The noise of a batch of B has exactly 1/B of it, because cumulants add.

        Returns:
            Shape (n_out·n_in,), NaN for a weight whose gradient is the same for all images.

        Source:
            Derived on page 11, prop-kurtosis.
        """
        h, delta = self.inputs.double(), self.deltas.double()
        # (δ h)^p = δ^p h^p: raw moments are matrix products too.
        m1, m2, m3, m4 = ((delta**p).mT @ h**p / len(h) for p in range(1, 5))
        variance = m2 - m1**2
        fourth = m4 - 4 * m3 * m1 + 6 * m2 * m1**2 - 3 * m1**4
        alive = variance > 1e-12 * m2  # below, rounding decides
        return torch.where(alive, fourth / variance**2 - 3, math.nan).flatten()

    def active_part(self) -> tuple[Tensor, Tensor, Tensor]:
        r"""Separate sparsity from tails: each weight's gradients where both of its neurons are active.

        With :math:`K = E X^4 / (E X^2)^2`, which is 3 for a normal law and 1/p for a Bernoulli variable of
        probability p, K of all images is K of the active ones over their share, if the others' gradients are
        zero.

        Returns:
            In float64, each of shape (n_out·n_in,): the share of images with both neurons active, K over
            these images, and K over all images; NaN where all gradients are zero.

        Raises:
            ArgumentError: where it is not known which neurons are active.

        Source:
            Derived on page 11, prop-sparsity.

        >>> one = torch.tensor([[1.0], [0.0], [0.0], [0.0]])   # a Bernoulli variable: 1 in one image of four
        >>> [x.item() for x in LayerGradients(one, one, (one > 0, one > 0)).active_part()]
        [0.25, 1.0, 4.0]
        """
        before, after = (mask.double() for mask in self._masks())
        h, delta = self.inputs.double(), self.deltas.double()
        count = after.mT @ before
        part = count * (((delta * after) ** 4).mT @ (h * before) ** 4)
        part = part / (((delta * after) ** 2).mT @ (h * before) ** 2) ** 2
        whole = len(h) * ((delta**4).mT @ h**4) / ((delta**2).mT @ h**2) ** 2
        return (count / len(h)).flatten(), part.flatten(), whole.flatten()

    def active_values(self, weight: int) -> Tensor:
        """Return the gradients of one weight for the images in which both of its neurons are active.

        Args:
            weight: counted over the rows of the weight matrix, in [0, n_out·n_in - 1].

        Raises:
            ArgumentError: outside that range, and where it is not known which neurons are active.
        """
        before, after = self._masks()
        weights = self.deltas.shape[1] * self.inputs.shape[1]
        weight = integer("weight", weight, f"[0, {weights - 1}]")
        row, column = divmod(weight, self.inputs.shape[1])
        both = before[:, column] & after[:, row]
        return self.deltas[both, row] * self.inputs[both, column]

    def _masks(self) -> tuple[Tensor, Tensor]:
        """Which neurons are active, if it is known."""
        if self.active is None:
            raise ArgumentError("active = None: need the masks that layer_gradients finds")
        return self.active


def gradient_norms(
    network: Network, parameters: Mapping[str, Tensor], images: Tensor, labels: Tensor
) -> Tensor:
    r"""Return the norm of each image's gradient with respect to all weights and biases.

    .. math:: \lVert g_i \rVert^2 = \sum_k \lVert \delta_i^{(k)} \rVert^2 (\lVert h_i^{(k)} \rVert^2 + 1)

    Args:
        network: fully connected.
        parameters: named as in :func:`fracrepro.nn.training.network.build_module`.
        images: normalized, shape (n, channels, height, width), of the parameters' type.
        labels: int64 of shape (n,).

    Returns:
        float64 of shape (n,).

    Raises:
        ArgumentError: for a network with convolutions.

    Source:
        Goodfellow (2015) for the identity.
    """
    squares = []
    for first in range(0, len(images), CHUNK):
        window = slice(first, first + CHUNK)
        _, inputs, deltas = _signals(network, parameters, images[window], labels[window])
        total = torch.zeros(len(inputs[0]), dtype=torch.float64, device=images.device)
        for h, delta in zip(inputs[:-1], deltas, strict=True):
            total += delta.double().square().sum(1) * (h.double().square().sum(1) + 1)
        squares.append(total)
    return torch.cat(squares).sqrt()


def layer_gradients(
    network: Network, parameters: Mapping[str, Tensor], images: Tensor, labels: Tensor, layer: int
) -> LayerGradients:
    """Return the gradients of each image for the weights of one layer, counted from 0.

    Args:
        network: fully connected.
        parameters: as in :func:`gradient_norms`.
        images: as there.
        labels: as there.
        layer: in [0, depth - 1].

    Raises:
        ArgumentError: for a network with convolutions, and a layer outside that range.
    """
    layer = integer("layer", layer, f"[0, {network.depth - 1}]")
    inputs, deltas, outputs = [], [], []
    for first in range(0, len(images), CHUNK):
        window = slice(first, first + CHUNK)
        _, signals, leaving = _signals(network, parameters, images[window], labels[window])
        inputs.append(signals[layer])
        deltas.append(leaving[layer])
        outputs.append(signals[layer + 1])
    h = torch.cat(inputs)
    # Pixels have no pre-activation; a neuron is active where its own is above zero.
    before = h != 0 if layer == 0 else h > 0
    return LayerGradients(h, torch.cat(deltas), (before, torch.cat(outputs) > 0))


def mean_loss(network: Network, parameters: Mapping[str, Tensor], images: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of images, float64 of shape ().

    Args:
        network: fully connected.
        parameters: as in :func:`gradient_norms`.
        images: as there.
        labels: as there.

    Raises:
        ArgumentError: for a network with convolutions.
    """
    total = torch.zeros((), dtype=torch.float64, device=images.device)
    for first in range(0, len(images), CHUNK):
        window = slice(first, first + CHUNK)
        losses, _, _ = _signals(network, parameters, images[window], labels[window])
        total += losses.double().sum()
    return total / len(images)


def _signals(
    network: Network, parameters: Mapping[str, Tensor], images: Tensor, labels: Tensor
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """The loss of each image, the signal at each depth, and the gradient at each layer's pre-activation."""
    if network.channels:
        raise ArgumentError(f"network.channels = {network.channels}: need a fully connected network, ()")
    h = images.flatten(1)
    signals, pre_activations = [h], []
    for k in range(network.depth):
        weight, bias = parameters[f"dense{k}.weight"], parameters[f"dense{k}.bias"]
        z = F.linear(h, weight, bias)
        pre_activations.append(z if z.requires_grad else z.requires_grad_())
        h = F.leaky_relu(z, network.negative_slope)
        signals.append(h)
    losses = F.cross_entropy(h, labels, reduction="none")
    # The images' losses share no variable, so the gradient of their sum holds each one's own.
    deltas = torch.autograd.grad(losses.sum(), pre_activations)
    return losses.detach(), [h.detach() for h in signals], [delta.detach() for delta in deltas]


def _counts(draws: int, numbers: int) -> list[int]:
    """How many draws to hold at a time, when each takes so many numbers."""
    size = max(1, MATRICES // numbers)
    return [min(size, draws - first) for first in range(0, draws, size)]
