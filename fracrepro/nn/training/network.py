"""The networks of the protocols: a description, and the plain module that it stands for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from torch import nn

from fracrepro.arguments import integer, integers, real
from fracrepro.errors import ArgumentError
from fracrepro.nn.data.base import CLASSES
from fracrepro.nn.networks import conv
from fracrepro.theory.activations import LeakyReLU

__all__ = ["Network", "build_module"]


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

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers, ready for JSON; ``Network(**record)`` reads them."""
        return dataclasses.asdict(self) | {
            "image_shape": list(self.image_shape),
            "channels": list(self.channels),
        }


def build_module(network: Network) -> nn.Sequential:
    """Return the network as a plain torch module, one model at a time: the reference for the ensemble."""
    sizes = [n_out for n_out, _ in network.layer_shapes]
    activation = LeakyReLU(network.negative_slope)
    return conv(network.image_shape, network.channels, sizes, activation, kernel=network.kernel, last=True)
