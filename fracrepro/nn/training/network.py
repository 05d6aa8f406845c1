"""The networks of the protocols: a description, the draws at a seed, and the plain module as reference."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fracrepro.arguments import integer, integers, real
from fracrepro.errors import ArgumentError
from fracrepro.nn.data.base import CLASSES
from fracrepro.nn.schemes.base import NormalScheme, Scheme
from fracrepro.nn.schemes.plan import Slot
from fracrepro.theory.activations import LeakyReLU

__all__ = ["Network", "build_module", "initial_parameters", "stream"]

# One random stream per purpose, so that no draw depends on how many another purpose has taken.
STREAMS = ("weights", "biases", "convolutions", "order", "augmentation", "noise")


@dataclass(frozen=True)
class Network:
    """Convolution blocks (possibly none), then fully connected layers, each followed by leaky ReLU.

    A block is a convolution without padding, ReLU and 2×2 max-pooling.
    The output layer has its leaky ReLU too, as in the authors' code.

    Args:
        image_shape: (channels, height, width) of the input.
        depth: number of fully connected layers, the output layer included, at least 1.
        width: units of each hidden layer, at least 1.
        negative_slope: of the leaky ReLU, at least 0 (0 is ReLU), finite.
        channels: output channels of each convolution block.
        kernel: side of every convolution kernel.

    Raises:
        ArgumentError: for a value outside these ranges, or an image too small for the blocks.

    >>> Network((1, 28, 28), depth=3, width=64).layer_shapes
    ((64, 784), (64, 64), (10, 64))
    """

    image_shape: tuple[int, int, int]
    depth: int = 20
    width: int = 64
    negative_slope: float = 0.01
    channels: tuple[int, ...] = ()
    kernel: int = 5

    def __post_init__(self) -> None:
        """Check every field; sequences become tuples, so that the description stays hashable."""
        shape = integers("image_shape", self.image_shape, "[1, inf)")
        if shape.shape != (3,):
            raise ArgumentError(f"image_shape = {self.image_shape!r}: need (channels, height, width)")
        object.__setattr__(self, "image_shape", tuple(shape.tolist()))
        integer("depth", self.depth, "[1, inf)")
        integer("width", self.width, "[1, inf)")
        integer("kernel", self.kernel, "[1, inf)")
        real("negative_slope", self.negative_slope, "[0, inf)")
        if self.channels:
            integers("channels", self.channels, "[1, inf)")
        object.__setattr__(self, "channels", tuple(self.channels))
        if self.features < 1:
            raise ArgumentError(
                f"image_shape = {self.image_shape}: too small for {len(self.channels)} blocks"
            )

    @property
    def conv_shapes(self) -> tuple[tuple[int, int, int, int], ...]:
        """The shapes of the convolution kernels, (out, in, kernel, kernel)."""
        inputs = (self.image_shape[0], *self.channels)
        return tuple((n, m, self.kernel, self.kernel) for m, n in zip(inputs, self.channels, strict=False))

    @property
    def features(self) -> int:
        """How many numbers enter the first fully connected layer."""
        channels, height, width = self.image_shape
        for channels in self.channels:  # noqa: B007  # the last one counts
            height, width = max(height - self.kernel + 1, 0) // 2, max(width - self.kernel + 1, 0) // 2
        return channels * height * width

    @property
    def layer_shapes(self) -> tuple[tuple[int, int], ...]:
        """The shapes of the weight matrices, (n_out, n_in)."""
        sizes = (self.features, *[self.width] * (self.depth - 1), CLASSES)
        return tuple(zip(sizes[1:], sizes[:-1], strict=True))


def stream(seed: int, purpose: str, epoch: int = 0) -> torch.Generator:
    """Return the CPU generator for one purpose at one seed and epoch.

    Every draw of a run comes from here, on a GPU too: a run starts the same wherever it trains.
    """
    words = np.random.SeedSequence([seed, STREAMS.index(purpose), epoch]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0] >> np.uint64(1)))  # torch takes 63 bits


def initial_parameters(network: Network, scheme: Scheme, seed: int) -> OrderedDict[str, Tensor]:
    r"""Return the starting weights and biases of a run, named as in :func:`build_module`.

    A weight matrix is :math:`\sigma Z`: :math:`\sigma` from the scheme, Z, standard normal, from the seed.
    Biases and convolutions have PyTorch's default, uniform within :math:`\pm 1/\sqrt{\text{fan\_in}}`.
    Two schemes at one seed therefore differ by one factor per layer and in nothing else.

    Source: the authors' code for the laws, our choice for the pairing.
    """
    if not isinstance(scheme, NormalScheme):
        raise ArgumentError(f"scheme = {scheme!r}: need one that scales normal draws")
    weights, biases, convolutions = (stream(seed, p) for p in ("weights", "biases", "convolutions"))
    follows = LeakyReLU(network.negative_slope)
    parameters: OrderedDict[str, Tensor] = OrderedDict()
    for k, kernel in enumerate(network.conv_shapes):
        bound = 1 / math.sqrt(math.prod(kernel[1:]))
        parameters[f"conv{k}.weight"] = torch.empty(kernel).uniform_(-bound, bound, generator=convolutions)
        parameters[f"conv{k}.bias"] = torch.empty(kernel[0]).uniform_(-bound, bound, generator=convolutions)
    for k, shape in enumerate(network.layer_shapes):
        z = torch.empty(shape).normal_(generator=weights)
        bound = 1 / math.sqrt(shape[1])
        parameters[f"dense{k}.weight"] = z * scheme.std(Slot(shape, follows))
        parameters[f"dense{k}.bias"] = torch.empty(shape[0]).uniform_(-bound, bound, generator=biases)
    return parameters


def build_module(network: Network) -> nn.Sequential:
    """Return the network as a plain torch module, one model at a time: the reference for the ensemble.

    Its ``state_dict`` has the names and shapes of :func:`initial_parameters`.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for k, (n_out, n_in, kernel, _) in enumerate(network.conv_shapes):
        layers[f"conv{k}"] = nn.Conv2d(n_in, n_out, kernel)
        layers[f"relu{k}"] = nn.ReLU()
        layers[f"pool{k}"] = nn.MaxPool2d(2)
    layers["flatten"] = nn.Flatten()
    for k, (n_out, n_in) in enumerate(network.layer_shapes):
        layers[f"dense{k}"] = nn.Linear(n_in, n_out)
        layers[f"leaky{k}"] = nn.LeakyReLU(network.negative_slope)
    return nn.Sequential(layers)
